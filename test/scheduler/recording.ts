/** Has upstream's kube-scheduler schedule the pods of random clusters at proa's API server, where nothing else runs, and tells what it decided. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Node, Pod } from '../../src/api/generated/core/v1.ts'
import type { KubeObject } from '../../src/api/object.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemClock, systemRandom } from '../../src/base/system.ts'
import type { Client } from '../../src/client/client.ts'
import { startApiPlane } from '../../src/cluster/api-plane.ts'
import { createAuthority } from '../../src/cluster/certificates.ts'
import * as identities from '../../src/cluster/identities.ts'
import { createLifecycle } from '../../src/cluster/lifecycle.ts'
import { serveTemporarily, temporaryTokenSigner } from '../../src/cluster/temporary-server.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { freePort, Group } from '../../upstream/processes.ts'
import { builtPrograms } from '../../upstream/programs.ts'
import { makeCluster, PRIORITIES } from './clusters.ts'
import type { RandomCluster } from './clusters.ts'

/** What became of one pod: its node, or the message of its condition; and whom it was to push aside. */
export interface Outcome {
  readonly text: string
  readonly nominated: string | undefined
  readonly victims: readonly string[]
}

/** Why nothing can be recorded, or false. */
export function noScheduler(): string | false {
  const built = builtPrograms(['kube-scheduler'])
  return 'missing' in built && "upstream's kube-scheduler is not built (npm run bench builds it)"
}

/** Time for the scheduler's watches to bring what was written, before a pod is to be scheduled with regard to it. */
const SETTLE_MS = Number(process.env['SETTLE_MS'] ?? 40)
const TIMEOUT_MS = 10_000
const ATTEMPTS = 3

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export async function recordClusters(
  seeds: readonly number[],
  progress: (done: number) => void = () => {},
): Promise<readonly (readonly Outcome[])[]> {
  const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
  const lifecycle = createLifecycle()
  const group = new Group()
  try {
    const options = { store: createMemoryStore(), tokenSigner: temporaryTokenSigner(), serviceCidr: '10.96.0.0/16' }
    const api = await startApiPlane(runtime, lifecycle, options)
    const { kubeconfig } = await serveTemporarily(runtime, lifecycle, api.server, () => createAuthority(runtime.clock, 'kubernetes'))
    const client = api.client(identities.administrator)
    const built = builtPrograms(['kube-scheduler'])
    if ('missing' in built) throw new Error('kube-scheduler is not built')
    const path = join(group.directory, 'kubeconfig')
    writeFileSync(path, kubeconfig, { mode: 0o600 })
    group.start(built['kube-scheduler'], [
      `--kubeconfig=${path}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${await freePort()}`,
      `--cert-dir=${group.directory}`,
      '--kube-api-qps=5000',
      '--kube-api-burst=5000',
    ])
    for (const [name, priority] of Object.entries(PRIORITIES)) {
      const object = { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name }, ...priority }
      await client.create('scheduling.k8s.io/v1/PriorityClass', object)
    }
    for (const namespace of makeCluster(1).namespaces) {
      await client.create('v1/Namespace', namespace)
      // Pods need one, and no controller makes it.
      await client.create('v1/ServiceAccount', { metadata: { name: 'default', namespace: namespace.metadata!.name! } })
    }
    const recorded: (readonly Outcome[])[] = []
    for (const seed of seeds) {
      recorded.push(await recordAgain(client, makeCluster(seed)))
      progress(recorded.length)
    }
    return recorded
  } finally {
    await group.stop()
    await lifecycle.stop()
  }
}

/** As clients write it: the server makes the uid, and finds the priority by its class. */
function written(pod: Pod): Pod {
  const { uid: _uid, ...metadata } = pod.metadata!
  const { priority: _priority, ...spec } = pod.spec!
  return { ...pod, metadata, spec }
}

async function createNode(client: Client, node: Node): Promise<void> {
  // Admission taints a new node as not ready; here nobody would ever lift it.
  const created = await client.create('v1/Node', { ...node, spec: {} })
  await client.update('v1/Node', { ...created, spec: node.spec ?? {} })
}

/** A pod that nobody looks at for so long is the fault of a machine that is too busy: the cluster is tried anew. */
async function recordAgain(client: Client, cluster: RandomCluster): Promise<readonly Outcome[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      const outcomes = await recordOne(client, cluster)
      if (outcomes) return outcomes
      if (attempt === ATTEMPTS) throw new Error('a pod was neither bound nor refused')
    } finally {
      await clear(client, cluster)
    }
  }
}

