/** The loads: what is asked of the server, and what is measured. They run in a process of their own (load.ts). */
import { eachOf, expect, makeNamespace, NAMESPACE, openMany } from './asking.ts'
import { clusterJobs } from './cluster-jobs.ts'
import { containerJobs } from './containers.ts'
import type { Connection } from './connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import { PAYLOAD, subjects } from './extensions.ts'
import { fairness, fairnessClients } from './fairness.ts'
import { saturate, type Throughput } from './saturate.ts'
import { scheduling } from './scheduling.ts'
import { measureWatches, type WatchResult } from './watching.ts'

const MAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`

const mapOf = (name: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: NAMESPACE, labels: { app: 'bench' } },
    data: { value: PAYLOAD },
  })

export interface SaturateOptions {
  readonly connections: number
  readonly seconds: number
}

/** Creates of whatever stands behind, or in the way of, the path. */
async function creates(
  endpoint: Endpoint,
  { connections: count, seconds, subject = 'plain' }: SaturateOptions & { readonly subject?: keyof typeof subjects },
): Promise<Throughput> {
  const connections = await openMany(endpoint, count)
  await makeNamespace(connections[0]!, NAMESPACE)
  const { path, body, close } = await subjects[subject](connections[0]!)
  let serial = 0
  const run = Date.now().toString(36)
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => {
    const answer = await connection.request('POST', path, JSON.stringify(body(`c-${run}-${serial++}`)))
    return answer.status === 201
  })
  for (const connection of connections) connection.close()
  close?.()
  return result
}

async function gets(endpoint: Endpoint, { connections: count, seconds }: SaturateOptions): Promise<Throughput> {
  const connections = await openMany(endpoint, count)
  await makeNamespace(connections[0]!, NAMESPACE)
  for (let i = 0; i < 100; i++) await expect(connections[0]!, [201], 'POST', MAPS, mapOf(`g-${i}`))
  let serial = 0
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => {
    const answer = await connection.request('GET', `${MAPS}/g-${serial++ % 100}`)
    return answer.status === 200
  })
  for (const connection of connections) connection.close()
  return result
}

/** Applies ever new values of 100 ConfigMaps, each connection its own share: changes of one field by the same manager. */
async function applies(endpoint: Endpoint, { connections: count, seconds }: SaturateOptions): Promise<Throughput> {
  const connections = await openMany(endpoint, count)
  await makeNamespace(connections[0]!, NAMESPACE)
  let serial = 0
  const apply = (connection: Connection) => {
    const name = `a-${serial % 100}`
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value: PAYLOAD, serial: String(serial++) } }
    return connection.request('PATCH', `${MAPS}/${name}?fieldManager=bench`, JSON.stringify(body), {
      contentType: 'application/apply-patch+yaml',
    })
  }
  for (let i = 0; i < 100; i++) {
    const { status } = await apply(connections[0]!)
    if (status === 415) throw new Error('server-side apply is not served')
    if (status !== 201) throw new Error(`apply answered ${status}`)
  }
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => (await apply(connection)).status === 200)
  for (const connection of connections) connection.close()
  return result
}

const CLUSTER_BINDINGS = 1_000
const BOUND_NAMESPACES = 40
const BINDINGS_EACH = 100

const bindingOf = (kind: 'RoleBinding' | 'ClusterRoleBinding', user: string): object => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind,
  metadata: { name: user },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
})

/** Asks what users may do of whom 5,000 bindings tell, each of one user: every other question is to be allowed. */
async function reviews(endpoint: Endpoint, { connections: count, seconds }: SaturateOptions): Promise<Throughput> {
  const connections = await openMany(endpoint, count)
  const api = '/apis/rbac.authorization.k8s.io/v1'
  await eachOf(connections, CLUSTER_BINDINGS, (connection, index) =>
    expect(connection, [201], 'POST', `${api}/clusterrolebindings`, bindingOf('ClusterRoleBinding', `cluster-user-${index}`)),
  )
  await eachOf(connections, BOUND_NAMESPACES, (connection, index) => makeNamespace(connection, `bound-${index}`))
  await eachOf(connections, BOUND_NAMESPACES * BINDINGS_EACH, (connection, index) =>
    expect(
      connection,
      [201],
      'POST',
      `${api}/namespaces/bound-${index % BOUND_NAMESPACES}/rolebindings`,
      bindingOf('RoleBinding', `user-${index}`),
    ),
  )
  let serial = 0
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => {
    const question = serial++
    const bound = (question * 7) % (BOUND_NAMESPACES * BINDINGS_EACH)
    const isToBeAllowed = question % 2 === 0
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user: `user-${bound}`,
        groups: ['system:authenticated'],
        resourceAttributes: {
          namespace: `bound-${bound % BOUND_NAMESPACES}`,
          verb: isToBeAllowed ? 'get' : 'delete',
          version: 'v1',
          resource: 'pods',
          name: 'p',
        },
      },
    }
    const answer = await connection.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', JSON.stringify(review), {
      keepBody: true,
    })
    return answer.status === 201 && answer.body!.includes('"allowed":true') === isToBeAllowed
  })
  for (const connection of connections) connection.close()
  return result
}

const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`

