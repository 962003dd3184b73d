/**
 * The store that lives in this process alone. A commit is applied before `commit` returns its promise, so that a cluster in
 * virtual time does the same thing in the same order every time.
 */
import { assert } from '../base/assert.ts'
import { History } from './history.ts'
import { MAX_CHANGES, StoreUnavailable, type Change, type Store, type StoreEvent } from './store.ts'
import { Watchers } from './watchers.ts'

export interface MemoryStoreOptions {
  /** How many events may wait for a watcher before it is ended with Compacted. */
  readonly maxBacklog?: number
}

export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const history = new History()
  const watchers = new Watchers(options.maxBacklog)
  let isClosed = false
  const checkOpen = () => {
    if (isClosed) throw new StoreUnavailable('the store is closed')
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
      const conflict = history.conflictOf(changes)
      if (conflict) return conflict
      watchers.publish(history.apply(changes))
      return { revision: history.revision }
    },
    watch(prefix, after, signal) {
      return openWatch(history, watchers, prefix, after, signal, checkOpen)
    },
    async compact(revision) {
      checkOpen()
      for (const _dropped of history.compact(revision));
    },
    async close() {
      isClosed = true
      watchers.close()
    },
  }
}

/** A key may be written once a commit: else what a revision holds would depend on the order within it. */
export function checkChanges(changes: readonly Change[]): void {
  assert(changes.length <= MAX_CHANGES, `a commit has at most ${MAX_CHANGES} changes`)
  if (changes.length < 2) return
  assert(new Set(changes.map((change) => change.key)).size === changes.length, 'a commit writes each key once')
}

/** A watch whose failure to start (Compacted, FutureRevision, closed) is the first thing its reader gets. */
export function openWatch(
  history: History,
  watchers: Watchers,
  prefix: string,
  after: number,
  signal: AbortSignal,
  checkOpen: () => void,
): AsyncIterable<readonly StoreEvent[]> {
  try {
    checkOpen()
    return watchers.open(prefix, history.eventsAfter(prefix, after), signal)
  } catch (error) {
    return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) }
  }
}
