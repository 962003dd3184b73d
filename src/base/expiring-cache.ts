/** Answers that count for a while; of many, those asked for longest ago go. Questions under way are asked once. */
import type { Clock } from './clock.ts'

export class ExpiringCache<T> {
  readonly #clock: Clock
  readonly #maximum: number
  readonly #ttlMs: (value: T) => number
  readonly #known = new Map<string, { readonly value: T; readonly endsMs: number }>()
  readonly #asking = new Map<string, Promise<T>>()

  /** `ttlMs`: how long an answer counts; 0: it is not kept. */
  constructor(clock: Clock, maximum: number, ttlMs: (value: T) => number) {
    this.#clock = clock
    this.#maximum = maximum
    this.#ttlMs = ttlMs
  }

  get(key: string): T | undefined {
    const found = this.#known.get(key)
    if (!found) return undefined
    if (found.endsMs > this.#clock.monotonic()) return found.value
    this.#known.delete(key)
    return undefined
  }

  /** The answer that is known, or a new one. What fails is not remembered. */
  async ask(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.get(key)
    if (known !== undefined) return known
    const underWay = this.#asking.get(key)
    if (underWay) return underWay
    const asked = ask()
    if (this.#asking.size < this.#maximum) this.#asking.set(key, asked)
    try {
      const value = await asked
      this.#remember(key, value)
      return value
    } finally {
      this.#asking.delete(key)
    }
  }

  #remember(key: string, value: T): void {
    const ttlMs = this.#ttlMs(value)
    if (ttlMs <= 0) return
    if (this.#known.size >= this.#maximum) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(key, { value, endsMs: this.#clock.monotonic() + ttlMs })
  }
}
