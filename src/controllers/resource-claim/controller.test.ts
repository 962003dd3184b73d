import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { ResourceClaim } from '../../api/generated/resource/v1.ts'
import { startControllers } from '../built-in.test-support.ts'
import { claimFrom } from './plan.ts'

const CLAIM = 'resource.k8s.io/v1/ResourceClaim'
const namespace = 'lab'
const devices = { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpus' } }] }
const template = { metadata: { namespace, name: 'one-gpu' }, spec: { metadata: { labels: { kind: 'gpu' } }, spec: { devices } } }
const pod = (name: string, more: object = {}): Pod => ({
  metadata: { namespace, name },
  spec: {
    containers: [{ name: 'c', image: 'x' }],
    resourceClaims: [{ name: 'dev', resourceClaimTemplateName: 'one-gpu' }],
    ...more,
  },
})

test('a claim is made from a template, told in the pod, and goes with it', async (t) => {
  const { admin, clock, problems } = await startControllers(t, { runPod: () => ({ phase: 'Pending' }) })
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  await admin.create('resource.k8s.io/v1/ResourceClaimTemplate', template)
  await admin.create('v1/Pod', pod('trainer'))
  await clock.advance(1000)
  const claims = async () => (await admin.list(CLAIM, { namespace })).items
  const [claim] = await claims()
  assert.match(claim!.metadata!.name!, /^trainer-dev-[a-z0-9]{5}$/)
  assert.deepEqual(claim!.spec.devices?.requests?.[0]?.name, 'gpu')
  assert.equal(claim!.metadata?.labels?.['kind'], 'gpu')
  const told = (await admin.get('v1/Pod', { namespace, name: 'trainer' })).status?.resourceClaimStatuses
  assert.deepEqual(
    told?.map((status) => [status.name, status.resourceClaimName]),
    [['dev', claim!.metadata?.name]],
  )

  // The pod ends: its claim is of no use to anybody.
  const current = await admin.get('v1/Pod', { namespace, name: 'trainer' })
  await admin.update('v1/Pod', { ...current, status: { ...current.status, phase: 'Succeeded' } }, { subresource: 'status' })
  await clock.advance(1000)
  assert.deepEqual(await claims(), [])
  assert.deepEqual(problems, [])
})

test('a claim is let go when nobody it was reserved for is left', async (t) => {
  const { admin, clock, problems } = await startControllers(t, { runPod: () => ({ phase: 'Pending' }) })
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  const user = await admin.create('v1/Pod', pod('user', { resourceClaims: [{ name: 'dev', resourceClaimName: 'shared' }] }))
  const finalizers = ['resource.kubernetes.io/delete-protection']
  const made = await admin.create(CLAIM, { metadata: { namespace, name: 'shared', finalizers }, spec: { devices } })
  const results = [{ request: 'gpu', driver: 'gpus.example', pool: 'p', device: 'd' }]
  const reservedFor = [{ resource: 'pods', name: 'user', uid: user.metadata!.uid! }]
  await admin.update(CLAIM, { ...made, status: { allocation: { devices: { results } }, reservedFor } }, { subresource: 'status' })
  await clock.advance(1000)
  const claim = (): Promise<ResourceClaim> => admin.get(CLAIM, { namespace, name: 'shared' })
  assert.ok((await claim()).status?.allocation)
  await admin.delete('v1/Pod', { namespace, name: 'user' }, { gracePeriodSeconds: 0 })
  await clock.advance(1000)
  const free = await claim()
  assert.deepEqual([free.status?.allocation, free.status?.reservedFor, free.metadata?.finalizers], [undefined, undefined, undefined])
  assert.deepEqual(problems, [])
})

test('a missing template is told, and used once it is there', async (t) => {
  const { admin, clock } = await startControllers(t, { runPod: () => ({ phase: 'Pending' }) })
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  await admin.create('v1/Pod', pod('early'))
  await clock.advance(1000)
  const events = (await admin.list('v1/Event', { namespace })).items.filter(({ reason }) => reason === 'FailedResourceClaimCreation')
  assert.equal(
    events[0]?.message,
    'PodResourceClaim dev: resource claim template "one-gpu": resourceclaimtemplate.resource.k8s.io "one-gpu" not found',
  )
  assert.equal(events[0].source?.component, 'resource_claim')
  await admin.create('resource.k8s.io/v1/ResourceClaimTemplate', template)
  await clock.advance(1000)
  assert.equal((await admin.list(CLAIM, { namespace })).items.length, 1)
})

test('generated names leave room for their suffix', () => {
  const named = (name: string, entry: string) =>
    claimFrom(template, { metadata: { name, namespace, uid: 'u' } }, { name: entry }).metadata!.generateName!
  assert.equal(named('web', 'dev'), 'web-dev-')
  const long = named('p'.repeat(100), 'c'.repeat(50))
  assert.ok(long.length <= 58 && /^p+-c+$/.test(long), long)
})
