/** Reads the whole log back into memory. Values stay bytes: parsing is for who needs the object, when it is needed. */
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { History, type Dropped, type RestoredChange } from '../history.ts'
import { asDamage, checksum, readMeta, revisionOf, StoreDamaged } from './database.ts'

interface Row {
  readonly id: number
  readonly key: string
  readonly created: number
  readonly crc: number
  readonly value: Uint8Array | null
}

/** Rows between two turns of the event loop: some ten milliseconds. */
const ROWS_PER_TURN = 2_000

export interface Restored {
  readonly history: History
  /** Rows that a compaction before the last stop did not get to delete. */
  readonly leftover: readonly Dropped[]
}

export async function restore(db: DatabaseSync, path: string): Promise<Restored> {
  try {
    const history = new History(readMeta(db, 'compacted'))
    const leftover: Dropped[] = []
    let count = 0
    for (const row of db.prepare('SELECT id, key, created, crc, value FROM changes ORDER BY id').iterate() as Iterable<unknown>) {
      leftover.push(...history.restore([checked(row as Row, path, history)]))
      if (++count % ROWS_PER_TURN === 0) await nextTurn()
    }
    return { history, leftover }
  } catch (error) {
    throw asDamage(path, error)
  }
}

function checked({ id, key, created, crc, value }: Row, path: string, history: History): RestoredChange {
  const change = { key, revision: revisionOf(id), createRevision: created, value: value ?? undefined }
  if (checksum(key, change.value) !== crc)
    throw new StoreDamaged(path, `the value of ${key} at revision ${change.revision} is not what was written`)
  if (change.revision > history.revision + 1) throw new StoreDamaged(path, `the commits after revision ${history.revision} are missing`)
  return change
}
