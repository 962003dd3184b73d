/**
 * What keeps the files small without holding up a commit. The write-ahead log is copied into the database by a thread of its own;
 * compaction deletes rows and gives pages back in slices, each a short transaction between two batches of commits.
 */
import { statSync } from 'node:fs'
import type { Log } from '../../base/log.ts'
import type { Dropped, History } from '../history.ts'
import type { CheckpointerRequest } from './checkpointer.ts'
import { startWorker, workerUrl, type WorkerCalls } from './worker-calls.ts'
import type { WriterRequest } from './writer.ts'

/** The write-ahead log is emptied at half of what it may hold, and copied each time a sixteenth of that was written. */
const TRUNCATE_AT = 1 / 2
const CHECKPOINT_EVERY = 1 / 16
/** Rows deleted, and pages given back, in one slice. */
const PRUNE_ROWS = 200
const VACUUM_PAGES = 64
/** Free pages kept for reuse: giving back what the next minute takes again would be work for nothing. */
const SPARE_PAGES = 256

export class Upkeep {
  readonly #path: string
  readonly #writer: WorkerCalls<WriterRequest>
  readonly #log: Log
  readonly #maxLogBytes: number
  #checkpointer: WorkerCalls<CheckpointerRequest> | undefined
  #checkpointing: Promise<void> | undefined
  /** Compactions run one after another. */
  #compacting: Promise<void> = Promise.resolve()
  #bytesSinceCheckpoint = 0
  #isStopping = false

  constructor(path: string, writer: WorkerCalls<WriterRequest>, log: Log, maxLogBytes: number) {
    this.#path = path
    this.#writer = writer
    this.#log = log
    this.#maxLogBytes = maxLogBytes
  }

  /** To be told of every batch. Resolves when the next may be written: at once, unless the log is as long as it may be. */
  async written(bytes: number): Promise<void> {
    this.#bytesSinceCheckpoint += bytes
    if (this.#bytesSinceCheckpoint < this.#maxLogBytes * CHECKPOINT_EVERY) return
    const checkpoint = this.#checkpoint()
    if (this.#logBytes() >= this.#maxLogBytes) await checkpoint
  }

  /** Resolves when the revision's past is gone from memory and disk. Durable before it takes effect. */
  compact(history: History, revision: number): Promise<void> {
    return this.#next(async () => {
      if (revision <= history.revision && revision > history.compacted) await this.#writer.call({ kind: 'compacted', revision })
      await this.#prune(history.compact(revision))
    })
  }

  /** Deletes what an earlier process compacted but did not get to delete. */
  finish(leftover: readonly Dropped[]): void {
    if (leftover.length === 0) return
    this.#next(() => this.#prune([leftover])).catch((error: unknown) => this.#log.warn('cannot delete compacted revisions', { error }))
  }

  async close(): Promise<void> {
    this.#isStopping = true
    await Promise.allSettled([this.#compacting])
    await this.#checkpointing
    await this.#checkpointer?.call({ kind: 'close' })
    await this.#checkpointer?.close()
  }

  #next(work: () => Promise<void>): Promise<void> {
    const run = this.#compacting.then(work, work)
    this.#compacting = run
    return run
  }

  async #prune(slices: Iterable<readonly Dropped[]>): Promise<void> {
    let count = 0
    let failure: unknown
    // Memory is given back to the last, even where the disk fails: what it keeps is deleted after the next start.
    for (const dropped of slices) {
      count += dropped.length
      if (failure === undefined) await this.#deleteRows(dropped).catch((error: unknown) => (failure = error))
    }
    if (failure !== undefined) throw failure
    if (count > 0) await this.#vacuum()
  }

  async #deleteRows(dropped: readonly Dropped[]): Promise<void> {
    for (let i = 0; i < dropped.length && !this.#isStopping; i += PRUNE_ROWS) {
      const slice = dropped.slice(i, i + PRUNE_ROWS)
      await this.#writer.call({ kind: 'prune', keys: slice.map((one) => one.key), revisions: slice.map((one) => one.revision) })
      await this.#keepLogShort()
    }
  }

  async #vacuum(): Promise<void> {
    let free = Infinity
    while (free > SPARE_PAGES && !this.#isStopping) {
      free = await this.#writer.call<number>({ kind: 'vacuum', pages: VACUUM_PAGES })
      await this.#keepLogShort()
    }
    if (!this.#isStopping) await this.#checkpoint()
  }

  /** What deletes and moves pages fills the write-ahead log as commits do. */
  async #keepLogShort(): Promise<void> {
    if (this.#logBytes() >= this.#maxLogBytes * TRUNCATE_AT && !this.#isStopping) await this.#checkpoint()
  }

  #logBytes(): number {
    return statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  }

  /** One at a time. A checkpoint that fails loses nothing: the log is longer until the next one. */
  #checkpoint(): Promise<void> {
    return (this.#checkpointing ??= this.#runCheckpoint()
      .catch((error: unknown) => this.#log.warn('cannot copy the write-ahead log into the database', { path: this.#path, error }))
      .finally(() => (this.#checkpointing = undefined)))
  }

  async #runCheckpoint(): Promise<void> {
    this.#bytesSinceCheckpoint = 0
    this.#checkpointer ??= startWorker<CheckpointerRequest>(workerUrl('checkpointer'), { path: this.#path })
    await this.#checkpointer.call({ kind: 'passive' })
    if (this.#logBytes() >= this.#maxLogBytes * TRUNCATE_AT) await this.#writer.call({ kind: 'truncate' })
  }
}
