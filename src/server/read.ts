/**
 * Get, list and watch. Everything that is true now is answered from the watch cache; only a list of an exact older revision (the
 * later pages of a long list) goes to the store. A read without a resourceVersion waits until the cache has seen all that the
 * store had when the request came, so it never shows less than a write that was answered before.
 */
import type { ApiResponse, StoredObject, WatchEvent } from '../api/exchange.ts'
import type { ListMeta } from '../api/generated/meta/v1.ts'
import type { KubeObject } from '../api/object.ts'
import { listKindOf } from '../api/schema.ts'
import { badRequest, failure, isApiError, notFound, type ApiError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Store } from '../store/store.ts'
import { convertedEvents, RAW } from './custom-resources/converted-events.ts'
import { settle, settleAll } from './custom-resources/conversion.ts'
import { decodeContinue, encodeContinue, expiredContinue } from './continue-token.ts'
import type { Metrics } from './metrics.ts'
import { parseRevision, refusedByList, select, type ListOptions, type Selection } from './list-options.ts'
import type { ServedResource } from './resource-registry.ts'
import { Computed, Happening, Revision, type View } from './revision.ts'
import type { WatchCaches, WatchStart } from './watch-cache.ts'
import type { WatchScope } from './watch-scope.ts'

export interface Readable {
  readonly runtime: Runtime
  readonly store: Store
  readonly caches: WatchCaches
  readonly metrics?: Metrics
}

/** How long a read waits for a revision that is still to come. */
const FRESH_TIMEOUT_MS = 3000
/** A watch without timeoutSeconds ends after this long, and up to twice as long, so that watches do not all end together. */
const WATCH_TIMEOUT_S = 1800
/** How many entries one read of the store fetches when a selection may drop most of them. */
const STORE_PAGE = 1000

/** The object, or NotFound. Immediate unless the cache is behind. */
export async function get(server: Readable, served: ServedResource, key: string, name: string, resourceVersion: string): Promise<Revision> {
  await fresh(server, resourceVersion)
  const found = served.stored.cache.get(key)
  if (!found) throw notFound(served.info.group, served.info.resource, name)
  return found
}

/** Waits until reads at this resourceVersion ("" is now, "0" is whatever there is) can be answered. */
async function fresh({ runtime, store, caches }: Readable, resourceVersion: string, refuse?: (why: string) => Error): Promise<void> {
  let wanted = resourceVersion === '' ? store.revision : parseRevision(resourceVersion, refuse)
  if (store.refresh && (resourceVersion === '' || wanted > caches.revision)) {
    const known = await store.refresh()
    // Revisions that changed nothing here never come by.
    if (resourceVersion === '' || wanted <= known) wanted = store.revision
  }
  if (wanted <= caches.revision) return
  const late = Promise.withResolvers<'late'>()
  const cancel = runtime.clock.setTimeout(() => late.resolve('late'), FRESH_TIMEOUT_MS)
  const outcome = await Promise.race([caches.caughtUp(wanted), late.promise])
  cancel()
  if (outcome === 'late') throw tooLarge(wanted, caches.revision)
}

