import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backOffUntil, goDuration, raiseBackOff, type BackOff } from './back-off.ts'

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

for (const [ms, text] of [
  [0, '0s'],
  [250, '250ms'],
  [1500, '1.5s'],
  [10_000, '10s'],
  [80_000, '1m20s'],
  [300_000, '5m0s'],
  [3_661_000, '1h1m1s'],
] as const)
  test(`Go prints ${ms} ms as ${text}`, () => assert.equal(goDuration(ms), text))
