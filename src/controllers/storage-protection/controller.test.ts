/** Against a whole cluster, where admission puts the finalizers on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'

const gone = (object: unknown): boolean => object === undefined

test('a deleted claim, its class of attributes and a volume stay while they are used', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const CLAIM = 'v1/PersistentVolumeClaim'
  const CLASS = 'storage.k8s.io/v1/VolumeAttributesClass'
  const key = { namespace: 'default', name: 'data' }
  await client.create(CLASS, { metadata: { name: 'gold' }, driverName: 'd', parameters: { a: 'b' } })
  await client.create(CLAIM, {
    metadata: key,
    spec: {
      volumeAttributesClassName: 'gold',
      storageClassName: '',
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '1Gi' } },
    },
  })
  const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }]
  const [node] = (await client.list('v1/Node')).items
  await client.create('v1/Pod', {
    metadata: { namespace: 'default', name: 'p' },
    spec: { nodeName: node!.metadata!.name!, containers: [{ name: 'c', image: 'x' }], volumes },
  })
  await client.delete(CLAIM, key)
  await client.delete(CLASS, { name: 'gold' })
  await client.create('v1/PersistentVolume', {
    metadata: { name: 'free' },
    spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/x' } },
  })
  await client.delete('v1/PersistentVolume', { name: 'free' })
  await cluster.until('v1/PersistentVolume', { name: 'free' }, gone)
  await cluster.advance(5000)
  assert.ok((await client.get(CLAIM, key)).metadata?.deletionTimestamp)
  assert.ok((await client.get(CLASS, { name: 'gold' })).metadata?.deletionTimestamp)
  await client.delete('v1/Pod', { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 })
  await cluster.until(CLAIM, key, gone)
  await cluster.until(CLASS, { name: 'gold' }, gone)
})
