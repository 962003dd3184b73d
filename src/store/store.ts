/**
 * The revisioned key-value store under the API server: etcd's model (a single, growing revision; a key keeps the revision that
 * made it and the one that last changed it; old revisions can be read and watched until compacted). Three implementations pass
 * one suite: memory, sqlite, etcd.
 */

/** Keys are "/registry/<group>/<resource>/<namespace>/<name>" (no namespace part for cluster-scoped resources; group "core" for ""). */
export interface Entry {
  readonly key: string
  /** JSON bytes without a resourceVersion. */
  readonly value: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  /** See Change.decoded. The store forgets it when the entry is overwritten. */
  decoded?: unknown
}

/** A write to one key: put, or delete when `value` is undefined. */
export interface Change {
  readonly key: string
  readonly value: Uint8Array | undefined
  /** The commit fails with StoreConflict unless the key's modRevision is this; 0 means that the key must not exist. */
  readonly expected?: number
  /**
   * The value already decoded, handed on with the entry and its events by stores that live in this process, so that the watch
   * cache need not parse what the server has just serialised. Never persisted; absent after a restart or through etcd.
   */
  readonly decoded?: unknown
}

/** Most changes that one commit may hold. */
export const MAX_CHANGES = 4096

/** A change that took effect. */
export interface StoreEvent {
  readonly key: string
  readonly revision: number
  /** The new entry, or undefined when the key was deleted. */
  readonly entry: Entry | undefined
  /** The entry before, or undefined when the key was created. */
  readonly previous: Entry | undefined
}

export interface RangeOptions {
  /** Reads at this revision; now when absent. */
  readonly at?: number
  /** Only keys greater than this one. */
  readonly after?: string
  readonly limit?: number
}

export interface Page {
  /** In order of keys. */
  readonly entries: readonly Entry[]
  /** The revision the page was read at. */
  readonly revision: number
  /** True when keys remain after the last of this page. */
  readonly more: boolean
  /** How many keys with the prefix remain after this page. */
  readonly remaining: number
}

/** A key was not at the revision that the writer expected; `key` says which. Expected outcome, so a value rather than a throw. */
export interface StoreConflict {
  readonly conflict: string
  /** The entry as it is, or undefined when the key does not exist. */
  readonly current: Entry | undefined
}

export interface Committed {
  readonly revision: number
}

/** Thrown by get, range and watch when the revision asked for was compacted. */
export class Compacted extends Error {
  override readonly name = 'Compacted'
  readonly revision: number
  constructor(revision: number) {
    super(`revision has been compacted up to ${revision}`)
    this.revision = revision
  }
}

/** Thrown by get, range and watch when the revision asked for is still to come. */
export class FutureRevision extends Error {
  override readonly name = 'FutureRevision'
}

/** Thrown by every call when the store is closed, and by commit when the disk cannot take the write (which then did not happen). */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
}

export interface Store {
  /** The newest revision that changed something, and that reads can see. */
  readonly revision: number
  /** About what the history takes that a compaction would give back: grows with every change. */
  readonly historyBytes: number
  get(key: string, at?: number): Promise<Entry | undefined>
  range(prefix: string, options?: RangeOptions): Promise<Page>
  /**
   * Applies all changes or none, at one new revision; each key at most once. Resolves when durable, and only then are they seen by
   * reads and watches. Deleting what does not exist is no change; a commit without any answers the current revision.
   */
  commit(changes: readonly Change[]): Promise<Committed | StoreConflict>
  /**
   * Every change under the prefix with a revision above `after`, in order, in batches that never split a revision. Ends when the
   * signal aborts or the store closes. It starts with the call, not with the first read; what fails to start rejects the first read.
   * For one reader. A watcher that does not read for so long that its backlog passes a bound is ended with Compacted.
   */
  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<readonly StoreEvent[]>
  /** Forgets what was overwritten or deleted at or before `revision`. */
  compact(revision: number): Promise<void>
  /**
   * Resolves when reads see all that anybody committed before the call, with a revision up to which everything is known then. Absent:
   * they always do.
   */
  refresh?(): Promise<number>
  /** Whether writing the same value again would store it otherwise: encrypted by another key. Absent: never. */
  isStale?(key: string): Promise<boolean>
  close(): Promise<void>
}
