import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PersistentVolume, Pod } from '../api/generated/core/v1.ts'
import { definePlugin, insufficient, profileOf } from './framework.ts'
import { makeNode, makePod } from './objects.test-support.ts'
import type { PodOptions } from './objects.test-support.ts'
import { defaultPlugins } from './profile.ts'
import { startScheduler } from './scheduler.test-support.ts'

const conditionOf = (pod: Pod | undefined) => {
  const { type, status, reason, message } = pod?.status?.conditions?.[0] ?? {}
  return { type, status, reason, message }
}

test('a pod is bound and its event told', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1'))
  await cluster.create('a')
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
  assert.deepEqual(cluster.events(), ['Normal Scheduled a: Successfully assigned default/a to n1'])
})

test('a pod without a node is told why, and bound when a node comes', async () => {
  await using cluster = await startScheduler()
  await cluster.create('a')
  await cluster.clock.advance(10)
  assert.deepEqual(conditionOf(cluster.pod('a')), {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: 'no nodes available to schedule pods',
  })
  await cluster.client.create('v1/Node', makeNode('n1', { cpu: '1' }))
  await cluster.clock.advance(2_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
})

test('too little cpu is told in upstream words, and room made by a deletion is used', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { cpu: '1' }))
  await cluster.create('a', { requests: { cpu: '700m' } })
  await cluster.clock.advance(10)
  await cluster.create('b', { requests: { cpu: '700m' } })
  await cluster.clock.advance(10)
  const { reason, message } = conditionOf(cluster.pod('b'))
  assert.equal(reason, 'Unschedulable')
  assert.match(message!, /^0\/1 nodes are available: 1 Insufficient cpu\./)
  assert.match(cluster.events().join('\n'), /Warning FailedScheduling b: 0\/1 nodes are available: 1 Insufficient cpu\./)
  await cluster.client.delete('v1/Pod', { namespace: 'default', name: 'a' })
  await cluster.clock.advance(2_000)
  assert.equal(cluster.pod('b')?.spec?.nodeName, 'n1')
})

test('a finished pod gives its room back', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { cpu: '1' }))
  await cluster.create('a', { requests: { cpu: '1' } })
  await cluster.clock.advance(10)
  await cluster.create('b', { requests: { cpu: '1' } })
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('b')?.spec?.nodeName, undefined)
  await cluster.client.patch(
    'v1/Pod',
    { namespace: 'default', name: 'a' },
    'merge',
    { status: { phase: 'Succeeded' } },
    { subresource: 'status' },
  )
  await cluster.clock.advance(2_000)
  assert.equal(cluster.pod('b')?.spec?.nodeName, 'n1')
})

test('a gated pod is left alone until its gates are gone', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1'))
  await cluster.create('a', { spec: { schedulingGates: [{ name: 'wait' }] } })
  await cluster.clock.advance(60_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, undefined)
  assert.deepEqual(cluster.events(), [])
  await cluster.client.patch('v1/Pod', { namespace: 'default', name: 'a' }, 'merge', { spec: { schedulingGates: null } })
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
})

test('pods of another scheduler are left alone but take their room', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { pods: '1' }))
  await cluster.create('other', { spec: { schedulerName: 'mine' } })
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('other')?.spec?.nodeName, undefined)
  await cluster.client.patch('v1/Pod', { namespace: 'default', name: 'other' }, 'merge', { spec: { nodeName: 'n1' } })
  await cluster.create('a')
  await cluster.clock.advance(10)
  assert.match(conditionOf(cluster.pod('a')).message!, /1 Too many pods/)
})

test('a binding that fails gives the room back and is tried again with growing back-off', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { pods: '1' }))
  const tries: number[] = []
  const startMs = cluster.clock.monotonic()
  cluster.refuseBindings((request) => request.path.includes('/a/') && tries.push(cluster.clock.monotonic() - startMs) <= 4)
  await cluster.create('a')
  await cluster.clock.advance(60_000)
  assert.deepEqual(tries, [0, 1_000, 3_000, 7_000, 15_000])
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
  assert.match(cluster.events().join('\n'), /FailedScheduling a: running Bind plugin "DefaultBinder": no luck/)
})

test('pods are taken by priority, then by age', async () => {
  const order: string[] = []
  const watcher = definePlugin({
    name: 'Watcher',
    reserve: (pod) => {
      order.push(pod.pod.metadata!.name!)
      return undefined
    },
  })
  const gate = definePlugin({ name: 'NotYet', filter: () => undefined })
  await using cluster = await startScheduler([profileOf('default-scheduler', [...defaultPlugins(), { plugin: watcher }, { plugin: gate }])])
  await cluster.create('old', { priority: 0 })
  await cluster.create('new', { priority: 0 })
  await cluster.create('urgent', { priority: 1000 })
  await cluster.clock.advance(10)
  await cluster.client.create('v1/Node', makeNode('n1'))
  await cluster.clock.advance(20_000)
  assert.deepEqual(order, ['urgent', 'old', 'new'])
})

