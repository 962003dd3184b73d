/** The loads that need a whole cluster: controllers, scheduler and, but for scheduling alone, nodes that run their pods. */
import { eachOf, expect, makeNamespace, NAMESPACE, openMany, until } from './asking.ts'
import type { Connection } from './connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'

const TIMEOUT_SECONDS = 900

interface StatusList {
  readonly items: readonly {
    readonly metadata: { readonly generation?: number }
    readonly spec: { readonly replicas?: number }
    readonly status?: {
      readonly phase?: string
      readonly conditions?: readonly { readonly type: string; readonly status: string }[]
      readonly observedGeneration?: number
      readonly replicas?: number
      readonly updatedReplicas?: number
      readonly availableReplicas?: number
    }
  }[]
}

type Item = StatusList['items'][number]

/** Lists until `count` objects are as wanted. */
async function untilCounted(
  connection: Connection,
  path: string,
  count: number,
  isRight: (item: Item) => boolean,
  everyMs = 250,
): Promise<void> {
  let right = 0
  await until(
    async () => {
      right = (JSON.parse(await expect(connection, [200], 'GET', path)) as StatusList).items.filter(isRight).length
      return right >= count
    },
    () => `${right} of ${count} at ${path} were as wanted`,
    { timeoutSeconds: TIMEOUT_SECONDS, everyMs },
  )
}

/** A figure for so many nodes counts only when so many take pods. */
export const untilNodesReady = (connection: Connection, count: number): Promise<void> =>
  untilCounted(
    connection,
    '/api/v1/nodes',
    count,
    ({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false,
  )

const containersOf = (version: number) => [
  { name: 'main', image: `registry.example.com/app:${version}`, resources: { requests: { cpu: '10m', memory: '10Mi' } } },
]

function deploymentOf(name: string, replicas: number) {
  const labels = { app: name }
  const template = { metadata: { labels }, spec: { containers: containersOf(1) } }
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec: { replicas, selector: { matchLabels: labels }, template } }
}

const DEPLOYMENTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`

const isRolledOut = ({ metadata, spec, status }: Item): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
  status?.replicas === spec.replicas &&
  status?.updatedReplicas === spec.replicas &&
  status?.availableReplicas === spec.replicas

/** Once all nodes are Ready, makes a Deployment of so many pods and waits until all are available: seconds from the request. */
async function deployment(endpoint: Endpoint, { nodes, replicas }: { readonly nodes: number; readonly replicas: number }): Promise<number> {
  const [connection] = await openMany(endpoint, 1)
  await untilNodesReady(connection!, nodes)
  await makeNamespace(connection!, NAMESPACE)
  const start = performance.now()
  await expect(connection!, [201], 'POST', DEPLOYMENTS, deploymentOf('large', replicas))
  await untilCounted(connection!, DEPLOYMENTS, 1, isRolledOut)
  connection!.close()
  return (performance.now() - start) / 1000
}

/** So many Deployments of five pods each, all made at once: seconds until the last is as it is wanted. */
async function fleet(
  endpoint: Endpoint,
  { nodes, deployments }: { readonly nodes: number; readonly deployments: number },
): Promise<number> {
  const connections = await openMany(endpoint, 16)
  const first = connections[0]!
  await untilNodesReady(first, nodes)
  await makeNamespace(first, NAMESPACE)
  const start = performance.now()
  await eachOf(connections, deployments, (connection, i) => expect(connection, [201], 'POST', DEPLOYMENTS, deploymentOf(`d-${i}`, 5)))
  await untilCounted(first, DEPLOYMENTS, deployments, isRolledOut, deployments)
  for (const connection of connections) connection.close()
  return (performance.now() - start) / 1000
}

/** So many Deployments of two pods each get a new image: seconds until the last has rolled. */
async function rolling(
  endpoint: Endpoint,
  { nodes, deployments }: { readonly nodes: number; readonly deployments: number },
): Promise<number> {
  const connections = await openMany(endpoint, 8)
  const first = connections[0]!
  await untilNodesReady(first, nodes)
  await makeNamespace(first, NAMESPACE)
  await eachOf(connections, deployments, (connection, i) => expect(connection, [201], 'POST', DEPLOYMENTS, deploymentOf(`d-${i}`, 2)))
  await untilCounted(first, DEPLOYMENTS, deployments, isRolledOut)
  const start = performance.now()
  const patch = { spec: { template: { spec: { containers: containersOf(2) } } } }
  const options = { contentType: 'application/merge-patch+json' }
  await eachOf(connections, deployments, (connection, i) => expect(connection, [200], 'PATCH', `${DEPLOYMENTS}/d-${i}`, patch, options))
  await untilCounted(first, DEPLOYMENTS, deployments, isRolledOut)
  for (const connection of connections) connection.close()
  return (performance.now() - start) / 1000
}

/** So many pods spread over all nodes by name; resolves when all are Running. */
async function fill(endpoint: Endpoint, { nodes, pods }: { readonly nodes: number; readonly pods: number }): Promise<void> {
  const connections = await openMany(endpoint, 16)
  const first = connections[0]!
  await untilNodesReady(first, nodes)
  await makeNamespace(first, NAMESPACE)
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`
  await eachOf(connections, pods, (connection, i) =>
    expect(connection, [201], 'POST', path, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p-${i}`, labels: { app: 'bench' } },
      spec: { nodeName: `node-${(i % nodes) + 1}`, containers: containersOf(1) },
    }),
  )
  await untilCounted(first, `${path}?labelSelector=app%3Dbench`, pods, ({ status }) => status?.phase === 'Running')
  for (const connection of connections) connection.close()
}

/** Fills a namespace with ConfigMaps and Secrets, deletes it, and waits until it is gone: seconds from the request. */
async function namespaceDeletion(endpoint: Endpoint, { objects }: { readonly objects: number }): Promise<number> {
  const connections = await openMany(endpoint, 16)
  const first = connections[0]!
  await makeNamespace(first, NAMESPACE)
  const path = `/api/v1/namespaces/${NAMESPACE}`
  await eachOf(connections, objects, (connection, i) => {
    const [kind, resource] = i % 2 === 0 ? ['ConfigMap', 'configmaps'] : ['Secret', 'secrets']
    return expect(connection, [201], 'POST', `${path}/${resource}`, { apiVersion: 'v1', kind, metadata: { name: `o-${i}` } })
  })
  const start = performance.now()
  await expect(first, [200, 202], 'DELETE', path)
  let status = 0
  await until(
    async () => (status = (await first.request('GET', path, undefined, { keepBody: true })).status) === 404,
    () => `the namespace was still there: ${status}`,
    { timeoutSeconds: TIMEOUT_SECONDS, everyMs: 50 },
  )
  for (const connection of connections) connection.close()
  return (performance.now() - start) / 1000
}

export const clusterJobs = { deployment, fleet, rolling, namespaceDeletion, fill } as const
