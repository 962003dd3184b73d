/** The loads: what is asked of the server, and what is measured. They run in a process of their own (load.ts). */
import { openConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import type { Endpoint } from './kubeconfig.ts'

export interface Throughput {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

const NAMESPACE = 'bench'
const MAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`
/** Length of the value that makes a ConfigMap of about 1 kB. */
const PAYLOAD = 'x'.repeat(750)

const mapOf = (name: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: NAMESPACE, labels: { app: 'bench' } },
    data: { value: PAYLOAD },
  })

async function openMany(endpoint: Endpoint, count: number): Promise<readonly Connection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(endpoint)))
}

async function expect(connection: Connection, statuses: readonly number[], method: string, path: string, body?: string): Promise<void> {
  const answer = await connection.request(method, path, body, true)
  if (!statuses.includes(answer.status)) throw new Error(`${method} ${path}: ${answer.status} ${answer.body?.slice(0, 500)}`)
}

/** A fresh, empty namespace's worth of room: makes the namespace if needed and empties it of ConfigMaps. */
async function prepare(connection: Connection): Promise<void> {
  await expect(
    connection,
    [201, 409],
    'POST',
    '/api/v1/namespaces',
    JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }),
  )
  await expect(connection, [200], 'DELETE', MAPS)
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

/** Each connection asks again as soon as it is answered; what ends inside the window counts. */
async function saturate(
  connections: readonly Connection[],
  warmUpMs: number,
  windowMs: number,
  ask: (connection: Connection) => Promise<boolean>,
): Promise<Throughput> {
  const start = performance.now() + warmUpMs
  const end = start + windowMs
  const latencies: number[] = []
  let errors = 0
  await Promise.all(
    connections.map(async (connection) => {
      for (let now = performance.now(); now < end;) {
        const asked = now
        const isRight = await ask(connection)
        now = performance.now()
        if (now < start || now >= end) continue
        if (isRight) latencies.push(now - asked)
        else errors++
      }
    }),
  )
  const sorted = Float64Array.from(latencies).toSorted()
  return { perSecond: (latencies.length * 1000) / windowMs, p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99), errors }
}

export interface SaturateOptions {
  readonly connections: number
  readonly seconds: number
}

async function creates(endpoint: Endpoint, { connections: count, seconds }: SaturateOptions): Promise<Throughput> {
  const connections = await openMany(endpoint, count)
  await prepare(connections[0]!)
  let serial = 0
  const run = Date.now().toString(36)
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => {
    const answer = await connection.request('POST', MAPS, mapOf(`c-${run}-${serial++}`))
    return answer.status === 201
  })
  for (const connection of connections) connection.close()
  return result
}

async function gets(endpoint: Endpoint, { connections: count, seconds }: SaturateOptions): Promise<Throughput> {
  const connections = await openMany(endpoint, count)
  await prepare(connections[0]!)
  for (let i = 0; i < 100; i++) await expect(connections[0]!, [201], 'POST', MAPS, mapOf(`g-${i}`))
  let serial = 0
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => {
    const answer = await connection.request('GET', `${MAPS}/g-${serial++ % 100}`)
    return answer.status === 200
  })
  for (const connection of connections) connection.close()
  return result
}

/** Makes `objects` ConfigMaps of 1 kB and lists them all; each run's milliseconds to the last byte. */
async function list(
  endpoint: Endpoint,
  { objects, runs }: { readonly objects: number; readonly runs: number },
): Promise<{ readonly ms: readonly number[]; readonly bytes: number }> {
  const connections = await openMany(endpoint, 16)
  await prepare(connections[0]!)
  let serial = 0
  await Promise.all(
    connections.map(async (connection) => {
      while (serial < objects) await expect(connection, [201], 'POST', MAPS, mapOf(`l-${serial++}`))
    }),
  )
  const ms: number[] = []
  let bytes = 0
  for (let i = 0; i <= runs; i++) {
    const start = performance.now()
    const answer = await connections[0]!.request('GET', MAPS)
    if (answer.status !== 200) throw new Error(`LIST answered ${answer.status}`)
    bytes = answer.bodyBytes
    // The first fills caches on either side.
    if (i > 0) ms.push(performance.now() - start)
  }
  for (const connection of connections) connection.close()
  return { ms, bytes }
}

/** Counts the lines of a watch: one an event. */
function countLines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++
  return count
}

/** Writers make `objects` ConfigMaps as fast as they can while every watcher watches: events that reached watchers a second. */
async function watches(
  endpoint: Endpoint,
  { watchers, writers, objects }: { readonly watchers: number; readonly writers: number; readonly objects: number },
): Promise<{ readonly perSecond: number; readonly deliveries: number; readonly seconds: number }> {
  const connections = await openMany(endpoint, writers)
  await prepare(connections[0]!)
  const answer = await connections[0]!.request('GET', `${MAPS}?limit=1`, undefined, true)
  const { resourceVersion } = (JSON.parse(answer.body!) as { metadata: { resourceVersion: string } }).metadata
  const watching = await openMany(endpoint, watchers)
  let deliveries = 0
  const all = Promise.withResolvers<void>()
  const wanted = watchers * objects
  for (const connection of watching) {
    const status = await connection.stream(`${MAPS}?watch=true&resourceVersion=${resourceVersion}`, (bytes) => {
      deliveries += countLines(bytes)
      if (deliveries >= wanted) all.resolve()
    })
    if (status !== 200) throw new Error(`watch answered ${status}`)
  }
  const start = performance.now()
  let serial = 0
  await Promise.all(
    connections.map(async (connection) => {
      while (serial < objects) await expect(connection, [201], 'POST', MAPS, mapOf(`w-${serial++}`))
    }),
  )
  await all.promise
  const seconds = (performance.now() - start) / 1000
  for (const connection of [...connections, ...watching]) connection.close()
  return { perSecond: deliveries / seconds, deliveries, seconds }
}

interface NodeList {
  readonly items: readonly { readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] } }[]
}

/** A figure for so many nodes counts only when so many take pods. */
async function untilNodesReady(connection: Connection, wanted: number, timeoutSeconds: number): Promise<void> {
  const start = performance.now()
  for (;;) {
    const answer = await connection.request('GET', '/api/v1/nodes', undefined, true)
    const { items } = JSON.parse(answer.body!) as NodeList
    const ready = items.filter(({ status }) =>
      status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    ).length
    if (ready >= wanted) return
    if (performance.now() - start > timeoutSeconds * 1000)
      throw new Error(`${ready} of ${wanted} nodes were Ready after ${timeoutSeconds} s`)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

interface DeploymentStatus {
  readonly status?: { readonly readyReplicas?: number }
}

/** Once all nodes are Ready, makes a Deployment of so many pods and waits until all are Ready: seconds from the request. */
async function rollout(
  endpoint: Endpoint,
  { nodes, replicas, timeoutSeconds }: { readonly nodes: number; readonly replicas: number; readonly timeoutSeconds: number },
): Promise<number> {
  const connection = await openConnection(endpoint)
  await untilNodesReady(connection, nodes, 60)
  await prepare(connection)
  const path = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`
  const labels = { app: 'rollout' }
  const containers = [{ name: 'main', image: 'registry.example.com/app:1', resources: { requests: { cpu: '10m', memory: '10Mi' } } }]
  const spec = { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } }
  const start = performance.now()
  await expect(
    connection,
    [201],
    'POST',
    path,
    JSON.stringify({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'rollout', namespace: NAMESPACE }, spec }),
  )
  for (;;) {
    const answer = await connection.request('GET', `${path}/rollout`, undefined, true)
    const seconds = (performance.now() - start) / 1000
    const ready = (JSON.parse(answer.body!) as DeploymentStatus).status?.readyReplicas ?? 0
    if (ready === replicas) {
      connection.close()
      return seconds
    }
    if (seconds > timeoutSeconds) throw new Error(`${ready} of ${replicas} pods were Ready after ${timeoutSeconds} s`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export const jobs = { creates, gets, list, watches, rollout } as const
export type JobName = keyof typeof jobs
export type JobOptions<N extends JobName> = Parameters<(typeof jobs)[N]>[1]
export type JobResult<N extends JobName> = Awaited<ReturnType<(typeof jobs)[N]>>
