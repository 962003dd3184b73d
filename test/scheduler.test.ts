/** The scheduler as a user of the library sees it: plugins of their own, configurations, several schedulers, extenders by HTTP. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer as createSecureServer, get, type ServerOptions } from 'node:https'
import { test } from 'node:test'
import { systemClock } from '../src/base/system.ts'
import { createAuthority, issueCertificate } from '../src/cluster/certificates.ts'
import { Cluster, defineSchedulerPlugin, impossible } from '../src/cluster/index.ts'
import { parseEndpoint } from '../upstream/endpoint.ts'

const head = { apiVersion: 'kubescheduler.config.k8s.io/v1', kind: 'KubeSchedulerConfiguration' }

const pod = (name: string, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'app' }], ...spec },
})

const nodeOf = async (cluster: Cluster, name: string): Promise<string | undefined> => {
  const bound = await cluster.until('v1/Pod', { namespace: 'default', name }, (found) => Boolean(found?.spec?.nodeName))
  return bound?.spec?.nodeName
}

const whyNot = async (cluster: Cluster, name: string): Promise<string | undefined> => {
  const isRefused = (condition: { readonly type: string; readonly status: string }) =>
    condition.type === 'PodScheduled' && condition.status === 'False'
  const refused = await cluster.until(
    'v1/Pod',
    { namespace: 'default', name },
    (found) => found?.status?.conditions?.some(isRefused) ?? false,
  )
  return refused?.status?.conditions?.find(isRefused)?.message
}

/** New nodes bear a taint for a moment, which would be a reason of its own. */
async function untilUntainted(cluster: Cluster, ...names: readonly string[]): Promise<void> {
  for (const name of names) await cluster.until('v1/Node', { name }, (node) => node !== undefined && !node.spec?.taints?.length)
}

async function metricsOf(cluster: Cluster): Promise<string> {
  const endpoint = parseEndpoint(await cluster.kubeconfig())
  return new Promise((resolve, reject) => {
    const request = get({ ...endpoint, path: '/metrics' }, async (response) => {
      let text = ''
      for await (const chunk of response) text += String(chunk)
      resolve(text)
    })
    request.once('error', reject)
  })
}

test("a user's own plugin filters, scores, reserves and lets pods wait", async () => {
  const seen: string[] = []
  const plugin = defineSchedulerPlugin({
    name: 'Mine',
    filter: (_state, { pod: { metadata } }, node) =>
      metadata?.labels?.['on'] && metadata.labels['on'] !== node.name ? impossible('not where it wants to be') : undefined,
    score: (_state, _pod, node) => (node.name === 'node-3' ? 100 : 0),
    reserve: (info, node) => void seen.push(`reserve ${info.key} on ${node}`),
    permit: (info) => {
      seen.push(`permit ${info.key}`)
      return undefined
    },
    preBind: async (info) => void seen.push(`preBind ${info.key}`),
    postBind: (info) => void seen.push(`postBind ${info.key}`),
  })
  await using cluster = await Cluster.start({ nodes: 3, clock: 'virtual', scheduler: { plugins: { Mine: () => plugin } } })
  await cluster.apply([
    pod('free'),
    { ...pod('bound'), metadata: { name: 'bound', namespace: 'default', labels: { on: 'node-2' } } },
    { ...pod('lost'), metadata: { name: 'lost', namespace: 'default', labels: { on: 'nowhere' } } },
  ])
  assert.equal(await nodeOf(cluster, 'bound'), 'node-2')
  assert.match((await whyNot(cluster, 'lost'))!, /^0\/3 nodes are available: 3 not where it wants to be\./)
  await nodeOf(cluster, 'free')
  assert.deepEqual(
    seen.filter((line) => line.includes('default/bound')),
    ['reserve default/bound on node-2', 'permit default/bound', 'preBind default/bound', 'postBind default/bound'],
  )
})

test('several schedulers: pods choose by schedulerName, others are left alone', async () => {
  const configuration = {
    ...head,
    profiles: [
      { schedulerName: 'default-scheduler' },
      {
        schedulerName: 'packing',
        plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: 'NodeResourcesFit', weight: 1 }] } },
        pluginConfig: [{ name: 'NodeResourcesFit', args: { scoringStrategy: { type: 'MostAllocated', resources: [{ name: 'cpu' }] } } }],
      },
    ],
  }
  await using cluster = await Cluster.start({ nodes: 4, clock: 'virtual', scheduler: { configuration } })
  const sized = { schedulerName: 'packing', containers: [{ name: 'main', image: 'app', resources: { requests: { cpu: '500m' } } }] }
  await cluster.apply(['a', 'b', 'c', 'd'].map((name) => pod(name, sized)))
  const nodes = new Set<string | undefined>()
  for (const name of ['a', 'b', 'c', 'd']) nodes.add(await nodeOf(cluster, name))
  assert.equal(nodes.size, 1, 'packed on one node')
  await cluster.apply([pod('nobody', { schedulerName: 'somebody-else' }), pod('other')])
  await nodeOf(cluster, 'other')
  await cluster.advance(5_000)
  const left = await cluster.client.get('v1/Pod', { namespace: 'default', name: 'nobody' })
  assert.equal(left.spec?.nodeName, undefined)
  assert.equal(left.status?.conditions, undefined)
  const { items } = await cluster.client.list('v1/Event', { namespace: 'default' })
  const from = items.filter(({ reason, involvedObject }) => reason === 'Scheduled' && involvedObject.name === 'a')
  assert.equal(from[0]?.reportingComponent ?? from[0]?.source?.component, 'packing')
})

