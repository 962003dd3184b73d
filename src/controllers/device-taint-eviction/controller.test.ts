import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startControllers } from '../built-in.test-support.ts'

const namespace = 'lab'
const SLICE = 'resource.k8s.io/v1/ResourceSlice'
const CLAIM = 'resource.k8s.io/v1/ResourceClaim'

test('pods leave devices with taints that their claims do not tolerate, or no longer', async (t) => {
  const { admin, clock, problems } = await startControllers(t)
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  await admin.create('v1/Node', { metadata: { name: 'n1' }, status: { conditions: [{ type: 'Ready', status: 'True' }] } })
  const devices = ['a', 'b', 'c'].map((name) => ({ name }))
  const spec = { driver: 'gpus.example', nodeName: 'n1', pool: { name: 'n1', generation: 1, resourceSliceCount: 1 }, devices }
  const slice = await admin.create(SLICE, { metadata: { name: 's' }, spec })
  const use = async (device: string, tolerationSeconds?: number) => {
    const claims = [{ name: 'dev', resourceClaimName: device }]
    const pod = await admin.create('v1/Pod', {
      metadata: { namespace, name: device },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }], resourceClaims: claims },
    })
    const request = { requests: [{ name: 'r', exactly: { deviceClassName: 'gpus' } }] }
    const claim = await admin.create(CLAIM, { metadata: { namespace, name: device }, spec: { devices: request } })
    const tolerations = tolerationSeconds === undefined ? [] : [{ operator: 'Exists', effect: 'NoExecute', tolerationSeconds }]
    const results = [{ request: 'r', driver: 'gpus.example', pool: 'n1', device, tolerations }]
    const reservedFor = [{ resource: 'pods', name: device, uid: pod.metadata!.uid! }]
    await admin.update(CLAIM, { ...claim, status: { allocation: { devices: { results } }, reservedFor } }, { subresource: 'status' })
  }
  await use('a')
  await use('b', 5)
  await use('c')
  await clock.advance(1000)
  const left = async () => (await admin.list('v1/Pod', { namespace })).items.map(({ metadata }) => metadata!.name)
  assert.deepEqual(await left(), ['a', 'b', 'c'])
  const taint = { key: 'broken', effect: 'NoExecute', timeAdded: new Date(clock.now()).toISOString().replace(/\.\d+/, '') }
  const tainted = devices.map((device) => (device.name === 'c' ? device : { ...device, taints: [taint] }))
  await admin.update(SLICE, { ...slice, spec: { ...spec, devices: tainted } })
  await clock.advance(1000)
  assert.deepEqual(await left(), ['b', 'c'])
  await clock.advance(6000)
  assert.deepEqual(await left(), ['c'])
  const told = (await admin.list('v1/Event', { namespace })).items.filter(({ reason }) => reason === 'DeviceTaintManagerEviction')
  assert.deepEqual(
    told.map(({ message, involvedObject }) => `${involvedObject.name}: ${message}`),
    ['a: Marking for deletion', 'b: Marking for deletion'],
  )
  assert.deepEqual(problems, [])
})
