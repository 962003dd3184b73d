import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Pod } from '../../api/generated/core/v1.ts'
import { microTimestamp } from '../../base/clock.ts'
import { createNodeIpamController } from '../node-ipam/controller.ts'
import { createPodGarbageCollector } from '../pod-gc/controller.ts'
import { createTaintEvictionController } from '../taint-eviction/controller.ts'
import { startTestCluster } from '../test-cluster.test-support.ts'
import { createNodeLifecycleController } from './controller.ts'

type T = Parameters<typeof startTestCluster>[0]

async function startNodes(t: T, names: readonly string[], zoneOf: (name: string) => string = () => '') {
  const cluster = await startTestCluster(t, [
    createNodeLifecycleController(),
    createTaintEvictionController(),
    createPodGarbageCollector(),
    createNodeIpamController('10.0.0.0/16', 24),
  ])
  const { client, clock, server } = cluster
  for (const name of names) {
    const labels = { 'topology.kubernetes.io/zone': zoneOf(name) }
    await client.create('v1/Node', { metadata: { name, labels }, status: { conditions: [{ type: 'Ready', status: 'True' }] } })
    await client.create('coordination.k8s.io/v1/Lease', {
      metadata: { namespace: 'kube-node-lease', name },
      spec: { renewTime: microTimestamp(clock) },
    })
  }
  const renew = async (...alive: readonly string[]) => {
    for (const name of alive)
      await client.patch('coordination.k8s.io/v1/Lease', { namespace: 'kube-node-lease', name }, 'merge', {
        spec: { renewTime: microTimestamp(clock) },
      })
  }
  /** Lets time pass with these nodes renewing their leases every ten seconds. */
  const pass = async (seconds: number, ...alive: readonly string[]) => {
    for (let i = 0; i < seconds; i += 10) {
      await renew(...alive)
      await clock.advance(10_000)
    }
  }
  const node = (name: string) => (server.objects('v1/Node') as Node[]).find((object) => object.metadata?.name === name)!
  const taints = (name: string) => (node(name).spec?.taints ?? []).map((taint) => `${taint.key}:${taint.effect}`).toSorted()
  const ready = (name: string) => node(name).status?.conditions?.find((condition) => condition.type === 'Ready')?.status
  const pods = () => (server.objects('v1/Pod') as Pod[]).map((pod) => pod.metadata?.name)
  await clock.advance(0)
  return { ...cluster, pass, node, taints, ready, pods }
}

const pod = (name: string, nodeName: string, tolerationSeconds?: number): Pod => ({
  metadata: { namespace: 'n', name },
  spec: {
    nodeName,
    containers: [],
    ...(tolerationSeconds === undefined
      ? {}
      : { tolerations: [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds }] }),
  },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
})

test('a node that falls silent is marked, its pods are moved after their toleration, and it comes back', async (t) => {
  const { client, pass, taints, ready, pods, server, problems } = await startNodes(t, ['quiet', 'well'])
  await client.create('v1/Pod', pod('hasty', 'quiet'))
  await client.create('v1/Pod', pod('patient', 'quiet', 300))
  await client.create('v1/Pod', pod('elsewhere', 'well'))
  await pass(100, 'quiet', 'well')
  assert.deepEqual([ready('quiet'), taints('quiet')], ['True', []])

  await pass(30, 'well')
  assert.equal(ready('quiet'), 'True', 'not before the grace period is over')
  await pass(20, 'well')
  assert.equal(ready('quiet'), 'Unknown')
  assert.deepEqual(taints('quiet'), ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule'])
  assert.deepEqual(pods(), ['patient', 'elsewhere'], 'who does not tolerate it goes at once')
  const patient = (server.objects('v1/Pod') as Pod[]).find((object) => object.metadata?.name === 'patient')
  assert.equal(patient?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status, 'False', 'nobody shall send to it')

  const current = await client.get('v1/Node', { name: 'quiet' })
  await client.update('v1/Node', { ...current, status: { conditions: [{ type: 'Ready', status: 'True' }] } }, { subresource: 'status' })
  await pass(400, 'quiet', 'well')
  assert.deepEqual([ready('quiet'), taints('quiet')], ['True', []])
  assert.deepEqual(pods(), ['patient', 'elsewhere'], 'the eviction was called off')

  await pass(400, 'well')
  assert.deepEqual(pods(), ['elsewhere'])
  assert.deepEqual(problems, [])
})

test('while no node is ready none is emptied', async (t) => {
  const { pass, taints, client, pods } = await startNodes(t, ['a', 'b'])
  await client.create('v1/Pod', pod('stays', 'a'))
  await pass(120)
  assert.deepEqual(taints('a'), ['node.kubernetes.io/unreachable:NoSchedule'])
  assert.deepEqual(pods(), ['stays'])
})

test('pods of a node that is deleted go after a while, unless it comes back', async (t) => {
  const { client, clock, pods } = await startNodes(t, ['a', 'b'])
  await client.create('v1/Pod', pod('on-a', 'a'))
  await client.create('v1/Pod', pod('on-b', 'b'))
  await clock.advance(0)
  await client.delete('v1/Node', { name: 'a' })
  await client.delete('v1/Node', { name: 'b' })
  await clock.advance(20_000)
  await client.create('v1/Node', { metadata: { name: 'b' } })
  await clock.advance(30_000)
  assert.deepEqual(pods(), ['on-b'])
})

test('each node gets a block of the pod network of its own, and a freed one is not the next', async (t) => {
  const { client, clock, node } = await startNodes(t, ['a', 'b', 'c'])
  await clock.advance(100)
  assert.deepEqual(['a', 'b', 'c'].map((name) => String(node(name).spec?.podCIDR)).toSorted(), [
    '10.0.0.0/24',
    '10.0.1.0/24',
    '10.0.2.0/24',
  ])
  await client.delete('v1/Node', { name: 'b' })
  await client.create('v1/Node', { metadata: { name: 'd' } })
  await clock.advance(100)
  assert.equal(node('d').spec?.podCIDR, '10.0.3.0/24')
})

test('a zone that is lost is evicted from node by node, one that is mostly lost and small not at all', async (t) => {
  const names = ['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'b4']
  const { pass, taints } = await startNodes(t, names, (name) => name[0]!)
  const evicted = () => names.filter((name) => taints(name).includes('node.kubernetes.io/unreachable:NoExecute'))
  await pass(20, ...names)
  // Of zone a nobody is left, of zone b one of four.
  await pass(50, 'b4')
  assert.equal(evicted().length, 1)
  assert.ok(names.slice(0, 6).every((name) => taints(name).includes('node.kubernetes.io/unreachable:NoSchedule')))
  await pass(10, 'b4')
  assert.equal(evicted().length, 2)
  await pass(60, 'b4')
  assert.deepEqual(evicted(), ['a1', 'a2', 'a3'])
})
