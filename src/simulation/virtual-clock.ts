/**
 * Time that passes only when told to, so that an hour of a cluster's life takes a fraction of a second and runs the same way each
 * time. Timers fire in the order of their due times, then of their setting; after each one all promises come to rest before the
 * next fires, as they would on a machine that is fast enough.
 *
 * It rests on one rule: in a virtual-time cluster nothing waits for anything but timers of this clock and promises. Then one hop
 * over a task of the event loop (a message to oneself) drains every promise there is. Whatever does wait for the outside (a file,
 * a socket, a worker) is not waited for, and where it comes back depends on the machine: keep it out, or await it before advancing.
 */
import type { Clock } from '../base/clock.ts'
import { createHeap } from '../base/heap.ts'
import { assert } from '../base/assert.ts'

export interface VirtualClock extends Clock {
  /** Lets `ms` pass, firing what falls due on the way. Calls must not overlap. */
  advance(ms: number): Promise<void>
  /** Lets all promises come to rest without any time passing. */
  settle(): Promise<void>
  /**
   * Lets time pass until the condition holds (looked at after every timer) or `limitMs` have passed; true when it holds. Time
   * stops at the moment when it came to hold.
   */
  until(condition: () => boolean, limitMs: number): Promise<boolean>
  /** Milliseconds until the next timer, or undefined when none is set. */
  readonly nextTimerMs: number | undefined
  readonly pendingTimers: number
  /** Timers fired since the start: a measure of how much happened. */
  readonly firedTimers: number
}

interface Timer {
  readonly dueMs: number
  readonly sequence: number
  /** Undefined once cancelled. */
  callback: (() => void) | undefined
}

/** More than this many timers at one instant is a loop that will never let time pass. */
const MAXIMUM_TIMERS_AT_ONE_INSTANT = 1_000_000

/** Resolves after the promises that can go on now have all gone on as far as they can. */
function createHop(): () => Promise<void> {
  let wake: (() => void) | undefined
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    const resolve = wake
    wake = undefined
    // An open port would keep the process alive: it counts only while someone waits.
    unref()
    resolve?.()
  }
  const referable = port1 as MessagePort & { ref?: () => void; unref?: () => void }
  const unref = () => referable.unref?.()
  unref()
  return () =>
    new Promise((resolve) => {
      assert(!wake, 'virtual time is advanced by one caller at a time')
      wake = resolve
      referable.ref?.()
      port2.postMessage(0)
    })
}

export function createVirtualClock(startMs = Date.UTC(2026, 0, 1)): VirtualClock {
  const timers = createHeap<Timer>((a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence))
  const hop = createHop()
  let elapsedMs = 0
  let sequence = 0
  let cancelled = 0
  let fired = 0
  let isRunning = false

  function nextTimer(): Timer | undefined {
    for (let timer = timers.peek(); timer; timer = timers.peek()) {
      if (timer.callback) return timer
      timers.pop()
      cancelled--
    }
    return undefined
  }

  /** Fires timers due up to `untilMs`; stops early when the condition holds. */
  async function run(untilMs: number, condition: (() => boolean) | undefined): Promise<boolean> {
    assert(!isRunning, 'virtual time is advanced by one caller at a time')
    isRunning = true
    try {
      await hop()
      if (condition?.()) return true
      let atThisInstant = 0
      for (let timer = nextTimer(); timer && timer.dueMs <= untilMs; timer = nextTimer()) {
        timers.pop()
        atThisInstant = timer.dueMs > elapsedMs ? 0 : atThisInstant + 1
        assert(atThisInstant < MAXIMUM_TIMERS_AT_ONE_INSTANT, 'timers without a delay keep virtual time from passing')
        elapsedMs = Math.max(elapsedMs, timer.dueMs)
        const callback = timer.callback!
        timer.callback = undefined
        fired++
        callback()
        await hop()
        if (condition?.()) return true
      }
      elapsedMs = untilMs
      return false
    } finally {
      isRunning = false
    }
  }

  return {
    now: () => startMs + elapsedMs,
    monotonic: () => elapsedMs,
    setTimeout(callback, delayMs) {
      const timer: Timer = { dueMs: elapsedMs + Math.max(0, delayMs), sequence: sequence++, callback }
      timers.push(timer)
      return () => {
        if (!timer.callback) return
        timer.callback = undefined
        cancelled++
      }
    },
    async advance(ms) {
      await run(elapsedMs + ms, undefined)
    },
    settle: hop,
    until: (condition, limitMs) => run(elapsedMs + limitMs, condition),
    get nextTimerMs() {
      const timer = nextTimer()
      return timer && Math.max(0, timer.dueMs - elapsedMs)
    },
    get pendingTimers() {
      return timers.size - cancelled
    },
    get firedTimers() {
      return fired
    },
  }
}
