/**
 * Scales what has a scale subresource by metrics, every 15 seconds as long as there are autoscalers: metrics do not announce that
 * they change. What an autoscaler remembers (recommendations, the pace of earlier steps) is kept in memory, as upstream does.
 */
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerCondition,
  HorizontalPodAutoscalerStatus,
  MetricStatus,
} from '../../api/generated/autoscaling/v2.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import type { KubeObject } from '../../api/object.ts'
import { kindNameOf, parseApiVersion } from '../../api/schema.ts'
import { parseLabelSelector } from '../../api/selectors.ts'
import type { LabelMatcher } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Client } from '../../client/client.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { isUnknownKind } from '../../client/unknown-kind.ts'
import { read, watch } from '../controller.ts'
import type { Controller, Outcome, ReconcileContext } from '../controller.ts'
import { messageOf } from '../pods/pod-control.ts'
import { bound, newHistory, noteScale } from './bounds.ts'
import type { ScaleHistory } from './bounds.ts'
import { evaluate, wordingOf } from './evaluate.ts'
import { MetricError } from './replicas.ts'

const KIND = 'autoscaling/v2/HorizontalPodAutoscaler'
/** Upstream's horizontal-pod-autoscaler-sync-period. */
const SYNC_MS = 15_000
const MAX_SCALE_TRIES = 5

const AGAIN: Outcome = { afterMs: SYNC_MS }

interface Scale extends KubeObject {
  readonly spec?: { readonly replicas?: number }
  readonly status?: { readonly replicas?: number; readonly selector?: string }
}

/** Conditions in the making: each is set by its type, and the time is that of the last change of its status. */
class Conditions {
  #list: readonly HorizontalPodAutoscalerCondition[]
  readonly #now: string

  constructor(list: readonly HorizontalPodAutoscalerCondition[] | undefined, now: string) {
    this.#list = list ?? []
    this.#now = now
  }

  get list(): readonly HorizontalPodAutoscalerCondition[] {
    return this.#list
  }

  set(type: 'AbleToScale' | 'ScalingActive' | 'ScalingLimited', isTrue: boolean, reason: string, message: string): void {
    const status = isTrue ? 'True' : 'False'
    const old = this.#list.find((condition) => condition.type === type)
    const lastTransitionTime = old?.status === status && old.lastTransitionTime ? old.lastTransitionTime : this.#now
    const next = { type, status, lastTransitionTime, reason, message }
    this.#list = old ? this.#list.map((condition) => (condition === old ? next : condition)) : [...this.#list, next]
  }
}

export function createHorizontalPodAutoscaler(): Controller {
  const histories = new Map<string, ScaleHistory>()
  /** The selector of each autoscaler's target, to find pods that two of them scale. */
  const selectors = new Map<string, LabelMatcher>()

  return {
    name: 'horizontal-pod-autoscaler',
    component: 'horizontal-pod-autoscaler',
    reads: [KIND, 'v1/Pod'],
    writes: [`${KIND}/status`, '*/scale'],
    watches: [
      // Its own writes of the status must not make it look again at once.
      watch(KIND, ({ type, object, old }) => (type === 'updated' && deepEqual(object.spec, old?.spec) ? undefined : keyOf(object))),
      read('v1/Pod'),
    ],

    async reconcile(key, context) {
      const hpa = context.caches.of(KIND).get(key)
      if (!hpa) {
        histories.delete(key)
        selectors.delete(key)
        return
      }
      const pass = new Pass(context, hpa, histories, selectors)
      await pass.run()
      return AGAIN
    },
  }
}

/** One look at an autoscaler. */
class Pass {
  readonly #context: ReconcileContext
  readonly #hpa: HorizontalPodAutoscaler
  readonly #histories: Map<string, ScaleHistory>
  readonly #selectors: Map<string, LabelMatcher>
  readonly #conditions: Conditions
  readonly #nowMs: number
  readonly #now: string

