/**
 * Either half is upstream's: proa's controllers work on upstream's kube-apiserver, and upstream's kube-controller-manager on proa's
 * API server. Both bring the example to the same end state: every field of every object, but for what is made by chance.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Pod } from '../src/api/generated/core/v1.ts'
import type { KubeObject } from '../src/api/object.ts'
import { isApiError } from '../src/api/status.ts'
import { parseYamlDocuments } from '../src/api/yaml.ts'
import { timestamp, microTimestamp } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemClock, systemRandom } from '../src/base/system.ts'
import type { Client } from '../src/client/client.ts'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, loadConnection, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { createInformer } from '../src/client/informer.ts'
import { startApiPlane } from '../src/cluster/api-plane.ts'
import { createAuthority } from '../src/cluster/certificates.ts'
import { createLifecycle } from '../src/cluster/lifecycle.ts'
import { newServiceAccountKey } from '../src/cluster/pki.ts'
import { serveTemporarily } from '../src/cluster/temporary-server.ts'
import { builtInControllers } from '../src/controllers/index.ts'
import { runControllers } from '../src/controllers/run.ts'
import { createTokenSigner } from '../src/server/http/tokens.ts'
import { createMemoryStore } from '../src/store/memory.ts'
import { startApiServer, writeApiServerFiles } from '../upstream/api-server.ts'
import { freePort, Group } from '../upstream/processes.ts'
import { builtPrograms } from '../upstream/programs.ts'
import { untilReady } from '../upstream/ready.ts'

const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const
const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const TIMEOUT_MS = 60_000
const runtime = { clock: systemClock, random: systemRandom, log: silentLog }

const programs = builtPrograms(PROGRAMS)
const skip = 'missing' in programs ? `upstream's programs are not built: ${programs.missing.join(', ')} (npm run bench builds them)` : false

function built(): Record<(typeof PROGRAMS)[number], string> {
  if ('missing' in programs) throw new Error(`not built: ${programs.missing.join(', ')}`)
  return programs
}

/** Upstream's API server with proa's controllers. */
async function startOnUpstream(t: TestContext): Promise<Client> {
  const group = new Group()
  t.after(group.stop)
  const port = await freePort()
  const files = await writeApiServerFiles(group.directory, port)
  await startApiServer(group, built(), files, port)
  await untilReady(group, files.kubeconfig, performance.now())
  const transport = createHttpTransport(loadConnection(files.kubeconfig).options)
  const client = createClient(transport.transport)
  const stop = new AbortController()
  const rootCa = readFileSync(files.authority, 'utf8')
  const running = runControllers(runtime, client, builtInControllers({ rootCa }), stop.signal)
  t.after(async () => {
    stop.abort()
    await running
    transport.close()
  })
  return client
}

