/** Against a whole cluster, whose scheduler chooses for claims that wait for their first consumer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'

const CLAIM = 'v1/PersistentVolumeClaim'
const VOLUME = 'v1/PersistentVolume'
const accessModes = ['ReadWriteOnce']
const volume = (name: string, storage: string, storageClassName = '') => ({
  metadata: { name },
  spec: { capacity: { storage }, accessModes, storageClassName, persistentVolumeReclaimPolicy: 'Retain', hostPath: { path: '/x' } },
})
const claim = (name: string, storage: string, storageClassName = '') => ({
  metadata: { namespace: 'default', name },
  spec: { accessModes, storageClassName, resources: { requests: { storage } } },
})
const at = (name: string) => ({ namespace: 'default', name })

test('a claim gets the smallest volume that fits, or waits for one', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  for (const [name, size] of [
    ['small', '1Gi'],
    ['middle', '5Gi'],
    ['large', '50Gi'],
  ] as const)
    await client.create(VOLUME, volume(name, size))
  await cluster.until(VOLUME, { name: 'small' }, (object) => object?.status?.phase === 'Available')
  await client.create(CLAIM, claim('data', '3Gi'))
  const bound = await cluster.until(CLAIM, at('data'), (object) => object?.status?.phase === 'Bound')
  assert.deepEqual([bound?.spec?.volumeName, bound?.status?.capacity], ['middle', { storage: '5Gi' }])
  assert.equal(bound?.metadata?.annotations?.['pv.kubernetes.io/bind-completed'], 'yes')
  assert.equal((await client.get(VOLUME, { name: 'middle' })).status?.phase, 'Bound')

  await client.create(CLAIM, claim('huge', '100Gi'))
  await cluster.until(CLAIM, at('huge'), (object) => object?.status?.phase === 'Pending')
  await client.create(VOLUME, volume('huge', '200Gi'))
  await cluster.until(CLAIM, at('huge'), (object) => object?.status?.phase === 'Bound' && object.spec?.volumeName === 'huge')

  await client.delete(CLAIM, at('data'))
  await cluster.until(VOLUME, { name: 'middle' }, (object) => object?.status?.phase === 'Released')
  await client.delete(VOLUME, { name: 'huge' })
  await cluster.advance(2000)
  assert.ok((await client.get(VOLUME, { name: 'huge' })).metadata?.deletionTimestamp, 'what is bound is protected')
})

test('two claims for one volume: one waits', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  await Promise.all([client.create(CLAIM, claim('a', '1Gi')), client.create(CLAIM, claim('b', '1Gi'))])
  await client.create(VOLUME, volume('only', '1Gi'))
  await cluster.advance(10_000)
  const phases = (await client.list(CLAIM, { namespace: 'default' })).items.map(({ status }) => status?.phase).toSorted()
  assert.deepEqual(phases, ['Bound', 'Pending'])
})

test('a claim that waits for its first consumer is bound with the pod; one of a driver is marked for it', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const CLASS = 'storage.k8s.io/v1/StorageClass'
  await client.create(CLASS, {
    metadata: { name: 'late' },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  })
  await client.create(CLASS, { metadata: { name: 'csi' }, provisioner: 'csi.example.com' })
  await client.create(VOLUME, volume('v', '1Gi', 'late'))
  await client.create(CLAIM, claim('late', '1Gi', 'late'))
  await client.create(CLAIM, claim('csi', '1Gi', 'csi'))
  await cluster.advance(3000)
  assert.equal((await client.get(CLAIM, at('late'))).status?.phase, 'Pending')
  const waiting = await client.get(CLAIM, at('csi'))
  assert.equal(waiting.metadata?.annotations?.['volume.kubernetes.io/storage-provisioner'], 'csi.example.com')
  const volumes = [{ name: 'd', persistentVolumeClaim: { claimName: 'late' } }]
  await client.create('v1/Pod', { metadata: at('p'), spec: { containers: [{ name: 'c', image: 'x' }], volumes } })
  await cluster.until(CLAIM, at('late'), (object) => object?.status?.phase === 'Bound' && object.spec?.volumeName === 'v')
  await cluster.until('v1/Pod', at('p'), (pod) => Boolean(pod?.spec?.nodeName))
})
