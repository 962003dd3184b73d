import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from './system.ts'

test('a timer for longer than the platform can wait does not fire at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const day = 86_400_000
  let fired = 0
  systemClock.setTimeout(() => fired++, 60 * day)
  const cancel = systemClock.setTimeout(() => assert.fail('was cancelled'), 60 * day)
  const pass = (days: number): void => {
    for (let i = 0; i < days; i++) t.mock.timers.tick(day)
  }
  pass(30)
  cancel()
  pass(29)
  assert.equal(fired, 0)
  // Each part may end up to a step of this clock late.
  pass(4)
  assert.equal(fired, 1)
})
