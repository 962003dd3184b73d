import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf, podOf, start, type Differences } from './agent.test-support.ts'
import type { MachineUsage } from './host.ts'

const GI = 2 ** 30
const machine: MachineUsage = {
  atMs: 0,
  cpuNanoseconds: 0,
  workingSetBytes: 0,
  availableBytes: 10 * GI,
  rssBytes: 0,
  pageFaults: 0,
  majorPageFaults: 0,
  interfaces: [],
  nodeFs: { capacityBytes: 100 * GI, availableBytes: 50 * GI, usedBytes: 50 * GI, inodes: 1000, inodesFree: 900 },
  processes: { current: 1, max: 1000 },
}

function measured(now: () => Partial<MachineUsage>, configuration = {}): Differences {
  return {
    configuration,
    host: (host) => ({ ...host, machineUsage: async () => ({ ...machine, ...now() }) }),
    containers: (containers) => ({ ...containers, usage: async () => [] }),
  }
}

test('a node that is short of memory says so, ends a pod in the words of upstream, and recovers', async (t) => {
  let availableBytes = 10 * GI
  const { client, clock, pod } = await start(
    t,
    {},
    undefined,
    measured(() => ({ availableBytes })),
  )
  const conditionOf = async (type: string) =>
    (await client.get('v1/Node', { name: 'n1' })).status?.conditions?.find((condition) => condition.type === type)
  await client.create('v1/Pod', podOf('dear', { priority: 10 }))
  await client.create('v1/Pod', podOf('cheap'))
  await clock.advance(10_000)
  assert.equal((await conditionOf('MemoryPressure'))?.status, 'False')
  availableBytes = 50 * 2 ** 20
  await clock.advance(10_000)
  availableBytes = 10 * GI
  const { status, message, reason } = (await conditionOf('MemoryPressure'))!
  assert.deepEqual([status, reason, message], ['True', 'KubeletHasInsufficientMemory', 'kubelet has insufficient memory available'])
  await clock.advance(5000)
  const evicted = (await pod('cheap')).status!
  const text = 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. '
  assert.deepEqual([evicted.phase, evicted.reason, evicted.message], ['Failed', 'Evicted', text])
  const disruption = evicted.conditions?.find(({ type }) => type === 'DisruptionTarget')
  assert.deepEqual([disruption?.status, disruption?.reason, disruption?.message], ['True', 'TerminationByKubelet', text])
  assert.equal((await pod('dear')).status?.phase, 'Running')
  assert.deepEqual(
    (await eventsOf(client, 'cheap')).filter((event) => event.startsWith('Evicted')),
    [`Evicted: ${text}`],
  )
  // While it lasts, pods that promise nothing are not taken in.
  await client.create('v1/Pod', podOf('late'))
  await clock.advance(1000)
  const late = (await pod('late')).status
  assert.deepEqual([late?.reason, late?.message], ['Evicted', 'Pod was rejected: The node had condition: [MemoryPressure]. '])
  await clock.advance(300_000)
  assert.equal((await conditionOf('MemoryPressure'))?.status, 'False')
  assert.equal((await pod('dear')).status?.phase, 'Running')
})

test('images that nobody uses make room before a pod has to', async (t) => {
  let availableBytes = 50 * GI
  const full = measured(() => ({ nodeFs: { ...machine.nodeFs, availableBytes } }))
  const { client, clock, pod, containers } = await start(t, {}, undefined, {
    ...full,
    containers: (plain) => ({
      ...full.containers!(plain),
      async removeImage(image) {
        availableBytes += 20 * GI
        await plain.removeImage(image)
      },
    }),
  })
  await containers.pullImage('unused:1', undefined, new AbortController().signal)
  await client.create('v1/Pod', podOf('a'))
  await clock.advance(10_000)
  availableBytes = 5 * GI
  await clock.advance(20_000)
  assert.deepEqual(
    (await containers.listImages()).map(({ tags }) => tags[0]),
    ['nginx:latest'],
  )
  assert.equal((await pod('a')).status?.phase, 'Running')
})
