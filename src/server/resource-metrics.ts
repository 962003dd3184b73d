/**
 * The metrics.k8s.io/v1beta1 API, by which `kubectl top` and autoscalers learn what pods and nodes use; upstream's clusters get it from a
 * metrics server. Nothing is stored: nodes are asked when a client asks. An APIService that names a service takes the API over.
 */
import type { ApiResponse } from '../api/exchange.ts'
import type { Node, Pod } from '../api/generated/core/v1.ts'
import type { NodeUsage, ResourceUsage } from '../api/node-service.ts'
import { parseFieldSelector, parseLabelSelector } from '../api/selectors.ts'
import { badRequest, failure, isApiError, notFound } from '../api/status.ts'
import type { APIGroupDiscovery } from './discovery.ts'
import type { Call, Core } from './core.ts'
import type { PathHandler } from './router.ts'

const GROUP = 'metrics.k8s.io'
const VERSION = 'v1beta1'
/** A node that answers later is left out, as one that a metrics server could not scrape. */
const TIMEOUT_MS = 10_000
/** Nodes asked at the same time. */
const MAX_CONCURRENT = 64
const VERBS = ['get', 'list']

interface Kind {
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
}

const NODES: Kind = { resource: 'nodes', kind: 'NodeMetrics', namespaced: false }
const PODS: Kind = { resource: 'pods', kind: 'PodMetrics', namespaced: true }

/** For the aggregated discovery document. */
export const resourceMetricsGroup: APIGroupDiscovery = {
  metadata: { name: GROUP },
  versions: [
    {
      version: VERSION,
      freshness: 'Current',
      resources: [NODES, PODS].map(({ resource, kind, namespaced }) => ({
        resource,
        responseKind: { group: GROUP, version: VERSION, kind },
        scope: namespaced ? 'Namespaced' : 'Cluster',
        singularResource: '',
        verbs: VERBS,
      })),
    },
  ],
}

const RESOURCE_LIST = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: `${GROUP}/${VERSION}`,
  resources: [NODES, PODS].map(({ resource, kind, namespaced }) => ({ name: resource, singularName: '', namespaced, kind, verbs: VERBS })),
}

const encoder = new TextEncoder()
const json = (value: object): ApiResponse => ({
  type: 'raw',
  status: 200,
  contentType: 'application/json',
  body: encoder.encode(`${JSON.stringify(value)}\n`),
})

export const resourceMetricsPaths: PathHandler = async (core, call) => {
  const { info } = call
  if (info.path.replace(/\/$/, '') === `/apis/${GROUP}/${VERSION}`) return json(RESOURCE_LIST)
  if (!info.isResource || info.group !== GROUP || info.version !== VERSION) return undefined
  const isRead = info.verb === 'get' || info.verb === 'list'
  if ((info.resource !== 'nodes' && info.resource !== 'pods') || info.subresource !== '') return undefined
  if (!isRead) throw failure('MethodNotAllowed', `${info.verb} is not supported on resources of kind "${info.resource}.${GROUP}"`)
  return json(info.resource === 'nodes' ? await nodeMetrics(core, call) : await podMetrics(core, call))
}

async function nodeMetrics(core: Core, { info, request }: Call): Promise<object> {
  if (info.verb === 'get') {
    const node = core.reader.get('v1/Node', undefined, info.name)
    if (!node) throw notFound('', 'nodes', info.name)
    const usage = (await usageOf(core, [info.name], request.signal)).get(info.name)
    if (!usage) throw notFound(GROUP, 'nodemetrics', info.name)
    return { kind: NODES.kind, apiVersion: `${GROUP}/${VERSION}`, ...nodeItem(node, usage) }
  }
  const nodes = core.reader.list('v1/Node').filter(selection(request.query))
  const usages = await usageOf(
    core,
    nodes.map(({ metadata }) => metadata?.name ?? ''),
    request.signal,
  )
  const items = nodes.flatMap((node) => {
    const usage = usages.get(node.metadata?.name ?? '')
    return usage ? nodeItem(node, usage) : []
  })
  return listOf(NODES, items)
}

