/**
 * The cache that serves all reads: one per resource, fed in order by a single watch of the store, so that all caches stand at one
 * and the same revision. A change is decoded once, filtered for each watcher and handed on as one shared event. Only the feed
 * changes a cache; whoever has committed waits until the feed has passed the commit's revision, and so reads its own writes.
 */
import { failure } from '../api/status.ts'
import type { ApiError } from '../api/status.ts'
import type { WatchEvent, WatchEventType } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { assert } from '../base/assert.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Store, StoreEvent } from '../store/store.ts'
import { Happening, Revision, type View } from './revision.ts'
import { SortedMap } from './sorted-map.ts'
import { bookmark, INITIAL_EVENTS_END, Watcher, type BookmarkKind, type Predicate, type WatchScope } from './watcher.ts'

/** How many past changes a resource keeps for watches that resume. */
const WINDOW = 8192
const LOAD_PAGE = 5000
const PREFIX = '/registry/'

/** One change of one object. Its events are made at most once for each type and view. */
export class CacheChange {
  readonly revision: number
  readonly key: string
  readonly current: Revision | undefined
  readonly previous: Revision | undefined
  #gone: Revision | undefined
  #events: Map<View, Map<WatchEventType, Happening>> | undefined

  constructor(revision: number, key: string, current: Revision | undefined, previous: Revision | undefined) {
    this.revision = revision
    this.key = key
    this.current = current
    this.previous = previous
  }

