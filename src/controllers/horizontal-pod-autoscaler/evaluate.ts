/** One metric of an autoscaler: what it says now, and how many replicas follow from that. */
import type {
  HorizontalPodAutoscaler,
  MetricIdentifier,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
} from '../../api/generated/autoscaling/v2.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../api/generated/meta/v1.ts'
import { quantityOfMilli, toFloat, toMilli } from '../../api/quantity.ts'
import type { Client } from '../../client/client.ts'
import { externalMetrics, objectMetric, podMetrics, resourceMetrics } from './metrics-api.ts'
import { MetricError, replicasByAverage, replicasByShare, replicasByTotal, replicasByUtilization } from './replicas.ts'
import type { Tolerances } from './replicas.ts'

export interface Target {
  readonly client: Client
  readonly hpa: HorizontalPodAutoscaler
  /** The pods that the target's selector chooses, and the selector's text. */
  readonly pods: readonly Pod[]
  readonly selector: string
  readonly specReplicas: number
  readonly statusReplicas: number
  readonly nowMs: number
}

export interface Evaluation {
  readonly replicas: number
  /** How the metric is called in events. */
  readonly name: string
  readonly status: MetricStatus
}

const TOLERANCE = 0.1

function tolerancesOf({ spec: { behavior } }: HorizontalPodAutoscaler): Tolerances {
  const [down, up] = [behavior?.scaleDown?.tolerance, behavior?.scaleUp?.tolerance]
  return { down: down === undefined ? TOLERANCE : toFloat(down), up: up === undefined ? TOLERANCE : toFloat(up) }
}

/** The failure as events and conditions name it, and how the metric is called in the error of the whole. */
interface Wording {
  readonly reason: string
  readonly subject: string
}

export function wordingOf(spec: MetricSpec): Wording {
  switch (spec.type) {
    case 'Resource':
      return { reason: 'FailedGetResourceMetric', subject: `failed to get ${spec.resource?.name} resource metric value` }
    case 'ContainerResource':
      return {
        reason: 'FailedGetContainerResourceMetric',
        subject: `failed to get ${spec.containerResource?.container} container metric value`,
      }
    case 'Pods':
      return { reason: 'FailedGetPodsMetric', subject: 'failed to get pods metric value' }
    case 'Object':
      return { reason: 'FailedGetObjectMetric', subject: 'failed to get object metric value' }
    default:
      return { reason: 'FailedGetExternalMetric', subject: `failed to get ${spec.external?.metric.name} external metric value` }
  }
}

/** Rejects with MetricError when the metric cannot be used. */
export async function evaluate(target: Target, spec: MetricSpec): Promise<Evaluation> {
  const { type, resource, containerResource, pods, object, external } = spec
  if (resource) {
    const { replicas, name, current } = await evaluateResource(target, resource.name, resource.target, undefined)
    return { replicas, name, status: { type, resource: { name: resource.name, current } } }
  }
  if (containerResource) {
    const { name: resourceName, container } = containerResource
    const { replicas, name, current } = await evaluateResource(target, resourceName, containerResource.target, container)
    return { replicas, name, status: { type, containerResource: { name: resourceName, container, current } } }
  }
  if (pods) {
    const { metric } = pods
    const { client, hpa, selector } = target
    const metrics = await about(`unable to get metric ${metric.name}`, podMetrics(client, hpa.metadata!.namespace!, selector, metric))
    const input = { ...basics(target), metrics, resource: undefined }
    const { replicas, averageMilli } = replicasByAverage(input, toMilli(pods.target.averageValue!))
    const current = { averageValue: quantityOfMilli(averageMilli) }
    return { replicas, name: `pods metric ${metric.name}`, status: { type, pods: { metric: named(metric), current } } }
  }
  if (object) {
    const { describedObject, metric } = object
    const { replicas, current } = await evaluateObject(target, object)
    const isAverage = current.averageValue !== undefined
    const name = isAverage ? externalName(metric) : `${describedObject.kind} metric ${metric.name}`
    return { replicas, name, status: { type, object: { metric: named(metric), current, describedObject } } }
  }
  if (external) {
    const { replicas, current } = await evaluateExternal(target, external)
    return { replicas, name: externalName(external.metric), status: { type, external: { metric: named(external.metric), current } } }
  }
  throw new MetricError(`unknown metric source type "${type}"`)
}

const basics = ({ pods, specReplicas, hpa, nowMs }: Target) => ({
  pods,
  currentReplicas: specReplicas,
  tolerances: tolerancesOf(hpa),
  nowMs,
})

interface Measured {
  readonly replicas: number
  readonly current: MetricValueStatus
}

