/**
 * Decides what becomes of a new event: written as it is, counted on one that exists, combined with similar ones, or dropped.
 * The figures are those of client-go's tools/record/events_cache.go.
 */
import type { Event } from '../api/generated/core/v1.ts'
import type { Clock } from '../base/clock.ts'

export interface CorrelatedEvent {
  readonly event: Event
  /** When the event exists already: the strategic merge patch that counts it up. */
  readonly patch: { readonly count: number; readonly lastTimestamp: string | undefined; readonly message: string | undefined } | undefined
  /** Must be called after the event was created, so that the next one like it is counted. */
  readonly remember: () => void
}

export interface EventCorrelator {
  /** Undefined when the event must be dropped as spam. */
  correlate(event: Event): CorrelatedEvent | undefined
}

const MAX_REMEMBERED = 4096
const SIMILAR_EVENTS = 10
const SIMILAR_INTERVAL_MS = 600_000
const SPAM_BURST = 25
const SPAM_REFILL_MS = 300_000

/** A map that forgets what was used longest ago. */
function createLru<V>(maximum: number) {
  const entries = new Map<string, V>()
  return {
    get(key: string): V | undefined {
      const value = entries.get(key)
      if (value === undefined) return undefined
      entries.delete(key)
      entries.set(key, value)
      return value
    },
    set(key: string, value: V): void {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size > maximum) entries.delete(entries.keys().next().value!)
    },
  }
}

export function createEventCorrelator(clock: Clock): EventCorrelator {
  const similar = createLru<{ readonly messages: Set<string>; lastMs: number }>(MAX_REMEMBERED)
  const written = createLru<{ readonly name: string; readonly firstTimestamp: string | undefined; readonly count: number }>(MAX_REMEMBERED)
  const buckets = createLru<{ tokens: number; lastMs: number }>(MAX_REMEMBERED)

  /** True when the object has used up its events. */
  function isSpam(key: string): boolean {
    const now = clock.monotonic()
    const bucket = buckets.get(key) ?? { tokens: SPAM_BURST, lastMs: now }
    bucket.tokens = Math.min(SPAM_BURST, bucket.tokens + (now - bucket.lastMs) / SPAM_REFILL_MS)
    bucket.lastMs = now
    buckets.set(key, bucket)
    if (bucket.tokens < 1) return true
    bucket.tokens--
    return false
  }

  /** The key under which the event is counted, and its message, changed when it stands for many. */
  function combine(event: Event, objectKey: string): { key: string; message: string } {
    const groupKey = `${objectKey}|${event.type}|${event.reason}`
    const message = event.message ?? ''
    const now = clock.monotonic()
    let group = similar.get(groupKey)
    if (!group || now - group.lastMs > SIMILAR_INTERVAL_MS) similar.set(groupKey, (group = { messages: new Set(), lastMs: now }))
    group.messages.add(message)
    group.lastMs = now
    if (group.messages.size < SIMILAR_EVENTS) return { key: `${groupKey}|${message}`, message }
    group.messages.delete(group.messages.values().next().value!)
    return { key: groupKey, message: `(combined from similar events): ${message}` }
  }

  return {
    correlate(event) {
      const about = event.involvedObject
      const objectKey = [
        event.source?.component,
        event.source?.host,
        about.kind,
        about.namespace,
        about.name,
        about.fieldPath,
        about.uid,
        about.apiVersion,
      ].join('|')
      const { key, message } = combine(event, objectKey)
      const before = written.get(key)
      const count = (before?.count ?? 0) + 1
      const result: Event = before
        ? { ...event, message, count, firstTimestamp: before.firstTimestamp!, metadata: { ...event.metadata, name: before.name } }
        : { ...event, message }
      const remember = () => written.set(key, { name: result.metadata.name!, firstTimestamp: result.firstTimestamp, count })
      if (before) remember()
      if (isSpam(objectKey)) return undefined
      return { event: result, patch: before ? { count, lastTimestamp: event.lastTimestamp, message } : undefined, remember }
    },
  }
}
