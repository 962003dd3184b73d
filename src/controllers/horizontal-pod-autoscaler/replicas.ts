/**
 * How many replicas a metric asks for. Pure. The rules are upstream's (KEP-117 and its successors): a change within the tolerance
 * is none; pods that tell nothing, or nothing yet, are counted so that they dampen the change and never turn its direction.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { containerTotals, isPodLevelResource, podTotals } from '../../api/pod-resources.ts'
import { toMilli } from '../../api/quantity.ts'
import { findCondition } from '../conditions.ts'
import { isPodReady, timeOf } from '../pods/pod-state.ts'

/** What keeps a metric from being used, told in the autoscaler's condition and event. */
export class MetricError extends Error {}

/** How far the ratio of use to target may be off, downwards and upwards, before anything is done. */
export interface Tolerances {
  readonly down: number
  readonly up: number
}

export interface PodMetric {
  readonly timestampMs: number
  readonly windowMs: number
  /** In thousandths. */
  readonly value: number
}

export type PodMetrics = ReadonlyMap<string, PodMetric>

export interface MetricInput {
  readonly pods: readonly Pod[]
  readonly metrics: PodMetrics
  readonly currentReplicas: number
  readonly tolerances: Tolerances
  /** "cpu" makes pods that start be left out; undefined for metrics that are no resource. */
  readonly resource: string | undefined
  readonly nowMs: number
}

/** So long after its start the cpu use of a pod says little (upstream's cpu-initialization-period). */
const CPU_INITIALIZATION_MS = 300_000
/** A pod that turned unready within this time of its start was never ready (upstream's initial-readiness-delay). */
const INITIAL_READINESS_MS = 30_000
const MAX_REPLICAS = 2 ** 31 - 1

const isWithin = ({ down, up }: Tolerances, ratio: number): boolean => 1 - down <= ratio && ratio <= 1 + up

/** Whether a pod's cpu use does not count yet. */
function isStarting({ status }: Pod, metric: PodMetric, nowMs: number): boolean {
  const ready = findCondition(status?.conditions, 'Ready')
  const startMs = timeOf(status?.startTime)
  if (!ready || startMs === undefined) return true
  const changedMs = timeOf(ready.lastTransitionTime) ?? 0
  if (startMs + CPU_INITIALIZATION_MS > nowMs) return ready.status === 'False' || metric.timestampMs < changedMs + metric.windowMs
  return ready.status === 'False' && startMs + INITIAL_READINESS_MS > changedMs
}

interface Groups {
  readonly readyCount: number
  readonly unready: readonly string[]
  readonly missing: readonly string[]
  /** Of pods that count. */
  readonly metrics: PodMetrics
}

function group({ pods, metrics, resource, nowMs }: MetricInput): Groups {
  const counted = new Map(metrics)
  const unready: string[] = []
  const missing: string[] = []
  let readyCount = 0
  for (const pod of pods) {
    const name = pod.metadata!.name!
    const metric = metrics.get(name)
    if (pod.metadata?.deletionTimestamp || pod.status?.phase === 'Failed') counted.delete(name)
    else if (pod.status?.phase === 'Pending' || (metric && resource === 'cpu' && isStarting(pod, metric, nowMs))) {
      unready.push(name)
      counted.delete(name)
    } else if (!metric) missing.push(name)
    else readyCount++
  }
  return { readyCount, unready, missing, metrics: counted }
}

interface Measure {
  readonly ratioOf: (metrics: PodMetrics) => number
  /** What a pod without a metric is taken to use while the others use little. */
  readonly assumed: (podName: string) => number
}

function propose(groups: Groups, { currentReplicas, tolerances }: MetricInput, { ratioOf, assumed }: Measure): number {
  const ratio = ratioOf(groups.metrics)
  const countsUnready = groups.unready.length > 0 && ratio > 1
  if (!countsUnready && groups.missing.length === 0)
    return isWithin(tolerances, ratio) ? currentReplicas : Math.ceil(ratio * groups.readyCount)
  const filled = new Map(groups.metrics)
  const fill = (name: string, value: number) => filled.set(name, { timestampMs: 0, windowMs: 0, value })
  if (ratio < 1) for (const name of groups.missing) fill(name, assumed(name))
  if (ratio > 1) for (const name of [...groups.missing, ...groups.unready]) fill(name, 0)
  const next = ratioOf(filled)
  const replicas = Math.ceil(next * filled.size)
  const isTurned = (ratio < 1 && next > 1) || (ratio > 1 && next < 1)
  const isContrary = (next < 1 && replicas > currentReplicas) || (next > 1 && replicas < currentReplicas)
  return isWithin(tolerances, next) || isTurned || isContrary ? currentReplicas : replicas
}

