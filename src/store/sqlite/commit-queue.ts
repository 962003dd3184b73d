/**
 * Group commit. Commits that arrive while a batch is being synced become the next batch: one sync for many.
 *
 * Holds always: what a reader or watcher sees is on disk; an answered commit is on disk; compare-and-set is decided against what a
 * key will be once the writes under way are done; when a write fails, so do all that were decided after it.
 */
import { entryOf, type History } from '../history.ts'
import { StoreUnavailable, type Change, type Committed, type Entry, type StoreConflict, type StoreEvent } from '../store.ts'
import { packBatch, type Batch, type PendingCommit } from './batch.ts'

/** Commits in one transaction at most. */
const MAX_BATCH = 512

interface QueuedCommit extends PendingCommit {
  readonly bytes: number
  readonly done: PromiseWithResolvers<Committed>
}

export interface CommitQueueOptions {
  readonly history: History
  /** Resolves when the batch is on disk. */
  readonly write: (batch: Batch) => Promise<void>
  /** Told of each commit once it is on disk and in the history. */
  readonly publish: (events: readonly StoreEvent[]) => void
  readonly maxQueuedBytes: number
}

export class CommitQueue {
  readonly #options: CommitQueueOptions
  /** What keys will be once the queue is written, by the newest commit that touches them. */
  readonly #overlay = new Map<string, { readonly entry: Entry | undefined; readonly commit: QueuedCommit }>()
  #queue: QueuedCommit[] = []
  #queuedBytes = 0
  #nextRevision: number
  #flushing: Promise<void> | undefined

  constructor(options: CommitQueueOptions) {
    this.#options = options
    this.#nextRevision = options.history.revision + 1
  }

  async commit(changes: readonly Change[]): Promise<Committed | StoreConflict> {
    const { history, maxQueuedBytes } = this.#options
    const conflict = history.conflictOf(changes, this.#current)
    if (conflict) {
      // The entry that stands in the way may not be on disk yet: it is shown only once it is.
      await this.#overlay.get(conflict.conflict)?.commit.done.promise
      return conflict
    }
    const effective = changes.filter((change) => change.value !== undefined || this.#current(change.key) !== undefined)
    if (effective.length === 0) {
      await this.#queue.at(-1)?.done.promise
      return { revision: history.revision }
    }
    const bytes = effective.reduce((sum, change) => sum + change.key.length + (change.value?.length ?? 0), 0)
    if (this.#queuedBytes + bytes > maxQueuedBytes) {
      throw new StoreUnavailable(`the disk is too slow: ${this.#queuedBytes} bytes wait to be written`)
    }
    return this.#enqueue(effective, bytes)
  }

  /** Resolves when nothing waits to be written. */
  async drained(): Promise<void> {
    await this.#flushing
  }

  readonly #current = (key: string): Entry | undefined => {
    const pending = this.#overlay.get(key)
    return pending ? pending.entry : this.#options.history.current(key)
  }

  #enqueue(changes: readonly Change[], bytes: number): Promise<Committed> {
    const revision = this.#nextRevision++
    const entries = changes.map((change) => entryOf(change, this.#current(change.key), revision))
    const commit: QueuedCommit = { revision, changes, entries, bytes, done: Promise.withResolvers() }
    for (const [i, change] of changes.entries()) this.#overlay.set(change.key, { entry: entries[i], commit })
    this.#queue.push(commit)
    this.#queuedBytes += bytes
    this.#flushing ??= this.#flush()
    return commit.done.promise
  }

  /** Writes until nothing waits. Each batch starts a turn of the event loop late: whom the last one has just answered can join it. */
  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      await new Promise((resolve) => setImmediate(resolve))
      const batch = this.#queue.slice(0, MAX_BATCH)
      try {
        await this.#options.write(packBatch(batch))
      } catch (error) {
        this.#failAll(error)
        break
      }
      this.#queue = this.#queue.slice(batch.length)
      for (const one of batch) this.#settle(one)
    }
    this.#flushing = undefined
  }

  #settle(one: QueuedCommit): void {
    this.#queuedBytes -= one.bytes
    for (const change of one.changes) if (this.#overlay.get(change.key)?.commit === one) this.#overlay.delete(change.key)
    this.#options.publish(this.#options.history.apply(one.changes))
    one.done.resolve({ revision: one.revision })
  }

  /** The store goes on from what is on disk. */
  #failAll(cause: unknown): void {
    const failed = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    this.#overlay.clear()
    this.#nextRevision = this.#options.history.revision + 1
    const reason = cause instanceof Error ? cause.message : String(cause)
    for (const one of failed) one.done.reject(new StoreUnavailable(`the write did not reach the disk: ${reason}`, { cause }))
  }
}
