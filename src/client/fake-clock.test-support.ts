/** A clock for tests: time passes only when the test says so. */
import type { Clock } from '../base/clock.ts'
import { createHeap } from '../base/heap.ts'

interface Timer {
  readonly dueMs: number
  readonly sequence: number
  callback: (() => void) | undefined
}

export interface FakeClock extends Clock {
  /** Lets promises settle, then fires every timer due within `ms`, in order, with promises settled in between. */
  advance(ms: number): Promise<void>
  readonly pendingTimers: number
}

/** Lets chains of promises come to rest: longer ones than any that a test sets off. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 1000; i++) await Promise.resolve()
}

export function createFakeClock(startMs = Date.UTC(2026, 0, 1)): FakeClock {
  const timers = createHeap<Timer>((a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence))
  let nowMs = 0
  let sequence = 0
  return {
    now: () => startMs + nowMs,
    monotonic: () => nowMs,
    setTimeout(callback, delayMs) {
      const timer: Timer = { dueMs: nowMs + Math.max(0, delayMs), sequence: sequence++, callback }
      timers.push(timer)
      return () => (timer.callback = undefined)
    },
    async advance(ms) {
      const until = nowMs + ms
      await settle()
      for (let timer = timers.peek(); timer && timer.dueMs <= until; timer = timers.peek()) {
        timers.pop()
        if (!timer.callback) continue
        nowMs = Math.max(nowMs, timer.dueMs)
        timer.callback()
        await settle()
      }
      nowMs = until
    },
    get pendingTimers() {
      return timers.values().filter((timer) => timer.callback).length
    },
  }
}
