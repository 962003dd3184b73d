/** Commits on their way to the writer: keys and numbers in arrays, all values in one buffer that changes threads without a copy. */
import type { Change, Entry } from '../store.ts'

export interface PendingCommit {
  readonly revision: number
  readonly changes: readonly Change[]
  /** What each change makes of its key. */
  readonly entries: readonly (Entry | undefined)[]
}

export interface Batch {
  readonly revisions: Float64Array
  readonly places: Uint16Array
  readonly created: Float64Array
  /** Where each value ends in `values`; a deletion is marked in `deleted`. */
  readonly ends: Float64Array
  readonly deleted: Uint8Array
  readonly keys: readonly string[]
  readonly values: Uint8Array<ArrayBuffer>
}

export function packBatch(commits: readonly PendingCommit[]): Batch {
  let count = 0
  let size = 0
  for (const { entries } of commits) {
    count += entries.length
    for (const entry of entries) size += entry?.value.length ?? 0
  }
  const batch = {
    revisions: new Float64Array(count),
    places: new Uint16Array(count),
    created: new Float64Array(count),
    ends: new Float64Array(count),
    deleted: new Uint8Array(count),
    keys: [] as string[],
    values: new Uint8Array(size),
  }
  let row = 0
  let end = 0
  for (const { revision, changes, entries } of commits) {
    for (const [place, entry] of entries.entries()) {
      if (entry) batch.values.set(entry.value, end)
      end += entry?.value.length ?? 0
      batch.revisions[row] = revision
      batch.places[row] = place
      batch.created[row] = entry?.createRevision ?? 0
      batch.ends[row] = end
      batch.deleted[row] = entry ? 0 : 1
      batch.keys.push(changes[place]!.key)
      row++
    }
  }
  return batch
}
