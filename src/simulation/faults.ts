/**
 * A network that misbehaves, from a seed: requests that never arrive, answers that get lost after the server has acted, delays,
 * and watches that break off. Put around a transport, it is what makes a simulation find the bugs that a good day hides.
 */
import type { ApiRequest, ApiResponse, StoredObject, Transport, WatchEvent } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { failure } from '../api/status.ts'
import { sleep } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'

export interface FaultPlan {
  /** Share of requests that fail before the server sees them: 0.1 is one in ten. */
  readonly refused?: number
  /** Share of requests that the server carries out, but whose answer is lost. */
  readonly lostAnswers?: number
  /** Each request takes this long on its way, evenly spread. */
  readonly latencyMs?: { readonly minimum: number; readonly maximum: number }
  /** Watches break off after a time up to this, evenly spread. */
  readonly watchLifetimeMs?: number
  /** Which requests are exposed to faults; default all. */
  applies?(request: ApiRequest): boolean
}

export interface FaultyTransport {
  readonly transport: Transport
  /** Takes effect for the requests to come: `{}` ends the trouble. */
  setPlan(plan: FaultPlan): void
  /** How many faults there were. */
  readonly faults: number
}

function unavailable(message: string): ApiResponse {
  const { status } = failure('ServiceUnavailable', message)
  const object: KubeObject = status
  const stored: StoredObject = { object, bytes: new TextEncoder().encode(JSON.stringify(object)) }
  return { type: 'object', status: 503, stored }
}

/** The events until `lifetimeMs` are over; then the server is told that the caller has gone, and the stream ends. */
async function* brokenOff(
  clock: Clock,
  events: AsyncIterable<readonly WatchEvent[]>,
  lifetimeMs: number,
  broken: AbortController,
): AsyncGenerator<readonly WatchEvent[]> {
  const over = Promise.withResolvers<undefined>()
  const cancel = clock.setTimeout(() => over.resolve(undefined), lifetimeMs)
  const iterator = events[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), over.promise])
      if (!next || next.done) return
      yield next.value
    }
  } finally {
    cancel()
    broken.abort(new Error('connection broken (simulated)'))
  }
}

export function withFaults(clock: Clock, random: Random, inner: Transport, initial: FaultPlan): FaultyTransport {
  let plan = initial
  let faults = 0
  const happens = (share: number | undefined): boolean => {
    if (!share || random.next() >= share) return false
    faults++
    return true
  }

  const transport: Transport = async (request) => {
    const current = plan
    if (current.applies && !current.applies(request)) return inner(request)
    if (current.latencyMs) {
      const { minimum, maximum } = current.latencyMs
      await sleep(clock, minimum + random.next() * (maximum - minimum), request.signal)
    }
    if (happens(current.refused)) return unavailable('the connection to the server was refused (simulated)')
    if (current.watchLifetimeMs && request.query.get('watch')) {
      const broken = new AbortController()
      const response = await inner({ ...request, signal: AbortSignal.any([request.signal, broken.signal]) })
      if (response.type !== 'watch') return response
      faults++
      return { ...response, events: brokenOff(clock, response.events, random.next() * current.watchLifetimeMs, broken) }
    }
    const response = await inner(request)
    return happens(current.lostAnswers) ? unavailable('the connection was lost before the answer came (simulated)') : response
  }

  return {
    transport,
    setPlan: (next) => (plan = next),
    get faults() {
      return faults
    },
  }
}
