import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { planRotation, removeLogs, rotateLog } from './log-rotation.ts'
import { createSimulatedHost } from './simulated/host.ts'

test('what becomes of rotated logs', () => {
  const rotated = ['0.log.20260101-000001.gz', '0.log.20260101-000002', '0.log.20260101-000003']
  assert.deepEqual(planRotation(rotated, 5), { remove: [], compress: rotated.slice(1) })
  assert.deepEqual(planRotation(rotated, 4), { remove: rotated.slice(0, 1), compress: rotated.slice(1) })
  assert.deepEqual(planRotation(rotated, 2), { remove: rotated, compress: [] })
  // What a killed agent left: half a compressed file, and a file that is compressed already.
  const left = ['0.log.20260101-000001', '0.log.20260101-000001.gz', '0.log.20260101-000002.tmp']
  assert.deepEqual(planRotation(left, 5), { remove: [left[0], left[2]], compress: [] })
})

const configuration = { containerLogMaxFiles: 3, containerLogMaxSize: '10' }

test('a log that has grown is begun anew, and no more files stay than may', async () => {
  const clock = createVirtualClock()
  const host = createSimulatedHost()
  const reopened: string[] = []
  const rotate = () => rotateLog({ clock, host, configuration, reopen: async (id) => void reopened.push(id) }, 'c', '/logs/0.log')
  host.append('/logs/0.log', 'short')
  await rotate()
  assert.deepEqual(reopened, [])
  for (let i = 0; i < 4; i++) {
    host.append('/logs/0.log', `long enough ${i}`)
    await clock.advance(1000)
    await rotate()
  }
  assert.deepEqual(reopened, ['c', 'c', 'c', 'c'])
  assert.deepEqual((await host.listDirectory('/logs')).toSorted(), ['0.log.20260101-000003.gz', '0.log.20260101-000004'])
  await removeLogs(host, '/logs/0.log')
  assert.deepEqual(await host.listDirectory('/logs'), [])
})

test('a runtime that does not reopen loses nothing', async () => {
  const host = createSimulatedHost()
  host.append('/logs/0.log', 'long enough to go')
  const reopen = async () => Promise.reject(new Error('no'))
  await assert.rejects(rotateLog({ clock: createVirtualClock(), host, configuration, reopen }, 'c', '/logs/0.log'), /no/)
  assert.equal(host.read('/logs/0.log'), 'long enough to go')
})
