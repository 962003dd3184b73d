import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backOffUntil, raiseBackOff, type BackOff } from './back-off.ts'

test('doubles from ten seconds to five minutes, and is forgotten after ten quiet minutes', () => {
  let entry: BackOff | undefined
  const delays: number[] = []
  let now = 0
  for (let failures = 0; failures < 8; failures++) {
    assert.ok((backOffUntil(entry, now, now) ?? now) - now <= 300_000)
    entry = raiseBackOff(entry, now, now)
    delays.push(entry.delayMs / 1000)
    now += 1000
  }
  assert.deepEqual(delays, [10, 20, 40, 80, 160, 300, 300, 300])
  assert.equal(backOffUntil(entry, now, now), now + 300_000)
  const later = now + 600_001
  assert.equal(backOffUntil(entry, later, later), undefined)
  assert.equal(raiseBackOff(entry, later, later).delayMs, 10_000)
})

test('the first failure waits for nothing', () => assert.equal(backOffUntil(undefined, 5, 5), undefined))
