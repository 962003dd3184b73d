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

export interface ListOptions {
  readonly objects: number
  readonly runs: number
  /** "?labelSelector=part=p-1" selects ten of them. */
  readonly query: string
  readonly isCompressed: boolean
}

/** Makes so many pods that no scheduler takes (they wait at a gate) and lists them, or some; each run's milliseconds to the last byte. */
async function list(
  endpoint: Endpoint,
  { objects, runs, query, isCompressed }: ListOptions,
): Promise<{ readonly ms: readonly number[]; readonly bytes: number }> {
  const connections = await openMany(endpoint, 16)
  await makeNamespace(connections[0]!, NAMESPACE)
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`
  await eachOf(connections, objects, (connection, index) =>
    expect(connection, [201], 'POST', path, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `l-${index}`, labels: { app: 'bench', part: `p-${index % (objects / 10)}` } },
      spec: { schedulingGates: [{ name: 'example.com/bench' }], containers: [{ name: 'main', image: 'registry.example.com/app:1' }] },
    }),
  )
  const ms: number[] = []
  let bytes = 0
  for (let i = 0; i <= runs; i++) {
    const start = performance.now()
    const answer = await connections[0]!.request('GET', path + query, undefined, { isCompressed })
    if (answer.status !== 200) throw new Error(`LIST answered ${answer.status}`)
    bytes = answer.bodyBytes
    // The first fills caches on either side.
    if (i > 0) ms.push(performance.now() - start)
  }
  for (const connection of connections) connection.close()
  return { ms, bytes }
}

const watches = (
  endpoint: Endpoint,
  options: { readonly watchers: number; readonly writers: number; readonly objects: number },
): Promise<WatchResult> => measureWatches(endpoint, { ...options, path: MAPS, body: (index) => mapOf(`w-${index}`) })

export const jobs = {
  creates,
  gets,
  applies,
  reviews,
  list,
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