async function podMetrics(core: Core, { info, request }: Call): Promise<object> {
  if (info.verb === 'get') {
    const pod = core.reader.get('v1/Pod', info.namespace, info.name)
    if (!pod) throw notFound('', 'pods', info.name)
    const usages = await usageOf(core, [pod.spec?.nodeName ?? ''], request.signal)
    const [item] = podItems([pod], usages)
    if (!item) throw notFound(GROUP, 'podmetrics', `${info.namespace}/${info.name}`)
    return { kind: PODS.kind, apiVersion: `${GROUP}/${VERSION}`, ...item }
  }
  const pods = core.reader.list('v1/Pod', info.namespace === '' ? undefined : info.namespace).filter(selection(request.query))
  const names = new Set(pods.map(({ spec }) => spec?.nodeName ?? ''))
  return listOf(PODS, podItems(pods, await usageOf(core, [...names], request.signal)))
}

const listOf = ({ kind }: Kind, items: readonly object[]): object => ({
  kind: `${kind}List`,
  apiVersion: `${GROUP}/${VERSION}`,
  metadata: {},
  items,
})

/** By labels, and by name and namespace. */
function selection(query: URLSearchParams): (object: Node | Pod) => boolean {
  const matches = parseLabelSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '')
  for (const { field } of fields)
    if (field !== 'metadata.name' && field !== 'metadata.namespace') throw badRequest(`field label not supported: ${field}`)
  return ({ metadata }) =>
    matches(metadata?.labels ?? {}) &&
    fields.every(
      ({ field, operator, value }) => ((field === 'metadata.name' ? metadata?.name : metadata?.namespace) === value) === (operator === '='),
    )
}

/** What each of the nodes says; those that cannot be reached, or say nothing in time, are missing. */
async function usageOf(core: Core, names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, NodeUsage>> {
  const found = new Map<string, NodeUsage>()
  const late = new AbortController()
  const cancel = core.runtime.clock.setTimeout(() => late.abort(), TIMEOUT_MS)
  const isLate = new Promise<void>((resolve) => late.signal.addEventListener('abort', () => resolve(), { once: true }))
  const limit = AbortSignal.any([signal, late.signal])
  const waiting = [...names]
  const ask = async () => {
    for (let name = waiting.pop(); name !== undefined && !limit.aborted; name = waiting.pop()) {
      const usage = core.nodes(name)?.usage
      if (!usage) continue
      try {
        found.set(name, await usage(limit))
      } catch (error) {
        const isOrdinary = isApiError(error) || limit.aborted
        if (!isOrdinary) core.runtime.log.warn('the usage of a node is not known', { node: name, error: String(error) })
      }
    }
  }
  await Promise.race([Promise.all(Array.from({ length: Math.min(MAX_CONCURRENT, names.length) }, ask)), isLate])
  cancel()
  return found
}

function podItems(pods: readonly Pod[], usages: ReadonlyMap<string, NodeUsage>): readonly object[] {
  const byPod = new Map<string, { readonly usage: NodeUsage; readonly pod: NodeUsage['pods'][number] }>()
  for (const usage of usages.values()) for (const pod of usage.pods) byPod.set(`${pod.namespace}/${pod.name}`, { usage, pod })
  return pods.flatMap(({ metadata }) => {
    const found = byPod.get(`${metadata?.namespace}/${metadata?.name}`)
    if (!found) return []
    const { name, namespace, labels } = metadata!
    return {
      metadata: { name, namespace, creationTimestamp: secondsOf(found.usage.atMs), ...(labels ? { labels } : {}) },
      ...momentOf(found.usage),
      containers: found.pod.containers.map((container) => ({ name: container.name, usage: quantities(container) })),
    }
  })
}

function nodeItem({ metadata }: Node, usage: NodeUsage): object {
  const { name, labels } = metadata!
  return {
    metadata: { name, creationTimestamp: secondsOf(usage.atMs), ...(labels ? { labels } : {}) },
    ...momentOf(usage),
    usage: quantities(usage.node),
  }
}

const secondsOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`
const momentOf = ({ atMs, windowMs }: NodeUsage): object => ({ timestamp: secondsOf(atMs), window: `${windowMs / 1000}s` })

/** In the units of upstream's metrics server. */
const quantities = ({ cpuNanoCores, workingSetBytes }: ResourceUsage): object => ({
  cpu: cpuNanoCores === 0 ? '0' : `${cpuNanoCores}n`,
  memory: workingSetBytes % 1024 === 0 ? (workingSetBytes === 0 ? '0' : `${workingSetBytes / 1024}Ki`) : String(workingSetBytes),
})
