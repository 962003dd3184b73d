/**
 * The cache that serves all reads: one per resource, fed in order by a single watch of the store, so that all caches stand at one
 * and the same revision. A change is decoded once, filtered for each watcher and handed on as one shared event. Only the feed
 * changes a cache; whoever has committed waits until the feed has passed the commit's revision, and so reads its own writes.
 */
import { failure } from '../api/status.ts'
import type { ApiError } from '../api/status.ts'
import type { StoredObject, WatchEvent } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Store, StoreEvent } from '../store/store.ts'
import { bookmark, INITIAL_EVENTS_END, type BookmarkKind } from './bookmark.ts'
import { CacheChange } from './cache-change.ts'
import type { WatchEvents } from './metrics.ts'
import { ObjectIndexes } from './object-index.ts'
import { Revision, type View } from './revision.ts'
import { SortedMap } from './sorted-map.ts'
import { eventTypeOf, shown, type WatchGroup } from './watch-group.ts'
import { WatchGroups } from './watch-groups.ts'
import type { Predicate, WatchScope } from './watch-scope.ts'
import { Watcher } from './watcher.ts'

/** How many past changes a resource keeps for watches that resume, and how many bytes; of large objects at least so many. */
const WINDOW = 8192
const WINDOW_BYTES = 32 << 20
const MIN_WINDOW = 128
/** Fewer objects are looked through without an index. */
const MIN_INDEXED = 256
/** An index that selects more than this share of what would be looked through is not worth its order. */
const WORTHWHILE = 1 / 4
const LOAD_PAGE = 5000
const PREFIX = '/registry/'

export interface WatchStart {
  /** 0: what there is now, as ADDED events, and then changes. Absent: changes from now on. */
  readonly after?: number
  /** The kind that bookmarks are of; without it none are sent. */
  readonly bookmarks?: BookmarkKind
  /** After the initial events, a BOOKMARK that says so (KEP-3157). */
  readonly isInitialEndTold?: boolean
  /** Counts what is told. */
  readonly counts?: WatchEvents
}

export class ResourceCache {
  readonly group: string
  readonly resource: string
  readonly #feed: { readonly revision: number }
  readonly #items = new SortedMap<Revision>()
  readonly #byKey = new Map<string, Revision>()
  #window: CacheChange[] = []
  /** Changes after this revision are in the window. */
  #windowStart: number
  #lastChange: number
  /** Changes that the store told of, and how often everything was read anew. */
  eventCount = 0
  loadCount = 0
  #windowBytes = 0
  readonly #groups = new WatchGroups()
  /** Numbers of views, for the names of what is shared. */
  readonly #viewNumbers = new WeakMap<View, number>()
  #views = 0
  readonly #indexes = new ObjectIndexes()
  /** How many objects each namespace has, by "ns/". */
  readonly #sizes = new Map<string, number>()
  readonly #observers: ((change: CacheChange | undefined) => void)[] = []

  constructor(group: string, resource: string, feed: { readonly revision: number }) {
    this.group = group
    this.resource = resource
    this.#feed = feed
    this.#windowStart = feed.revision
    this.#lastChange = feed.revision
  }

  get size(): number {
    return this.#items.size
  }

  /** The revision that a list of it has. */
  get revision(): number {
    return this.#feed.revision
  }

  /** The revision of the last change of any of its objects: a list of any later revision is what the cache holds. */
  get lastChange(): number {
    return this.#lastChange
  }

  /** How many past changes are kept at most. */
  readonly capacity = 2 * WINDOW

  get watcherCount(): number {
    return this.#groups.count
  }

  get(key: string): Revision | undefined {
    return this.#byKey.get(key)
  }

  walk(prefix: string, after: string | undefined, visit: (item: Revision, key: string) => boolean | void): void {
    this.#items.walk(prefix, after, visit)
  }