  event(type: 'ADDED' | 'MODIFIED' | 'DELETED', view: View): Happening {
    let ofView = this.#events?.get(view)
    if (!ofView) (this.#events ??= new Map()).set(view, (ofView = new Map()))
    let event = ofView.get(type)
    if (!event) ofView.set(type, (event = new Happening(type, this.#told(type).in(view), view.isRaw && this.previous)))
    return event
  }

  /** A deletion, also one from a watcher's selection, carries the last state at the revision of the change. */
  #told(type: WatchEventType): Revision {
    if (type !== 'DELETED') return this.current!
    return (this.#gone ??= this.previous!.at(this.revision))
  }
}

export interface WatchStart {
  /** 0: what there is now, as ADDED events, and then changes. Absent: changes from now on. */
  readonly after?: number
  /** The kind that bookmarks are of; without it none are sent. */
  readonly bookmarks?: BookmarkKind
  /** After the initial events, a BOOKMARK that says so (KEP-3157). */
  readonly isInitialEndTold?: boolean
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
  /** Watchers by what they can ever see: "" all, "ns/" a namespace, "ns/name" or "name" one object. */
  readonly #watchers = new Map<string, Set<Watcher>>()
  /** Watchers that select one value of the indexed field. */
  readonly #byField = new Map<string, Set<Watcher>>()
  #index: { readonly path: string; readonly value: (object: KubeObject) => string; readonly keys: Map<string, Set<string>> } | undefined
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

  get watcherCount(): number {
    let count = 0
    for (const set of this.#watchers.values()) count += set.size
    for (const set of this.#byField.values()) count += set.size
    return count
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

  /** Declares a field that is often selected by equality (spec.nodeName of pods): lists and watches of one value become cheap. */
  indexBy(path: string, value: (object: KubeObject) => string): void {
    assert(!this.#index, 'one index a resource')
    this.#index = { path, value, keys: new Map() }
    for (const item of this.#byKey.values()) this.#reindex(item.key, undefined, item)
  }

  /** The objects with a value of the indexed field, in order of keys; undefined when the path has no index. */
  indexed(path: string, value: string): readonly Revision[] | undefined {
    if (this.#index?.path !== path) return undefined
    return [...(this.#index.keys.get(value) ?? [])].toSorted().map((key) => this.#byKey.get(key)!)
  }

  /** Starts a watch; throws Expired when the changes after the revision are no longer known. */
  watch(scope: WatchScope, predicate: Predicate | undefined, view: View, start: WatchStart): Watcher {
    const after = start.after ?? this.revision
    const initial: WatchEvent[] = []
    if (after === 0) {
      this.#visitScope(scope, (item) => {
        if (!predicate || predicate(item.object)) initial.push(new Happening('ADDED', item.in(view)))
      })
    }
    const from = after === 0 ? this.revision : after
    if (start.bookmarks && start.isInitialEndTold) initial.push(bookmark(start.bookmarks, this.revision, { [INITIAL_EVENTS_END]: 'true' }))
    const missed = after === 0 ? [] : this.#changesAfter(after, scope)
    const watcher = new Watcher({ predicate, view, from, bookmarks: start.bookmarks, onEnd: () => this.#remove(scope, watcher) }, initial)
    for (const change of missed) watcher.offer(change)
    this.#add(scope, watcher)
    return watcher
  }

  #visitScope(scope: WatchScope, visit: (item: Revision) => void): void {
    if (scope.key !== undefined) {
      const item = this.#byKey.get(scope.key)
      if (item) visit(item)
      return
    }
    const indexed = scope.field && this.indexed(scope.field.path, scope.field.value)
    if (indexed) {
      for (const item of indexed) if (item.key.startsWith(scope.prefix)) visit(item)
      return
    }
    this.#items.walk(scope.prefix, undefined, visit)
  }

  #changesAfter(revision: number, scope: WatchScope): readonly CacheChange[] {
    if (revision < this.#windowStart) throw tooOld(revision, this.#windowStart)
    let low = 0
    let high = this.#window.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#window[middle]!.revision <= revision) low = middle + 1
      else high = middle
    }
    const isSeen = (change: CacheChange) => (scope.key === undefined ? change.key.startsWith(scope.prefix) : change.key === scope.key)
    return this.#window.slice(low).filter(isSeen)
  }

  #setFor(scope: WatchScope): [Map<string, Set<Watcher>>, string] {
    if (scope.key !== undefined) return [this.#watchers, scope.key]
    if (scope.field && this.#index?.path === scope.field.path) return [this.#byField, scope.field.value]
    return [this.#watchers, scope.prefix]
  }

  #add(scope: WatchScope, watcher: Watcher): void {
    const [map, key] = this.#setFor(scope)
    const set = map.get(key)
    if (set) set.add(watcher)
    else map.set(key, new Set([watcher]))
  }

  #remove(scope: WatchScope, watcher: Watcher): void {
    const [map, key] = this.#setFor(scope)
    const set = map.get(key)
    set?.delete(watcher)
    if (set?.size === 0) map.delete(key)
  }

  /** For the feed alone. */
  load(item: Revision): void {
    this.#items.set(item.key, item)
    this.#byKey.set(item.key, item)
    if (this.#index) this.#reindex(item.key, undefined, item)
  }

  /** For the feed alone: everything is there. */
  loaded(): void {
    for (const observer of this.#observers) observer(undefined)
  }

  /** For the feed alone: forgets everything, ends every watch. */
  reset(revision: number): void {
    for (const key of this.#byKey.keys()) this.#items.delete(key)
    this.#byKey.clear()
    this.#index?.keys.clear()
    this.#window = []
    this.#windowStart = revision
    this.#lastChange = revision
    this.endWatches()
  }

  endWatches(): void {
    for (const watcher of this.#allWatchers()) watcher.end()
  }

  bookmark(): void {
    for (const watcher of this.#allWatchers()) watcher.bookmark(this.revision)
  }

  #allWatchers(): readonly Watcher[] {
    return [...this.#watchers.values(), ...this.#byField.values()].flatMap((set) => [...set])
  }

  /** For the feed alone. */
  apply(event: StoreEvent, key: string, touched: Set<Watcher>): void {
    const previous = this.#byKey.get(key)
    const entry = event.entry
    const current = entry && new Revision(key, event.revision, entry.value, entry.decoded as KubeObject | undefined)
    this.#lastChange = event.revision
    if (current) {
      this.#byKey.set(key, current)
      this.#items.set(key, current)
    } else {
      if (!previous) return
      this.#byKey.delete(key)
      this.#items.delete(key)
    }
    const fields = this.#index && this.#reindex(key, previous, current)
    const change = new CacheChange(event.revision, key, current, previous)
    this.#remember(change)
    for (const observer of this.#observers) observer(change)
    this.#tell(this.#watchers.get(''), change, touched)
    this.#tell(this.#watchers.get(key), change, touched)
    const slash = key.indexOf('/')
    if (slash > 0) this.#tell(this.#watchers.get(key.slice(0, slash + 1)), change, touched)
    if (fields) for (const value of fields) this.#tell(this.#byField.get(value), change, touched)
  }

  #tell(watchers: Set<Watcher> | undefined, change: CacheChange, touched: Set<Watcher>): void {
    if (watchers) for (const watcher of watchers) if (watcher.offer(change)) touched.add(watcher)
  }

  #remember(change: CacheChange): void {
    this.#window.push(change)
    // Twice the bound before cutting, so that the cost of moving the array is spread over a whole window.
    if (this.#window.length < 2 * WINDOW) return
    this.#windowStart = this.#window[WINDOW - 1]!.revision
    this.#window = this.#window.slice(WINDOW)
  }

  /** Keeps the index; returns the values whose watchers must hear of the change. */
  #reindex(key: string, previous: Revision | undefined, current: Revision | undefined): Set<string> {
    const { value, keys } = this.#index!
    const before = previous && value(previous.object)
    const after = current && value(current.object)
    if (before !== after) {
      if (before !== undefined) {
        keys.get(before)?.delete(key)
        if (keys.get(before)?.size === 0) keys.delete(before)
      }
      if (after !== undefined) {
        const set = keys.get(after)
        if (set) set.add(key)
        else keys.set(after, new Set([key]))
      }
    }
    return new Set([before, after].filter((text) => text !== undefined))
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
    const touched = new Set<Watcher>()
    for (const event of batch) {
      const [name, key] = splitKey(event.key)
      this.#state.revision = event.revision
      this.#named(name).apply(event, key, touched)
    }
    for (const watcher of touched) watcher.wake()
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