test('an unknown plugin is told at the start', async () => {
  const configuration = { ...head, profiles: [{ plugins: { score: { enabled: [{ name: 'Nothing' }] } } }] }
  await assert.rejects(
    Cluster.start({ scheduler: { configuration } }),
    /invalid scheduler configuration: profiles\[0\]\.plugins\.score\.enabled\[0\]\.name: plugin "Nothing" does not exist/,
  )
})

/** An extender on a port of its own; `answers` by the path's last part. */
async function startExtender(answers: Readonly<Record<string, (body: never) => unknown>>, tls?: ServerOptions) {
  const asked: string[] = []
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const verb = request.url!.split('/').at(-1)!
      asked.push(verb)
      const said = answers[verb]?.(JSON.parse(Buffer.concat(chunks).toString()) as never)
      response.writeHead(said === undefined ? 500 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(said ?? {}))
    })
  }
  const server = tls ? createSecureServer(tls, answer) : createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http${tls ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}/scheduler`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Args {
  readonly Pod: { readonly metadata: { readonly name: string } }
  readonly NodeNames: readonly string[]
}

test('extenders filter, score and say why, over HTTP', async () => {
  await using extender = await startExtender({
    filter: ({ Pod, NodeNames }: Args) =>
      Pod.metadata.name === 'hopeless'
        ? { NodeNames: [], FailedNodes: Object.fromEntries(NodeNames.map((name) => [name, 'no licence'])) }
        : { NodeNames: NodeNames.filter((name) => name !== 'node-1'), FailedNodes: { 'node-1': 'no licence' } },
    prioritize: ({ NodeNames }: Args) => NodeNames.map((Host) => ({ Host, Score: Host === 'node-3' ? 10 : 0 })),
  })
  const configuration = {
    ...head,
    extenders: [{ urlPrefix: extender.url, filterVerb: 'filter', prioritizeVerb: 'prioritize', weight: 50, nodeCacheCapable: true }],
  }
  await using cluster = await Cluster.start({ nodes: 3, scheduler: { configuration } })
  await cluster.apply([pod('a'), pod('hopeless')])
  assert.equal(await nodeOf(cluster, 'a'), 'node-3')
  assert.match((await whyNot(cluster, 'hopeless'))!, /^0\/3 nodes are available: 3 no licence\./)
})

test('an extender that fails holds up its pods only, and none when it may be ignored', async () => {
  await using extender = await startExtender({})
  const managed = { managedResources: [{ name: 'example.com/thing', ignoredByScheduler: true }] }
  const broken = { urlPrefix: extender.url, filterVerb: 'filter' }
  const configuration = {
    ...head,
    extenders: [
      { ...broken, ...managed },
      { ...broken, ignorable: true },
    ],
  }
  await using cluster = await Cluster.start({ nodes: 1, scheduler: { configuration } })
  const wanting = { requests: { 'example.com/thing': '1' }, limits: { 'example.com/thing': '1' } }
  await cluster.apply([pod('stuck', { containers: [{ name: 'main', image: 'app', resources: wanting }] }), pod('free')])
  assert.match((await whyNot(cluster, 'stuck'))!, /^failed filter with extender at URL .*\/scheduler\/filter, code 500$/)
  assert.equal(await nodeOf(cluster, 'free'), 'node-1')
})

test('an extender that binds does so in the place of the binder', async () => {
  let cluster: Cluster | undefined
  await using extender = await startExtender({
    bind: ({ PodName, PodNamespace, PodUID, Node }: Record<'PodName' | 'PodNamespace' | 'PodUID' | 'Node', string>) => {
      const target = { apiVersion: 'v1', kind: 'Node', name: Node }
      void cluster!.client.createSubresource('v1/Pod', { namespace: PodNamespace, name: PodName }, 'binding', {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: PodName, namespace: PodNamespace, uid: PodUID, annotations: { by: 'extender' } },
        target,
      })
      return {}
    },
  })
  await using started = await Cluster.start({
    nodes: 1,
    scheduler: { configuration: { ...head, extenders: [{ urlPrefix: extender.url, bindVerb: 'bind' }] } },
  })
  cluster = started
  await cluster.apply(pod('a'))
  assert.equal(await nodeOf(cluster, 'a'), 'node-1')
  assert.deepEqual(extender.asked, ['bind'])
  const bound = await cluster.client.get('v1/Pod', { namespace: 'default', name: 'a' })
  assert.equal(bound.metadata?.annotations?.['by'], 'extender')
})

test('an extender reviews who must go for a pod, over HTTPS by certificates of both', async () => {
  const ca = await createAuthority(systemClock, 'extenders')
  const own = await issueCertificate(systemClock, ca, { commonName: 'extender', usage: 'server', hosts: ['127.0.0.1'] })
  const client = await issueCertificate(systemClock, ca, { commonName: 'scheduler', usage: 'client' })
  type Victims = Readonly<Record<string, { readonly Pods: readonly { readonly UID: string }[]; readonly NumPDBViolations: number }>>
  let offered: Victims = {}
  await using extender = await startExtender(
    {
      preempt({ NodeNameToMetaVictims }: { readonly NodeNameToMetaVictims: Victims }) {
        offered = NodeNameToMetaVictims
        return { NodeNameToMetaVictims: { 'node-2': NodeNameToMetaVictims['node-2'] } }
      },
    },
    { cert: own.cert, key: own.key, ca: ca.cert, requestCert: true, rejectUnauthorized: true },
  )
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const tlsConfig = { caData: base64(ca.cert), certData: base64(client.cert), keyData: base64(client.key) }
  const configuration = {
    ...head,
    extenders: [{ urlPrefix: extender.url, preemptVerb: 'preempt', enableHTTPS: true, tlsConfig, nodeCacheCapable: true }],
  }
  await using cluster = await Cluster.start({ nodes: 2, scheduler: { configuration } })
  const wanting = (name: string, spec: object = {}) =>
    pod(name, {
      containers: [{ name: 'main', image: 'app', resources: { requests: { cpu: '20' } } }],
      terminationGracePeriodSeconds: 0,
      ...spec,
    })
  await untilUntainted(cluster, 'node-1', 'node-2')
  await cluster.apply([
    { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'high' }, value: 1000 },
    wanting('low-1', { nodeName: 'node-1' }),
    wanting('low-2', { nodeName: 'node-2' }),
    wanting('high', { priorityClassName: 'high' }),
  ])
  assert.equal(await nodeOf(cluster, 'high'), 'node-2')
  assert.deepEqual(extender.asked, ['preempt'])
  const each = Object.entries(offered).map(([node, { Pods, NumPDBViolations }]) => `${node} ${Pods.length} ${NumPDBViolations}`)
  assert.deepEqual(each.toSorted(), ['node-1 1 0', 'node-2 1 0'])
  const left = await cluster.client.list('v1/Pod', { namespace: 'default' })
  assert.deepEqual(left.items.map(({ metadata }) => metadata?.name).toSorted(), ['high', 'low-1'])
})

test('devices are found for claims, written into them, and not given twice', async () => {
  await using cluster = await Cluster.start({ nodes: 3 })
  const selectors = [{ cel: { expression: 'device.attributes["gpu.example.com"].cores >= 8' } }]
  const claim = (name: string) => ({
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name, namespace: 'default' },
    spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu', selectors } }] } },
  })
  const user = (name: string) => pod(name, { resourceClaims: [{ name: 'gpu', resourceClaimName: `claim-${name}` }] })
  await cluster.apply([
    {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'DeviceClass',
      metadata: { name: 'gpu' },
      spec: { selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }] },
    },
    {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceSlice',
      metadata: { name: 'slice' },
      spec: {
        driver: 'gpu.example.com',
        nodeName: 'node-2',
        pool: { name: 'node-2', generation: 1, resourceSliceCount: 1 },
        devices: [
          { name: 'small', attributes: { cores: { int: 4 } } },
          { name: 'large', attributes: { cores: { int: 16 } } },
        ],
      },
    },
    claim('claim-a'),
    user('a'),
  ])
  assert.equal(await nodeOf(cluster, 'a'), 'node-2')
  const allocated = await cluster.client.get('resource.k8s.io/v1/ResourceClaim', { namespace: 'default', name: 'claim-a' })
  assert.deepEqual(
    allocated.status?.allocation?.devices?.results?.map(({ device, pool, request }) => [device, pool, request]),
    [['large', 'node-2', 'gpu']],
  )
  assert.deepEqual(
    allocated.status?.reservedFor?.map(({ resource, name }) => `${resource}/${name}`),
    ['pods/a'],
  )
  assert.ok(allocated.metadata?.finalizers?.includes('resource.kubernetes.io/delete-protection'))

  await cluster.apply([claim('claim-b'), user('b')])
  assert.match(
    (await whyNot(cluster, 'b'))!,
    /^0\/3 nodes are available: 3 cannot allocate all claims\. still not schedulable, preemption: 0\/3 nodes are available: 3 Preemption is not helpful for scheduling\.$/,
  )
  // With the pod its claim is free for others: the controller takes the reservation away, and deallocates what nobody has reserved.
  await cluster.client.delete('v1/Pod', { namespace: 'default', name: 'a' }, { gracePeriodSeconds: 0 })
  assert.equal(await nodeOf(cluster, 'b'), 'node-2')
})

test('extended resources that a device class stands for come from devices, by a claim of the pod', async () => {
  await using cluster = await Cluster.start({ nodes: 2 })
  const CLAIM = 'resource.k8s.io/v1/ResourceClaim'
  const container = (name: string, requests: Record<string, string>) => ({ name, image: 'a', resources: { requests, limits: requests } })
  const asking = (name: string, amount: string) => pod(name, { containers: [container('main', { 'example.com/gpu': amount })] })
  await untilUntainted(cluster, 'node-1', 'node-2')
  await cluster.apply(asking('a', '2'))
  assert.match((await whyNot(cluster, 'a'))!, /^0\/2 nodes are available: 2 Insufficient example\.com\/gpu\./)
  await cluster.apply([
    {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceSlice',
      metadata: { name: 'slice' },
      spec: {
        driver: 'gpu.example.com',
        nodeName: 'node-2',
        pool: { name: 'node-2', generation: 1, resourceSliceCount: 1 },
        devices: [{ name: 'one' }, { name: 'two' }, { name: 'three' }],
      },
    },
    {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'DeviceClass',
      metadata: { name: 'gpu' },
      spec: { extendedResourceName: 'example.com/gpu', selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }] },
    },
  ])
  assert.equal(await nodeOf(cluster, 'a'), 'node-2')
  const told = (await cluster.client.get('v1/Pod', { namespace: 'default', name: 'a' })).status?.extendedResourceClaimStatus
  assert.deepEqual(told?.requestMappings, [
    { containerName: 'main', resourceName: 'example.com/gpu', requestName: 'container-0-request-0' },
  ])
  assert.match(told.resourceClaimName, /^a-extended-resources-/)
  const claim = await cluster.client.get(CLAIM, { namespace: 'default', name: told.resourceClaimName })
  assert.deepEqual(claim.spec.devices?.requests?.[0]?.exactly, { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 })
  assert.equal(claim.status?.allocation?.devices?.results?.length, 2)
  assert.deepEqual(
    claim.status?.reservedFor?.map(({ name }) => name),
    ['a'],
  )
  // One device is left, and the class may be asked for by its own name.
  const implicit = { containers: [container('main', { 'deviceclass.resource.kubernetes.io/gpu': '1' })] }
  await cluster.apply([asking('b', '2'), pod('c', implicit)])
  assert.equal(await nodeOf(cluster, 'c'), 'node-2')
  assert.match((await whyNot(cluster, 'b'))!, /^0\/2 nodes are available: 2 cannot allocate all claims\./)
  // What the pod held is free when it is gone.
  await cluster.client.delete('v1/Pod', { namespace: 'default', name: 'a' }, { gracePeriodSeconds: 0 })
  assert.equal(await nodeOf(cluster, 'b'), 'node-2')
})

test('what the scheduler counts has upstream names', async () => {
  await using cluster = await Cluster.start({ nodes: 2 })
  await cluster.apply([pod('a'), pod('b', { nodeSelector: { no: 'where' } })])
  await nodeOf(cluster, 'a')
  await whyNot(cluster, 'b')
  const text = await metricsOf(cluster)
  for (const line of [
    'scheduler_schedule_attempts_total{result="scheduled",profile="default-scheduler"} 1',
    'scheduler_schedule_attempts_total{result="unschedulable",profile="default-scheduler"} 1',
    'scheduler_pending_pods{queue="unschedulable"} 1',
    'scheduler_unschedulable_pods{plugin="NodeAffinity",profile="default-scheduler"} 1',
    'scheduler_pod_scheduling_attempts_bucket{le="1"} 1',
    'scheduler_cache_size{type="nodes"} 2',
    'scheduler_queue_incoming_pods_total{queue="active",event="UnschedulablePodAdd"} 2',
  ])
    assert.ok(text.includes(line), `${line} is not in\n${text.match(/^scheduler_.*$/gm)?.join('\n')}`)
})
