/**
 * autoscaling/v1 of an autoscaler, which is stored as v2. v1 knows one target, cpu utilisation; all else travels in annotations
 * so that an object read and written back through v1 loses nothing. Those annotations never reach the stored form. Pure.
 */
import type { HorizontalPodAutoscaler as V1 } from '../../../api/generated/autoscaling/v1.ts'
import type { HorizontalPodAutoscaler as V2, MetricSpec, MetricStatus } from '../../../api/generated/autoscaling/v2.ts'
import type { KubeObject } from '../../../api/object.ts'

const METRICS = 'autoscaling.alpha.kubernetes.io/metrics'
const BEHAVIOR = 'autoscaling.alpha.kubernetes.io/behavior'
const CURRENT_METRICS = 'autoscaling.alpha.kubernetes.io/current-metrics'
const CONDITIONS = 'autoscaling.alpha.kubernetes.io/conditions'
const TRAVELLING = [METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS]

type Fields = Readonly<Record<string, unknown>>

const compact = (fields: Fields): Fields => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const isCpuUtilization = ({ type, resource }: MetricSpec): boolean =>
  type === 'Resource' && resource?.name === 'cpu' && resource.target?.averageUtilization !== undefined

/** The flat form that metrics have in v1's annotations. */
function flatSpec({ type, resource, containerResource, pods, object, external }: MetricSpec): Fields {
  return compact({
    type,
    resource:
      resource &&
      compact({
        name: resource.name,
        targetAverageUtilization: resource.target?.averageUtilization,
        targetAverageValue: resource.target?.averageValue,
      }),
    containerResource:
      containerResource &&
      compact({
        name: containerResource.name,
        targetAverageUtilization: containerResource.target?.averageUtilization,
        targetAverageValue: containerResource.target?.averageValue,
        container: containerResource.container,
      }),
    pods:
      pods && compact({ metricName: pods.metric?.name, targetAverageValue: pods.target?.averageValue, selector: pods.metric?.selector }),
    object:
      object &&
      compact({
        target: object.describedObject,
        metricName: object.metric?.name,
        targetValue: object.target?.value,
        selector: object.metric?.selector,
        averageValue: object.target?.averageValue,
      }),
    external:
      external &&
      compact({
        metricName: external.metric?.name,
        metricSelector: external.metric?.selector,
        targetValue: external.target?.value,
        targetAverageValue: external.target?.averageValue,
      }),
  })
}

/** What annotations hold is whatever someone wrote there. */
interface Loose {
  readonly [field: string]: Loose
}

const resourceTarget = (flat: Loose): Fields =>
  compact({
    type: flat.targetAverageUtilization === undefined ? 'AverageValue' : 'Utilization',
    averageUtilization: flat.targetAverageUtilization,
    averageValue: flat.targetAverageValue,
  })
const valueTarget = (value: unknown, averageValue: unknown): Fields =>
  compact({ type: value === undefined ? 'AverageValue' : 'Value', value, averageValue })

function fullSpec(flat: Loose): MetricSpec {
  const { resource, containerResource, pods, object, external } = flat
  return compact({
    type: flat.type,
    resource: resource && { name: resource.name, target: resourceTarget(resource) },
    containerResource: containerResource && {
      name: containerResource.name,
      container: containerResource.container,
      target: resourceTarget(containerResource),
    },
    pods: pods && {
      metric: compact({ name: pods.metricName, selector: pods.selector }),
      target: { type: 'AverageValue', averageValue: pods.targetAverageValue },
    },
    object: object && {
      describedObject: object.target,
      metric: compact({ name: object.metricName, selector: object.selector }),
      target:
        object.averageValue === undefined
          ? valueTarget(object.targetValue, undefined)
          : { type: 'AverageValue', averageValue: object.averageValue },
    },
    external: external && {
      metric: compact({ name: external.metricName, selector: external.metricSelector }),
      target: valueTarget(external.targetValue, external.targetAverageValue),
    },
  }) as unknown as MetricSpec
}

function flatStatus({ type, resource, containerResource, pods, object, external }: MetricStatus): Fields {
  return compact({
    type,
    resource:
      resource &&
      compact({
        name: resource.name,
        currentAverageUtilization: resource.current?.averageUtilization,
        currentAverageValue: resource.current?.averageValue ?? '0',
      }),
    containerResource:
      containerResource &&
      compact({
        name: containerResource.name,
        currentAverageUtilization: containerResource.current?.averageUtilization,
        currentAverageValue: containerResource.current?.averageValue ?? '0',
        container: containerResource.container,
      }),
    pods:
      pods &&
      compact({ metricName: pods.metric?.name, currentAverageValue: pods.current?.averageValue ?? '0', selector: pods.metric?.selector }),
    object:
      object &&
      compact({
        target: object.describedObject,
        metricName: object.metric?.name,
        currentValue: object.current?.value ?? '0',
        selector: object.metric?.selector,
        averageValue: object.current?.averageValue,
      }),
    external:
      external &&
      compact({
        metricName: external.metric?.name,
        metricSelector: external.metric?.selector,
        currentValue: external.current?.value ?? '0',
        currentAverageValue: external.current?.averageValue,
      }),
  })
}

