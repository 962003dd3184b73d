/**
 * What a controller is: a function that brings one object of its kind closer to what is wanted, called again whenever something
 * that it reads has changed. It is level-based: a key says only 'look at this object', never what happened.
 *
 * `reads` and `writes` are data: reads decide which informers run, both become the controller's RBAC role.
 */
import type { Runtime } from '../base/runtime.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'
import type { EventRecorder } from '../client/events.ts'
import type { Informers } from '../client/informers.ts'
import type { IndexFunction, ObjectCache } from '../client/object-cache.ts'

/** The caches of the kinds that a controller reads. Always in step with its own writes: see own-writes.ts. */
export interface Caches {
  of<K extends KindName>(kind: K): ObjectCache<ObjectOf<K>>
}

export interface ReconcileContext {
  readonly runtime: Runtime
  readonly client: Client
  readonly caches: Caches
  readonly events: EventRecorder
  readonly signal: AbortSignal
}

/** What a reconciliation may ask for: to be called again after a time, although nothing changes. */
export interface Outcome {
  readonly afterMs: number | undefined
}

export interface Change<T> {
  readonly type: 'added' | 'updated' | 'deleted'
  readonly object: T
  /** The state before an update. */
  readonly old?: T
}

/** Turns changes of one kind into keys to look at. */
export interface Watch {
  readonly kind: KindName
  readonly indices: Readonly<Record<string, IndexFunction<never>>>
  keys(change: Change<never>, caches: Caches): Iterable<string>
}

export interface StartContext extends Omit<ReconcileContext, 'events'> {
  readonly informers: Informers
  /** Looks at a key, at once or later. */
  readonly enqueue: (key: string, afterMs?: number) => void
}

export interface Controller {
  readonly name: string
  /** Its service account in kube-system, and what events name as their source. Default: "<name>-controller". */
  readonly component?: string
  /** What events name as their source where that is not the account. */
  readonly eventSource?: string
  /** Calls as the controller manager itself, as upstream does where an account could not be had yet. */
  readonly runsAsManager?: true
  readonly reads: readonly KindName[]
  /** "v1/Pod", "apps/v1/ReplicaSet/status". */
  readonly writes: readonly string[]
  readonly watches: readonly Watch[]
  /** How many keys are worked on at a time. Default: 5. */
  readonly workers?: number
  reconcile(key: string, context: ReconcileContext): Promise<Outcome | void>
  /** Sets up what watches cannot express (kinds found at run time). Runs once, when the caches are filled. */
  start?(context: StartContext): Promise<void> | void
}

type Keys = Iterable<string> | string | undefined

/** Watches a kind; `keys` names the objects to look at when one of it changes. */
export function watch<K extends KindName>(
  kind: K,
  keys: (change: Change<ObjectOf<K>>, caches: Caches) => Keys,
  indices: Readonly<Record<string, IndexFunction<ObjectOf<K>>>> = {},
): Watch {
  return {
    kind,
    indices: indices,
    keys(change, caches) {
      const found = keys(change, caches)
      return found === undefined ? [] : typeof found === 'string' ? [found] : found
    },
  }
}

/** For kinds that are only read: keeps the cache, wakes nobody. */
export const read = <K extends KindName>(kind: K, indices: Readonly<Record<string, IndexFunction<ObjectOf<K>>>> = {}): Watch =>
  watch(kind, () => undefined, indices)
