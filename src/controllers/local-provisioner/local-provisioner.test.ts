import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import type { StorageClass } from '../../api/generated/storage/v1.ts'
import { Cluster } from '../../cluster/cluster.ts'
import { isToBeDeleted, LOCAL_PROVISIONER, planClaim } from './plan.ts'

const marks = { 'volume.kubernetes.io/storage-provisioner': LOCAL_PROVISIONER, 'volume.kubernetes.io/selected-node': 'n' }
const storageClass: StorageClass = {
  metadata: { name: 'standard' },
  provisioner: LOCAL_PROVISIONER,
  volumeBindingMode: 'WaitForFirstConsumer',
}
const claim = (spec: PersistentVolumeClaim['spec'], annotations: Record<string, string> = marks): PersistentVolumeClaim => ({
  metadata: { name: 'c', namespace: 'd', uid: 'u', annotations },
  spec: { storageClassName: 'standard', accessModes: ['ReadWriteOnce'], ...spec },
})

test('which claims are provisioned', () => {
  const { 'volume.kubernetes.io/selected-node': _node, ...unplaced } = marks
  for (const [what, object, wanted] of [
    ['one that is placed', claim({}), 'provision'],
    ['one that no pod uses yet', claim({}, unplaced), 'nothing'],
    ["another provisioner's", claim({}, {}), 'nothing'],
    ['one that is bound', claim({ volumeName: 'v' }), 'nothing'],
    ['one of a class that is gone', claim({ storageClassName: 'gone' }), 'nothing'],
    ['a shared one', claim({ accessModes: ['ReadWriteMany'] }), 'refuse'],
    ['a raw one', claim({ volumeMode: 'Block' }), 'refuse'],
    ['a choosy one', claim({ selector: { matchLabels: { a: 'b' } } }), 'refuse'],
  ] as const)
    assert.equal(planClaim(object, (name) => (name === 'standard' ? storageClass : undefined)).do, wanted, what)
  assert.equal(planClaim(claim({}, unplaced), () => ({ ...storageClass, volumeBindingMode: 'Immediate' })).do, 'refuse')
})

test('which volumes go', () => {
  const volume = (phase: string, policy: string, provisioner = LOCAL_PROVISIONER): PersistentVolume => ({
    metadata: { annotations: { 'pv.kubernetes.io/provisioned-by': provisioner } },
    spec: { persistentVolumeReclaimPolicy: policy },
    status: { phase },
  })
  assert.ok(isToBeDeleted(volume('Released', 'Delete')))
  for (const kept of [volume('Bound', 'Delete'), volume('Released', 'Retain'), volume('Released', 'Delete', 'csi.example.com')])
    assert.ok(!isToBeDeleted(kept))
})

test('a StatefulSet has its storage out of the box; claims keep it, and take it along when they go', async () => {
  await using cluster = await Cluster.start({ nodes: 2, clock: 'virtual' })
  const { client } = cluster
  await cluster.apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db, namespace: default }
spec:
  serviceName: db
  replicas: 2
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      containers: [{ name: c, image: x, volumeMounts: [{ name: data, mountPath: /data }] }]
  volumeClaimTemplates:
  - metadata: { name: data }
    spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
`)
  await cluster.until('apps/v1/StatefulSet', { namespace: 'default', name: 'db' }, (set) => set?.status?.readyReplicas === 2)
  const { items } = await client.list('v1/PersistentVolume')
  assert.equal(items.length, 2)
  for (const volume of items) {
    assert.deepEqual(
      [volume.status?.phase, volume.spec?.storageClassName, volume.spec?.capacity],
      ['Bound', 'standard', { storage: '1Gi' }],
    )
    assert.match(volume.spec?.local?.path ?? '', /^\/nodes\/node-[12]\/volumes\/pvc-/)
  }
  const pod = await client.get('v1/Pod', { namespace: 'default', name: 'db-0' })
  await client.delete('v1/Pod', { namespace: 'default', name: 'db-0' })
  await cluster.until(
    'v1/Pod',
    { namespace: 'default', name: 'db-0' },
    (next) => next?.metadata?.uid !== pod.metadata?.uid && next?.status?.phase === 'Running',
  )
  const again = await client.get('v1/Pod', { namespace: 'default', name: 'db-0' })
  assert.equal(again.spec?.nodeName, pod.spec?.nodeName)
  await client.delete('apps/v1/StatefulSet', { namespace: 'default', name: 'db' })
  await client.delete('v1/PersistentVolumeClaim', { namespace: 'default', name: 'data-db-0' })
  const claim = await client.get('v1/PersistentVolumeClaim', { namespace: 'default', name: 'data-db-1' })
  await cluster.until(
    'v1/PersistentVolume',
    { name: items.find(({ spec }) => spec?.claimRef?.name === 'data-db-0')?.metadata?.name ?? '' },
    (volume) => !volume,
  )
  assert.deepEqual(
    (await client.list('v1/PersistentVolume')).items.map(({ metadata }) => metadata?.name),
    [claim.spec?.volumeName],
  )
})