  /**
   * Calls back within each change, before the writer is answered and watchers hear of it, and with undefined when everything was
   * read anew. The listener must not throw.
   */
  observe(listener: (change: CacheChange | undefined) => void): void {
    this.#observers.push(listener)
  }

  /** Declares a field that is always indexed (spec.nodeName of pods); others are when they are first selected by. */
  indexBy(path: string, value: (object: KubeObject) => string): void {
    this.#indexes.pin({ name: path, isLabel: false, read: value }, this.#objects())
  }

  /** The objects with a value of an indexed field, in order of keys; undefined when the path has no index. */
  indexed(path: string, value: string): readonly Revision[] | undefined {
    return this.#indexes.keysOf({ name: path, isLabel: false, value })?.map((key) => this.#byKey.get(key)!)
  }

  *#objects(): Iterable<readonly [string, KubeObject]> {
    for (const [key, item] of this.#byKey) yield [key, item.object]
  }

  /** The objects that can be in the scope, in order of keys, where an index knows much fewer than must be looked through without. */
  candidates({ prefix, terms = [] }: WatchScope): readonly Revision[] | undefined {
    const scanned = prefix === '' ? this.#byKey.size : (this.#sizes.get(prefix) ?? 0)
    if (terms.length === 0 || scanned < MIN_INDEXED) return undefined
    if (!terms.some((term) => this.#indexes.has(term))) this.#indexes.make(terms[0]!, this.#objects())
    let best: { readonly term: (typeof terms)[number]; readonly size: number } | undefined
    for (const term of terms) {
      const size = this.#indexes.sizeOf(term)
      if (size !== undefined && (!best || size < best.size)) best = { term, size }
    }
    if (!best || best.size > scanned * WORTHWHILE) return undefined
    const found: Revision[] = []
    for (const key of this.#indexes.keysOf(best.term)!) if (key.startsWith(prefix)) found.push(this.#byKey.get(key)!)
    return found
  }

  /** Starts a watch; throws Expired when the changes after the revision are no longer known. */
  watch(scope: WatchScope, predicate: Predicate | undefined, view: View, start: WatchStart): Watcher {
    const after = start.after ?? this.revision
    const initial: StoredObject[] = []
    if (after === 0) {
      this.#visitScope(scope, (item) => {
        if (!predicate || predicate(item.object)) initial.push(item.in(view))
      })
    }
    const { bookmarks } = start
    const missed = after === 0 ? [] : this.#missedSince(after, scope, predicate, view)
    if (bookmarks && start.isInitialEndTold) missed.push(bookmark(bookmarks, this.revision, { [INITIAL_EVENTS_END]: 'true' }))
    const isLater = after > this.revision
    const isShared = !isLater && (!predicate || scope.selector !== undefined)
    const kind = bookmarks ? `${bookmarks.apiVersion}/${bookmarks.kind}` : ''
    const sharing = isShared ? [this.#numberOf(view), kind, scope.key ?? scope.prefix, scope.selector ?? ''].join(' ') : undefined
    const group = this.#groups.groupFor({ scope, predicate, view, bookmarks, from: isLater ? after : this.revision }, sharing)
    return new Watcher(group, { initial, missed, counts: start.counts })
  }

  #numberOf(view: View): number {
    const known = this.#viewNumbers.get(view)
    if (known !== undefined) return known
    this.#viewNumbers.set(view, ++this.#views)
    return this.#views
  }

  #visitScope(scope: WatchScope, visit: (item: Revision) => void): void {
    if (scope.key !== undefined) {
      const item = this.#byKey.get(scope.key)
      if (item) visit(item)
      return
    }
    const candidates = this.candidates(scope)
    if (candidates) for (const item of candidates) visit(item)
    else this.#items.walk(scope.prefix, undefined, visit)
  }

