/**
 * What controllers work off: keys that must be looked at. A key is never handed to two workers at once, and however often it is
 * added while it waits it is handed out once; added while it is worked on, it is handed out again afterwards (so no change is
 * lost). Delayed keys wait in one heap behind one timer. Its size is bounded by the number of distinct keys, that is of objects.
 */
import { createHeap } from '../base/heap.ts'
import type { Runtime } from '../base/runtime.ts'

export interface WorkQueueOptions {
  /** The first wait after a failure; doubled with every further one. */
  readonly initialDelayMs?: number
  readonly maximumDelayMs?: number
  readonly observer?: WorkQueueObserver
}

/** Learns what happens, for metrics. */
export interface WorkQueueObserver {
  /** A key came that was not waiting yet. */
  added(): void
  /** A key was handed out after this wait. */
  taken(waitedMs: number): void
  done(workedMs: number): void
  /** A key comes back after a failure. */
  retried(): void
}

export interface WorkQueue {
  readonly size: number
  /** The keys that are worked on, and since when by the monotonic clock. */
  readonly inProgress: ReadonlyMap<string, number>
  add(key: string): void
  /** Adds after a delay; of several pending delays of a key the earliest counts. */
  addAfter(key: string, delayMs: number): void
  /** Adds after the key's back-off, which doubles with each call until `forget`. */
  addRateLimited(key: string): void
  /** How often the key was added rate limited since it was last forgotten. */
  failuresOf(key: string): number
  forget(key: string): void
  /** The next key, or undefined when the signal aborted. Whoever gets a key must call `done`. */
  get(signal: AbortSignal): Promise<string | undefined>
  done(key: string): void
  /** Hands keys to `workers` concurrent workers until the signal aborts and the running ones are finished. `work` must not reject. */
  run(signal: AbortSignal, workers: number, work: (key: string) => Promise<void>): Promise<void>
}

interface Delayed {
  readonly key: string
  readonly dueMs: number
  readonly sequence: number
}

const isBefore = (a: Delayed, b: Delayed): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence)

/** Dead entries that the heap may hold beside as many live ones before it is built anew. */
const MAX_DEAD_ENTRIES = 1024

/** 2^30 × 5 ms is far above any maximum: the exponent stops growing there. */
const MAX_EXPONENT = 30

export function createWorkQueue(runtime: Runtime, options: WorkQueueOptions = {}): WorkQueue {
  const { initialDelayMs = 5, maximumDelayMs = 1_000_000, observer } = options
  const { clock } = runtime
  /** Since when. */
  const ready = new Map<string, number>()
  const processing = new Map<string, number>()
  const addedMeanwhile = new Set<string>()
  const failures = new Map<string, number>()
  const takers: ((key: string) => void)[] = []
  let delayed = createHeap<Delayed>(isBefore)
  /** The entry of the heap that counts for a key; others of the key are dead. */
  const pending = new Map<string, Delayed>()
  let sequence = 0
  let cancelTimer: (() => void) | undefined
  let timerDueMs = Infinity

  function add(key: string): void {
    pending.delete(key)
    if (ready.has(key) || addedMeanwhile.has(key)) return
    observer?.added()
    if (processing.has(key)) addedMeanwhile.add(key)
    else handOut(key)
  }

  function handOut(key: string): void {
    const taker = takers.shift()
    if (!taker) {
      ready.set(key, clock.monotonic())
      return
    }
    begin(key, 0)
    taker(key)
  }

  function begin(key: string, waitedMs: number): void {
    processing.set(key, clock.monotonic())
    observer?.taken(waitedMs)
  }

  function fireDue(): void {
    cancelTimer = undefined
    timerDueMs = Infinity
    const now = clock.monotonic()
    for (let first = delayed.peek(); first && (first.dueMs <= now || pending.get(first.key) !== first); first = delayed.peek()) {
      delayed.pop()
      if (pending.get(first.key) === first) add(first.key)
    }
    setTimer()
  }

  function setTimer(): void {
    const first = delayed.peek()
    if (!first || first.dueMs >= timerDueMs) return
    cancelTimer?.()
    timerDueMs = first.dueMs
    cancelTimer = clock.setTimeout(fireDue, Math.max(0, first.dueMs - clock.monotonic()))
  }

  function addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) return add(key)
    const dueMs = clock.monotonic() + delayMs
    const known = pending.get(key)
    if (known && known.dueMs <= dueMs) return
    const entry: Delayed = { key, dueMs, sequence: sequence++ }
    pending.set(key, entry)
    delayed.push(entry)
    if (delayed.size > 2 * pending.size + MAX_DEAD_ENTRIES) {
      delayed = createHeap<Delayed>(isBefore)
      for (const live of pending.values()) delayed.push(live)
    }
    setTimer()
  }

  function get(signal: AbortSignal): Promise<string | undefined> {
    if (signal.aborted) return Promise.resolve(undefined)
    for (const [key, sinceMs] of ready) {
      ready.delete(key)
      begin(key, clock.monotonic() - sinceMs)
      return Promise.resolve(key)
    }
    return new Promise((resolve) => {
      const onAbort = () => {
        takers.splice(takers.indexOf(taker), 1)
        resolve(undefined)
      }
      const taker = (key: string) => {
        signal.removeEventListener('abort', onAbort)
        resolve(key)
      }
      takers.push(taker)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  function done(key: string): void {
    observer?.done(clock.monotonic() - (processing.get(key) ?? 0))
    processing.delete(key)
    if (addedMeanwhile.delete(key)) handOut(key)
  }

  return {
    get size() {
      return ready.size
    },
    inProgress: processing,
    add,
    addAfter,
    addRateLimited(key) {
      observer?.retried()
      const count = failures.get(key) ?? 0
      failures.set(key, count + 1)
      addAfter(key, Math.min(initialDelayMs * 2 ** Math.min(count, MAX_EXPONENT), maximumDelayMs))
    },
    failuresOf: (key) => failures.get(key) ?? 0,
    forget: (key) => void failures.delete(key),
    get,
    done,
    async run(signal, workers, work) {
      const one = async (): Promise<void> => {
        for (let key = await get(signal); key !== undefined; key = await get(signal)) {
          try {
            await work(key)
          } finally {
            done(key)
          }
        }
      }
      await Promise.all(Array.from({ length: workers }, one))
      cancelTimer?.()
    },
  }
}
