import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { createVirtualClock } from '../../simulation/virtual-clock.ts'
import { containerRuntimeConformance } from '../runtime-suite.ts'
import { createAddressPool } from './addresses.ts'
import { createSimulatedHost } from './host.ts'
import { createSimulatedRuntime } from './runtime.ts'
import { runScript } from './script.ts'

containerRuntimeConformance('the simulated runtime', async () => {
  const clock = createVirtualClock()
  const host = createSimulatedHost()
  const containers = createSimulatedRuntime({ clock, random: seededRandom(1), log: silentLog }, { host })
  return {
    containers,
    image: 'busybox:1',
    logDirectory: '/logs',
    cgroupParent: '/kubepods/pod1',
    readLog: async (path) => host.read(path) ?? '',
    pass: (ms) => clock.advance(ms),
  }
})

for (const [words, expected] of [
  [['sleep', '5'], { afterMs: 5000, exitCode: 0, output: [] }],
  [['/bin/sleep', '2m'], { afterMs: 120_000, exitCode: 0, output: [] }],
  [['sleep', 'infinity'], { afterMs: undefined, exitCode: 0, output: [] }],
  [['sh', '-c', 'echo one; sleep 1 && sleep 0.5; exit 7'], { afterMs: 1500, exitCode: 7, output: ['one'] }],
  [['sh', '-c', 'false; true'], { afterMs: 0, exitCode: 0, output: [] }],
  [['false'], { afterMs: 0, exitCode: 1, output: [] }],
  [['sh', '-c', 'while true; do date; done'], undefined],
  [['sh', '-c', 'echo $HOME'], undefined],
  [['nginx'], undefined],
  [[], undefined],
] as const)
  test(`a simulated container makes of ${JSON.stringify(words)}: ${JSON.stringify(expected)}`, () =>
    assert.deepEqual(runScript(words), expected))

test('addresses come from the range, are given back, and run out', () => {
  const pool = createAddressPool('10.1.2.0/29')
  const taken = [pool.take(), pool.take(), pool.take(), pool.take(), pool.take()]
  assert.deepEqual(taken, ['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6'])
  assert.throws(() => pool.take(), /no addresses are left in range 10\.1\.2\.0\/29/)
  pool.give('10.1.2.4')
  assert.equal(pool.take(), '10.1.2.4')
})