test('all extension points run in their order', async () => {
  const calls: string[] = []
  const note = <T>(name: string, result: T): T => {
    calls.push(name)
    return result
  }
  const spy = definePlugin({
    name: 'Spy',
    preEnqueue: () => note('preEnqueue', undefined),
    preFilter: () => note('preFilter', { state: undefined }),
    filter: () => note('filter', undefined),
    preScore: () => note('preScore', { state: undefined }),
    score: () => note('score', 1),
    normalise: () => note('normalise', undefined),
    reserve: () => note('reserve', undefined),
    permit: () => note('permit', { timeoutMs: 1_000, decided: Promise.resolve(undefined) }),
    preBind: async () => note('preBind', undefined),
    bind: async () => note('bind', false),
    postBind: () => note('postBind', undefined),
  })
  await using cluster = await startScheduler([profileOf('default-scheduler', [{ plugin: spy }, ...defaultPlugins()])])
  await cluster.client.create('v1/Node', makeNode('n1'))
  await cluster.client.create('v1/Node', makeNode('n2'))
  await cluster.clock.advance(10)
  await cluster.create('a')
  await cluster.clock.advance(10)
  assert.deepEqual(calls, [
    'preEnqueue',
    'preFilter',
    'filter',
    'filter',
    'preScore',
    'score',
    'score',
    'normalise',
    'reserve',
    'permit',
    'preBind',
    'bind',
    'postBind',
  ])
})

test('a permit that times out undoes the reservation and frees the node', async () => {
  let undone = 0
  let isOpen = false
  const slow = definePlugin({
    name: 'Slow',
    permit: () => (isOpen ? undefined : { timeoutMs: 5_000, decided: new Promise(() => undefined) }),
    unreserve: () => void undone++,
    requeueOn: [{ on: ['pod-deleted'] }],
  })
  await using cluster = await startScheduler([profileOf('default-scheduler', [...defaultPlugins(), { plugin: slow }])])
  await cluster.client.create('v1/Node', makeNode('n1', { pods: '1' }))
  await cluster.create('a')
  await cluster.clock.advance(4_000)
  assert.equal(undone, 0)
  await cluster.clock.advance(1_500)
  assert.equal(undone, 1)
  assert.match(conditionOf(cluster.pod('a')).message!, /rejected due to timeout after waiting 5s at plugin Slow/)
  isOpen = true
  await cluster.create('b')
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('b')?.spec?.nodeName, 'n1')
})

test('a plugin that throws costs its pod a back-off and nobody else anything', async () => {
  let failures = 2
  const broken = definePlugin({
    name: 'Broken',
    filter(_state, pod) {
      if (pod.pod.metadata?.name === 'a' && failures-- > 0) throw new Error('bug')
      return undefined
    },
  })
  await using cluster = await startScheduler([profileOf('default-scheduler', [...defaultPlugins(), { plugin: broken }])])
  await cluster.client.create('v1/Node', makeNode('n1'))
  await cluster.create('a')
  await cluster.create('b')
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('b')?.spec?.nodeName, 'n1')
  assert.deepEqual(conditionOf(cluster.pod('a')), { type: 'PodScheduled', status: 'False', reason: 'SchedulerError', message: 'bug' })
  await cluster.clock.advance(5_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
})

test('an unschedulable pod is tried once more after five minutes without any event', async () => {
  let tries = 0
  const never = definePlugin({
    name: 'Never',
    filter() {
      tries++
      return insufficient('never')
    },
  })
  await using cluster = await startScheduler([profileOf('default-scheduler', [{ plugin: never }])])
  await cluster.client.create('v1/Node', makeNode('n1'))
  await cluster.create('a')
  await cluster.clock.advance(299_000)
  assert.equal(tries, 1)
  await cluster.clock.advance(2_000)
  assert.equal(tries, 2)
})

test('preemption evicts, nominates, and the pod gets the room', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { cpu: '2' }))
  await cluster.create('low', { requests: { cpu: '2' }, priority: 1 })
  await cluster.clock.advance(10)
  await cluster.create('high', { requests: { cpu: '2' }, priority: 100 })
  await cluster.clock.advance(5_000)
  assert.equal(cluster.pod('low'), undefined)
  assert.equal(cluster.pod('high')?.spec?.nodeName, 'n1')
  const events = cluster.events().join('\n')
  assert.match(events, /Normal Preempted low: Preempted by pod uid-\d+ on node n1/)
  assert.match(events, /Warning FailedScheduling high: 0\/1 nodes are available: 1 Insufficient cpu\./)
})

test('while a preemption is under way no lesser pod takes the room', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { cpu: '2' }))
  // The victim takes its time to go.
  const low = makePod('low', { requests: { cpu: '2' }, priority: 1 })
  await cluster.client.create('v1/Pod', { ...low, metadata: { ...low.metadata, finalizers: ['example.com/slow'] } })
  await cluster.clock.advance(10)
  await cluster.create('high', { requests: { cpu: '2' }, priority: 100 })
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('high')?.status?.nominatedNodeName, 'n1')
  await cluster.create('thief', { requests: { cpu: '1' }, priority: 50 })
  await cluster.client.patch('v1/Pod', { namespace: 'default', name: 'low' }, 'merge', { metadata: { finalizers: null } })
  await cluster.clock.advance(10_000)
  assert.equal(cluster.pod('high')?.spec?.nodeName, 'n1')
  assert.equal(cluster.pod('thief')?.spec?.nodeName, undefined)
})

