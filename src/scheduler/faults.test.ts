/** What goes wrong around the scheduler: plugins that throw, nodes that vanish, bindings that others were first to make. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Pod } from '../api/generated/core/v1.ts'
import { randomInt, seededRandom } from '../base/random.ts'
import { definePlugin, profileOf } from './framework.ts'
import type { Plugin } from './framework.ts'
import { makeNode } from './objects.test-support.ts'
import { podInfoOf } from './pod-info.ts'
import { defaultPlugins } from './profile.ts'
import { startScheduler } from './scheduler.test-support.ts'

const broken = (points: readonly (keyof Plugin)[]): Plugin =>
  definePlugin({
    name: 'Broken',
    ...Object.fromEntries(
      points.map((point) => [
        point,
        (...args: readonly unknown[]) => {
          const pod = args.flat().find((arg) => typeof arg === 'object' && arg !== null && ('pod' in arg || 'metadata' in arg))
          if (JSON.stringify(pod).includes('"victim"')) throw new Error(`a bug in ${point}`)
          return point === 'preFilter' || point === 'preScore'
            ? { state: undefined }
            : point === 'score'
              ? 1
              : point === 'bind'
                ? false
                : undefined
        },
      ]),
    ),
  })

for (const point of ['preEnqueue', 'preFilter', 'filter', 'preScore', 'score', 'reserve', 'permit', 'preBind', 'bind'] as const)
  test(`a plugin that throws at ${point} holds up its pod, and no other`, async () => {
    await using cluster = await startScheduler([profileOf('default-scheduler', [{ plugin: broken([point]) }, ...defaultPlugins()])])
    await cluster.client.create('v1/Node', makeNode('n1', { pods: '2' }))
    await cluster.client.create('v1/Node', makeNode('n2', { pods: '2' }))
    await cluster.create('victim')
    for (const name of ['a', 'b', 'c', 'd']) await cluster.create(name)
    await cluster.clock.advance(60_000)
    assert.equal(cluster.pod('victim')?.spec?.nodeName, undefined)
    for (const name of ['a', 'b', 'c', 'd']) assert.match(cluster.pod(name)?.spec?.nodeName ?? 'nowhere', /^n[12]$/, name)
  })

for (const point of ['postBind', 'unreserve'] as const)
  test(`a plugin that throws at ${point} changes nothing`, async () => {
    const plugins = [...defaultPlugins(), { plugin: broken([point, ...(point === 'unreserve' ? (['permit'] as const) : [])]) }]
    await using cluster = await startScheduler([profileOf('default-scheduler', plugins)])
    await cluster.client.create('v1/Node', makeNode('n1'))
    await cluster.create('victim')
    await cluster.create('a')
    await cluster.clock.advance(1_000)
    assert.equal(cluster.pod('victim')?.spec?.nodeName, point === 'postBind' ? 'n1' : undefined)
    assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
  })

test('a node that vanishes while its pod is being bound: the pod finds another', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1'))
  let isGone = false
  cluster.refuseBindings(() => {
    if (isGone) return false
    isGone = true
    void cluster.client.delete('v1/Node', { name: 'n1' }).then(() => cluster.client.create('v1/Node', makeNode('n2')))
    return true
  })
  await cluster.create('a')
  await cluster.clock.advance(10_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n2')
})

test('a pod that another scheduler has bound meanwhile is left where it is, and its room here is free', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { pods: '1' }))
  let isOnce = true
  cluster.refuseBindings((request) => {
    if (!isOnce || !request.path.includes('/a/')) return false
    isOnce = false
    void cluster.client.patch('v1/Pod', { namespace: 'default', name: 'a' }, 'merge', { spec: { nodeName: 'elsewhere' } })
    return true
  })
  await cluster.create('a')
  await cluster.create('b')
  await cluster.clock.advance(20_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'elsewhere')
  assert.equal(cluster.pod('b')?.spec?.nodeName, 'n1')
})

test('a pod that is made anew while its namesake is being bound gets a node of its own', async () => {
  await using cluster = await startScheduler()
  await cluster.client.create('v1/Node', makeNode('n1', { pods: '1' }))
  let isOnce = true
  cluster.refuseBindings(() => {
    if (!isOnce) return false
    isOnce = false
    void cluster.client.delete('v1/Pod', { namespace: 'default', name: 'a' }).then(() => cluster.create('a'))
    return true
  })
  await cluster.create('a')
  await cluster.clock.advance(20_000)
  assert.equal(cluster.pod('a')?.spec?.nodeName, 'n1')
})

test('a preemption takes the room of a pod that still waits for permission, which goes back to the queue', async () => {
  const slow = definePlugin({
    name: 'Slow',
    permit: (pod) => (pod.priority === 0 ? { timeoutMs: 600_000, decided: new Promise(() => undefined) } : undefined),
  })
  await using cluster = await startScheduler([profileOf('default-scheduler', [...defaultPlugins(), { plugin: slow }])])
  await cluster.client.create('v1/Node', makeNode('n1', { pods: '1' }))
  await cluster.create('low')
  await cluster.clock.advance(100)
  await cluster.create('high', { priority: 10 })
  await cluster.clock.advance(30_000)
  assert.equal(cluster.pod('high')?.spec?.nodeName, 'n1')
  assert.ok(cluster.pod('low'), 'not deleted')
  assert.match(cluster.events().join('\n'), /FailedScheduling low: 0\/1 nodes are available: 1 preempted\./)
})

/** A node never holds more than it has to give: as the server knows it, whatever fails. */
function overfull(nodes: readonly Node[], pods: readonly Pod[]): string | undefined {
  for (const { metadata, status } of nodes) {
    const there = pods.filter((pod) => pod.spec?.nodeName === metadata!.name)
    const cpuMilli = there.reduce((sum, pod) => sum + podInfoOf(pod).requests.cpuMilli, 0)
    if (cpuMilli > Number(status?.allocatable?.['cpu']) * 1000 || there.length > Number(status?.allocatable?.['pods']))
      return `${metadata!.name} holds ${there.length} pods of ${cpuMilli}m`
  }
  return undefined
}

