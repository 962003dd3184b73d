/** What is counted, for whoever serves it: families of samples in the terms of Prometheus' text format. */

/** Labels, value and, of histograms, what follows the name ("_bucket"). */
export type Sample = readonly [labels: string, value: number, suffix?: string]

/** A distribution over fixed buckets. Nothing is written of one that saw nothing. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #count = 0
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.#count++
    this.#sum += value
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value > this.#bounds[i]!) continue
      this.#counts[i]!++
      return
    }
  }

  samples(labels: string): readonly Sample[] {
    if (this.#count === 0) return []
    let below = 0
    const before = labels === '' ? '' : `${labels},`
    const buckets = this.#bounds.map((bound, i): Sample => [`${before}le="${written(bound)}"`, (below += this.#counts[i]!), '_bucket'])
    return [...buckets, [`${before}le="+Inf"`, this.#count, '_bucket'], [labels, this.#sum, '_sum'], [labels, this.#count, '_count']]
  }
}

/** As Go writes it, whose bounds queries name: large and small ones by their exponent. */
function written(bound: number): string {
  const [digits = '', power = ''] = bound.toExponential().split('e')
  if (bound === 0 || (Number(power) >= -4 && Number(power) < 6)) return String(bound)
  return `${digits}e${power[0]}${power.slice(1).padStart(2, '0')}`
}

/** Names come from what is served and from fixed sets: there are never so many. */
const SERIES_LIMIT = 10_000

/** What is counted by labels. Beyond the limit things are counted, but not told. */
export class Series<T> implements Iterable<readonly [labels: string, T]> {
  readonly #make: () => T
  readonly #known = new Map<string, T>()
  readonly #spill: T

  constructor(make: () => T) {
    this.#make = make
    this.#spill = make()
  }

  of(labels: string): T {
    let one = this.#known.get(labels)
    if (one !== undefined) return one
    if (this.#known.size >= SERIES_LIMIT) return this.#spill
    one = this.#make()
    this.#known.set(labels, one)
    return one
  }

  [Symbol.iterator](): Iterator<readonly [string, T]> {
    return this.#known.entries()
  }
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly read: () => Iterable<Sample>
}
