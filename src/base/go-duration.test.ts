import assert from 'node:assert/strict'
import { test } from 'node:test'
import { goDuration } from './go-duration.ts'

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
