/**
 * What the server counts about itself, in Prometheus' text format and under upstream's names (`/metrics`). A request is looked up once,
 * by its labels; whatever is counted of it is beside each other there.
 */
import type { WatchEvent } from '../api/exchange.ts'
import { Histogram, Series, type MetricFamily, type Sample } from '../base/metrics.ts'
import { AdmissionMetrics } from './admission-metrics.ts'

const SLI_BUCKETS_S = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]
const BUCKETS_S = [0.005, 0.025, ...SLI_BUCKETS_S]
const RESPONSE_BYTES = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
const BODY_BYTES = Array.from({ length: 31 }, (_, i) => 50_000 + i * 100_000)
const EVENT_BYTES = [1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072]
const CLIENT_S = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60]
/** Where components of the process find the server: no connection is between them. */
const INSIDE = 'in-process'
const ACCESS_S = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i)

interface Requests {
  readonly durations: Histogram
  readonly sliDurations: Histogram
  readonly responseSizes: Histogram
  readonly codes: Map<number, number>
  labels: string | undefined
}

const newRequests = (): Requests => ({
  durations: new Histogram(BUCKETS_S),
  sliDurations: new Histogram(SLI_BUCKETS_S),
  responseSizes: new Histogram(RESPONSE_BYTES),
  codes: new Map(),
  labels: undefined,
})

export interface RequestLabels {
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly scope: 'cluster' | 'namespace' | 'resource' | ''
  readonly dryRun: string
}

/** What came and went with a request, where it was bytes. */
export interface RequestSizes {
  readonly body?: number | undefined
  readonly response?: number | undefined
}

/** Events of the watches of one version of a resource. */
export class WatchEvents {
  count = 0
  readonly sizes = new Histogram(EVENT_BYTES)

  tell(events: readonly WatchEvent[]): void {
    this.count += events.length
    for (const event of events) if (event.sizeBytes !== undefined) this.sizes.observe(event.sizeBytes)
  }
}

export class Metrics {
  readonly #requests = new Series(newRequests)
  readonly #watchEvents = new Series(() => new WatchEvents())
  readonly #exposed = new Map<string, Omit<MetricFamily, 'name'>>()
  readonly admission = new AdmissionMetrics(this)
  readonly authentications = this.histogram(
    'authentication_duration_seconds',
    'How long it took to see who asks, by what came of it.',
    ACCESS_S,
  )
  readonly authenticationAttempts = this.counter('authentication_attempts', 'Attempts to prove who one is, by what came of them.')
  readonly authenticatedUsers = this.counter('authenticated_user_requests', 'Requests by kind of user.')
  readonly authorizations = this.histogram(
    'authorization_duration_seconds',
    'How long it took to decide whether one may, by verdict.',
    ACCESS_S,
  )
  readonly authorizationAttempts = this.counter('authorization_attempts_total', 'Questions whether one may, by verdict.')
  /** Reads of whole resources, from the cache and, of older revisions, from the store. */
  readonly cacheLists = this.counter('apiserver_cache_list_total', 'Lists that the watch cache answered.')
  readonly cacheListReturned = this.counter(
    'apiserver_cache_list_returned_objects_total',
    'Objects in lists that the watch cache answered.',
  )
  readonly storageLists = this.counter('apiserver_storage_list_total', 'Lists that the store answered.')
  readonly storageListReturned = this.counter('apiserver_storage_list_returned_objects_total', 'Objects in lists that the store answered.')
  readonly #bodies = this.histogram('apiserver_request_body_size_bytes', 'Bytes of what was sent to be stored.', BODY_BYTES)
  readonly #longRunning = new Series(() => ({ count: 0 }))
  /** What components of this process ask of the server, as their own client would count it. */
  readonly #asked = new Series(() => ({ count: 0 }))
  readonly #askedDurations = this.histogram('rest_client_request_duration_seconds', 'How long requests from this process took.', CLIENT_S)
  #reading = 0
  #mutating = 0

