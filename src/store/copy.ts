/** Everything that one store holds, into another that is empty. Revisions are the other's own: clients list anew. */
import { assert } from '../base/assert.ts'
import type { Change, Entry, Store } from './store.ts'

const PREFIX = '/registry/'
const PAGE = 1_000
/** etcd takes 128 operations in a transaction unless it is told otherwise. */
const BATCH = 100

/** Resolves with how many objects there are. In the order in which they were last written, all as they were at one revision. */
export async function copyStore(from: Store, to: Store): Promise<number> {
  assert((await to.range(PREFIX, { limit: 1 })).entries.length === 0, 'the store to copy into is empty')
  let page = await from.range(PREFIX, { limit: PAGE })
  const entries: Entry[] = [...page.entries]
  while (page.more) {
    page = await from.range(PREFIX, { at: page.revision, after: entries.at(-1)!.key, limit: PAGE })
    for (const entry of page.entries) entries.push(entry)
  }
  entries.sort((a, b) => a.modRevision - b.modRevision)
  for (let i = 0; i < entries.length; i += BATCH) {
    const outcome = await to.commit(entries.slice(i, i + BATCH).map(({ key, value }): Change => ({ key, value, expected: 0 })))
    if ('conflict' in outcome) throw new Error(`somebody else wrote ${outcome.conflict} into the store meanwhile`)
  }
  return entries.length
}
