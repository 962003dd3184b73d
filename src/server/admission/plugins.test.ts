import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserInfo } from '../../api/exchange.ts'
import { startServer, type TestServer } from '../server.test-support.ts'
import { createAdmission, type AdmissionChoice } from './index.ts'
import { CERTIFICATE_REQUEST } from '../../api/certificate-request.test-support.ts'

const ALICE: UserInfo = { name: 'alice', groups: [] }
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const CSR = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
const container = { name: 'c', image: 'x' }
const pod = (name: string, spec: object = {}) => ({ metadata: { name }, spec: { containers: [container], ...spec } })

/** All but what needs service accounts. */
async function start(t: Parameters<typeof startServer>[0], choice: AdmissionChoice = {}): Promise<TestServer> {
  let server: TestServer | undefined
  server = await startServer(t, {
    admission: (registry, authorizer) =>
      createAdmission(
        {
          registry,
          authorizer,
          create: async (path, object) => void (await server!.call('POST', path, object)),
          dynamic: [],
        },
        { disabled: ['ServiceAccount'], ...choice },
      ),
  })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'a' } })
  return server
}

const only = (name: string, configuration?: unknown): AdmissionChoice => ({
  enabled: [name],
  ...(configuration === undefined ? {} : { configurations: new Map([[name, configuration]]) }),
})

async function allow(server: TestServer, name: string, rules: readonly object[]): Promise<void> {
  await server.call('POST', `${RBAC}/clusterroles`, { metadata: { name }, rules })
  const subjects = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: ALICE.name }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }
  await server.call('POST', `${RBAC}/clusterrolebindings`, { metadata: { name }, roleRef, subjects })
}

test('names of plugins that are unknown, or both on and off, are refused', () => {
  const parts = { registry: undefined as never, authorizer: undefined as never, create: async () => {}, dynamic: [] }
  assert.throws(() => createAdmission(parts, { enabled: ['X'] }), { message: 'enable-admission-plugins plugin "X" is unknown' })
  assert.throws(() => createAdmission(parts, { disabled: ['X'] }), { message: 'disable-admission-plugins plugin "X" is unknown' })
  assert.throws(() => createAdmission(parts, { enabled: ['Priority'], disabled: ['Priority'] }), {
    message: '[Priority] in enable-admission-plugins and disable-admission-plugins overlapped',
  })
  const names = createAdmission(parts, { enabled: ['AlwaysPullImages', 'NamespaceExists'], disabled: ['Priority'] }).map(({ name }) => name)
  assert.deepEqual(names.slice(0, 7), [
    'NamespaceLifecycle',
    'NamespaceExists',
    'LimitRanger',
    'ServiceAccount',
    'NodeRestriction',
    'TaintNodesByCondition',
    'AlwaysPullImages',
  ])
  assert.ok(!names.includes('Priority'))
})

test('who approves and signs certificates needs leave for the signer', async (t) => {
  const server = await start(t)
  const anything = {
    apiGroups: ['certificates.k8s.io'],
    resources: ['certificatesigningrequests', 'certificatesigningrequests/*'],
    verbs: ['*'],
  }
  await allow(server, 'csr', [
    { ...anything, resources: ['certificatesigningrequests', 'certificatesigningrequests/approval', 'certificatesigningrequests/status'] },
  ])
  const spec = { request: CERTIFICATE_REQUEST, usages: ['client auth'], signerName: 'a.b/c' }
  const made = await server.call('POST', CSR, { metadata: { name: 'r' }, spec })
  const approved = { ...made.body, status: { conditions: [{ type: 'Approved', status: 'True', reason: 'x' }] } }
  const approve = () => server.call('PUT', `${CSR}/r/approval`, approved, { user: ALICE })
  assert.equal(
    (await approve()).body.message,
    'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to approve requests with signerName "a.b/c"',
  )
  const signed = { ...made.body, status: { certificate: btoa('x') } }
  assert.equal(
    (await server.call('PUT', `${CSR}/r/status`, signed, { user: ALICE })).body.message,
    'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to sign requests with signerName "a.b/c"',
  )
  await allow(server, 'signer', [
    { apiGroups: ['certificates.k8s.io'], resources: ['signers'], resourceNames: ['a.b/*'], verbs: ['approve'] },
  ])
  assert.equal((await approve()).status, 200)
})

