/** How long admission takes and what it refuses, by step, plugin and webhook (k8s.io/apiserver/pkg/admission/metrics). */
import type { Histogram } from '../base/metrics.ts'
import type { Clock } from '../base/clock.ts'
import type { AdmissionOperation } from './admission.ts'
import type { Metrics } from './metrics.ts'

const BUCKETS_S = [0.005, 0.025, 0.1, 0.5, 1, 2.5]
/** Codes beyond are the webhook's invention. */
const MAX_CODE = 600

export type AdmissionStep = 'admit' | 'validate'

/** What became of one call of a webhook. */
export interface WebhookOutcome {
  readonly name: string
  readonly operation: AdmissionOperation
  /** Upstream's words for the two kinds differ from those of its steps. */
  readonly type: 'admit' | 'validating'
  readonly seconds: number
  readonly code: number
  readonly isRejected: boolean
  /** It could not be asked. */
  readonly isFailed: boolean
}

const labels = (operation: AdmissionOperation, step: AdmissionStep, isRejected: boolean): string =>
  `operation="${operation}",rejected="${isRejected}",type="${step}"`

export class AdmissionMetrics {
  readonly #steps: (labels: string) => Histogram
  readonly #plugins: (labels: string) => Histogram
  readonly #webhooks: (labels: string) => Histogram
  readonly #asked: (labels: string) => void
  readonly #rejected: (labels: string) => void
  readonly #ignored: (labels: string) => void
  /** By plugin, then by what the labels say: plugins are asked for each write. */
  readonly #byPlugin = new Map<string, Map<string, Histogram>>()

  constructor(metrics: Metrics) {
    const name = (rest: string): string => `apiserver_admission_${rest}`
    this.#steps = metrics.histogram(name('step_admission_duration_seconds'), 'How long a step of admission took.', BUCKETS_S)
    this.#plugins = metrics.histogram(name('controller_admission_duration_seconds'), 'How long a plugin took.', BUCKETS_S)
    this.#webhooks = metrics.histogram(name('webhook_admission_duration_seconds'), 'How long a webhook took.', [...BUCKETS_S, 10, 25])
    this.#asked = metrics.counter(name('webhook_request_total'), 'Calls of webhooks, by what came of them.')
    this.#rejected = metrics.counter(name('webhook_rejection_count'), 'Writes that webhooks, or their failures, refused.')
    this.#ignored = metrics.counter(name('webhook_fail_open_count'), 'Failures of webhooks that were ignored.')
  }

  begin(clock: Clock, operation: AdmissionOperation, step: AdmissionStep): StepTimer {
    return new StepTimer(this, clock, operation, step)
  }

  step(name: string, seconds: number): void {
    this.#steps(name).observe(seconds)
  }

  plugin(plugin: string, rest: string, seconds: number): void {
    let known = this.#byPlugin.get(plugin)
    if (!known) this.#byPlugin.set(plugin, (known = new Map<string, Histogram>()))
    let histogram = known.get(rest)
    if (!histogram) known.set(rest, (histogram = this.#plugins(`name="${plugin}",${rest}`)))
    histogram.observe(seconds)
  }

  webhook({ name, operation, type, seconds, code, isRejected, isFailed }: WebhookOutcome): void {
    const told = Math.min(code, MAX_CODE)
    const of = `name="${name}",operation="${operation}"`
    this.#webhooks(`${of},rejected="${isRejected}",type="${type}"`).observe(seconds)
    this.#asked(`code="${told}",${of},rejected="${isRejected}",type="${type}"`)
    if (isRejected) {
      const error = isFailed ? 'calling_webhook_error' : 'no_error'
      this.#rejected(`error_type="${error}",${of},rejection_code="${isFailed ? 0 : told}",type="${type}"`)
    } else if (isFailed) this.#ignored(`name="${name}",type="${type}"`)
  }
}

/** Plugins follow each other: each is timed from where the one before ended. */
export class StepTimer {
  readonly #metrics: AdmissionMetrics
  readonly #clock: Clock
  readonly #passed: string
  readonly #rejected: string
  readonly #startMs: number
  #plugin: string | undefined
  #sinceMs: number

  constructor(metrics: AdmissionMetrics, clock: Clock, operation: AdmissionOperation, step: AdmissionStep) {
    this.#metrics = metrics
    this.#clock = clock
    this.#passed = labels(operation, step, false)
    this.#rejected = labels(operation, step, true)
    this.#startMs = this.#sinceMs = clock.monotonic()
  }

  /** It is this plugin's turn. */
  at(plugin: string): void {
    const nowMs = this.#clock.monotonic()
    if (this.#plugin !== undefined) this.#metrics.plugin(this.#plugin, this.#passed, (nowMs - this.#sinceMs) / 1000)
    this.#plugin = plugin
    this.#sinceMs = nowMs
  }

  /** The step is over; a refusal is the last plugin's. */
  end(isRejected: boolean): void {
    const nowMs = this.#clock.monotonic()
    const name = isRejected ? this.#rejected : this.#passed
    if (this.#plugin !== undefined) this.#metrics.plugin(this.#plugin, name, (nowMs - this.#sinceMs) / 1000)
    this.#metrics.step(name, (nowMs - this.#startMs) / 1000)
  }
}