/** proa's API server with upstream's controllers. */
async function startOnProa(t: TestContext): Promise<Client> {
  const lifecycle = createLifecycle()
  t.after(() => lifecycle.stop())
  const privateKey = newServiceAccountKey()
  const tokenSigner = createTokenSigner({ issuer: ISSUER, privateKey })
  const api = await startApiPlane(runtime, lifecycle, { store: createMemoryStore(), tokenSigner, serviceCidr: '10.96.0.0/16' })
  const { kubeconfig } = await serveTemporarily(runtime, lifecycle, api.server, () => createAuthority(systemClock, 'proa'))
  const group = new Group()
  t.after(group.stop)
  const write = (name: string, text: string): string => {
    const path = join(group.directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const options = optionsFromKubeconfig(kubeconfig)
  group.start(built()['kube-controller-manager'], [
    `--kubeconfig=${write('kubeconfig', kubeconfig)}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--secure-port=${await freePort()}`,
    `--cert-dir=${join(group.directory, 'certificates')}`,
    `--service-account-private-key-file=${write('account.key', privateKey)}`,
    `--root-ca-file=${write('ca.crt', String(options.ca))}`,
    '--use-service-account-credentials=true',
  ])
  const transport = createHttpTransport(options)
  t.after(async () => transport.close())
  return createClient(transport.transport)
}

async function until(what: string, isMet: () => Promise<boolean>, state: () => Promise<unknown> = async () => ''): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS
  while (!(await isMet())) {
    if (performance.now() > deadline) throw new Error(`not within ${TIMEOUT_MS / 1000} s: ${what} ${JSON.stringify(await state())}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const UID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g
const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g
const CLUSTER_IP = /\b10\.96\.\d+\.\d+\b/g
const POD_IP = /\b10\.0\.\d+\.\d+\b/g
/** Names of pods and slices end by chance; the hash of a template is over what Go's structures print, which proa has none of. */
const HASH = /\bhello-[0-9a-z]{8,10}\b/g
const SUFFIX = /\b(hello-(?:<hash>-)?|kube-api-access-)[a-z0-9]{5}\b/g
/** Who writes is named differently, and when; the certificate is each server's own. */
const LEFT_OUT = new Set([
  'managedFields',
  'resourceVersion',
  'ca.crt',
  'pod-template-hash',
  'endpoints.kubernetes.io/last-change-trigger-time',
])
/** How many steps the way took. */
const STEPS_KINDS = new Set(['discovery.k8s.io/v1/EndpointSlice'])

const isEmpty = (value: unknown): boolean => value === null || (typeof value === 'object' && Object.keys(value).length === 0)

function normal(given: unknown): unknown {
  if (typeof given === 'string')
    return given
      .replaceAll(UID, '<uid>')
      .replaceAll(TIME, '<time>')
      .replaceAll(CLUSTER_IP, '<cluster ip>')
      .replaceAll(POD_IP, '<pod ip>')
      .replaceAll(HASH, 'hello-<hash>')
      .replaceAll(SUFFIX, '$1<chance>')
  if (Array.isArray(given)) {
    const items = given.map(normal)
    // Conditions and endpoints are sets.
    return items.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  }
  if (typeof given !== 'object' || given === null) return given
  const entries = Object.entries(given).filter(([key]) => !LEFT_OUT.has(key))
  return Object.fromEntries(
    entries
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, normal(item)] as const)
      .filter(([, item]) => !isEmpty(item)),
  )
}

const KINDS = [
  'apps/v1/Deployment',
  'apps/v1/ReplicaSet',
  'v1/Pod',
  'v1/Service',
  'v1/Endpoints',
  'discovery.k8s.io/v1/EndpointSlice',
  'v1/ServiceAccount',
  'v1/ConfigMap',
  'policy/v1/PodDisruptionBudget',
  'batch/v1/Job',
]

async function stateOf(client: Client): Promise<Readonly<Record<string, unknown>>> {
  const lists = await Promise.all(
    KINDS.map(async (kind) => {
      const { items } = await client.list<string>(kind, { namespace: 'default' })
      const own = items.filter(({ metadata }) => metadata?.name !== 'kubernetes')
      const plain = own.map(({ kind: _kind, apiVersion: _apiVersion, metadata, ...rest }) => {
        const { generation, ...others } = metadata ?? {}
        return { ...rest, metadata: STEPS_KINDS.has(kind) ? others : { ...others, generation } }
      })
      return [kind, normal(plain)] as const
    }),
  )
  return Object.fromEntries(lists)
}

/** Upstream's API server looks after cluster IPs from a cache, and at times repairs that of a Service which its cache does not know yet. */
const OF_THE_SERVER: ReadonlySet<string | undefined> = new Set(['ClusterIPNotAllocated'])

const events = async (client: Client): Promise<readonly string[]> => {
  const { items } = await client.list('v1/Event', { namespace: 'default' })
  return items
    .filter(({ involvedObject, reason }) => involvedObject.kind !== 'Node' && !OF_THE_SERVER.has(reason))
    .map(({ involvedObject, type, reason, message, source }) =>
      String(normal([involvedObject.kind, type ?? '', reason ?? '', message ?? '', source?.component ?? ''].join(' | '))),
    )
    .toSorted()
}

const NODE = 'node-1'
const HEARTBEAT_MS = 5000

/** Stands in for a scheduler and a node: pods are bound, run as soon as they are, and go as soon as they are deleted. */
async function startNode(t: TestContext, client: Client, problems: string[]): Promise<void> {
  const lease = { namespace: 'kube-node-lease', name: NODE }
  const ready = [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }]
  await client.create('v1/Node', { metadata: { name: NODE }, status: { conditions: ready } })
  const noting = (error: unknown) => (isApiError(error, 'NotFound', 'Conflict') ? undefined : problems.push(String(error)))
  const spec = () => ({ holderIdentity: NODE, renewTime: microTimestamp(systemClock) })
  await client.create('coordination.k8s.io/v1/Lease', { metadata: lease, spec: spec() })
  const heart = setInterval(() => {
    client.patch('coordination.k8s.io/v1/Lease', lease, 'merge', { spec: spec() }).catch(noting)
  }, HEARTBEAT_MS)

  const pods = createInformer(runtime, client, 'v1/Pod')
  let addresses = 0
  const step = async (pod: Pod): Promise<unknown> => {
    const key = { namespace: pod.metadata!.namespace!, name: pod.metadata!.name! }
    if (pod.metadata?.deletionTimestamp) return client.delete('v1/Pod', key, { gracePeriodSeconds: 0 })
    if (!pod.spec?.nodeName) {
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: key, target: { kind: 'Node', name: NODE } }
      return client.createSubresource('v1/Pod', key, 'binding', binding)
    }
    if (pod.status?.phase === 'Running') return undefined
    const ip = `10.0.0.${++addresses}`
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: timestamp(systemClock) }]
    const status = { ...pod.status, phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions }
    return client.update('v1/Pod', { ...pod, status }, { subresource: 'status' })
  }
  const look = (pod: Pod): void => void step(pod).catch(noting)
  pods.addHandlers({ added: look, updated: look })
  const stop = new AbortController()
  const running = pods.run(stop.signal)
  t.after(async () => {
    clearInterval(heart)
    stop.abort()
    await running
  })
}

const hello = { namespace: 'default', name: 'hello' }

/** Plays the example's life; what it came to after each part. */
async function play(t: TestContext, client: Client): Promise<readonly unknown[]> {
  const problems: string[] = []
  await until('default account', async () => (await client.list('v1/ServiceAccount', { namespace: 'default' })).items.length > 0)
  await startNode(t, client, problems)
  for (const document of parseYamlDocuments(readFileSync(join(import.meta.dirname, '../examples/hello/hello.yaml'), 'utf8'))) {
    const object = document as KubeObject
    await client.create<string>(`${object.apiVersion}/${object.kind}`, object)
  }
  const isReady = async (generation: number): Promise<boolean> => {
    const { status } = await client.get('apps/v1/Deployment', hello)
    const isNew = status?.conditions?.some(({ reason }) => reason === 'NewReplicaSetAvailable') ?? false
    const slices = (await client.list('discovery.k8s.io/v1/EndpointSlice', { namespace: 'default', labelSelector: 'app=hello' })).items
    // Those of pods that are going are listed for a moment longer than the pods.
    const endpoints = slices.flatMap((slice) => slice.endpoints ?? [])
    const budget = (await client.get('policy/v1/PodDisruptionBudget', hello)).status
    const addresses = (await client.list('v1/Endpoints', { namespace: 'default', fieldSelector: 'metadata.name=hello' })).items[0]
      ?.subsets?.[0]
    const isWhole = (status?.replicas ?? 0) === 3 && (status?.terminatingReplicas ?? 0) === 0 && status?.availableReplicas === 3
    return (
      isNew &&
      isWhole &&
      (status.observedGeneration ?? 0) >= generation &&
      endpoints.length === 3 &&
      endpoints.every(({ conditions }) => conditions?.ready) &&
      addresses?.addresses?.length === 3 &&
      budget?.currentHealthy === 3
    )
  }
  await until('pods', async () => (await client.get('apps/v1/Deployment', hello)).status?.availableReplicas === 3)
  // Made before there are pods, it would tell so or not, by chance.
  await client.create('policy/v1/PodDisruptionBudget', {
    metadata: hello,
    spec: { minAvailable: 2, selector: { matchLabels: { app: 'hello' } } },
  })
  await until(
    'three pods',
    () => isReady(1),
    () => stateOf(client),
  )
  const states: unknown[] = [await stateOf(client)]
  const image = { spec: { template: { spec: { containers: [{ name: 'hello', image: 'proa.local/hello:2' }] } } } }
  const { metadata } = await client.patch('apps/v1/Deployment', hello, 'strategic', image)
  await until(
    'three new pods',
    () => isReady(metadata!.generation!),
    () => stateOf(client),
  )
  states.push(await stateOf(client), await events(client))
  await client.delete('apps/v1/Deployment', hello, { propagationPolicy: 'Foreground' })
  await client.delete('v1/Service', hello)
  const kinds = ['apps/v1/Deployment', 'apps/v1/ReplicaSet', 'v1/Pod', 'discovery.k8s.io/v1/EndpointSlice']
  const left = async () =>
    (await Promise.all(kinds.map((kind) => client.list<string>(kind, { namespace: 'default' }))))
      .flatMap(({ items }) => items)
      .filter(({ metadata: own }) => own?.name?.startsWith('hello'))
  await until('nothing left', async () => (await left()).length === 0)
  assert.deepEqual(problems, [])
  return states
}

test('each half with the other side of upstream comes to the same state', { skip, timeout: 300_000 }, async (t) => {
  const [upstream, proa] = await Promise.all([startOnUpstream(t), startOnProa(t)])
  const [byProa, byUpstream] = await Promise.all([play(t, upstream), play(t, proa)])
  assert.deepEqual(byProa, byUpstream)
})