test('a pod carries the zone and region of the node that it is bound to', async (t) => {
  const server = await start(t)
  const labels = { 'topology.kubernetes.io/zone': 'z', 'topology.kubernetes.io/region': 'r', other: 'x' }
  await server.call('POST', '/api/v1/nodes', { metadata: { name: 'n', labels } })
  await server.call('POST', '/api/v1/namespaces/a/pods', pod('p'))
  const bound = await server.call('POST', '/api/v1/namespaces/a/pods/p/binding', {
    metadata: { name: 'p' },
    target: { kind: 'Node', name: 'n' },
  })
  assert.equal(bound.status, 201)
  const { other: _other, ...copied } = labels
  assert.deepEqual((await server.call('GET', '/api/v1/namespaces/a/pods/p')).body.metadata?.labels, copied)
})

test('AlwaysPullImages', async (t) => {
  const server = await start(t, only('AlwaysPullImages'))
  const made = await server.call(
    'POST',
    '/api/v1/namespaces/a/pods',
    pod('p', { initContainers: [{ name: 'i', image: 'y', imagePullPolicy: 'Never' }] }),
  )
  assert.equal(made.body.spec.containers[0].imagePullPolicy, 'Always')
  assert.equal(made.body.spec.initContainers[0].imagePullPolicy, 'Always')
})

test('NamespaceAutoProvision and NamespaceExists', async (t) => {
  const provisioning = await start(t, { enabled: ['NamespaceAutoProvision'] })
  assert.equal((await provisioning.call('POST', '/api/v1/namespaces/new/configmaps', { metadata: { name: 'm' } })).status, 201)
  assert.equal((await provisioning.call('GET', '/api/v1/namespaces/new')).status, 200)
  const strict = await start(t, { enabled: ['NamespaceExists'], disabled: ['NamespaceLifecycle'] })
  const refused = await strict.call('POST', '/api/v1/namespaces/none/configmaps', { metadata: { name: 'm' } })
  assert.equal(refused.body.message, 'namespaces "none" not found')
})

test('LimitPodHardAntiAffinityTopology and DenyServiceExternalIPs', async (t) => {
  const server = await start(t, { enabled: ['LimitPodHardAntiAffinityTopology', 'DenyServiceExternalIPs'] })
  const term = { topologyKey: 'zone', labelSelector: {} }
  const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } }
  assert.equal(
    (await server.call('POST', '/api/v1/namespaces/a/pods', pod('p', { affinity }))).body.message,
    'pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key kubernetes.io/hostname is allowed',
  )
  const services = '/api/v1/namespaces/a/services'
  const refused = await server.call('POST', services, { metadata: { name: 's' }, spec: { externalIPs: ['10.0.0.1'] } })
  assert.equal(refused.body.message, 'services "s" is forbidden: Use of external IPs is denied by admission control')
})

test('PodNodeSelector', async (t) => {
  const server = await start(
    t,
    only('PodNodeSelector', { podNodeSelectorPluginConfig: { clusterDefaultNodeSelector: 'os=linux', a: 'os=linux,env=dev' } }),
  )
  const create = (name: string, nodeSelector?: object) =>
    server.call('POST', '/api/v1/namespaces/a/pods', pod(name, nodeSelector ? { nodeSelector } : {}))
  assert.deepEqual((await create('p', { env: 'dev' })).body.spec.nodeSelector, { os: 'linux', env: 'dev' })
  assert.equal(
    (await create('q', { os: 'windows' })).body.message,
    'pods "q" is forbidden: pod node label selector conflicts with its namespace node label selector',
  )
  assert.equal(
    (await create('r', { env: 'prod' })).body.message,
    'pods "r" is forbidden: pod node label selector labels conflict with its namespace whitelist',
  )
})

