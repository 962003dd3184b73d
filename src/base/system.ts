/**
 * The real clock and real chance, from what every JavaScript platform has. The only file outside the adapters that may touch
 * them; `cluster` passes them in.
 */
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, delayMs) => {
    let timer: ReturnType<typeof setTimeout>
    const wait = (leftMs: number): void => {
      timer = leftMs > MAX_TIMER_MS ? setTimeout(() => wait(leftMs - MAX_TIMER_MS), MAX_TIMER_MS) : setTimeout(callback, leftMs)
    }
    wait(delayMs)
    return () => clearTimeout(timer)
  },
}

/** The platform's timers fire at once when they are to wait longer than this, some 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1

const pool = new Uint32Array(256)
let used = pool.length

/** Cryptographically strong, drawn from the platform 256 numbers at a time. */
export const systemRandom: Random = {
  next: () => {
    if (used === pool.length) {
      crypto.getRandomValues(pool)
      used = 0
    }
    return pool[used++]! / 4294967296
  },
}