  #missedSince(revision: number, scope: WatchScope, predicate: Predicate | undefined, view: View): WatchEvent[] {
    if (revision < this.#windowStart) throw tooOld(revision, this.#windowStart)
    let low = 0
    let high = this.#window.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#window[middle]!.revision <= revision) low = middle + 1
      else high = middle
    }
    const events: WatchEvent[] = []
    for (let at = low; at < this.#window.length; at++) {
      const change = this.#window[at]!
      if (!(scope.key === undefined ? change.key.startsWith(scope.prefix) : change.key === scope.key)) continue
      const type = eventTypeOf(change, predicate)
      if (type) events.push(shown(change, type, view))
    }
    return events
  }

  /** For the feed alone. */
  load(item: Revision): void {
    this.#items.set(item.key, item)
    this.#byKey.set(item.key, item)
    this.#count(item.key, 1)
    this.#indexes.update(item.key, undefined, item)
  }

  /** For the feed alone: everything is there. */
  loaded(): void {
    this.loadCount++
    for (const observer of this.#observers) observer(undefined)
  }

  /** For the feed alone: forgets everything, ends every watch. */
  reset(revision: number): void {
    for (const key of this.#byKey.keys()) this.#items.delete(key)
    this.#byKey.clear()
    this.#sizes.clear()
    this.#indexes.clear()
    this.#window = []
    this.#windowBytes = 0
    this.#windowStart = revision
    this.#lastChange = revision
    this.endWatches()
  }

  endWatches(): void {
    for (const group of this.#groups.all()) group.endAll()
  }

  bookmark(): void {
    for (const group of this.#groups.all()) group.bookmark(this.revision)
  }

  /** For the feed alone. `touched` gets the groups of watches that have something new. */
  apply(event: StoreEvent, key: string, touched: Set<WatchGroup>): void {
    const previous = this.#byKey.get(key)
    const entry = event.entry
    const current = entry && new Revision(key, event.revision, entry.value, entry.decoded as KubeObject | undefined)
    this.#lastChange = event.revision
    this.eventCount++
    if (current) {
      this.#byKey.set(key, current)
      this.#items.set(key, current)
      if (!previous) this.#count(key, 1)
    } else {
      if (!previous) return
      this.#byKey.delete(key)
      this.#items.delete(key)
      this.#count(key, -1)
    }
    this.#indexes.update(key, previous, current)
    const change = new CacheChange(event.revision, key, current, previous)
    this.#remember(change)
    for (const observer of this.#observers) observer(change)
    this.#groups.offer(change, touched)
  }

  #count(key: string, difference: 1 | -1): void {
    const slash = key.indexOf('/')
    if (slash < 0) return
    const prefix = key.slice(0, slash + 1)
    const size = (this.#sizes.get(prefix) ?? 0) + difference
    if (size === 0) this.#sizes.delete(prefix)
    else this.#sizes.set(prefix, size)
  }

  #remember(change: CacheChange): void {
    this.#window.push(change)
    this.#windowBytes += change.sizeBytes
    // Twice the bounds before cutting, so that the cost of moving the array is spread over a whole window.
    const { length } = this.#window
    if (length < 2 * WINDOW && (this.#windowBytes < 2 * WINDOW_BYTES || length < 2 * MIN_WINDOW)) return
    let cut = 0
    while (length - cut > WINDOW || (this.#windowBytes > WINDOW_BYTES && length - cut > MIN_WINDOW))
      this.#windowBytes -= this.#window[cut++]!.sizeBytes
    this.#windowStart = this.#window[cut - 1]!.revision
    this.#window = this.#window.slice(cut)
  }
}

const tooOld = (revision: number, oldest: number): ApiError => failure('Expired', `too old resource version: ${revision} (${oldest})`)

/** All caches and the feed. */
export class WatchCaches {
  readonly #runtime: Runtime
  readonly #store: Store
  readonly #caches = new Map<string, ResourceCache>()
  readonly #state = { revision: 0 }
  #waiting: { readonly revision: number; readonly done: () => void }[] = []
  #indices = new Map<string, { readonly path: string; readonly value: (object: KubeObject) => string }>()

  constructor(runtime: Runtime, store: Store) {
    this.#runtime = runtime
    this.#store = store
  }

  /** The revision up to which all caches have seen everything. */
  get revision(): number {
    return this.#state.revision
  }

  all(): Iterable<ResourceCache> {
    return this.#caches.values()
  }

  of(group: string, resource: string): ResourceCache {
    return this.#named(`${group || 'core'}/${resource}`)
  }

  indexBy(group: string, resource: string, path: string, value: (object: KubeObject) => string): void {
    this.#indices.set(`${group || 'core'}/${resource}`, { path, value })
    this.#caches.get(`${group || 'core'}/${resource}`)?.indexBy(path, value)
  }

  #named(name: string): ResourceCache {
    const known = this.#caches.get(name)
    if (known) return known
    const slash = name.indexOf('/')
    const group = name.slice(0, slash)
    const cache = new ResourceCache(group === 'core' ? '' : group, name.slice(slash + 1), this.#state)
    const index = this.#indices.get(name)
    if (index) cache.indexBy(index.path, index.value)
    this.#caches.set(name, cache)
    return cache
  }

  /** Resolves when the caches stand at the revision or later; at once in the usual case. */
  caughtUp(revision: number): Promise<void> | undefined {
    if (revision <= this.#state.revision) return undefined
    return new Promise((done) => this.#waiting.push({ revision, done }))
  }

  /** Reads everything that is stored. Call before run. */
  async load(): Promise<void> {
    let at: number | undefined
    let after: string | undefined
    for (;;) {
      const page = await this.#store.range(PREFIX, {
        ...(at === undefined ? {} : { at }),
        ...(after === undefined ? {} : { after }),
        limit: LOAD_PAGE,
      })
      if (at === undefined) {
        at = page.revision
        this.#state.revision = at
        for (const cache of this.#caches.values()) cache.reset(at)
      }
      for (const entry of page.entries) {
        const [name, key] = splitKey(entry.key)
        this.#named(name).load(new Revision(key, entry.modRevision, entry.value, entry.decoded as KubeObject | undefined))
      }
      after = page.entries.at(-1)?.key
      if (!page.more) break
    }
    for (const cache of this.#caches.values()) cache.loaded()
    this.#settle()
  }

  /** Follows the store until the signal aborts. When it fell too far behind, everything is read again and every watch ends. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const batch of this.#store.watch(PREFIX, this.#state.revision, signal)) this.#apply(batch)
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof Error) || error.name !== 'Compacted') throw error
        this.#runtime.log.warn('the watch cache fell behind the store and is read anew', { revision: this.#state.revision })
      }
      if (!signal.aborted) await this.load()
    }
  }

  #apply(batch: readonly StoreEvent[]): void {
    const touched = new Set<WatchGroup>()
    for (const event of batch) {
      const [name, key] = splitKey(event.key)
      this.#state.revision = event.revision
      this.#named(name).apply(event, key, touched)
    }
    for (const group of touched) group.wake()
    this.#settle()
  }

  #settle(): void {
    if (this.#waiting.length === 0) return
    const { revision } = this.#state
    const done = this.#waiting.filter((waiting) => waiting.revision <= revision)
    if (done.length === this.#waiting.length) this.#waiting = []
    else this.#waiting = this.#waiting.filter((waiting) => waiting.revision > revision)
    for (const waiting of done) waiting.done()
  }

  bookmark(): void {
    for (const cache of this.#caches.values()) cache.bookmark()
  }

  endWatches(): void {
    for (const cache of this.#caches.values()) cache.endWatches()
  }
}

/** "/registry/apps/deployments/ns/name" → ["apps/deployments", "ns/name"]. */
function splitKey(key: string): [string, string] {
  const afterGroup = key.indexOf('/', PREFIX.length)
  const afterResource = key.indexOf('/', afterGroup + 1)
  return [key.slice(PREFIX.length, afterResource), key.slice(afterResource + 1)]
}
