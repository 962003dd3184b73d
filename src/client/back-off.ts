/** Growing waits between attempts: doubled each time up to a maximum, with jitter so that many clients do not come back together. */
import type { Random } from '../base/random.ts'

export interface BackOffOptions {
  readonly initialMs: number
  readonly maximumMs: number
  /** A wait is lengthened by up to this share of itself. */
  readonly jitter?: number
}

export interface BackOff {
  /** The next wait, longer than the last. */
  nextMs(): number
  reset(): void
}

export function createBackOff(random: Random, { initialMs, maximumMs, jitter = 0.5 }: BackOffOptions): BackOff {
  let wait = initialMs
  return {
    nextMs() {
      const current = wait
      wait = Math.min(wait * 2, maximumMs)
      return current * (1 + jitter * random.next())
    },
    reset() {
      wait = initialMs
    },
  }
}
