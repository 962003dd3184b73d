/** Serves discovery: /api, /apis and what lies below them and is no resource. */
import type { GroupVersionKind, ResourceInfo } from '../api/schema.ts'
import { noRoute } from '../api/status.ts'
import {
  AGGREGATED_TYPE,
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
  /** As what objects of a resource are stored; undefined for what is not. */
  storedAs?(info: ResourceInfo): GroupVersionKind | undefined
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
      return path.length === 2 ? json(apiResourceList(options.resources(), '', group, options.storedAs)) : undefined
    }
    if (path.length === 1) return json(apiGroupList(options.resources(), more))
    if (path.length === 2) return json(apiGroup(options.resources(), group, more))
    return path.length === 3 ? json(apiResourceList(options.resources(), group, version, options.storedAs)) : undefined
  }

  return ({ aggregated }, { request }) => {
    const path = request.path.split('/').filter((part) => part !== '')
    const [root] = path
    if (root !== 'api' && root !== 'apis') return undefined
    if (aggregated.generation !== generation) {
      generation = aggregated.generation
      cache.clear()
    }
    if (request.method !== 'GET') {
      // What is not there takes no method at all.
      if (cache.get(path.join('/'), () => make(path, aggregated.groups()))) throw noRoute()
      return undefined
    }
    if (path.length === 1 && wantsAggregated(request.headers.accept)) {
      const groups = root === 'api' ? 'core' : 'named'
      const document = cache.get(`${root} aggregated`, () =>
        jsonDocument(aggregatedDiscovery(options.resources(), groups, aggregated.groups()), AGGREGATED_TYPE),
      )
      return document && answerDocument(document, request)
    }
    const document = cache.get(path.join('/'), () => make(path, aggregated.groups()))
    // The old form has no ETag and is not kept.
    return document && { type: 'raw', status: 200, contentType: document.contentType, body: document.bytes }
  }
}
