import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { startControllers } from '../built-in.test-support.ts'

const ATTACHMENT = 'storage.k8s.io/v1/VolumeAttachment'
const namespace = 'data'
const unique = 'kubernetes.io/csi/disks.example^handle-1'

async function start(t: { after(fn: () => Promise<void>): void }) {
  const cluster = await startControllers(t, { sha256: (text) => createHash('sha256').update(text).digest('hex') })
  const { admin, clock } = cluster
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  for (const name of ['n1', 'n2'])
    await admin.create('v1/Node', { metadata: { name }, status: { conditions: [{ type: 'Ready', status: 'True' }] } })
  const spec = {
    accessModes: ['ReadWriteOnce'],
    capacity: { storage: '1Gi' },
    storageClassName: '',
    csi: { driver: 'disks.example', volumeHandle: 'handle-1' },
  }
  await admin.create('v1/PersistentVolume', { metadata: { name: 'pv' }, spec })
  const claim = { accessModes: ['ReadWriteOnce'], storageClassName: '', volumeName: 'pv', resources: { requests: { storage: '1Gi' } } }
  await admin.create('v1/PersistentVolumeClaim', { metadata: { namespace, name: 'c' }, spec: claim })
  await clock.advance(1000)
  const pod = (name: string, nodeName: string) =>
    admin.create('v1/Pod', {
      metadata: { namespace, name },
      spec: { nodeName, containers: [{ name: 'c', image: 'x' }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] },
    })
  const attachments = async () => (await admin.list(ATTACHMENT)).items
  const answer = async (status: { readonly attached: boolean; readonly attachError?: { readonly message: string } }) => {
    const [one] = await attachments()
    await admin.update(ATTACHMENT, { ...one!, status }, { subresource: 'status' })
    await clock.advance(1000)
  }
  const attached = async (name: string) => (await admin.get('v1/Node', { name })).status?.volumesAttached?.map((entry) => entry.name) ?? []
  const events = async () =>
    (await admin.list('v1/Event', { namespace })).items.filter(({ source }) => source?.component === 'attachdetach-controller')
  return { ...cluster, pod, attachments, answer, attached, events }
}

test('a volume is attached for a pod, told to its node, and goes from one node to the other', async (t) => {
  const { admin, clock, pod, attachments, answer, attached, events, problems } = await start(t)
  await pod('a', 'n1')
  await clock.advance(1000)
  const [one] = await attachments()
  const digest = createHash('sha256').update('handle-1disks.examplen1').digest('hex')
  assert.deepEqual([one?.metadata?.name, one?.spec.attacher, one?.spec.nodeName], [`csi-${digest}`, 'disks.example', 'n1'])
  assert.deepEqual(await attached('n1'), [])
  await answer({ attached: true })
  assert.deepEqual(await attached('n1'), [unique])
  const node = await admin.get('v1/Node', { name: 'n1' })
  await admin.update('v1/Node', { ...node, status: { ...node.status, volumesInUse: [unique] } }, { subresource: 'status' })

  // A second pod on another node must wait.
  await pod('b', 'n2')
  await clock.advance(1000)
  assert.equal((await attachments()).length, 1)
  await admin.delete('v1/Pod', { namespace, name: 'a' })
  await clock.advance(60_000)
  assert.deepEqual(
    (await attachments()).map(({ spec }) => spec.nodeName),
    ['n1'],
    'still mounted',
  )
  const mounted = await admin.get('v1/Node', { name: 'n1' })
  await admin.update('v1/Node', { ...mounted, status: { ...mounted.status, volumesInUse: [] } }, { subresource: 'status' })
  await clock.advance(1000)
  assert.deepEqual(
    (await attachments()).map(({ spec }) => spec.nodeName),
    ['n2'],
  )
  assert.deepEqual(await attached('n1'), [])
  const told = (await events()).map(({ reason, message, involvedObject }) => `${involvedObject.name} ${reason}: ${message?.trim()}`)
  assert.deepEqual(told.toSorted(), [
    'a SuccessfulAttachVolume: AttachVolume.Attach succeeded for volume "pv"',
    'b FailedAttachVolume: Multi-Attach error for volume "pv" Volume is already used by pod(s) a',
  ])
  assert.deepEqual(problems, [])
})

test('what the driver cannot attach is told to the pod; a driver may need no attaching', async (t) => {
  const { admin, clock, pod, attachments, answer, events, problems } = await start(t)
  await pod('a', 'n1')
  await clock.advance(1000)
  await answer({ attached: false, attachError: { message: 'no such disk' } })
  assert.deepEqual(
    (await events()).map(({ message }) => message),
    ['AttachVolume.Attach failed for volume "pv" : no such disk'],
  )
  await admin.delete('v1/Pod', { namespace, name: 'a' })
  await clock.advance(1000)
  assert.deepEqual(await attachments(), [])
  await admin.create('storage.k8s.io/v1/CSIDriver', { metadata: { name: 'disks.example' }, spec: { attachRequired: false } })
  await clock.advance(1000)
  await pod('b', 'n1')
  await clock.advance(1000)
  assert.deepEqual(await attachments(), [])
  assert.deepEqual(problems, [])
})

test('a claim that grows waits for its resizer', async (t) => {
  const { admin, clock, problems } = await start(t)
  await admin.patch('v1/PersistentVolumeClaim', { namespace, name: 'c' }, 'merge', {
    spec: { resources: { requests: { storage: '2Gi' } } },
  })
  await clock.advance(1000)
  const events = (await admin.list('v1/Event', { namespace })).items.filter(({ source }) => source?.component === 'volume_expand')
  assert.deepEqual(
    events.map(({ type, reason, message }) => [type, reason, message]),
    [['Normal', 'ExternalExpanding', 'waiting for an external controller to expand this PVC']],
  )
  assert.deepEqual(problems, [])
})

test("somebody else's attachments are left alone", async (t) => {
  const { admin, clock, attachments } = await start(t)
  for (const [name, nodeName] of [
    ['va-1', 'n1'],
    ['va-2', 'nowhere'],
  ] as const) {
    const spec = { attacher: 'other.example', nodeName, source: { persistentVolumeName: 'none' } }
    await admin.create(ATTACHMENT, { metadata: { name }, spec })
  }
  await clock.advance(10_000)
  assert.deepEqual(
    (await attachments()).map(({ metadata }) => metadata?.name),
    ['va-1', 'va-2'],
  )
})
