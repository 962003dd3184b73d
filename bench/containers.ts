/** The loads of real containers: from a pod's creation by a user to the word that it runs, as a watcher of pods hears it. */
import type { Endpoint } from '../upstream/endpoint.ts'
import { eachOf, expect, makeNamespace, NAMESPACE, openMany, until } from './asking.ts'
import { untilNodesReady } from './cluster-jobs.ts'
import { openConnection, type Connection } from './connection.ts'

const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
const TIMEOUT_SECONDS = 120

interface PodEvent {
  readonly type: string
  readonly object: { readonly metadata: { readonly name: string }; readonly status?: { readonly phase?: string } }
}

/** What a watch of the namespace's pods has said. */
interface Seen {
  /** When a pod was Running first, in milliseconds of performance.now. */
  readonly running: ReadonlyMap<string, number>
  readonly deleted: ReadonlySet<string>
  close(): void
}

async function watchPods(endpoint: Endpoint): Promise<Seen> {
  const connection = await openConnection(endpoint)
  const running = new Map<string, number>()
  const deleted = new Set<string>()
  let rest = ''
  const onBytes = (bytes: Buffer) => {
    const lines = (rest + bytes.toString()).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      const { type, object } = JSON.parse(line) as PodEvent
      const { name } = object.metadata
      if (object.status?.phase === 'Running' && !running.has(name)) running.set(name, performance.now())
      if (type === 'DELETED') deleted.add(name)
    }
  }
  const status = await connection.stream(`${PODS}?watch=true&resourceVersion=0`, onBytes, () => undefined)
  if (status !== 200) throw new Error(`watch answered ${status}`)
  return { running, deleted, close: () => connection.close() }
}

/** The image that the runtimes of both sides already have. */
const podOf = (name: string, image: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent' }] },
})

const create = (connection: Connection, name: string, image: string) => expect(connection, [201], 'POST', PODS, podOf(name, image))

const untilSeen = (isSeen: () => boolean, what: string): Promise<void> =>
  until(isSeen, () => `not seen: ${what}`, { timeoutSeconds: TIMEOUT_SECONDS, everyMs: 2 })

/** Makes the cluster ready for pods; nothing of it is measured. */
async function prepare(endpoint: Endpoint): Promise<{ readonly connections: readonly Connection[]; readonly seen: Seen }> {
  const connections = await openMany(endpoint, 8)
  const first = connections[0]!
  await untilNodesReady(first, 1)
  await makeNamespace(first, NAMESPACE)
  const hasAuthority = async () =>
    (await first.request('GET', `/api/v1/namespaces/${NAMESPACE}/configmaps/kube-root-ca.crt`)).status === 200
  await until(hasAuthority, () => 'the namespace has no root CA', { timeoutSeconds: TIMEOUT_SECONDS, everyMs: 20 })
  return { connections, seen: await watchPods(endpoint) }
}

export interface ContainerOptions {
  readonly pods: number
  readonly image: string
}

/** Pods one after the other, each deleted before the next: milliseconds from each request to Running. The first is not counted. */
async function containers(endpoint: Endpoint, { pods, image }: ContainerOptions): Promise<readonly number[]> {
  const { connections, seen } = await prepare(endpoint)
  const ms: number[] = []
  for (let i = 0; i <= pods; i++) {
    const name = `p-${i}`
    const start = performance.now()
    await create(connections[0]!, name, image)
    await untilSeen(() => seen.running.has(name), `${name} Running`)
    if (i > 0) ms.push(seen.running.get(name)! - start)
    await expect(connections[0]!, [200], 'DELETE', `${PODS}/${name}`)
    await untilSeen(() => seen.deleted.has(name), `${name} deleted`)
  }
  for (const one of [...connections, seen]) one.close()
  return ms
}

/** All pods at once: seconds from the first request to the last Running. */
async function containersAtOnce(endpoint: Endpoint, { pods, image }: ContainerOptions): Promise<number> {
  const { connections, seen } = await prepare(endpoint)
  const start = performance.now()
  await eachOf(connections, pods, (connection, i) => create(connection, `p-${i}`, image))
  await untilSeen(() => seen.running.size >= pods, `${pods} pods Running`)
  const seconds = (Math.max(...seen.running.values()) - start) / 1000
  for (const one of [...connections, seen]) one.close()
  return seconds
}

export const containerJobs = { containers, containersAtOnce } as const
