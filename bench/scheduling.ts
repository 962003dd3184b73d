/**
 * Pods a second that the scheduler binds, in the shapes of upstream's scheduler_perf (test/integration/scheduler_perf: SchedulingBasic,
 * SchedulingPodAffinity, SchedulingPodAntiAffinity, TopologySpreading, PreemptionBasic). Nodes are objects and no more: all pods
 * tolerate everything, so that it does not matter what becomes of nodes that nobody speaks for.
 */
import { eachOf, expect, makeNamespace, openMany, until } from './asking.ts'
import type { Connection } from './connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'

export type SchedulingShape = 'plain' | 'affinity' | 'anti-affinity' | 'spread' | 'preemption'

export interface SchedulingOptions {
  readonly shape: SchedulingShape
  readonly nodes: number
  /** Pods that are bound before the measured ones are made. */
  readonly before: number
  readonly pods: number
}

const TIMEOUT_SECONDS = 900
const FIRST = 'sched-0'
const MEASURED = 'sched-1'
const PRIORITY_CLASS = 'bench-high'
const ZONE = 'topology.kubernetes.io/zone'
const HOST = 'kubernetes.io/hostname'
const SPREAD_ZONES = ['moon-1', 'moon-2', 'moon-3']

function nodeOf(shape: SchedulingShape, index: number) {
  const name = `sched-${index}`
  const zone = shape === 'spread' ? SPREAD_ZONES[index % SPREAD_ZONES.length]! : 'zone1'
  const capacity = { cpu: '4', memory: '32Gi', pods: '110' }
  const status = { capacity, allocatable: capacity, conditions: [{ type: 'Ready', status: 'True' }] }
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { [HOST]: name, [ZONE]: zone } }, status }
}

const term = (color: string, topologyKey: string) => ({
  requiredDuringSchedulingIgnoredDuringExecution: [
    { labelSelector: { matchLabels: { color } }, topologyKey, namespaces: [FIRST, MEASURED] },
  ],
})

const spread = {
  topologySpreadConstraints: [
    { maxSkew: 5, topologyKey: ZONE, whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { color: 'blue' } } },
  ],
}

/** What sets a shape's pods apart from plain ones; spreading and preemption only measure theirs among others. */
function partsOf(shape: SchedulingShape, isMeasured: boolean): { readonly color?: string; readonly cpu: string; readonly spec: object } {
  switch (shape) {
    case 'plain':
      return { cpu: '100m', spec: {} }
    case 'affinity':
      return { color: 'blue', cpu: '100m', spec: { affinity: { podAffinity: term('blue', ZONE) } } }
    case 'anti-affinity':
      return { color: 'green', cpu: '100m', spec: { affinity: { podAntiAffinity: term('green', HOST) } } }
    case 'spread':
      return isMeasured ? { color: 'blue', cpu: '100m', spec: spread } : { cpu: '100m', spec: {} }
    case 'preemption':
      return isMeasured
        ? { cpu: '3000m', spec: { priorityClassName: PRIORITY_CLASS } }
        : { cpu: '900m', spec: { terminationGracePeriodSeconds: 0 } }
  }
}

function podOf(shape: SchedulingShape, isMeasured: boolean, index: number) {
  const { color, cpu, spec } = partsOf(shape, isMeasured)
  const amounts = { cpu, memory: '500Mi' }
  const container = { name: 'pause', image: 'registry.k8s.io/pause:3.10.2', ports: [{ containerPort: 80 }] }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod-${index}`, ...(color ? { labels: { color } } : {}) },
    spec: {
      ...spec,
      tolerations: [{ operator: 'Exists' }],
      containers: [{ ...container, resources: { requests: amounts, limits: amounts } }],
    },
  }
}

/** Whether the namespace has a pod without a node: an answer of one pod at most, so that asking costs the server little. */
async function hasUnbound(connection: Connection, namespace: string): Promise<boolean> {
  const path = `/api/v1/namespaces/${namespace}/pods?fieldSelector=spec.nodeName%3D&limit=1`
  return (JSON.parse(await expect(connection, [200], 'GET', path)) as { readonly items: readonly unknown[] }).items.length > 0
}

async function bind(connections: readonly Connection[], namespace: string, options: SchedulingOptions): Promise<number> {
  const isMeasured = namespace === MEASURED
  const start = performance.now()
  await eachOf(connections, isMeasured ? options.pods : options.before, (connection, i) =>
    expect(connection, [201], 'POST', `/api/v1/namespaces/${namespace}/pods`, podOf(options.shape, isMeasured, i)),
  )
  await until(
    async () => !(await hasUnbound(connections[0]!, namespace)),
    () => `not all pods of ${namespace} were bound`,
    { timeoutSeconds: TIMEOUT_SECONDS, everyMs: 50 },
  )
  return (performance.now() - start) / 1000
}

/** Measured pods a second, from the first request to the last binding. */
export async function scheduling(endpoint: Endpoint, options: SchedulingOptions): Promise<{ readonly perSecond: number }> {
  const connections = await openMany(endpoint, 16)
  const first = connections[0]!
  for (const namespace of [FIRST, MEASURED]) await makeNamespace(first, namespace)
  await expect(first, [201], 'POST', '/apis/scheduling.k8s.io/v1/priorityclasses', {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: PRIORITY_CLASS },
    value: 10,
  })
  await eachOf(connections, options.nodes, (connection, i) => expect(connection, [201], 'POST', '/api/v1/nodes', nodeOf(options.shape, i)))
  await bind(connections, FIRST, options)
  const seconds = await bind(connections, MEASURED, options)
  for (const connection of connections) connection.close()
  return { perSecond: options.pods / seconds }
}
