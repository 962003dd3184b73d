/**
 * What the metrics APIs tell: metrics.k8s.io (resources of pods), custom.metrics.k8s.io (of pods and other objects) and
 * external.metrics.k8s.io. Aggregated servers answer them; a cluster may have none, which each autoscaler then says.
 */
import type { CrossVersionObjectReference, MetricIdentifier } from '../../api/generated/autoscaling/v2.ts'
import { toMilli } from '../../api/quantity.ts'
import { formatLabelSelector } from '../../api/selectors.ts'
import { isApiError, qualifiedResource } from '../../api/status.ts'
import type { Client } from '../../client/client.ts'
import { messageOf } from '../pods/pod-control.ts'
import { MetricError } from './replicas.ts'
import type { PodMetric, PodMetrics } from './replicas.ts'

const CUSTOM_GROUP = 'custom.metrics.k8s.io'
const CUSTOM_VERSIONS = new Set([`${CUSTOM_GROUP}/v1beta1`, `${CUSTOM_GROUP}/v1beta2`])
const DEFAULT_WINDOW_MS = 60_000

/** Shapes of the answers, as far as they are read here. */
interface Items<T> {
  readonly items?: readonly T[]
}
interface PodMetricsItem {
  readonly metadata: { readonly name: string }
  readonly timestamp: string
  readonly window: string
  readonly containers?: readonly { readonly name: string; readonly usage: Readonly<Record<string, string>> }[]
}
interface MetricValue {
  readonly describedObject: { readonly name: string }
  readonly timestamp: string
  /** v1beta2, and v1beta1. */
  readonly windowSeconds?: number
  readonly window?: number
  readonly value: string
}
interface Groups {
  readonly groups: readonly {
    readonly name: string
    readonly versions: readonly { readonly groupVersion: string }[]
    readonly preferredVersion?: { readonly groupVersion: string }
  }[]
}

async function askApi<T>(client: Client, api: string, resource: string, path: string, query: Readonly<Record<string, string>>): Promise<T> {
  const present = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''))
  try {
    return (await client.getPath(path, present)) as T
  } catch (error) {
    if (!isApiError(error)) throw error
    // A server without this API answers by a page; clients say it so.
    const isUnserved = error.reason === 'NotFound' && !error.status.details?.name
    const message = isUnserved ? `the server could not find the requested resource (get ${resource})` : error.message
    throw new MetricError(`unable to fetch metrics from ${api} metrics API: ${message}`)
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** "1m30s", as Go prints durations. */
function durationMs(text: string): number {
  let ms = 0
  for (const [, count, unit] of text.matchAll(/([\d.]+)(h|ms|m|s)/g)) ms += Number(count) * UNITS_MS[unit!]!
  return ms
}

/** The use of a resource by each pod, or by one container of each. Pods that do not tell it are absent. */
export async function resourceMetrics(
  client: Client,
  namespace: string,
  labelSelector: string,
  resource: string,
  container: string | undefined,
): Promise<PodMetrics> {
  const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`
  const { items = [] } = await askApi<Items<PodMetricsItem>>(client, 'resource', 'pods.metrics.k8s.io', path, { labelSelector })
  if (items.length === 0) throw new MetricError('no metrics returned from resource metrics API')
  const metrics = new Map<string, PodMetric>()
  for (const { metadata, timestamp, window, containers = [] } of items) {
    const counted = container === undefined ? containers : containers.filter(({ name }) => name === container)
    if (counted.length === 0 || counted.some(({ usage }) => usage[resource] === undefined)) continue
    const value = counted.reduce((sum, { usage }) => sum + toMilli(usage[resource]!), 0)
    metrics.set(metadata.name, { timestampMs: Date.parse(timestamp), windowMs: durationMs(window), value })
  }
  return metrics
}

async function customVersion(client: Client): Promise<string> {
  const { groups } = (await client.getPath('/apis')) as Groups
  const group = groups.find(({ name }) => name === CUSTOM_GROUP)
  if (!group) throw new MetricError(`unable to fetch metrics from custom metrics API: no custom metrics API (${CUSTOM_GROUP}) registered`)
  const versions = [group.preferredVersion?.groupVersion ?? '', ...group.versions.map(({ groupVersion }) => groupVersion)]
  const known = versions.find((version) => CUSTOM_VERSIONS.has(version))
  if (!known) throw new MetricError('unable to fetch metrics from custom metrics API: no known available metric versions found')
  return known
}

const selectorText = ({ selector }: MetricIdentifier): string => (selector ? formatLabelSelector(selector) : '')

/** A metric of each pod. */
export async function podMetrics(client: Client, namespace: string, labelSelector: string, metric: MetricIdentifier): Promise<PodMetrics> {
  const path = `/apis/${await customVersion(client)}/namespaces/${namespace}/pods/*/${encodeURIComponent(metric.name)}`
  const query = { labelSelector, metricLabelSelector: selectorText(metric) }
  const { items = [] } = await askApi<Items<MetricValue>>(client, 'custom', `pods.${CUSTOM_GROUP}`, path, query)
  if (items.length === 0) throw new MetricError('no metrics returned from custom metrics API')
  return new Map(
    items.map(({ describedObject, timestamp, windowSeconds, window, value }) => {
      const seconds = windowSeconds ?? window
      const windowMs = seconds === undefined ? DEFAULT_WINDOW_MS : seconds * 1000
      return [describedObject.name, { timestampMs: Date.parse(timestamp), windowMs, value: toMilli(value) }]
    }),
  )
}

/** A metric of one object in the namespace, or of the namespace itself, in thousandths. */
export async function objectMetric(
  client: Client,
  namespace: string,
  { apiVersion = '', kind, name }: CrossVersionObjectReference,
  metric: MetricIdentifier,
): Promise<number> {
  const root = `/apis/${await customVersion(client)}/namespaces/${namespace}`
  const metricName = encodeURIComponent(metric.name)
  const isNamespace = kind === 'Namespace' && !apiVersion.includes('/')
  const resource = isNamespace ? 'metrics' : await resourceNameOf(client, apiVersion || 'v1', kind)
  const path = isNamespace ? `${root}/metrics/${metricName}` : `${root}/${resource}/${encodeURIComponent(name)}/${metricName}`
  const query = { metricLabelSelector: selectorText(metric) }
  const { items = [] } = await askApi<Items<MetricValue>>(client, 'custom', `${resource}.${CUSTOM_GROUP}`, path, query)
  if (items.length !== 1) {
    const count = `the custom metrics API server returned ${items.length} results when we asked for exactly one`
    throw new MetricError(`unable to fetch metrics from custom metrics API: ${count}`)
  }
  return toMilli(items[0]!.value)
}

async function resourceNameOf(client: Client, apiVersion: string, kind: string): Promise<string> {
  try {
    const { group, resource } = await client.resourceOf(`${apiVersion}/${kind}`)
    return qualifiedResource(group, resource)
  } catch (error) {
    throw new MetricError(`unable to fetch metrics from custom metrics API: unable to map kind ${kind} to resource: ${messageOf(error)}`)
  }
}

/** The values of a metric from outside the cluster, in thousandths. */
export async function externalMetrics(client: Client, namespace: string, metric: MetricIdentifier): Promise<readonly number[]> {
  const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${encodeURIComponent(metric.name)}`
  const resource = `${metric.name}.external.metrics.k8s.io`
  const { items = [] } = await askApi<Items<{ readonly value: string }>>(client, 'external', resource, path, {
    labelSelector: selectorText(metric),
  })
  if (items.length === 0) throw new MetricError('no metrics returned from external metrics API')
  return items.map(({ value }) => toMilli(value))
}
