/**
 * What the server counts about itself, in Prometheus' text format and under upstream's names (`/metrics`).
 */
import type { MetricFamily, Sample } from '../base/metrics.ts'

/** Upstream's buckets of apiserver_request_duration_seconds, cut to those that differ here. */
const BUCKETS_S = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]

interface Series {
  readonly labels: string
  count: number
  sumS: number
  readonly buckets: number[]
  readonly codes: Map<number, number>
}

export interface RequestLabels {
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly scope: 'cluster' | 'namespace' | 'resource' | ''
}

/** Names of resources come from what is served, verbs from a fixed set: the number of series is bounded by both. */
const SERIES_LIMIT = 10_000

export class Metrics {
  readonly #requests = new Map<string, Series>()
  readonly #exposed = new Map<string, Omit<MetricFamily, 'name'>>()
  #reading = 0
  #mutating = 0

  begin(isMutating: boolean): void {
    if (isMutating) this.#mutating++
    else this.#reading++
  }

  end(isMutating: boolean): void {
    if (isMutating) this.#mutating--
    else this.#reading--
  }

  observe(request: RequestLabels, code: number, durationS: number): void {
    const key = `${request.verb} ${request.group}/${request.version}/${request.resource}/${request.subresource} ${request.scope}`
    let series = this.#requests.get(key)
    if (!series) {
      if (this.#requests.size >= SERIES_LIMIT) return
      this.#requests.set(
        key,
        (series = { labels: labelsOf(request), count: 0, sumS: 0, buckets: BUCKETS_S.map(() => 0), codes: new Map() }),
      )
    }
    series.count++
    series.sumS += durationS
    const bucket = BUCKETS_S.findIndex((bound) => durationS <= bound)
    if (bucket >= 0) series.buckets[bucket]!++
    series.codes.set(code, (series.codes.get(code) ?? 0) + 1)
  }

  /** Values that are read when the metrics are asked for. */
  expose(name: string, help: string, type: MetricFamily['type'], read: () => Iterable<Sample>): void {
    this.#exposed.set(name, { help, type, read })
  }

  gauge(name: string, help: string, read: () => Iterable<Sample>): void {
    this.expose(name, help, 'gauge', read)
  }

  text(): string {
    const lines = ['# HELP apiserver_request_total Requests by verb, resource and HTTP code.', '# TYPE apiserver_request_total counter']
    for (const { labels, codes } of this.#requests.values()) {
      for (const [code, count] of codes)
        lines.push(`apiserver_request_total{code="${code}",component="apiserver",dry_run="",${labels}} ${count}`)
    }
    lines.push('# HELP apiserver_request_duration_seconds How long requests took.', '# TYPE apiserver_request_duration_seconds histogram')
    for (const series of this.#requests.values()) histogram(lines, 'apiserver_request_duration_seconds', 'dry_run="",', series)
    // What dashboards measure service levels by. Upstream leaves out the time that webhooks take.
    lines.push(
      '# HELP apiserver_request_sli_duration_seconds How long requests took.',
      '# TYPE apiserver_request_sli_duration_seconds histogram',
    )
    for (const series of this.#requests.values()) histogram(lines, 'apiserver_request_sli_duration_seconds', '', series)
    lines.push(
      '# HELP apiserver_current_inflight_requests Requests that are being answered.',
      '# TYPE apiserver_current_inflight_requests gauge',
    )
    lines.push(`apiserver_current_inflight_requests{request_kind="mutating"} ${this.#mutating}`)
    lines.push(`apiserver_current_inflight_requests{request_kind="readOnly"} ${this.#reading}`)
    for (const [name, { help, type, read }] of this.#exposed) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const [labels, value, suffix = ''] of read()) lines.push(`${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${value}`)
    }
    return `${lines.join('\n')}\n`
  }
}

function histogram(lines: string[], name: string, more: string, { labels, count, sumS, buckets }: Series): void {
  const all = `component="apiserver",${more}${labels}`
  let below = 0
  for (const [index, bound] of BUCKETS_S.entries()) {
    below += buckets[index]!
    lines.push(`${name}_bucket{${all},le="${bound}"} ${below}`)
  }
  lines.push(`${name}_bucket{${all},le="+Inf"} ${count}`)
  lines.push(`${name}_sum{${all}} ${sumS}`, `${name}_count{${all}} ${count}`)
}

const labelsOf = ({ verb, group, version, resource, subresource, scope }: RequestLabels): string =>
  `group="${group}",resource="${resource}",scope="${scope}",subresource="${subresource}",verb="${verb}",version="${version}"`
