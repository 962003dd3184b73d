/**
 * What the server does on the side so that it does not grow for ever: bookmarks for quiet watches, compaction of the store's
 * history, and the end of events that nobody will read any more.
 */
import { every } from '../base/clock.ts'
import type { Change } from '../store/store.ts'
import type { Core } from './core.ts'

/** Upstream sends a bookmark about once a minute to each watch that asked for them. */
const BOOKMARK_PERIOD_MS = 60_000
/** Into so many parts a period of history is forgotten, each a small compaction. */
const COMPACTIONS_A_PERIOD = 10
const MAX_HISTORY_BYTES = 256 << 20
/** How often events are looked through, and how many go in one commit. */
const EXPIRY_PERIOD_MS = 60_000
const EXPIRY_BATCH = 500

export interface HousekeepingOptions {
  /** History older than this, and at most a tenth older, is forgotten: pages and watches of it are Expired. Default: 5 minutes. */
  readonly compactionPeriodMs?: number
  /** When it takes more than this, all but the newest tenth of a period is forgotten earlier. Default: 256 MiB. */
  readonly maxHistoryBytes?: number
  /** How long an event stays after it was last seen. Default: an hour. */
  readonly eventTtlMs?: number
}

export async function runHousekeeping(
  core: Core,
  { compactionPeriodMs = 300_000, maxHistoryBytes = MAX_HISTORY_BYTES, eventTtlMs = 3_600_000 }: HousekeepingOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = core.runtime
  /** Revisions of the store, the newest last, a step apart. */
  const past: number[] = []
  await Promise.all([
    every(clock, BOOKMARK_PERIOD_MS, signal, () => core.caches.bookmark()),
    every(clock, compactionPeriodMs / COMPACTIONS_A_PERIOD, signal, async () => {
      const { store } = core
      const kept = store.historyBytes > maxHistoryBytes ? 1 : COMPACTIONS_A_PERIOD
      const due = past.length < kept ? undefined : past.splice(0, past.length - kept + 1).at(-1)
      past.push(store.revision)
      if (due !== undefined) await store.compact(due)
    }),
    every(clock, EXPIRY_PERIOD_MS, signal, () => expireEvents(core, clock.now() - eventTtlMs)),
  ])
}

/** Deletes the events that were last seen before a time. One that was seen again meanwhile stays: the commit expects what was read. */
export async function expireEvents({ caches, store }: Core, beforeMs: number): Promise<void> {
  const cache = caches.of('', 'events')
  const changes: Change[] = []
  cache.walk('', undefined, (item, key) => {
    const { series, lastTimestamp, eventTime, metadata } = item.object
    const seen = (series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata?.creationTimestamp) as string | undefined
    if (seen !== undefined && Date.parse(seen) < beforeMs)
      changes.push({ key: `/registry/core/events/${key}`, value: undefined, expected: item.revision })
    return changes.length < EXPIRY_BATCH
  })
  if (changes.length > 0) await store.commit(changes)
}