/** Stands for the controller that binds claims once the scheduler has chosen their volumes, or asked for one on a node. */
async function bindClaims({ client, server }: Awaited<ReturnType<typeof startScheduler>>): Promise<void> {
  const done = { metadata: { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } } }
  for (const volume of server.objects('v1/PersistentVolume') as readonly PersistentVolume[]) {
    const { namespace, name } = volume.spec?.claimRef ?? {}
    if (name)
      await client.patch('v1/PersistentVolumeClaim', { namespace, name }, 'merge', { ...done, spec: { volumeName: volume.metadata?.name } })
  }
  for (const { metadata } of server.objects('v1/PersistentVolumeClaim')) {
    if (!metadata?.annotations?.['volume.kubernetes.io/selected-node']) continue
    await client.patch('v1/PersistentVolumeClaim', { namespace: metadata.namespace, name: metadata.name! }, 'merge', {
      ...done,
      spec: { volumeName: 'made' },
    })
  }
}

const claimFor = (name: string) => ({
  metadata: { name, namespace: 'default' },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'late', resources: { requests: { storage: '1Gi' } } },
})
const usingClaim = (claimName: string): PodOptions => ({ spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }] } })

test('two pods that wait for volumes choose different ones and are bound when their claims are', async () => {
  await using cluster = await startScheduler()
  const { client, clock } = cluster
  await client.create('v1/Node', makeNode('n1'))
  await client.create('storage.k8s.io/v1/StorageClass', {
    metadata: { name: 'late' },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  })
  for (const name of ['v1', 'v2']) {
    await client.create('v1/PersistentVolume', {
      metadata: { name },
      spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'late' },
      status: { phase: 'Available' },
    })
  }
  for (const name of ['a', 'b']) {
    await client.create('v1/PersistentVolumeClaim', claimFor(name))
    await cluster.create(name, usingClaim(name))
  }
  await clock.advance(3_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, undefined)
  const chosen = (cluster.server.objects('v1/PersistentVolume') as readonly PersistentVolume[]).map(({ spec }) => spec?.claimRef?.name)
  assert.deepEqual(chosen.toSorted(), ['a', 'b'])
  await bindClaims(cluster)
  await clock.advance(2_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
  assert.equal(cluster.pod('b')?.spec?.nodeName, 'n1')
})

test('a claim is handed to its provisioner with the chosen node', async () => {
  await using cluster = await startScheduler()
  const { client, clock } = cluster
  await client.create('v1/Node', makeNode('n1'))
  await client.create('storage.k8s.io/v1/StorageClass', {
    metadata: { name: 'late' },
    provisioner: 'example.com/disk',
    volumeBindingMode: 'WaitForFirstConsumer',
  })
  await cluster.create('a', usingClaim('c'))
  await clock.advance(10)
  assert.match(conditionOf(cluster.pod('a')).message!, /persistentvolumeclaim "c" not found/)
  await client.create('v1/PersistentVolumeClaim', claimFor('c'))
  await clock.advance(5_000)
  assert.equal(cluster.server.objects('v1/PersistentVolumeClaim')[0]?.metadata?.annotations?.['volume.kubernetes.io/selected-node'], 'n1')
  assert.equal(cluster.pod('a')?.spec?.nodeName, undefined)
  await bindClaims(cluster)
  await clock.advance(2_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
})

test('a pod that waits to be bound tells its node beforehand, and takes it back when that fails', async () => {
  const gates = { slow: Promise.withResolvers<undefined>(), refused: Promise.withResolvers<ReturnType<typeof insufficient>>() }
  const gate = definePlugin({
    name: 'Gate',
    permit: ({ pod }) => {
      const name = pod.metadata?.name
      return name === 'slow' || name === 'refused' ? { timeoutMs: 60_000, decided: gates[name].promise } : undefined
    },
  })
  await using cluster = await startScheduler([profileOf('default-scheduler', [...defaultPlugins(), { plugin: gate }])])
  await cluster.client.create('v1/Node', makeNode('n1'))
  const names = ['slow', 'refused', 'quick']
  for (const name of names) await cluster.create(name)
  await cluster.clock.advance(10)
  const told = () => names.map((name) => [cluster.pod(name)?.spec?.nodeName, cluster.pod(name)?.status?.nominatedNodeName ?? undefined])
  assert.deepEqual(told(), [
    [undefined, 'n1'],
    [undefined, 'n1'],
    ['n1', undefined],
  ])
  gates.slow.resolve(undefined)
  gates.refused.resolve(insufficient('no'))
  await cluster.clock.advance(10)
  assert.equal(cluster.pod('slow')?.spec?.nodeName, 'n1')
  assert.deepEqual(told()[1], [undefined, undefined])
})
