/**
 * The durable store: all of it in memory, and a log of changes in SQLite that a worker thread writes, so that the event loop never
 * waits for the disk. Reads and watches are those of the memory store; commits go through the CommitQueue first.
 */
import { silentLog, type Log } from '../../base/log.ts'
import { checkChanges, openWatch } from '../memory.ts'
import { StoreUnavailable, type Store } from '../store.ts'
import { Watchers } from '../watchers.ts'
import { CommitQueue } from './commit-queue.ts'
import { lockDatabase, openDatabase } from './database.ts'
import { restore, type Restored } from './restore.ts'
import { Upkeep } from './upkeep.ts'
import { startWorker, workerUrl, type WorkerCalls } from './worker-calls.ts'
import type { WriterRequest } from './writer.ts'

export interface SqliteStoreOptions {
  /** The database file; "-wal", "-shm" and "-lock" files lie beside it. Its directory must exist. */
  readonly path: string
  readonly log?: Log
  /** How many events may wait for a watcher before it is ended with Compacted. */
  readonly maxBacklog?: number
  /** How many bytes may wait for the disk before commits are refused with StoreUnavailable. */
  readonly maxQueuedBytes?: number
  /** How large the write-ahead log may be, give or take a batch: writers wait while it is copied. Default 64 MiB. */
  readonly maxLogBytes?: number
}

const DEFAULT_MAX_QUEUED_BYTES = 256 << 20
const DEFAULT_MAX_LOG_BYTES = 64 << 20

/** Rejects with StoreLocked when another process has it open, with StoreDamaged when its contents cannot be relied on. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const lock = lockDatabase(options.path)
  try {
    const { writer, restored } = await load(options.path)
    return storeOver(options, writer, restored, () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Reads the log while the writer's thread starts. */
async function load(path: string): Promise<{ writer: WorkerCalls<WriterRequest>; restored: Restored }> {
  const db = openDatabase(path)
  const writer = startWorker<WriterRequest>(workerUrl('writer'), { path })
  try {
    return { writer, restored: await restore(db, path) }
  } catch (error) {
    await writer.close()
    throw error
  } finally {
    db.close()
  }
}

function storeOver(
  options: SqliteStoreOptions,
  writer: WorkerCalls<WriterRequest>,
  { history, leftover }: Restored,
  release: () => void,
): Store {
  const watchers = new Watchers(options.maxBacklog)
  const upkeep = new Upkeep(options.path, writer, options.log ?? silentLog, options.maxLogBytes ?? DEFAULT_MAX_LOG_BYTES)
  const queue = new CommitQueue({
    history,
    maxQueuedBytes: options.maxQueuedBytes ?? DEFAULT_MAX_QUEUED_BYTES,
    publish: (events) => watchers.publish(events),
    async write(batch) {
      const size = batch.values.length
      await writer.call({ kind: 'write', batch }, [batch.values.buffer])
      await upkeep.written(size)
    },
  })
  upkeep.finish(leftover)
  let closing: Promise<void> | undefined
  const checkOpen = () => {
    if (closing) throw new StoreUnavailable('the store is closed')
  }
  const close = async () => {
    watchers.close()
    try {
      await queue.drained()
      await upkeep.close()
      await writer.call({ kind: 'close' })
    } finally {
      await writer.close()
      release()
    }
  }
  return {
    get revision() {
      return history.revision
    },
    get historyBytes() {
      return history.pastBytes
    },
    async get(key, at) {
      checkOpen()
      return history.get(key, at)
    },
    async range(prefix, rangeOptions) {
      checkOpen()
      return history.range(prefix, rangeOptions)
    },
    async commit(changes) {
      checkOpen()
      checkChanges(changes)
      return queue.commit(changes)
    },
    watch: (prefix, after, signal) => openWatch(history, watchers, prefix, after, signal, checkOpen),
    async compact(revision) {
      checkOpen()
      await upkeep.compact(history, revision)
    },
    close: () => (closing ??= close()),
  }
}
