/**
 * The back-off of crashing containers and failing pulls, as upstream counts it: 10 s, doubling to 5 minutes, forgotten when
 * nothing went wrong for twice the maximum. The first failure is retried at once and only then makes an entry.
 */
export const INITIAL_BACK_OFF_MS = 10_000
export const MAXIMUM_BACK_OFF_MS = 300_000

export interface BackOff {
  readonly delayMs: number
  /** When the entry was last raised. */
  readonly updatedMs: number
}

const isForgotten = (entry: BackOff, atMs: number): boolean => atMs - entry.updatedMs > 2 * MAXIMUM_BACK_OFF_MS

/** Until when to wait after a failure at `failedMs`; undefined when not at all. */
export function backOffUntil(entry: BackOff | undefined, failedMs: number, nowMs: number): number | undefined {
  if (!entry || isForgotten(entry, failedMs)) return undefined
  const untilMs = failedMs + entry.delayMs
  return nowMs < untilMs ? untilMs : undefined
}

/** The entry after one more try. */
export function raiseBackOff(entry: BackOff | undefined, failedMs: number, nowMs: number): BackOff {
  const delayMs = !entry || isForgotten(entry, failedMs) ? INITIAL_BACK_OFF_MS : Math.min(entry.delayMs * 2, MAXIMUM_BACK_OFF_MS)
  return { delayMs, updatedMs: nowMs }
}
