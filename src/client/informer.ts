/**
 * Keeps a cache of one kind in step with the server: lists once, then watches from the list's revision. A watch that ends is
 * taken up where it stopped; a revision that the server has forgotten (410) leads to a new list, whose differences reach the
 * handlers as ordinary events. At rest it costs nothing: no timer runs while a watch is open.
 *
 * What stays true: handlers run synchronously, in the server's order, after the cache holds the new state; `revision` never goes
 * back while a watch lasts, and every change up to it is in the cache.
 */
import type { WatchEventType } from '../api/exchange.ts'
import type { Status } from '../api/generated/meta/v1.ts'
import { keyOf } from '../api/object.ts'
import type { KubeObject } from '../api/object.ts'
import { ApiError, isApiError } from '../api/status.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import { createBackOff } from './back-off.ts'
import type { Client, KindName, ListOptions, ObjectOf, TypedWatchEvent } from './client.ts'
import { createObjectCache } from './object-cache.ts'
import type { IndexFunction, ObjectCache } from './object-cache.ts'
import { isUnknownKind } from './unknown-kind.ts'

export interface InformerOptions<T> extends Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'> {
  readonly indices?: Readonly<Record<string, IndexFunction<T>>>
  /** Makes the server end the watch after this time, for networks that lose connections silently. Default: no limit. */
  readonly watchTimeoutSeconds?: number
}

export interface InformerHandlers<T> {
  added?(object: T): void
  /** Also called when an object was deleted and made anew while no watch was open: compare uids where that matters. */
  updated?(object: T, old: T): void
  /** The last state known. */
  deleted?(object: T): void
}

export interface Informer<T> {
  readonly kind: string
  readonly cache: ObjectCache<T>
  /** Resolves when the first list has been taken over. */
  readonly synced: Promise<void>
  readonly hasSynced: boolean
  /** The cache holds every change of the kind up to this resourceVersion; 0 before the first list. */
  readonly revision: number
  /** What is in the cache already is told as added. Returns what removes the handlers. */
  addHandlers(handlers: InformerHandlers<T>): () => void
  addIndex(name: string, values: IndexFunction<T>): void
  /** Calls `condition` after each change of the cache or of `revision` until it holds; rejects when the signal aborts. */
  waitUntil(condition: () => boolean, signal: AbortSignal): Promise<void>
  run(signal: AbortSignal): Promise<void>
}

export const revisionOf = (object: { readonly metadata?: { readonly resourceVersion?: string | undefined } }): number =>
  Number(object.metadata?.resourceVersion ?? 0)

interface Waiter {
  readonly condition: () => boolean
  readonly resolve: () => void
}

export function createInformer<K extends KindName>(
  runtime: Runtime,
  client: Client,
  kind: K,
  options: InformerOptions<ObjectOf<K>> = {},
): Informer<ObjectOf<K>> {
  type T = ObjectOf<K> & KubeObject
  const log = runtime.log.with({ kind })
  const { namespace, labelSelector, fieldSelector, watchTimeoutSeconds } = options
  const scope: ListOptions = { namespace, labelSelector, fieldSelector }
  const cache = createObjectCache<T>()
  const handlers = new Set<InformerHandlers<T>>()
  const waiters = new Set<Waiter>()
  const synced = Promise.withResolvers<void>()
  const backOff = createBackOff(runtime.random, { initialMs: 100, maximumMs: 30_000 })
  let hasSynced = false
  let revision = 0
  for (const [name, values] of Object.entries(options.indices ?? {})) cache.addIndex(name, values)

  function tell(call: (handler: InformerHandlers<T>) => void): void {
    for (const handler of handlers) {
      try {
        call(handler)
      } catch (error) {
        // One component's bug must not stop the others that share this informer.
        log.error('informer handler failed', { error })
      }
    }
  }

  function put(object: T): void {
    const old = cache.set(keyOf(object), object)
    if (old === undefined) tell((handler) => handler.added?.(object))
    else if (old.metadata?.resourceVersion !== object.metadata?.resourceVersion) tell((handler) => handler.updated?.(object, old))
  }

  function remove(key: string, last?: T): void {
    const old = cache.delete(key)
    if (old !== undefined) tell((handler) => handler.deleted?.(last ?? old))
  }

  function settleWaiters(): void {
    for (const waiter of waiters) {
      if (!waiter.condition()) continue
      waiters.delete(waiter)
      waiter.resolve()
    }
  }

  async function relist(): Promise<void> {
    const list = await client.list(kind, scope)
    const listed = new Set<string>()
    for (const object of list.items) listed.add(keyOf(object as T))
    for (const key of cache.keys()) if (!listed.has(key)) remove(key)
    for (const object of list.items) put(object)
    revision = Number(list.metadata.resourceVersion)
    hasSynced = true
    synced.resolve()
    settleWaiters()
  }

  function apply(type: WatchEventType, object: T): void {
    if (type === 'ERROR') throw new ApiError(object as Status)
    if (type === 'DELETED') remove(keyOf(object), object)
    else if (type !== 'BOOKMARK') put(object)
    revision = revisionOf(object)
  }

  async function watchOn(signal: AbortSignal): Promise<void> {
    const events = client.watch(kind, {
      ...scope,
      resourceVersion: String(revision),
      allowWatchBookmarks: true,
      ...(watchTimeoutSeconds ? { timeoutSeconds: watchTimeoutSeconds } : {}),
      signal,
    })
    for await (const batch of events as AsyncIterable<readonly TypedWatchEvent<T>[]>) {
      for (const event of batch) apply(event.type, event.object)
      if (batch.length > 0) backOff.reset()
      if (waiters.size > 0) settleWaiters()
    }
  }

  return {
    kind,
    cache,
    synced: synced.promise,
    get hasSynced() {
      return hasSynced
    },
    get revision() {
      return revision
    },
    addHandlers(added) {
      const own = added as InformerHandlers<T>
      handlers.add(own)
      if (own.added) for (const object of cache.list()) own.added(object)
      return () => handlers.delete(own)
    },
    addIndex: (name, values) => cache.addIndex(name, values),
    waitUntil(condition, signal) {
      if (condition()) return Promise.resolve()
      if (signal.aborted) return Promise.reject(signal.reason)
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          waiters.delete(waiter)
          reject(signal.reason)
        }
        const waiter: Waiter = {
          condition,
          resolve: () => {
            signal.removeEventListener('abort', onAbort)
            resolve()
          },
        }
        waiters.add(waiter)
        signal.addEventListener('abort', onAbort, { once: true })
      })
    },
    async run(signal) {
      let mustList = true
      while (!signal.aborted) {
        try {
          if (mustList) await relist()
          mustList = false
          await watchOn(signal)
          // The server may end a watch at any time; an endless quick succession of such ends is slowed down like an error.
        } catch (error) {
          if (signal.aborted) return
          mustList = mustList || isApiError(error)
          if (isApiError(error, 'Expired', 'Gone')) log.debug('watch expired: listing again', { error: error.message })
          else if (isUnknownKind(error) || isApiError(error, 'NotFound')) log.debug('kind is not served', { error: error.message })
          else log.warn('list or watch failed', { error })
        }
        await sleep(runtime.clock, backOff.nextMs(), signal).catch((error: unknown) => {
          if (!signal.aborted) throw error
        })
      }
    },
  }
}