function fullStatus(flat: Loose): MetricStatus {
  const { resource, containerResource, pods, object, external } = flat
  const current = (part: Loose): Fields =>
    compact({ averageUtilization: part.currentAverageUtilization, averageValue: part.currentAverageValue })
  return compact({
    type: flat.type,
    resource: resource && { name: resource.name, current: current(resource) },
    containerResource: containerResource && {
      name: containerResource.name,
      container: containerResource.container,
      current: current(containerResource),
    },
    pods: pods && {
      metric: compact({ name: pods.metricName, selector: pods.selector }),
      current: compact({ averageValue: pods.currentAverageValue }),
    },
    object: object && {
      describedObject: object.target,
      metric: compact({ name: object.metricName, selector: object.selector }),
      current: compact({ value: object.currentValue, averageValue: object.averageValue }),
    },
    external: external && {
      metric: compact({ name: external.metricName, selector: external.metricSelector }),
      current: compact({ value: external.currentValue, averageValue: external.currentAverageValue }),
    },
  }) as unknown as MetricStatus
}

/** Upstream writes the behaviour under Go's own names. */
const mapKeys = (value: unknown, change: (key: string) => string): unknown => {
  if (Array.isArray(value)) return value.map((item) => mapKeys(item, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [change(key), mapKeys(item, change)]))
}
const upperFirst = (key: string): string => key.charAt(0).toUpperCase() + key.slice(1)
const lowerFirst = (key: string): string => key.charAt(0).toLowerCase() + key.slice(1)

export function autoscalerToV1(autoscaler: V2): V1 {
  const { metrics = [], behavior, ...spec } = autoscaler.spec ?? ({} as NonNullable<V2['spec']>)
  const { currentMetrics = [], conditions = [], ...status } = autoscaler.status ?? ({} as NonNullable<V2['status']>)
  const cpu = metrics.find(isCpuUtilization)?.resource?.target?.averageUtilization
  const currentCpu = currentMetrics.find(({ type, resource }) => type === 'Resource' && resource?.name === 'cpu')?.resource?.current
    ?.averageUtilization
  const others = metrics.filter((metric) => !isCpuUtilization(metric)).map(flatSpec)
  const annotations: Record<string, string> = { ...autoscaler.metadata?.annotations }
  if (others.length > 0) annotations[METRICS] = JSON.stringify(others)
  if (currentMetrics.length > 0) annotations[CURRENT_METRICS] = JSON.stringify(currentMetrics.map(flatStatus))
  if (behavior) annotations[BEHAVIOR] = JSON.stringify(mapKeys(behavior, upperFirst))
  if (conditions.length > 0) annotations[CONDITIONS] = JSON.stringify(conditions)
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'HorizontalPodAutoscaler',
    metadata: Object.keys(annotations).length > 0 ? { ...autoscaler.metadata, annotations } : autoscaler.metadata,
    spec: { ...spec, ...(cpu === undefined ? {} : { targetCPUUtilizationPercentage: cpu }) },
    ...(autoscaler.status
      ? {
          status: {
            currentReplicas: 0,
            ...status,
            ...(currentCpu === undefined ? {} : { currentCPUUtilizationPercentage: currentCpu }),
          },
        }
      : {}),
  }
}

/** The list in an annotation; undefined when it is absent or no JSON list. Upstream ignores what it cannot read. */
function parsed(annotations: Readonly<Record<string, string>> | undefined, key: string): Loose | undefined {
  const textOf = annotations?.[key]
  if (textOf === undefined) return undefined
  try {
    const value: unknown = JSON.parse(textOf)
    return typeof value === 'object' && value !== null ? (value as Loose) : undefined
  } catch {
    // Not JSON: as if it were not there.
    return undefined
  }
}

export function autoscalerFromV1(object: KubeObject): V2 {
  const autoscaler = object as V1
  const { targetCPUUtilizationPercentage: cpu, ...spec } = autoscaler.spec ?? ({} as NonNullable<V1['spec']>)
  const { currentCPUUtilizationPercentage: currentCpu, ...status } = autoscaler.status ?? ({} as NonNullable<V1['status']>)
  const all = autoscaler.metadata?.annotations
  const others = parsed(all, METRICS)
  const behavior = parsed(all, BEHAVIOR)
  const current = parsed(all, CURRENT_METRICS)
  const conditions = parsed(all, CONDITIONS)
  const cpuMetric: readonly MetricSpec[] =
    cpu === undefined ? [] : [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: cpu } } }]
  const metrics = [...(Array.isArray(others) ? others.map(fullSpec) : []), ...cpuMetric]
  const currentMetrics: readonly MetricStatus[] | undefined = Array.isArray(current)
    ? current.map(fullStatus)
    : currentCpu === undefined
      ? undefined
      : [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: currentCpu } } }]
  const kept = Object.fromEntries(Object.entries(all ?? {}).filter(([key]) => !TRAVELLING.includes(key)))
  const { annotations: _annotations, ...metadata } = autoscaler.metadata ?? {}
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: Object.keys(kept).length > 0 ? { ...metadata, annotations: kept } : metadata,
    spec: { ...spec, ...(metrics.length > 0 ? { metrics } : {}), ...(behavior ? { behavior: mapKeys(behavior, lowerFirst) } : {}) },
    // What an annotation tells of the status is there even when the status is not.
    ...(autoscaler.status || currentMetrics || Array.isArray(conditions)
      ? { status: { ...status, ...(currentMetrics ? { currentMetrics } : {}), ...(Array.isArray(conditions) ? { conditions } : {}) } }
      : {}),
  } as V2
}
