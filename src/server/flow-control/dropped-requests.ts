/**
 * What Retry-After says: one second, twice as long each time that three requests a second are still turned away after it, and
 * shorter again when they become few (k8s.io/apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go).
 */
const MAX_RETRY_AFTER_S = 32

export class DroppedRequests {
  /** Second and count, oldest first; never longer than the largest span that is looked at. */
  #history: { readonly second: number; count: number }[] = []
  #retryAfterS = 1
  #updatedS = 0

  get retryAfterS(): number {
    return this.#retryAfterS
  }

  record(nowMs: number): void {
    const second = Math.floor(nowMs / 1000)
    const last = this.#history.at(-1)
    if (last?.second === second) {
      last.count++
      return
    }
    this.#history.push({ second, count: 1 })
    const kept = Math.min(2 * this.#retryAfterS, MAX_RETRY_AFTER_S)
    this.#history = this.#history.filter((entry) => second - entry.second <= kept)
    this.#update(second)
  }

  #update(second: number): void {
    const span = this.#retryAfterS
    let dropped = 0
    for (const entry of this.#history) if (entry.second < second && second - entry.second <= span) dropped += entry.count
    if (second - this.#updatedS >= span && dropped >= 3 * span) {
      this.#retryAfterS = Math.min(2 * span, MAX_RETRY_AFTER_S)
      this.#updatedS = second
    } else if (dropped < span && span > 1) this.#retryAfterS--
  }
}
