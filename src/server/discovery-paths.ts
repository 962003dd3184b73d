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
  /** Groups of servers behind the aggregation layer. */
  aggregated?(): readonly APIGroupDiscovery[]
}

export function createDiscoveryPaths(options: DiscoveryOptions): PathHandler {
  const cache = new DocumentCache()
  options.onChange(() => cache.clear())
  const json = (value: object | undefined): CachedDocument | undefined => value && jsonDocument(value)

  const make = (path: readonly string[]): CachedDocument | undefined => {
    const [root, group = '', version = ''] = path
    if (root === 'api') {
      if (path.length === 1) return json(apiVersions(options.serverAddress))
      return path.length === 2 ? json(apiResourceList(options.resources(), '', group)) : undefined
    }
    if (path.length === 1) return json(apiGroupList(options.resources()))
    if (path.length === 2) return json(apiGroup(options.resources(), group))
    return path.length === 3 ? json(apiResourceList(options.resources(), group, version)) : undefined
  }

  return (_core, { request }) => {
    const path = request.path.split('/').filter((part) => part !== '')
    const [root] = path
    if (root !== 'api' && root !== 'apis') return undefined
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined
    const version = path.length === 1 ? wantsAggregated(request.headers.accept) : undefined
    const document = version
      ? cache.get(`${root} ${version}`, () =>
          jsonDocument(
            aggregatedDiscovery(options.resources(), root === 'api' ? 'core' : 'named', version, options.aggregated?.()),
            aggregatedContentType(version),
          ),
        )
      : cache.get(path.join('/'), () => make(path))
    return document && answerDocument(document, request)
  }
}
