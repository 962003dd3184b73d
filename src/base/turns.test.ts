import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from './system.ts'
import { createTurns } from './turns.ts'

test('promises that go on and on let a timer fire', async () => {
  const turns = createTurns(systemClock)
  let hasFired = false
  systemClock.setTimeout(() => (hasFired = true), 1)
  const limitMs = systemClock.monotonic() + 10_000
  while (!hasFired && systemClock.monotonic() < limitMs) await turns.due()
  assert.ok(hasFired)
})

test('who asks now and then is not held up', () => {
  let now = 0
  const turns = createTurns({ now: () => now, monotonic: () => now, setTimeout: () => assert.fail('nobody waits') })
  for (let i = 0; i < 100; i++) {
    now += 5
    assert.equal(turns.due(), undefined)
  }
})
