/**
 * Between the trails and what writes: at once, so that a request waits until its event is kept, or in batches that are sent later,
 * so that it never waits (k8s.io/apiserver/plugin/pkg/audit/buffered). What does not fit is lost and counted.
 */
import { sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { AuditEvent, AuditSink } from './audit.ts'

/** Writes events somewhere; rejects when it could not. */
export type WriteEvents = (events: readonly AuditEvent[]) => Promise<void>

export type AuditMode = 'batch' | 'blocking' | 'blocking-strict'

export interface BatchOptions {
  readonly bufferSize: number
  readonly maxBatchSize: number
  readonly maxBatchWaitMs: number
  /** Batches a second, and how many at once after a pause; absent: unbounded. */
  readonly throttle?: { readonly qps: number; readonly burst: number }
}

export const WEBHOOK_BATCH: BatchOptions = {
  bufferSize: 10_000,
  maxBatchSize: 400,
  maxBatchWaitMs: 30_000,
  throttle: { qps: 10, burst: 15 },
}
export const LOG_BATCH: BatchOptions = { bufferSize: 10_000, maxBatchSize: 1, maxBatchWaitMs: 0 }
const TRUNCATED = 'audit.k8s.io/truncated'

export interface RunningSink extends AuditSink {
  readonly name: string
  /** Events that were lost since the start. */
  readonly lost: number
  /** Sends what waits until the signal aborts, and then the rest. */
  run(signal: AbortSignal): Promise<void>
}

export function createSink(runtime: Runtime, name: string, write: WriteEvents, mode: AuditMode, batch: BatchOptions): RunningSink {
  return mode === 'batch' ? new BatchSink(runtime, name, write, batch) : new BlockingSink(runtime, name, write, mode === 'blocking-strict')
}

/** An event that is too large loses what was sent and answered (plugin/pkg/audit/truncate); one that is still too large is lost itself. */
export function truncating(runtime: Runtime, sink: RunningSink, maxEventBytes: number): RunningSink {
  const sizeOf = (event: AuditEvent): number => new TextEncoder().encode(JSON.stringify(event)).length
  let lost = 0
  return {
    name: sink.name,
    get lost() {
      return sink.lost + lost
    },
    run: (signal) => sink.run(signal),
    record(event) {
      let next = event
      if (sizeOf(event) > maxEventBytes) {
        const { requestObject: _request, responseObject: _response, ...rest } = event
        const annotations = { ...(event['annotations'] as object | undefined), [TRUNCATED]: 'true' }
        next = { ...rest, annotations }
        if (event.level === 'Metadata' || sizeOf(next) > maxEventBytes) {
          lost++
          tell(runtime, sink.name, 'event is too large even after truncating')
          return true
        }
      }
      return sink.record(next)
    },
  }
}

class BlockingSink implements RunningSink {
  readonly name: string
  lost = 0
  readonly #runtime: Runtime
  readonly #write: WriteEvents
  readonly #isStrict: boolean

  constructor(runtime: Runtime, name: string, write: WriteEvents, isStrict: boolean) {
    this.#runtime = runtime
    this.name = name
    this.#write = write
    this.#isStrict = isStrict
  }

  async record(event: AuditEvent): Promise<boolean> {
    try {
      await this.#write([event])
      return true
    } catch (error) {
      this.lost++
      tell(this.#runtime, this.name, error)
      // A request fails for it before it was served, never after.
      return !(this.#isStrict && event.stage === 'RequestReceived')
    }
  }

  run(signal: AbortSignal): Promise<void> {
    return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
}

class BatchSink implements RunningSink {
  readonly name: string
  lost = 0
  readonly #runtime: Runtime
  readonly #write: WriteEvents
  readonly #options: BatchOptions
  #waiting: AuditEvent[] = []
  #wake: (() => void) | undefined
  #tokens: number
  #filledMs: number

  constructor(runtime: Runtime, name: string, write: WriteEvents, options: BatchOptions) {
    this.#runtime = runtime
    this.name = name
    this.#write = write
    this.#options = options
    this.#tokens = options.throttle?.burst ?? 0
    this.#filledMs = runtime.clock.monotonic()
  }

  record(event: AuditEvent): boolean {
    if (this.#waiting.length >= this.#options.bufferSize) {
      this.lost++
      if (this.lost === 1 || this.lost % this.#options.bufferSize === 0) tell(this.#runtime, this.name, 'audit buffer queue blocked')
      return true
    }
    this.#waiting.push(event)
    if (this.#waiting.length === 1 || this.#waiting.length === this.#options.maxBatchSize) this.#wake?.()
    return true
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#runtime
    signal.addEventListener('abort', () => this.#wake?.(), { once: true })
    while (!signal.aborted) {
      if (this.#waiting.length === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      if (this.#waiting.length < this.#options.maxBatchSize) {
        const full = new Promise<void>((resolve) => (this.#wake = resolve))
        await Promise.race([full, pause(clock, this.#options.maxBatchWaitMs, signal)])
      }
      await this.#accept(signal)
      await this.#send()
    }
    while (this.#waiting.length > 0) await this.#send()
  }

  async #send(): Promise<void> {
    const events = this.#waiting.splice(0, this.#options.maxBatchSize)
    if (events.length === 0) return
    try {
      await this.#write(events)
    } catch (error) {
      this.lost += events.length
      tell(this.#runtime, this.name, error)
    }
  }

  /** Waits for a token of the bucket. */
  async #accept(signal: AbortSignal): Promise<void> {
    const { throttle } = this.#options
    if (!throttle) return
    const { clock } = this.#runtime
    for (;;) {
      const nowMs = clock.monotonic()
      this.#tokens = Math.min(throttle.burst, this.#tokens + ((nowMs - this.#filledMs) / 1000) * throttle.qps)
      this.#filledMs = nowMs
      if (this.#tokens >= 1 || signal.aborted) break
      await pause(clock, Math.ceil(((1 - this.#tokens) / throttle.qps) * 1000), signal)
    }
    this.#tokens--
  }
}

const pause = (clock: Runtime['clock'], ms: number, signal: AbortSignal): Promise<void> =>
  sleep(clock, ms, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })

const tell = ({ log }: Runtime, name: string, error: unknown): void =>
  log.error('audit events could not be written', { backend: name, error: error instanceof Error ? error.message : String(error) })