/** Undefined when some pod was left alone. */
async function recordOne(client: Client, cluster: RandomCluster): Promise<readonly Outcome[] | undefined> {
  const { nodes, csiNodes, classes, volumes, claims, services, placed, waiting } = cluster
  const all = (objects: readonly KubeObject[]) =>
    Promise.all(objects.map((object) => client.create(`${object.apiVersion}/${object.kind}`, object)))
  await Promise.all(nodes.map((node) => createNode(client, node)))
  await all([...csiNodes, ...classes, ...volumes, ...claims, ...services])
  for (const pod of placed) {
    await client.create('v1/Pod', written(pod))
    const key = { namespace: pod.metadata!.namespace, name: pod.metadata!.name! }
    await client.patch('v1/Pod', key, 'merge', { status: pod.status }, { subresource: 'status' })
  }
  await wait(SETTLE_MS * 2)
  const outcomes: Outcome[] = []
  for (const pod of waiting) {
    const outcome = await scheduleOne(client, pod)
    if (!outcome) return undefined
    outcomes.push(outcome)
    // A pod without a node would be tried again; the next one is to meet the cluster without it, and victims are gone for it, too.
    if (!outcome.text.startsWith('node-')) await remove(client, pod)
    await wait(SETTLE_MS)
  }
  return outcomes
}

/** Takes everything away again; what is gone already may be. */
async function clear(client: Client, cluster: RandomCluster): Promise<void> {
  const { namespaces, nodes, csiNodes, classes, volumes, claims, services } = cluster
  for (const namespace of namespaces) {
    const scope = { namespace: namespace.metadata!.name!, gracePeriodSeconds: 0 }
    await client.deleteCollection('v1/Pod', scope)
    await client.deleteCollection('v1/Event', scope)
    for (const { metadata } of services.filter((service) => service.metadata?.namespace === scope.namespace))
      await client.delete('v1/Service', { namespace: scope.namespace, name: metadata!.name! })
  }
  for (const { metadata } of claims) await finishDeletion(client, 'v1/PersistentVolumeClaim', metadata!.name!, metadata!.namespace)
  for (const { metadata } of volumes) await finishDeletion(client, 'v1/PersistentVolume', metadata!.name!)
  for (const { metadata } of classes) await client.delete('storage.k8s.io/v1/StorageClass', { name: metadata!.name! })
  for (const { metadata } of csiNodes) await client.delete('storage.k8s.io/v1/CSINode', { name: metadata!.name! })
  for (const { metadata } of nodes) await client.delete('v1/Node', { name: metadata!.name! })
  await wait(SETTLE_MS)
}

/** Nobody is there to lift the finalizers that protect what is in use. */
async function finishDeletion(
  client: Client,
  kind: 'v1/PersistentVolume' | 'v1/PersistentVolumeClaim',
  name: string,
  namespace?: string,
): Promise<void> {
  const key = { name, namespace }
  await client.patch(kind, key, 'merge', { metadata: { finalizers: null } })
  await client.delete(kind, key)
}

const remove = (client: Client, { metadata }: Pod) =>
  client.delete('v1/Pod', { namespace: metadata!.namespace, name: metadata!.name! }, { gracePeriodSeconds: 0 })

async function scheduleOne(client: Client, pod: Pod): Promise<Outcome | undefined> {
  const before = await podNames(client)
  await client.create('v1/Pod', written(pod))
  const key = { namespace: pod.metadata!.namespace, name: pod.metadata!.name! }
  for (const until = performance.now() + TIMEOUT_MS; performance.now() < until; await wait(2)) {
    const found = await client.get('v1/Pod', key)
    if (found.spec?.nodeName) return { text: found.spec.nodeName, nominated: undefined, victims: [] }
    const condition = found.status?.conditions?.find(({ type }) => type === 'PodScheduled')
    if (!condition) continue
    const nominated = found.status?.nominatedNodeName
    if (nominated) await wait(SETTLE_MS)
    const after = await podNames(client)
    return { text: condition.message ?? '', nominated, victims: nominated ? [...before].filter((name) => !after.has(name)).toSorted() : [] }
  }
  return undefined
}

async function podNames(client: Client): Promise<ReadonlySet<string>> {
  return new Set((await client.list('v1/Pod')).items.map(({ metadata }) => metadata!.name!))
}
