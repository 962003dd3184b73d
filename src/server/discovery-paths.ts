/** Serves discovery: /api, /apis and what lies below them and is no resource. */
import type { ResourceInfo } from '../api/schema.ts'
import {
  aggregatedContentType,
  aggregatedDiscovery,
  apiGroup,
  apiGroupList,
  apiResourceList,
  apiVersions,
  wantsAggregated,
  type APIGroupDiscovery,
} from './discovery.ts'
import { answerDocument, DocumentCache, jsonDocument, type CachedDocument } from './documents.ts'
import type { PathHandler } from './router.ts'

export interface DiscoveryOptions {
  /** What is served now, groups in order of priority. */
  resources(): Iterable<ResourceInfo>
  /** Calls back when `resources` has changed. */
  onChange(listener: () => void): void
  /** "host:port" for clients of the oldest kind. */
  readonly serverAddress: string
}

export function createDiscoveryPaths(options: DiscoveryOptions): PathHandler {
  const cache = new DocumentCache()
  options.onChange(() => cache.clear())
  const json = (value: object | undefined): CachedDocument | undefined => value && jsonDocument(value)

  let generation = 0

  const make = (path: readonly string[], more: readonly APIGroupDiscovery[]): CachedDocument | undefined => {
    const [root, group = '', version = ''] = path
    if (root === 'api') {
      if (path.length === 1) return json(apiVersions(options.serverAddress))
      return path.length === 2 ? json(apiResourceList(options.resources(), '', group)) : undefined
    }
    if (path.length === 1) return json(apiGroupList(options.resources(), more))
    if (path.length === 2) return json(apiGroup(options.resources(), group, more))
    return path.length === 3 ? json(apiResourceList(options.resources(), group, version)) : undefined
  }

  return ({ aggregated }, { request }) => {
    const path = request.path.split('/').filter((part) => part !== '')
    const [root] = path
    if (root !== 'api' && root !== 'apis') return undefined
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined
    if (aggregated.generation !== generation) {
      generation = aggregated.generation
      cache.clear()
    }
    const version = path.length === 1 ? wantsAggregated(request.headers.accept) : undefined
    const document = version
      ? cache.get(`${root} ${version}`, () =>
          jsonDocument(
            aggregatedDiscovery(options.resources(), root === 'api' ? 'core' : 'named', version, aggregated.groups()),
            aggregatedContentType(version),
          ),
        )
      : cache.get(path.join('/'), () => make(path, aggregated.groups()))
    return document && answerDocument(document, request)
  }
}
