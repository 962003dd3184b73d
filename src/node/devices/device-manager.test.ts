import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { Clock } from '../../base/clock.ts'
import { createDeviceManager, type DevicePlugin } from './device-manager.ts'

const FOO = 'example.com/foo'
const NOTHING = { env: {}, mounts: [], devices: [], annotations: {}, cdiDevices: [] }

function make(devices: readonly (readonly [id: string, isHealthy?: boolean])[]) {
  let nowMs = 0
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, setTimeout: () => () => {} }
  const manager = createDeviceManager(clock)
  const asked: string[] = []
  const plugin: DevicePlugin = {
    async allocate(ids) {
      asked.push(ids.join())
      return {
        ...NOTHING,
        env: { FOO: ids.join() },
        devices: ids.map((id) => ({ containerPath: `/dev/${id}`, hostPath: `/dev/${id}`, permissions: 'rw' })),
      }
    },
  }
  manager.registered(FOO, plugin)
  manager.listed(
    FOO,
    devices.map(([id, isHealthy = true]) => ({ id, isHealthy })),
  )
  return { manager, plugin, asked, later: (ms: number) => void (nowMs += ms) }
}

const container = (name: string, count: number, restartPolicy?: string) => ({
  name,
  resources: { limits: { [FOO]: `${count}` } },
  ...(restartPolicy ? { restartPolicy } : {}),
})
const pod = (uid: string, counts: readonly number[], init: readonly (readonly [count: number, restartPolicy?: string])[] = []): Pod => ({
  metadata: { uid },
  spec: {
    initContainers: init.map(([count, policy], i) => container(`i${i}`, count, policy)),
    containers: counts.map((count, i) => container(`c${i}`, count)),
  },
})

test('devices: healthy ones are counted and given out once, and are free again when the pod is gone', async () => {
  const { manager, asked } = make([['a'], ['b'], ['c', false]])
  assert.deepEqual(manager.counts(), { [FOO]: { capacity: 3, allocatable: 2 } })
  manager.allocate(pod('1', [1]))
  assert.deepEqual((await manager.grant('1', 'c0'))?.grant.env, { FOO: 'a' })
  assert.equal((await manager.grant('1', 'c0'))?.annotation, JSON.stringify({ [FOO]: ['a'] }))
  assert.throws(() => manager.allocate(pod('2', [1, 1])), {
    message: `requested number of devices unavailable for ${FOO}. Requested: 1, Available: 0`,
  })
  // What could not be had whole was not taken in part.
  manager.allocate(pod('3', [1]))
  assert.deepEqual(
    (await manager.grant('3', 'c0'))?.grant.devices.map(({ hostPath }) => hostPath),
    ['/dev/b'],
  )
  manager.release('1')
  manager.allocate(pod('4', [1]))
  assert.equal(await manager.grant('4', 'other'), undefined)
  assert.equal((await manager.grant('4', 'c0'))?.grant.env['FOO'], 'a')
  assert.deepEqual(asked, ['a', 'a', 'b', 'a'])
})

test('devices: what init containers have is for those after them, but not what sidecars have', async () => {
  const { manager } = make([['a'], ['b'], ['c']])
  manager.allocate(pod('1', [1, 1], [[1], [2], [1, 'Always']]))
  const ids = async (name: string) => (await manager.grant('1', name))?.grant.env['FOO']
  assert.deepEqual([await ids('i0'), await ids('i1'), await ids('i2')], ['a', 'a,b', 'a'])
  assert.deepEqual([await ids('c0'), await ids('c1')], ['b', 'c'])
})

test('devices: a plugin that goes leaves its capacity for a while; one that comes back is asked', async () => {
  const { manager, plugin, later } = make([['a']])
  manager.adopt('1', 'c0', JSON.stringify({ [FOO]: ['a'] }))
  manager.lost(FOO, plugin)
  assert.deepEqual(manager.counts(), { [FOO]: { capacity: 1, allocatable: 0 } })
  assert.throws(() => manager.allocate(pod('2', [1])), { message: `cannot allocate unregistered device ${FOO}` })
  await assert.rejects(manager.grant('1', 'c0'), { message: `cannot allocate unregistered device ${FOO}` })
  later(300_000)
  assert.deepEqual(manager.counts(), { [FOO]: { capacity: 0, allocatable: 0 } })
  manager.registered(FOO, plugin)
  manager.listed(FOO, [{ id: 'a', isHealthy: true }])
  assert.deepEqual((await manager.grant('1', 'c0'))?.grant.env, { FOO: 'a' })
  // The plugin before it, whose end is noticed late.
  manager.lost(FOO, { allocate: async () => NOTHING })
  assert.deepEqual(manager.counts(), { [FOO]: { capacity: 1, allocatable: 1 } })
  assert.throws(() => manager.allocate(pod('2', [1])), /Available: 0/)
})

test('devices: what was offered before a restart is known, and not given out until its plugin is back', () => {
  const { manager } = make([['a']])
  manager.remember([FOO, 'example.com/old'])
  assert.deepEqual(manager.counts(), { [FOO]: { capacity: 1, allocatable: 1 }, 'example.com/old': { capacity: 0, allocatable: 0 } })
  const wants = { metadata: { uid: '9' }, spec: { containers: [{ name: 'c', resources: { limits: { 'example.com/old': '1' } } }] } }
  assert.throws(() => manager.allocate(wants), { message: 'cannot allocate unregistered device example.com/old' })
})