function countedGroups(input: MetricInput): Groups {
  if (input.pods.length === 0) throw new MetricError('no pods returned by selector while calculating replica count')
  const groups = group(input)
  if (groups.metrics.size === 0) throw new MetricError('did not receive metrics for targeted pods (pods might be unready)')
  return groups
}

/** By use relative to what pods request. `container` narrows it to one container. */
export function replicasByUtilization(
  input: MetricInput & { readonly resource: string },
  targetUtilization: number,
  container: string | undefined,
): { readonly replicas: number; readonly utilization: number; readonly averageMilli: number } {
  const groups = countedGroups(input)
  const requests = new Map(input.pods.map((pod) => [pod.metadata!.name!, requestOf(pod, input.resource, container)]))
  const utilizationOf = (metrics: PodMetrics) => {
    let [used, requested, count] = [0, 0, 0]
    for (const [name, { value }] of metrics) {
      const request = requests.get(name)
      if (request === undefined) continue
      used += value
      requested += request
      count++
    }
    if (requested === 0) throw new MetricError('no metrics returned matched known pods')
    return { utilization: Math.trunc((used * 100) / requested), averageMilli: Math.trunc(used / count) }
  }
  const measured = utilizationOf(groups.metrics)
  const replicas = propose(groups, input, {
    ratioOf: (metrics) => utilizationOf(metrics).utilization / targetUtilization,
    assumed: (name) => Math.trunc((requests.get(name)! * Math.max(100, targetUtilization)) / 100),
  })
  return { replicas, ...measured }
}

/** By the average of a value over the pods. */
export function replicasByAverage(input: MetricInput, targetMilli: number): { readonly replicas: number; readonly averageMilli: number } {
  const groups = countedGroups(input)
  const averageOf = (metrics: PodMetrics): number => {
    let sum = 0
    for (const { value } of metrics.values()) sum += value
    return Math.trunc(sum / metrics.size)
  }
  const replicas = propose(groups, input, { ratioOf: (metrics) => averageOf(metrics) / targetMilli, assumed: () => targetMilli })
  return { replicas, averageMilli: averageOf(groups.metrics) }
}

/** By a value that stands for all pods together, of an object or from outside. */
export function replicasByTotal(
  totalMilli: number,
  targetMilli: number,
  input: Pick<MetricInput, 'pods' | 'currentReplicas' | 'tolerances'>,
): number {
  const ratio = totalMilli / targetMilli
  if (input.currentReplicas === 0) return Math.ceil(ratio)
  if (isWithin(input.tolerances, ratio)) return input.currentReplicas
  if (input.pods.length === 0)
    throw new MetricError('unable to calculate ready pods: no pods returned by selector while calculating replica count')
  const ready = input.pods.filter((pod) => pod.status?.phase === 'Running' && isPodReady(pod)).length
  return Math.min(MAX_REPLICAS, Math.ceil(ratio * ready))
}

/** By a value of which each pod should have a share. */
export function replicasByShare(
  totalMilli: number,
  targetMilli: number,
  statusReplicas: number,
  tolerances: Tolerances,
): { readonly replicas: number; readonly averageMilli: number } {
  const ratio = totalMilli / (targetMilli * statusReplicas)
  const replicas = isWithin(tolerances, ratio) ? statusReplicas : Math.min(MAX_REPLICAS, Math.ceil(totalMilli / targetMilli))
  return { replicas, averageMilli: statusReplicas === 0 ? totalMilli : Math.ceil(totalMilli / statusReplicas) }
}

/** In thousandths. Requests of the whole pod (KEP-2837) count before those of its containers, unless one of these is meant. */
function requestOf({ metadata, spec }: Pod, resource: string, container: string | undefined): number {
  const name = metadata!.name!
  if (container === undefined && Object.keys(spec?.resources?.requests ?? {}).some(isPodLevelResource)) {
    const request = podTotals(spec!, 'requests')[resource]
    if (request === undefined) throw new MetricError(`missing pod-level request for ${resource} in Pod ${name}`)
    return toMilli(request)
  }
  const sidecars = (spec?.initContainers ?? []).filter((init) => init.restartPolicy === 'Always')
  const all = [...spec!.containers, ...sidecars]
  const wanted = container === undefined ? all : all.filter((candidate) => candidate.name === container).slice(0, 1)
  if (container !== undefined && wanted.length === 0) throw new MetricError(`container ${container} not found in Pod ${name}`)
  for (const { name: containerName, resources } of wanted)
    if (resources?.requests?.[resource] === undefined)
      throw new MetricError(`missing request for ${resource} in container ${containerName} of Pod ${name}`)
  return toMilli(containerTotals({ containers: wanted }, 'requests')[resource] ?? '0')
}