  constructor() {
    this.expose('apiserver_request_total', 'Requests by verb, resource and HTTP code.', 'counter', () => this.#codes())
    const histograms: readonly [string, string, keyof Omit<Requests, 'codes' | 'labels'>, (labels: string) => string][] = [
      ['apiserver_request_duration_seconds', 'How long requests took.', 'durations', (labels) => labels],
      // What dashboards measure service levels by. Upstream leaves out the time that webhooks take.
      ['apiserver_request_sli_duration_seconds', 'How long requests took.', 'sliDurations', withoutDryRun],
      ['apiserver_response_sizes', 'Bytes of the answers to reads.', 'responseSizes', withoutDryRun],
    ]
    for (const [name, help, part, shown] of histograms)
      this.expose(name, help, 'histogram', () => this.#samplesOf((requests) => requests[part], shown))
    this.expose('rest_client_requests_total', 'Requests from this process.', 'counter', () =>
      [...this.#asked].map(([labels, { count }]): Sample => [labels, count]),
    )
    this.gauge('apiserver_current_inflight_requests', 'Requests that are being answered.', () => [
      ['request_kind="mutating"', this.#mutating],
      ['request_kind="readOnly"', this.#reading],
    ])
    this.gauge('apiserver_longrunning_requests', 'Requests that last as long as their clients want.', () =>
      [...this.#longRunning].map(([labels, { count }]): Sample => [labels, count]),
    )
    this.expose('apiserver_watch_events_total', 'Events that watches were told.', 'counter', () =>
      [...this.#watchEvents].map(([labels, { count }]): Sample => [labels, count]),
    )
    this.expose('apiserver_watch_events_sizes', 'Bytes of what watches were told.', 'histogram', () =>
      [...this.#watchEvents].flatMap(([labels, { sizes }]) => sizes.samples(labels)),
    )
  }

  begin(isMutating: boolean): void {
    if (isMutating) this.#mutating++
    else this.#reading++
  }

  end(isMutating: boolean): void {
    if (isMutating) this.#mutating--
    else this.#reading--
  }

  observe(request: RequestLabels, code: number, durationS: number, sizes: RequestSizes): void {
    const { verb, group, version, resource, subresource, scope, dryRun } = request
    // A short name to look it up by; its labels are written when it is told.
    const requests = this.#requests.of(`${verb} ${group}/${version}/${resource}/${subresource} ${scope}${dryRun}`)
    requests.labels ??= labelsOf(request)
    requests.durations.observe(durationS)
    if (dryRun === '') requests.sliDurations.observe(durationS)
    const bodyVerb = BODY_VERBS[verb]
    if (sizes.body !== undefined && bodyVerb) this.#bodies(`group="${group}",resource="${resource}",verb="${bodyVerb}"`).observe(sizes.body)
    if (sizes.response !== undefined) requests.responseSizes.observe(sizes.response)
    requests.codes.set(code, (requests.codes.get(code) ?? 0) + 1)
  }

  /** Call what it returns when the request has ended. */
  runLong(labels: Omit<RequestLabels, 'dryRun'>): () => void {
    const running = this.#longRunning.of(withoutDryRun(labelsOf({ ...labels, dryRun: '' })))
    running.count++
    return () => void running.count--
  }

  askedInside(method: string, code: number, durationS: number): void {
    this.#asked.of(`code="${code}",host="${INSIDE}",method="${method}"`).count++
    this.#askedDurations(`host="${INSIDE}",verb="${method}"`).observe(durationS)
  }

  watchEventsOf(group: string, version: string, resource: string): WatchEvents {
    return this.#watchEvents.of(`group="${group}",resource="${resource}",version="${version}"`)
  }

  /** Values that are read when the metrics are asked for. */
  expose(name: string, help: string, type: MetricFamily['type'], read: () => Iterable<Sample>): void {
    this.#exposed.set(name, { help, type, read })
  }

  gauge(name: string, help: string, read: () => Iterable<Sample>): void {
    this.expose(name, help, 'gauge', read)
  }

  /** Counts what is told of it, by labels. */
  counter(name: string, help: string): (labels: string, by?: number) => void {
    const counts = new Series(() => ({ value: 0 }))
    this.expose(name, help, 'counter', () => [...counts].map(([labels, { value }]): Sample => [labels, value]))
    return (labels, by = 1) => void (counts.of(labels).value += by)
  }

  histogram(name: string, help: string, bounds: readonly number[]): (labels: string) => Histogram {
    const series = new Series(() => new Histogram(bounds))
    this.expose(name, help, 'histogram', () => [...series].flatMap(([labels, histogram]) => histogram.samples(labels)))
    return (labels) => series.of(labels)
  }

  text(): string {
    const lines: string[] = []
    for (const [name, { help, type, read }] of this.#exposed) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const [labels, value, suffix = ''] of read()) lines.push(`${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${value}`)
    }
    return `${lines.join('\n')}\n`
  }

  *#codes(): Iterable<Sample> {
    for (const [, { codes, labels }] of this.#requests) for (const [code, count] of codes) yield [`code="${code}",${labels}`, count]
  }

  *#samplesOf(histogram: (requests: Requests) => Histogram, shown: (labels: string) => string): Iterable<Sample> {
    for (const [, requests] of this.#requests) yield* histogram(requests).samples(shown(requests.labels ?? ''))
  }
}

const BODY_VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', APPLY: 'patch', DELETE: 'delete' }

const withoutDryRun = (labels: string): string => labels.replace(/dry_run="[^"]*",/, '')

const labelsOf = ({ verb, group, version, resource, subresource, scope, dryRun }: RequestLabels): string =>
  `component="apiserver",dry_run="${dryRun}",group="${group}",resource="${resource}",scope="${scope}",subresource="${subresource}",verb="${verb}",version="${version}"`
