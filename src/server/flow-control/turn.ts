/**
 * One thread serves all: while it works for one, everybody waits, however many seats are free. So what is begun in one turn of the
 * event loop is bounded by time; what comes later in it waits in its queue, and the next turn takes from the queues in fair order.
 */
import type { Clock } from '../../base/clock.ts'

/** How long one turn may go on beginning requests. */
const TURN_MS = 4
/** Of those that waited, this many may be under way at once within a turn before one of them is answered. */
const MAX_RESUMED = 16

export class Turn {
  readonly #clock: Clock
  readonly #next: () => void
  #isBegun = false
  #startMs = 0
  #resumed = 0
  /** How many requests wait, of all levels. */
  waiting = 0
  /** Grows by one each turn: who was resumed in an earlier one is no longer counted. */
  number = 0

  /** `next` takes from the queues; it is called when a new turn begins, and when there is room again within one. */
  constructor(clock: Clock, next: () => void) {
    this.#clock = clock
    this.#next = next
  }

  isOpen(nowMs: number): boolean {
    return !this.#isBegun || nowMs - this.#startMs < TURN_MS
  }

  mayResume(nowMs: number): boolean {
    return this.#resumed < MAX_RESUMED && this.isOpen(nowMs)
  }

  /** Something begins to be served. */
  begin(nowMs: number): void {
    if (this.#isBegun) return
    this.#isBegun = true
    this.#startMs = nowMs
    this.#clock.setTimeout(() => {
      this.#isBegun = false
      this.#resumed = 0
      this.number++
      this.resume()
    }, 0)
  }

  resume(): void {
    if (this.waiting > 0) this.#next()
  }

  resumed(): void {
    this.#resumed++
  }

  /** One that was resumed in turn `number` is answered. */
  done(number: number): void {
    if (number === this.number) this.#resumed--
  }
}
