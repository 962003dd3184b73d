import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMap } from '../../api/generated/core/v1.ts'
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { startTestCluster } from '../test-cluster.test-support.ts'
import { createGarbageCollector } from './controller.ts'

type Cluster = Awaited<ReturnType<typeof startTestCluster>>

async function make(
  { client }: Cluster,
  name: string,
  owners: readonly ConfigMap[] = [],
  options: { namespace?: string; blocks?: boolean } = {},
): Promise<ConfigMap> {
  const { namespace = 'n', blocks = true } = options
  const ownerReferences = owners.map((owner): OwnerReference => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: owner.metadata!.name!,
    uid: owner.metadata!.uid!,
    blockOwnerDeletion: blocks,
  }))
  return client.create('v1/ConfigMap', { metadata: { namespace, name, ownerReferences } })
}
const names = ({ server }: Cluster) =>
  server
    .objects('v1/ConfigMap')
    .map((object) => `${object.metadata?.namespace}/${object.metadata?.name}`)
    .toSorted()
const key = (name: string) => ({ namespace: 'n', name })

test('dependents go with their last owner, generation by generation', async (t) => {
  const cluster = await startTestCluster(t, [createGarbageCollector()])
  const root = await make(cluster, 'root')
  const other = await make(cluster, 'other')
  const child = await make(cluster, 'child', [root])
  await make(cluster, 'grandchild', [child])
  await make(cluster, 'shared', [root, other])
  await cluster.clock.advance(100)
  await cluster.client.delete('v1/ConfigMap', key('root'))
  await cluster.clock.advance(100)
  assert.deepEqual(names(cluster), ['n/other', 'n/shared'])
  const shared = await cluster.client.get('v1/ConfigMap', key('shared'))
  assert.deepEqual(
    shared.metadata?.ownerReferences?.map((reference) => reference.name),
    ['other'],
    'the dangling reference is taken off',
  )
  assert.deepEqual(cluster.problems, [])
})

test('foreground deletion: the owner stays until those that block it are gone', async (t) => {
  const cluster = await startTestCluster(t, [createGarbageCollector()])
  const root = await make(cluster, 'root')
  const child = await make(cluster, 'child', [root])
  await make(cluster, 'grandchild', [child])
  await cluster.client.patch('v1/ConfigMap', key('grandchild'), 'merge', { metadata: { finalizers: ['example.com/hold'] } })
  await cluster.clock.advance(100)
  await cluster.client.delete('v1/ConfigMap', key('root'), { propagationPolicy: 'Foreground' })
  await cluster.clock.advance(1000)
  assert.deepEqual(names(cluster), ['n/child', 'n/grandchild', 'n/root'], 'all wait for the finalizer')
  await cluster.client.patch('v1/ConfigMap', key('grandchild'), 'merge', { metadata: { finalizers: [] } })
  await cluster.clock.advance(1000)
  assert.deepEqual(names(cluster), [])
})

test('orphan deletion: dependents stay, without the reference', async (t) => {
  const cluster = await startTestCluster(t, [createGarbageCollector()])
  const root = await make(cluster, 'root')
  await make(cluster, 'child', [root])
  await cluster.clock.advance(100)
  await cluster.client.delete('v1/ConfigMap', key('root'), { propagationPolicy: 'Orphan' })
  await cluster.clock.advance(100)
  assert.deepEqual(names(cluster), ['n/child'])
  assert.deepEqual((await cluster.client.get('v1/ConfigMap', key('child'))).metadata?.ownerReferences, [])
})

test('an owner that never existed, or lives in another namespace, is no owner', async (t) => {
  const cluster = await startTestCluster(t, [createGarbageCollector()])
  const elsewhere = await make(cluster, 'owner', [], { namespace: 'other' })
  await make(cluster, 'crossing', [elsewhere])
  await make(cluster, 'made-up', [{ metadata: { name: 'ghost', uid: 'ghost-uid' } }])
  await cluster.clock.advance(100)
  assert.deepEqual(names(cluster), ['other/owner'])
})

test('a circle of owners deleted in the foreground does not wait for itself', async (t) => {
  const cluster = await startTestCluster(t, [createGarbageCollector()])
  const a = await make(cluster, 'a')
  const b = await make(cluster, 'b', [a])
  await cluster.client.patch('v1/ConfigMap', key('a'), 'merge', {
    metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'b', uid: b.metadata!.uid, blockOwnerDeletion: true }] },
  })
  await cluster.clock.advance(100)
  await cluster.client.delete('v1/ConfigMap', key('a'), { propagationPolicy: 'Foreground' })
  await cluster.clock.advance(2000)
  assert.deepEqual(names(cluster), [])
})

test('an owner of a kind that is not served keeps its dependents', async (t) => {
  const cluster = await startTestCluster(t, [createGarbageCollector()])
  await cluster.client.create('v1/ConfigMap', {
    metadata: { namespace: 'n', name: 'kept', ownerReferences: [{ apiVersion: 'gone.example.com/v1', kind: 'Gone', name: 'x', uid: 'x' }] },
  })
  await cluster.clock.advance(60_000)
  assert.deepEqual(names(cluster), ['n/kept'])
  assert.equal(cluster.problems.length, 1, 'told once, not with every retry')
})
