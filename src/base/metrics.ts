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
    const buckets = this.#bounds.map((bound, i): Sample => [`${labels},le="${bound}"`, (below += this.#counts[i]!), '_bucket'])
    return [...buckets, [`${labels},le="+Inf"`, this.#count, '_bucket'], [labels, this.#sum, '_sum'], [labels, this.#count, '_count']]
  }
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly read: () => Iterable<Sample>
}