const tooLarge = (wanted: number, current: number): ApiError =>
  failure('Timeout', `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
    details: { retryAfterSeconds: 1, causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] },
  })

interface Page {
  readonly items: readonly Revision[]
  readonly revision: number
  /** The key after which the next page begins; undefined on the last page. */
  readonly lastKey: string | undefined
  readonly remaining: number | undefined
  /** It was read from the store. */
  readonly isStored?: true
}

export async function list(
  server: Readable,
  served: ServedResource,
  namespace: string,
  name: string,
  options: ListOptions,
  view: View,
): Promise<ApiResponse> {
  const selection = select(served, namespace, name, options)
  const page = await readPage(server, served, selection, options)
  tellList(server.metrics, served, page)
  const metadata: ListMeta = {
    resourceVersion: String(page.revision),
    ...(page.lastKey === undefined ? {} : { continue: encodeContinue(page.revision, page.lastKey, selection.scope.prefix) }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  }
  const items: readonly StoredObject[] = !view.convert
    ? page.items
    : served.custom?.isConvertedOutside
      ? await settleAll(page.items.map((item) => () => item.in(view)))
      : page.items.map((item) => item.in(view))
  return { type: 'list', status: 200, apiVersion: served.apiVersion, kind: listKindOf(served.info), metadata, items }
}

function tellList(metrics: Metrics | undefined, { info: { group, resource } }: ServedResource, { items, isStored }: Page): void {
  if (!metrics) return
  const of = `group="${group}",resource="${resource}"`
  if (isStored) {
    metrics.storageLists(of)
    metrics.storageListReturned(of, items.length)
  } else {
    metrics.cacheLists(`group="${group}",index="",resource="${resource}"`)
    metrics.cacheListReturned(of, items.length)
  }
}

/** The selected revisions themselves, for a collection delete. */
export async function readPage(server: Readable, served: ServedResource, given: Selection, options: ListOptions): Promise<Page> {
  const { cache } = served.stored
  const selection = given.predicate && served.custom?.isConvertedOutside ? await selectConverted(served, given) : given
  if (options.continue !== '') {
    if (options.resourceVersion !== '' && options.resourceVersion !== '0')
      throw badRequest('specifying resource version is not allowed when using continue')
    const from = decodeContinue(options.continue, selection.scope.prefix)
    if (from.revision < 0) {
      await fresh(server, '')
      return pageOfCache(served, selection, options.limit, from.after, server.caches.revision)
    }
    if (cache.lastChange <= from.revision && from.revision <= server.caches.revision)
      return pageOfCache(served, selection, options.limit, from.after, from.revision)
    return pageOfStore(server, served, selection, options.limit, from.after, from.revision)
  }
  const { resourceVersion, resourceVersionMatch, limit } = options
  const isExact =
    resourceVersionMatch === 'Exact' || (resourceVersionMatch === '' && limit > 0 && resourceVersion !== '' && resourceVersion !== '0')
  await fresh(server, resourceVersion, refusedByList)
  const wanted = parseRevision(resourceVersion, refusedByList)
  // Upstream answers a list of "0" from its cache whole, whatever the limit.
  if (!isExact) return pageOfCache(served, selection, resourceVersion === '0' ? 0 : limit, undefined, server.caches.revision)
  if (cache.lastChange <= wanted) return pageOfCache(served, selection, limit, undefined, wanted)
  return pageOfStore(server, served, selection, limit, undefined, wanted)
}

/** What selects looks at objects in the version of the request: all that may be selected are converted first, at once. */
async function selectConverted(served: ServedResource, { scope, predicate, isEverything }: Selection): Promise<Selection> {
  const { cache } = served.stored
  const { view } = served
  const candidates: Revision[] = []
  if (scope.key === undefined) cache.walk(scope.prefix, undefined, (item) => void candidates.push(item))
  else candidates.push(...one(cache.get(scope.key)))
  await settleAll(candidates.map((item) => () => item.in(view)))
  return { scope: withoutTerms(scope), isEverything, predicate: (object) => predicate!(view.convert!(object)) }
}

/** For selections that are not about the stored objects: an index would not know. */
const withoutTerms = ({ key, prefix }: WatchScope): WatchScope => ({ prefix, ...(key === undefined ? {} : { key }) })

/** At once, but where a webhook must convert what came since. */
const pageOfCache = (...query: Parameters<typeof pageNow>): Page | Promise<Page> => settle(() => pageNow(...query))

function pageNow(
  served: ServedResource,
  { scope, predicate, isEverything }: Selection,
  limit: number,
  after: string | undefined,
  revision: number,
): Page {
  const { cache } = served.stored
  const items: Revision[] = []
  const take = (item: Revision) => {
    if (!predicate || predicate(item.object)) items.push(item)
  }
  const candidates = scope.key === undefined ? cache.candidates(scope) : one(cache.get(scope.key))
  let lastKey: string | undefined
  let remaining = 0
  const visit = (item: Revision): boolean => {
    if (limit === 0 || items.length < limit) {
      take(item)
      lastKey = item.key
      return true
    }
    remaining++
    // Only a list of everything tells how many remain; for another, knowing that there are more is enough.
    return isEverything
  }
  if (!candidates) cache.walk(scope.prefix, after, visit)
  else for (const item of candidates) if ((after === undefined || item.key > after) && !visit(item)) break
  return { items, revision, lastKey: remaining > 0 ? lastKey : undefined, remaining: remaining > 0 && isEverything ? remaining : undefined }
}

const one = (item: Revision | undefined): readonly Revision[] => (item ? [item] : [])

async function pageOfStore(
  { store }: Readable,
  served: ServedResource,
  { scope, predicate, isEverything }: Selection,
  limit: number,
  after: string | undefined,
  revision: number,
): Promise<Page> {
  const { prefix } = served.stored
  const items: Revision[] = []
  let from = after
  try {
    for (;;) {
      const wanted = limit === 0 ? STORE_PAGE : predicate ? STORE_PAGE : limit - items.length
      const page = await store.range(prefix + scope.prefix, {
        at: revision,
        limit: wanted,
        ...(from === undefined ? {} : { after: prefix + from }),
      })
      const found = page.entries.map(
        (entry) => new Revision(entry.key.slice(prefix.length), entry.modRevision, entry.value, entry.decoded as KubeObject | undefined),
      )
      if (predicate && served.custom?.isConvertedOutside) await settleAll(found.map((item) => () => item.in(served.view)))
      for (const [index, item] of found.entries()) {
        from = item.key
        if (!predicate || predicate(item.object)) items.push(item)
        const left = page.entries.length - index - 1 + page.remaining
        if (limit > 0 && items.length === limit && left > 0)
          return { items, revision, lastKey: item.key, remaining: isEverything ? left : undefined, isStored: true }
      }
      if (!page.more) return { items, revision, lastKey: undefined, remaining: undefined, isStored: true }
    }
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'Compacted') throw error
    throw after === undefined
      ? failure('Expired', 'The resourceVersion for the provided list is too old.')
      : expiredContinue(after, scope.prefix)
  }
}

export interface WatchRequest {
  readonly namespace: string
  readonly name: string
  readonly options: ListOptions
  readonly view: View
  /** Makes each event's object into what was asked for (a Table); absent when the view suffices. */
  readonly shape?: ((event: WatchEvent) => WatchEvent) | undefined
  readonly bookmarkKind: { readonly apiVersion: string; readonly kind: string }
  readonly signal: AbortSignal
}

export async function watch(server: Readable, served: ServedResource, request: WatchRequest): Promise<ApiResponse> {
  const { options, view, signal } = request
  const selection = select(served, request.namespace, request.name, options)
  const wanted = parseRevision(options.resourceVersion)
  const isFromStart = options.sendInitialEvents === true
  const isFromNow = options.sendInitialEvents === false && wanted === 0
  const { runtime, metrics } = server
  const { group, version, resource } = served.info
  const isOutside = served.custom?.isConvertedOutside ?? false
  try {
    if (isFromStart || options.resourceVersion === '') await fresh(server, options.resourceVersion)
    const start: WatchStart = {
      ...(isFromNow ? {} : { after: isFromStart ? 0 : wanted }),
      ...(options.allowWatchBookmarks ? { bookmarks: request.bookmarkKind, isInitialEndTold: isFromStart } : {}),
      ...(metrics ? { counts: metrics.watchEventsOf(group, version, resource) } : {}),
    }
    const { cache } = served.stored
    const watcher = isOutside
      ? cache.watch(withoutTerms(selection.scope), undefined, RAW, start)
      : cache.watch(selection.scope, selection.predicate, view, start)
    const seconds = options.timeoutSeconds || WATCH_TIMEOUT_S * (1 + runtime.random.next())
    const cancel = runtime.clock.setTimeout(() => watcher.end(), seconds * 1000)
    const end = () => watcher.end()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) watcher.end()
    const scope = request.name ? 'resource' : request.namespace ? 'namespace' : 'cluster'
    const ended = metrics?.runLong({ verb: 'WATCH', group, version, resource, subresource: '', scope })
    watcher.whenEnded(() => {
      ended?.()
      cancel()
      signal.removeEventListener('abort', end)
    })
    const { shape } = request
    const events = isOutside ? convertedEvents(watcher, selection.predicate, served.view, view) : watcher
    if (shape) return { type: 'watch', status: 200, events: shaped(events, shape) }
    return { type: 'watch', status: 200, events, ...(isOutside ? {} : { queue: watcher }) }
  } catch (error) {
    // Once a watch has begun, what goes wrong is told as an event (upstream's cacher does so for revisions too old or still to come).
    if (!isApiError(error, 'Expired') && !isApiError(error, 'Timeout')) throw error
    return { type: 'watch', status: 200, events: once([new Happening('ERROR', new Computed(error.status))]) }
  }
}

async function* once(events: readonly WatchEvent[]): AsyncGenerator<readonly WatchEvent[]> {
  yield events
}

async function* shaped(
  events: AsyncIterable<readonly WatchEvent[]>,
  shape: (event: WatchEvent) => WatchEvent,
): AsyncGenerator<readonly WatchEvent[]> {
  for await (const batch of events) yield batch.map(shape)
}
