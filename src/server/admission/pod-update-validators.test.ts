import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer, type TestServer } from '../server.test-support.ts'
import { nodeDeclaredFeatureValidator, podResizeValidator } from './pod-update-validators.ts'
import { imagePolicyWebhook } from './image-policy.ts'

const POD = '/api/v1/namespaces/default/pods/p'
const amounts = (cpu: string, memory = '64Mi') => ({ requests: { cpu, memory }, limits: { cpu: '8', memory: '8Gi' } })
const container = (name: string, cpu: string) => ({ name, image: 'x', resources: amounts(cpu) })

async function bound(t: Parameters<typeof startServer>[0], node: object): Promise<TestServer> {
  const server = await startServer(t, { admission: [nodeDeclaredFeatureValidator, podResizeValidator] })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  await server.call('POST', '/api/v1/nodes', { metadata: { name: 'n' }, ...node })
  const made = await server.call('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'p' },
    spec: { nodeName: 'n', initContainers: [container('i', '1')], containers: [container('c', '1')] },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  return server
}

const resize = (server: TestServer, spec: object) =>
  server.call('PATCH', `${POD}/resize`, { spec }, { headers: { 'content-type': 'application/strategic-merge-patch+json' } })

test('a pod grows to what its node has, and no further', async (t) => {
  const server = await bound(t, { status: { allocatable: { cpu: '2', memory: '1Gi' } } })
  assert.equal((await resize(server, { containers: [container('c', '2')] })).status, 200)
  const refused = await resize(server, { containers: [{ name: 'c', resources: amounts('2500m', '2Gi') }] })
  assert.equal(
    refused.body.message,
    `pods "p" is forbidden: node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824`,
  )
  assert.deepEqual(refused.body.details.causes, [{ reason: 'NodeCapacity' }])
  await server.call('DELETE', '/api/v1/nodes/n')
  assert.equal((await resize(server, { containers: [container('c', '1')] })).body.message, 'pods "p" is forbidden: node "n" not found')
})

test('nodes of another system resize no pods', async (t) => {
  const server = await bound(t, { metadata: { name: 'n', labels: { 'kubernetes.io/os': 'windows' } } })
  const refused = await resize(server, { containers: [container('c', '2')] })
  assert.equal(refused.body.message, 'pods "p" is forbidden: pod resize is only supported on linux nodes, node "n" is "windows"')
  assert.deepEqual(refused.body.details.causes, [{ reason: 'UnsupportedPlatform' }])
})

test('what a node does not declare is not asked of it', async (t) => {
  const allocatable = { cpu: '8', memory: '8Gi' }
  const undeclared = await bound(t, { status: { allocatable } })
  assert.equal(
    (await resize(undeclared, { initContainers: [container('i', '2')] })).body.message,
    'pods "p" is forbidden: pod update requires features InPlacePodVerticalScalingInitContainers which are not available on node "n"',
  )
  const declared = await bound(t, { status: { allocatable, declaredFeatures: ['InPlacePodVerticalScalingInitContainers'] } })
  assert.equal((await resize(declared, { initContainers: [container('i', '2')] })).status, 200)
})

test('ImagePolicyWebhook: what it says, for how long, and what its silence means', async (t) => {
  const asked: unknown[] = []
  let answer: () => Record<string, unknown> = () => ({ allowed: true })
  const start = async (imagePolicy: object) => {
    const plugin = imagePolicyWebhook({ imagePolicy: { kubeConfigFile: '/k', ...imagePolicy } }, (file, delayMs) => {
      assert.deepEqual([file, delayMs], ['/k', 500])
      return async (review) => {
        asked.push(review.spec)
        return answer()
      }
    })
    const server = await startServer(t, { admission: [plugin] })
    await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
    return { server, create: create(server) }
  }
  const create = (server: TestServer) => (name: string, image: string) =>
    server.call('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name, annotations: { 'a.image-policy.k8s.io/b': 'c', other: 'x' } },
      spec: { containers: [{ name: 'c', image }] },
    })
  const { server, create: make } = await start({ allowTTL: 10, denyTTL: 1 })
  assert.equal((await make('a', 'good')).status, 201)
  assert.equal((await make('b', 'good')).status, 201)
  const spec = (image: string) => ({ containers: [{ image }], annotations: { 'a.image-policy.k8s.io/b': 'c' }, namespace: 'default' })
  assert.deepEqual(asked, [spec('good')], 'the second time it is known')
  answer = () => ({ allowed: false, reason: 'old' })
  const refused = 'pods "c" is forbidden: image policy webhook backend denied one or more images: old'
  assert.equal((await make('c', 'bad')).body.message, refused)
  server.clock.advance(2000)
  answer = () => ({})
  assert.equal((await make('c', 'bad')).body.message, 'pods "c" is forbidden: one or more images rejected by webhook backend')
  answer = () => {
    throw new Error('EOF')
  }
  assert.equal((await make('d', 'new')).body.message, 'pods "d" is forbidden: EOF')
  assert.equal((await (await start({ defaultAllow: true })).create('d', 'new')).status, 201)
  assert.throws(() => imagePolicyWebhook(undefined, () => async () => ({})), { message: 'no config specified' })
  assert.throws(() => imagePolicyWebhook({ imagePolicy: { allowTTL: 9000 } }, () => async () => ({})), {
    message: 'valid value is between 1s and 30m0s, got 2h30m0s',
  })
})