export interface PodOptions {
  readonly objects: number
  /** So many nodes have them, which exist, too; without, they wait at a gate and no scheduler takes them. */
  readonly nodes?: number
}

/** Pods that stay as they are made: ten of each label, and of each node as many as of others. */
async function makePods(connections: readonly Connection[], { objects, nodes = 0 }: PodOptions): Promise<void> {
  await makeNamespace(connections[0]!, NAMESPACE)
  await eachOf(connections, nodes, (connection, index) =>
    expect(connection, [201], 'POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: `node-${index}` } }),
  )
  const containers = [{ name: 'main', image: 'registry.example.com/app:1' }]
  await eachOf(connections, objects, (connection, index) =>
    expect(connection, [201], 'POST', PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `l-${index}`, labels: { app: 'bench', part: `p-${index % (objects / 10)}` } },
      spec:
        nodes > 0 ? { nodeName: `node-${index % nodes}`, containers } : { schedulingGates: [{ name: 'example.com/bench' }], containers },
    }),
  )
}

/** Only makes them. */
async function hold(endpoint: Endpoint, options: PodOptions): Promise<void> {
  const connections = await openMany(endpoint, 64)
  await makePods(connections, options)
  for (const connection of connections) connection.close()
}

export interface ListOptions extends PodOptions {
  readonly runs: number
  /** "?labelSelector=part=p-1" selects ten of them. */
  readonly query: string
  readonly isCompressed: boolean
}

/** Makes so many pods and lists them, or some; each run's milliseconds to the last byte. */
async function list(
  endpoint: Endpoint,
  { runs, query, isCompressed, ...pods }: ListOptions,
): Promise<{ readonly ms: readonly number[]; readonly bytes: number }> {
  const connections = await openMany(endpoint, 16)
  await makePods(connections, pods)
  const ms: number[] = []
  let bytes = 0
  for (let i = 0; i <= runs; i++) {
    const start = performance.now()
    const answer = await connections[0]!.request('GET', PODS + query, undefined, { isCompressed })
    if (answer.status !== 200) throw new Error(`LIST answered ${answer.status}`)
    bytes = answer.bodyBytes
    // The first fills caches on either side.
    if (i > 0) ms.push(performance.now() - start)
  }
  for (const connection of connections) connection.close()
  return { ms, bytes }
}

/** GETs of one pod by some while another lists all of them, again and again. */
async function getsBesideLists(
  endpoint: Endpoint,
  { connections: count, seconds, objects }: SaturateOptions & PodOptions,
): Promise<Throughput & { readonly lists: number }> {
  const [lister, ...connections] = await openMany(endpoint, count + 1)
  await makePods(connections, { objects })
  let isOver = false
  let lists = 0
  const listing = (async () => {
    for (; !isOver; lists++) await expect(lister!, [200], 'GET', PODS)
  })()
  const result = await saturate(connections, 1000, seconds * 1000, async (connection) => {
    const answer = await connection.request('GET', `${PODS}/l-7`)
    return answer.status === 200
  })
  isOver = true
  await listing
  for (const connection of [lister!, ...connections]) connection.close()
  return { ...result, lists }
}

const watches = (
  endpoint: Endpoint,
  options: { readonly watchers: number; readonly writers: number; readonly objects: number; readonly connections?: number },
): Promise<WatchResult> => measureWatches(endpoint, { ...options, path: MAPS, body: (index) => mapOf(`w-${index}`) })

export const jobs = {
  creates,
  gets,
  applies,
  reviews,
  hold,
  list,
  getsBesideLists,
  watches,
  scheduling,
  fairness,
  fairnessClients,
  ...clusterJobs,
  ...containerJobs,
} as const
export type JobName = keyof typeof jobs
export type JobOptions<N extends JobName> = Parameters<(typeof jobs)[N]>[1]
export type JobResult<N extends JobName> = Awaited<ReturnType<(typeof jobs)[N]>>
