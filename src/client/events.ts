/**
 * Records core/v1 Events about objects, as `kubectl describe` shows them, with upstream's three brakes (client-go's
 * EventCorrelator): the same event again only raises its count, more than ten similar ones in ten minutes are combined, and one
 * object's events are limited to a burst of 25 and then one in five minutes. Recording never waits and never fails: events that
 * cannot be written are dropped with a line in the log.
 */
import type { Event, ObjectReference } from '../api/generated/core/v1.ts'
import { isApiError } from '../api/status.ts'
import { sleep, timestamp } from '../base/clock.ts'
import { randomInt } from '../base/random.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from './client.ts'
import { createEventCorrelator } from './event-correlator.ts'

export interface EventRecorder {
  record(about: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void
  /** Resolves when everything recorded so far was written or given up. */
  flush(): Promise<void>
  /** Drops what waits. */
  close(): void
}

export interface EventRecorderOptions {
  /** "deployment-controller": the From column. */
  readonly component: string
  /** The node, for components of a node. */
  readonly host?: string
}

/** Events that wait to be written; beyond that new ones are dropped. */
const MAX_WAITING_EVENTS = 1000
const MAX_TRIES = 12
const RETRY_MS = 10_000

export function createEventRecorder(runtime: Runtime, client: Client, { component, host }: EventRecorderOptions): EventRecorder {
  const { clock, log, random } = runtime
  const correlator = createEventCorrelator(clock)
  const waiting: Event[] = []
  const closed = new AbortController()
  let draining: Promise<void> | undefined
  let serial = 0

  function makeEvent(about: ObjectReference, type: string, reason: string, message: string): Event {
    const now = timestamp(clock)
    // Upstream's suffix is the time in nanoseconds; within a millisecond a serial number keeps their order, and chance keeps those
    // of two recorders apart.
    const nanoseconds = BigInt(Math.floor(clock.now())) * 1_000_000n + BigInt((serial++ % 1000) * 1000 + randomInt(random, 1000))
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${about.name}.${nanoseconds.toString(16)}`, namespace: about.namespace || 'default' },
      involvedObject: about,
      reason,
      message,
      source: { component, ...(host ? { host } : {}) },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      type,
      reportingComponent: component,
      reportingInstance: host ?? '',
    }
  }

  async function write(raw: Event): Promise<void> {
    const correlated = correlator.correlate(raw)
    if (!correlated) return
    const { event, patch, remember } = correlated
    const key = { namespace: event.metadata.namespace, name: event.metadata.name! }
    if (patch) {
      try {
        await client.patch('v1/Event', key, 'strategic', patch)
        return
      } catch (error) {
        // It has expired or was deleted: write it anew.
        if (!isApiError(error, 'NotFound')) throw error
      }
    }
    await client.create('v1/Event', event)
    remember()
  }

  async function writeWithRetries(event: Event): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await write(event)
      } catch (error) {
        if (closed.signal.aborted) return
        if (isApiError(error) || tries >= MAX_TRIES) {
          const isExpected = isApiError(error, 'Forbidden', 'NotFound') // the namespace is going or gone
          log[isExpected ? 'debug' : 'warn']('event not written', {
            reason: event.reason,
            object: event.involvedObject.name,
            error: String(error),
          })
          return
        }
        await sleep(clock, RETRY_MS, closed.signal).catch((reason: unknown) => {
          if (!closed.signal.aborted) throw reason
        })
      }
    }
  }

  async function drain(): Promise<void> {
    for (let event = waiting.shift(); event; event = waiting.shift()) await writeWithRetries(event)
    draining = undefined
  }

  return {
    record(about, type, reason, message) {
      if (closed.signal.aborted) return
      if (waiting.length >= MAX_WAITING_EVENTS) {
        log.warn('event dropped: too many wait', { reason, object: about.name })
        return
      }
      waiting.push(makeEvent(about, type, reason, message))
      draining ??= drain()
    },
    flush: async () => draining,
    close() {
      waiting.length = 0
      closed.abort()
    },
  }
}
