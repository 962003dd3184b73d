import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import type { MachineUsage } from './host.ts'
import { CONTAINER_NAME_LABEL, POD_UID_LABEL } from './identity.ts'
import { createUsageMeter } from './usage.ts'

const pod: Pod = {
  metadata: { name: 'p', namespace: 'n', uid: 'u', annotations: { 'proa.dev/memory-usage': '64Mi' } },
  spec: { containers: [{ name: 'a', resources: { requests: { cpu: '100m', memory: '1Gi' } } }, { name: 'b' }] },
  status: { phase: 'Running' },
}

test('CPU is averaged over a second at first, then over the time since the last look; soon after another look tells the same', async () => {
  const clock = createVirtualClock()
  const start = clock.now()
  let looks = 0
  const machine = { workingSetBytes: 7, nodeFs: {}, processes: {}, interfaces: [] } as unknown as MachineUsage
  const meter = createUsageMeter(
    { clock },
    {
      pods: () => [pod],
      host: { machineUsage: async () => ({ ...machine, atMs: clock.now(), cpuNanoseconds: (clock.now() - start) * 2e6 }) },
      containers: {
        async usage() {
          looks++
          const labels = { [POD_UID_LABEL]: 'u', [CONTAINER_NAME_LABEL]: 'a' }
          return [{ id: 'c', labels, atMs: clock.now(), cpuNanoseconds: (clock.now() - start) * 5e5, workingSetBytes: 9 }]
        },
      },
    },
  )
  const both = Promise.all([meter.usage(), meter.usage()])
  await clock.advance(1000)
  const [first, second] = await both
  assert.deepEqual([first, looks], [second, 2])
  assert.deepEqual([first.windowMs, first.node], [1000, { cpuNanoCores: 2e9, workingSetBytes: 7 }])
  assert.deepEqual(first.pods, [{ namespace: 'n', name: 'p', containers: [{ name: 'a', cpuNanoCores: 5e8, workingSetBytes: 9 }] }])
  await clock.advance(4000)
  await meter.usage()
  assert.equal(looks, 2)
  await clock.advance(16_000)
  assert.equal((await meter.usage()).windowMs, 20_000)
  assert.equal(looks, 3)
})

test('where nothing is measured pods use what they say, or else what they request', async () => {
  const meter = createUsageMeter({ clock: createVirtualClock() }, { pods: () => [pod], host: {}, containers: {} })
  assert.equal(await meter.measure(), undefined)
  const { pods, node } = await meter.usage()
  assert.deepEqual(pods[0]!.containers, [
    { name: 'a', cpuNanoCores: 100e6, workingSetBytes: 64 * 2 ** 20 },
    { name: 'b', cpuNanoCores: 0, workingSetBytes: 64 * 2 ** 20 },
  ])
  assert.deepEqual(node, { cpuNanoCores: 100e6, workingSetBytes: 128 * 2 ** 20 })
})
