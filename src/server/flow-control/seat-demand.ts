/** How many seats a level could have used, over time: what borrowing is decided by. */
export interface Demand {
  readonly highWatermark: number
  readonly average: number
  readonly deviation: number
}

export class SeatDemand {
  #value = 0
  #sinceMs: number
  #elapsedMs = 0
  #sum = 0
  #squares = 0
  #max = 0

  constructor(nowMs: number) {
    this.#sinceMs = nowMs
  }

  set(nowMs: number, value: number): void {
    if (value === this.#value) return
    this.#integrate(nowMs)
    this.#value = value
    if (value > this.#max) this.#max = value
  }

  #integrate(nowMs: number): void {
    const span = nowMs - this.#sinceMs
    this.#sinceMs = nowMs
    this.#elapsedMs += span
    this.#sum += span * this.#value
    this.#squares += span * this.#value * this.#value
  }

  /** What was seen since the last call; undefined when no time has passed. */
  take(nowMs: number): Demand | undefined {
    this.#integrate(nowMs)
    const elapsed = this.#elapsedMs
    if (elapsed <= 0) return undefined
    const average = this.#sum / elapsed
    const demand = {
      highWatermark: Math.round(this.#max),
      average,
      deviation: Math.sqrt(Math.max(0, this.#squares / elapsed - average * average)),
    }
    this.#elapsedMs = 0
    this.#sum = 0
    this.#squares = 0
    this.#max = this.#value
    return demand
  }
}
