import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Random } from './random.ts'

/** What every part gets first: the time, chance and the log. */
export interface Runtime {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}