  constructor(
    context: ReconcileContext,
    hpa: HorizontalPodAutoscaler,
    histories: Map<string, ScaleHistory>,
    selectors: Map<string, LabelMatcher>,
  ) {
    this.#context = context
    this.#hpa = hpa
    this.#histories = histories
    this.#selectors = selectors
    this.#nowMs = context.runtime.clock.now()
    this.#now = timestamp(context.runtime.clock)
    this.#conditions = new Conditions(hpa.status?.conditions, this.#now)
  }

  #tell(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.events.record(referenceTo(KIND, this.#hpa), type, reason, message)
  }

  async run(): Promise<void> {
    const { client } = this.#context
    const target = await this.#findScale(client)
    if (!target) return this.#writeStatus(this.#hpa.status ?? { desiredReplicas: 0 })
    const current = target.scale.spec?.replicas ?? 0
    const key = keyOf(this.#hpa)
    const history = this.#histories.get(key) ?? newHistory(current, this.#nowMs)
    this.#histories.set(key, history)

    const wanted = await this.#decide(target.scale, history)
    if (wanted.failure !== undefined) {
      await this.#writeStatus(this.#statusOf(current, this.#hpa.status?.desiredReplicas ?? 0, wanted.metrics, false))
      return this.#tell('Warning', 'FailedComputeMetricsReplicas', wanted.failure)
    }
    if (wanted.replicas === undefined || wanted.replicas === current)
      return this.#writeStatus(this.#statusOf(current, current, wanted.metrics, false))

    const error = await rescale(client, target.kind, target.scale, wanted.replicas)
    if (error === undefined) {
      const message = `the HPA controller was able to update the target scale to ${wanted.replicas}`
      this.#conditions.set('AbleToScale', true, 'SucceededRescale', message)
      this.#tell('Normal', 'SuccessfulRescale', `New size: ${wanted.replicas}; reason: ${wanted.reason}`)
      noteScale(this.#hpa, history, current, wanted.replicas, this.#nowMs)
      return this.#writeStatus(this.#statusOf(current, wanted.replicas, wanted.metrics, true))
    }
    this.#tell('Warning', 'FailedRescale', `New size: ${wanted.replicas}; reason: ${wanted.reason}; error: ${error}`)
    this.#conditions.set('AbleToScale', false, 'FailedUpdateScale', `the HPA controller was unable to update the target scale: ${error}`)
    return this.#writeStatus(this.#statusOf(current, this.#hpa.status?.desiredReplicas ?? 0, wanted.metrics, false))
  }

  async #findScale(client: Client): Promise<{ readonly kind: string; readonly scale: Scale } | undefined> {
    const { apiVersion = '', kind, name } = this.#hpa.spec.scaleTargetRef
    try {
      const kindName = await servedKind(client, apiVersion, kind)
      const scale: Scale = await client.get<string>(kindName, { namespace: this.#hpa.metadata!.namespace, name }, { subresource: 'scale' })
      this.#conditions.set('AbleToScale', true, 'SucceededGetScale', "the HPA controller was able to get the target's current scale")
      return { kind: kindName, scale }
    } catch (error) {
      if (!isApiError(error) && !isUnknownKind(error)) throw error
      const message = isUnknownKind(error)
        ? `no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(parseApiVersion(apiVersion || 'v1').group)}`
        : messageOf(error)
      this.#tell('Warning', 'FailedGetScale', message)
      this.#conditions.set(
        'AbleToScale',
        false,
        'FailedGetScale',
        `the HPA controller was unable to get the target's current scale: ${message}`,
      )
      return undefined
    }
  }

  async #decide(scale: Scale, history: ScaleHistory): Promise<Decision> {
    const { minReplicas = 1, maxReplicas } = this.#hpa.spec
    const current = scale.spec?.replicas ?? 0
    if (current === 0) {
      this.#conditions.set('ScalingActive', false, 'ScalingDisabled', 'scaling is disabled since the replica count of the target is zero')
      return { replicas: undefined }
    }
    if (current > maxReplicas) return { replicas: maxReplicas, reason: 'Current number of replicas above Spec.MaxReplicas' }
    if (current < minReplicas) return { replicas: minReplicas, reason: 'Current number of replicas below Spec.MinReplicas' }

    const proposal = await this.#proposal(scale)
    if (proposal.failure !== undefined) return proposal
    const { replicas, able, isLimited, limit } = bound(this.#hpa, history, current, proposal.replicas, this.#nowMs)
    this.#conditions.set('AbleToScale', true, ...able)
    this.#conditions.set('ScalingLimited', isLimited, ...limit)
    const reason =
      proposal.replicas > current ? `${proposal.name} above target` : proposal.replicas < current ? 'All metrics below target' : ''
    return { replicas, reason, metrics: proposal.metrics }
  }

  /** The highest of what the metrics ask for. Where some fail nothing is scaled down: they might ask for more. */
  async #proposal(scale: Scale): Promise<Proposal | Failure> {
    const selector = scale.status?.selector ?? ''
    const refusal = this.#takeSelector(selector)
    if (refusal !== undefined) return { failure: refusal }
    const current = scale.spec?.replicas ?? 0
    const pods = this.#podsOf(selector)
    const target = {
      client: this.#context.client,
      hpa: this.#hpa,
      pods,
      selector,
      specReplicas: current,
      statusReplicas: scale.status?.replicas ?? 0,
      nowMs: this.#nowMs,
    }
    const specs = this.#hpa.spec.metrics ?? []
    const metrics: MetricStatus[] = []
    const failures: { readonly reason: string; readonly message: string; readonly text: string }[] = []
    let [replicas, name] = [0, '']
    for (const spec of specs) {
      try {
        const found = await evaluate(target, spec)
        metrics.push(found.status)
        if (replicas === 0 || found.replicas > replicas) [replicas, name] = [found.replicas, found.name]
      } catch (error) {
        if (!(error instanceof MetricError)) throw error
        const { reason, subject } = wordingOf(spec)
        this.#tell('Warning', reason, error.message)
        // An empty entry keeps the place of a metric that failed.
        metrics.push({ type: '' })
        failures.push({
          reason,
          message: `the HPA was unable to compute the replica count: ${error.message}`,
          text: `${subject}: ${error.message}`,
        })
      }
    }
    const [first] = failures
    if (first && (failures.length === specs.length || replicas < current)) {
      this.#conditions.set('ScalingActive', false, first.reason, first.message)
      return { failure: `invalid metrics (${failures.length} invalid out of ${specs.length}), first error is: ${first.text}`, metrics }
    }
    const message = `the HPA was able to successfully calculate a replica count from ${name}`
    this.#conditions.set('ScalingActive', true, 'ValidMetricFound', message)
    return { replicas, name, metrics }
  }

  /** Why the selector cannot be used, or undefined. */
  #takeSelector(selector: string): string | undefined {
    const refuse = (reason: string, message: string, condition: readonly [string, string]): string => {
      this.#tell('Warning', reason, message)
      this.#conditions.set('ScalingActive', false, ...condition)
      return message
    }
    if (selector === '') {
      const condition = ['InvalidSelector', "the HPA target's scale is missing a selector"] as const
      return refuse('SelectorRequired', 'selector is required', condition)
    }
    let matches: LabelMatcher
    try {
      matches = parseLabelSelector(selector)
    } catch (error) {
      const message = `couldn't convert selector into a corresponding internal selector object: ${messageOf(error)}`
      return refuse('InvalidSelector', message, ['InvalidSelector', message])
    }
    this.#selectors.set(keyOf(this.#hpa), matches)
    const rivals = this.#rivals(this.#podsOf(selector))
    if (rivals.length <= 1) return undefined
    const message = `pods by selector ${selector} are controlled by multiple HPAs: [${rivals.join(' ')}]`
    return refuse('AmbiguousSelector', message, ['AmbiguousSelector', message])
  }

  #podsOf(selector: string): readonly Pod[] {
    const matches = parseLabelSelector(selector)
    return this.#context.caches
      .of('v1/Pod')
      .byNamespace(this.#hpa.metadata!.namespace!)
      .filter((pod) => matches(pod.metadata?.labels ?? {}))
  }

  /** All autoscalers that scale one of these pods. */
  #rivals(pods: readonly Pod[]): readonly string[] {
    const autoscalers = this.#context.caches.of(KIND).byNamespace(this.#hpa.metadata!.namespace!).map(keyOf)
    if (autoscalers.length === 1) return autoscalers
    return autoscalers.toSorted().filter((key) => {
      const matches = this.#selectors.get(key)
      return matches !== undefined && pods.some((pod) => matches(pod.metadata?.labels ?? {}))
    })
  }

  #statusOf(
    currentReplicas: number,
    desiredReplicas: number,
    currentMetrics: readonly MetricStatus[] | undefined,
    isRescaled: boolean,
  ): HorizontalPodAutoscalerStatus {
    const lastScaleTime = isRescaled ? this.#now : this.#hpa.status?.lastScaleTime
    return {
      ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
      currentReplicas,
      desiredReplicas,
      ...(currentMetrics === undefined || currentMetrics.length === 0 ? {} : { currentMetrics }),
    }
  }

  async #writeStatus(next: HorizontalPodAutoscalerStatus): Promise<void> {
    const status = { ...next, conditions: this.#conditions.list }
    if (isSameStatus(this.#hpa.status, status)) return
    try {
      await this.#context.client.update(KIND, { ...this.#hpa, status }, { subresource: 'status' })
    } catch (error) {
      if (isApiError(error, 'NotFound')) return
      if (!isApiError(error, 'Conflict')) this.#tell('Warning', 'FailedUpdateStatus', messageOf(error))
      throw error
    }
  }
}

interface Failure {
  readonly failure: string
  readonly metrics?: readonly MetricStatus[]
}
interface Proposal {
  readonly failure?: undefined
  readonly replicas: number
  readonly name: string
  readonly metrics: readonly MetricStatus[]
}
type Decision =
  | Failure
  | {
      readonly failure?: undefined
      readonly replicas: number | undefined
      readonly reason?: string
      readonly metrics?: readonly MetricStatus[]
    }

/** Zero and absent are the same to the API: they must not cause a write. */
const isSameStatus = (a: HorizontalPodAutoscalerStatus | undefined, b: HorizontalPodAutoscalerStatus): boolean =>
  a !== undefined &&
  (a.currentReplicas ?? 0) === (b.currentReplicas ?? 0) &&
  a.desiredReplicas === b.desiredReplicas &&
  a.lastScaleTime === b.lastScaleTime &&
  deepEqual(a.currentMetrics ?? [], b.currentMetrics ?? []) &&
  deepEqual(a.conditions ?? [], b.conditions ?? [])

/** The kind as the server has it: a reference may name a version that is no longer served. */
async function servedKind(client: Client, apiVersion: string, kind: string): Promise<string> {
  const named = `${apiVersion || 'v1'}/${kind}`
  try {
    await client.resourceOf(named)
    return named
  } catch (error) {
    if (!isUnknownKind(error)) throw error
    const { group } = parseApiVersion(apiVersion || 'v1')
    const other = (await client.discover()).preferred.find((resource) => resource.kind === kind && resource.group === group)
    if (!other) throw error
    return kindNameOf(other)
  }
}

/** What went wrong, or undefined. Somebody else's write is no reason to give up. */
async function rescale(client: Client, kind: string, scale: Scale, replicas: number): Promise<string | undefined> {
  const { namespace, name } = scale.metadata!
  let latest = scale
  for (let tries = 1; ; tries++) {
    try {
      await client.update<string>(kind, { ...latest, spec: { ...latest.spec, replicas } }, { subresource: 'scale' })
      return undefined
    } catch (error) {
      if (!isApiError(error)) throw error
      if (error.reason !== 'Conflict' || tries === MAX_SCALE_TRIES) return error.message
    }
    latest = await client.get<string>(kind, { namespace, name: name! }, { subresource: 'scale' })
  }
}
