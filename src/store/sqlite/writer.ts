/**
 * The worker thread that writes: each batch of commits is one transaction, synced to disk before it is answered. Between batches
 * it deletes what was compacted and gives pages back, in slices small enough that a batch waits a few milliseconds at most.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { Batch } from './batch.ts'
import { checksum, connect, rowId } from './database.ts'
import { serveCalls } from './worker-calls.ts'
import { MAX_CHANGES } from '../store.ts'

export type WriterRequest =
  | { readonly kind: 'write'; readonly batch: Batch }
  /** Marks everything before a revision as compacted. */
  | { readonly kind: 'compacted'; readonly revision: number }
  /** Deletes the changes of `keys[i]` at `revisions[i]`. */
  | { readonly kind: 'prune'; readonly keys: readonly string[]; readonly revisions: readonly number[] }
  /** Returns up to `pages` free pages to the file system; answers how many are still free. */
  | { readonly kind: 'vacuum'; readonly pages: number }
  /** Empties the write-ahead log. Quick when a passive checkpoint has just done most of the work. */
  | { readonly kind: 'truncate' }
  | { readonly kind: 'close' }

const db = connect((workerData as { path: string }).path)
const insert = db.prepare('INSERT INTO changes (id, key, created, crc, value) VALUES (?, ?, ?, ?, ?)')
const prune = db.prepare('DELETE FROM changes WHERE id >= ? AND id < ? AND key = ?')
const setCompacted = db.prepare("UPDATE meta SET value = ? WHERE name = 'compacted'")

function transaction(work: () => void): void {
  db.exec('BEGIN IMMEDIATE')
  try {
    work()
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function write({ keys, revisions, places, created, ends, deleted, values }: Batch): void {
  let start = 0
  for (const [i, key] of keys.entries()) {
    const end = ends[i]!
    const value = deleted[i] ? undefined : values.subarray(start, end)
    insert.run(rowId(revisions[i]!, places[i]!), key, created[i]!, checksum(key, value), value ?? null)
    start = end
  }
}

serveCalls<WriterRequest>(parentPort!, (request) => {
  switch (request.kind) {
    case 'write':
      return transaction(() => write(request.batch))
    case 'compacted':
      return transaction(() => setCompacted.run(request.revision))
    case 'prune':
      return transaction(() => {
        for (const [i, key] of request.keys.entries()) {
          const from = request.revisions[i]! * MAX_CHANGES
          prune.run(from, from + MAX_CHANGES, key)
        }
      })
    case 'vacuum': {
      db.exec(`PRAGMA incremental_vacuum(${request.pages})`)
      return (db.prepare('PRAGMA freelist_count').get() as { freelist_count: number }).freelist_count
    }
    case 'truncate':
      return db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    case 'close':
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      return db.close()
  }
})