test('PodTolerationRestriction and ExtendedResourceToleration', async (t) => {
  const server = await start(t, {
    enabled: ['PodTolerationRestriction', 'ExtendedResourceToleration'],
    disabled: ['ServiceAccount', 'DefaultTolerationSeconds'],
  })
  const annotations = {
    'scheduler.alpha.kubernetes.io/defaultTolerations': JSON.stringify([{ key: 'a', operator: 'Exists' }]),
    'scheduler.alpha.kubernetes.io/tolerationsWhitelist': JSON.stringify([
      { key: 'a', operator: 'Exists' },
      { key: 'example.com/gpu', operator: 'Exists', effect: 'NoSchedule' },
      { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists' },
    ]),
  }
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'b', annotations } })
  const create = (name: string, spec: object) => server.call('POST', '/api/v1/namespaces/b/pods', pod(name, spec))
  const resources = { requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1' } }
  const made = await create('p', { containers: [{ ...container, resources }], tolerations: [{ key: 'a', operator: 'Equal', value: 'x' }] })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.deepEqual(made.body.spec.tolerations.slice(0, 1), [{ key: 'a', operator: 'Exists' }])
  assert.deepEqual(made.body.spec.tolerations.at(-1), { key: 'example.com/gpu', operator: 'Exists', effect: 'NoSchedule' })
  const refused = await create('q', { tolerations: [{ operator: 'Exists' }] })
  assert.equal(refused.status, 500)
  assert.equal(
    refused.body.message,
    'pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist',
  )
})

test('EventRateLimit', async (t) => {
  const limits = (more: object) => ({
    apiVersion: 'eventratelimit.admission.k8s.io/v1alpha1',
    kind: 'Configuration',
    limits: [{ type: 'Namespace', qps: 1, burst: 2, ...more }],
  })
  const server = await start(t, only('EventRateLimit', limits({})))
  const create = (name: string, namespace = 'a') =>
    server.call('POST', `/api/v1/namespaces/${namespace}/events`, {
      metadata: { name },
      involvedObject: { namespace, name: 'p', kind: 'Pod' },
    })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'b' } })
  assert.deepEqual([(await create('1')).status, (await create('2')).status], [201, 201])
  const refused = await create('3')
  assert.equal(refused.status, 429)
  assert.equal(refused.body.message, 'Too many requests: limit reached on type Namespace for key a')
  assert.equal((await create('1', 'b')).status, 201)
  server.clock.advance(1000)
  assert.equal((await create('3')).status, 201)
  assert.throws(
    () =>
      createAdmission(
        { registry: undefined as never, authorizer: undefined as never, create: async () => {}, dynamic: [] },
        only('EventRateLimit', limits({ qps: 0 })),
      ),
    {
      message: 'failed to initialize admission plugin "EventRateLimit": limits[0].qps: Invalid value: 0: must be positive',
    },
  )
})

test('OwnerReferencesPermissionEnforcement', async (t) => {
  const server = await start(t, { enabled: ['OwnerReferencesPermissionEnforcement'] })
  await allow(server, 'maps', [{ apiGroups: [''], resources: ['configmaps'], verbs: ['create', 'update', 'get'] }])
  const maps = '/api/v1/namespaces/a/configmaps'
  const owner = (blockOwnerDeletion: boolean) => [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: '1', blockOwnerDeletion }]
  const create = (name: string, ownerReferences: readonly object[]) =>
    server.call('POST', maps, { metadata: { name, ownerReferences } }, { user: ALICE })
  assert.equal((await create('free', owner(false))).status, 201)
  assert.equal(
    (await create('held', owner(true))).body.message,
    `configmaps "held" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>`,
  )
  await server.call('POST', maps, { metadata: { name: 'm' } })
  const changed = await server.call('PUT', `${maps}/m`, { metadata: { name: 'm', ownerReferences: owner(false) } }, { user: ALICE })
  assert.equal(changed.body.message, `configmaps "m" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>`)
  await allow(server, 'finalizers', [{ apiGroups: [''], resources: ['pods/finalizers'], verbs: ['update'] }])
  assert.equal((await create('held', owner(true))).status, 201)
})