async function evaluateResource(
  target: Target,
  resource: string,
  { averageValue, averageUtilization }: MetricTarget,
  container: string | undefined,
): Promise<Measured & { readonly name: string }> {
  const { client, hpa, selector } = target
  const what = averageValue === undefined ? 'utilization' : 'usage'
  const work = async () => {
    const asked = resourceMetrics(client, hpa.metadata!.namespace!, selector, resource, container)
    const metrics = await about(`unable to get metrics for resource ${resource}`, asked)
    const input = { ...basics(target), metrics, resource }
    const format = resource === 'memory' ? 'BinarySI' : 'DecimalSI'
    if (averageValue !== undefined) {
      const { replicas, averageMilli } = replicasByAverage(input, toMilli(averageValue))
      return { replicas, current: { averageValue: quantityOfMilli(averageMilli, format) }, name: `${resource} resource` }
    }
    const { replicas, averageMilli, utilization } = replicasByUtilization(input, averageUtilization!, container)
    return {
      replicas,
      current: { averageValue: quantityOfMilli(averageMilli, format), averageUtilization: utilization },
      name: `${resource}${container === undefined ? '' : ' container'} resource utilization (percentage of request)`,
    }
  }
  if (averageValue === undefined && averageUtilization === undefined)
    throw new MetricError(
      'invalid resource metric source: neither an average utilization target nor an average value (usage) target was set',
    )
  return about(`failed to get ${resource} ${what}`, work())
}

async function evaluateObject(
  target: Target,
  { describedObject, metric, target: wanted }: NonNullable<MetricSpec['object']>,
): Promise<Measured> {
  const { client, hpa, statusReplicas } = target
  const namespace = hpa.metadata!.namespace!
  const isTotal = wanted.type === 'Value' && wanted.value !== undefined
  if (!isTotal && (wanted.type !== 'AverageValue' || wanted.averageValue === undefined))
    throw new MetricError('invalid object metric source: neither a value target nor an average value target was set')
  const unable = `unable to get metric ${metric.name}: ${describedObject.kind} on ${namespace} ${describedObject.name}`
  const failed = isTotal ? unable : `failed to get ${metric.name} object metric: ${unable}`
  const total = await about(failed, objectMetric(client, namespace, describedObject, metric), '/')
  if (isTotal)
    return { replicas: replicasByTotal(total, toMilli(wanted.value), basics(target)), current: { value: quantityOfMilli(total) } }
  const shared = replicasByShare(total, toMilli(wanted.averageValue!), statusReplicas, tolerancesOf(hpa))
  return { replicas: shared.replicas, current: { averageValue: quantityOfMilli(shared.averageMilli) } }
}

async function evaluateExternal(target: Target, { metric, target: wanted }: NonNullable<MetricSpec['external']>): Promise<Measured> {
  const { client, hpa, statusReplicas } = target
  const namespace = hpa.metadata!.namespace!
  const { value, averageValue } = wanted
  if (value === undefined && averageValue === undefined)
    throw new MetricError('invalid external metric source: neither a value target nor an average value target was set')
  const failed =
    averageValue === undefined ? `failed to get external metric ${metric.name}` : `failed to get ${metric.name} external metric`
  const unable = `unable to get external metric ${namespace}/${metric.name}/${selectorInGo(metric.selector)}`
  const values = await about(`${failed}: ${unable}`, externalMetrics(client, namespace, metric))
  const total = values.reduce((sum, part) => sum + part, 0)
  if (averageValue === undefined)
    return { replicas: replicasByTotal(total, toMilli(value!), basics(target)), current: { value: quantityOfMilli(total) } }
  const shared = replicasByShare(total, toMilli(averageValue), statusReplicas, tolerancesOf(hpa))
  return { replicas: shared.replicas, current: { averageValue: quantityOfMilli(shared.averageMilli) } }
}

const named = ({ name, selector }: MetricIdentifier): MetricIdentifier => (selector ? { name, selector } : { name })
const externalName = ({ name, selector }: MetricIdentifier): string => `external metric ${name}(${selectorInGo(selector)})`

/** As Go prints it: people and their alerts know the events by it. */
function selectorInGo(selector: LabelSelector | undefined): string {
  if (!selector) return 'nil'
  const labels = Object.entries(selector.matchLabels ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}: ${value},`)
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values = [] }) => `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`,
  )
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join('')}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join('')}},}`
}

/** Says what was being done when it failed. (Upstream joins one of its texts by a slash.) */
async function about<T>(what: string, work: Promise<T>, separator = ': '): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof MetricError)) throw error
    throw new MetricError(`${what}${separator}${error.message}`)
  }
}