test('whatever fails, no node holds more than it has, and every pod that fits is bound in the end', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = seededRandom(seed)
    await using cluster = await startScheduler()
    let isFailing = true
    cluster.refuseBindings(() => isFailing && random.next() < 0.3)
    for (let i = 0; i < 3; i++) await cluster.client.create('v1/Node', makeNode(`n${i}`, { cpu: '4', pods: '6' }))
    for (let step = 0; step < 60; step++) {
      const choice = randomInt(random, 8)
      const pods = cluster.server.objects('v1/Pod') as readonly Pod[]
      if (choice < 5)
        await cluster.create(`p${step}`, { requests: { cpu: `${randomInt(random, 15)}00m` }, priority: randomInt(random, 2) * 10 })
      else if (choice < 6 && pods.length > 0) {
        const { name, namespace } = pods[randomInt(random, pods.length)]!.metadata!
        await cluster.client.delete('v1/Pod', { name: name!, namespace })
      }
      await cluster.clock.advance(randomInt(random, 2_000))
      const fault = overfull(cluster.server.objects('v1/Node'), cluster.server.objects('v1/Pod'))
      assert.equal(fault, undefined, `seed ${seed}, step ${step}`)
    }
    isFailing = false
    await cluster.client.create('v1/Node', makeNode('large', { cpu: '100', pods: '110' }))
    await cluster.clock.advance(60_000)
    const left = (cluster.server.objects('v1/Pod') as readonly Pod[]).filter((pod) => !pod.spec?.nodeName)
    assert.deepEqual(
      left.map(({ metadata }) => metadata!.name),
      [],
      `seed ${seed}`,
    )
  }
})
