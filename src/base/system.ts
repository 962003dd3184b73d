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
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
}

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
