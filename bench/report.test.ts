import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ratioOf, renderResults, type Entry, type Result } from './report.ts'

const result: Result = {
  name: 'start',
  title: 'exec to /readyz',
  unit: 'ms',
  better: 'less',
  target: 150,
  wantedRatio: 2,
  proa: { figures: [100, 200, 300], note: 'warm' },
  upstream: { figures: [400, 400, 600], note: '' },
}

test('a ratio compares neighbouring runs, and above 1 proa was better whether less or more is', () => {
  assert.deepEqual(ratioOf(result), { median: 2, min: 2, max: 4 })
  assert.deepEqual(ratioOf({ ...result, better: 'more' }), { median: 0.5, min: 0.25, max: 0.5 })
})

test('the page has the cases in their order, what was measured and what could not be, each with its origin', () => {
  const origin = { date: '2026-01-02', commit: 'abc1234', machine: '2 cores' }
  const entry: Entry = { title: result.title, result, ...origin }
  const page = renderResults({ short: { list: { title: 'LIST', failure: 'it broke', ...origin }, gone: entry, start: entry }, full: {} }, [
    'start',
    'list',
    'watch',
  ])
  const rows = page.split('\n').filter((line) => line.startsWith('| '))
  assert.deepEqual(rows.slice(1), [
    '| exec to /readyz | 200 ms | 400 ms | 2.00 x (2.00 to 4.00) | ≤ 150 ms: missed, ≥ 2 x: met | 100, 200, 300 (warm) | 400, 400, 600 | 2026-01-02 abc1234 |',
    '| LIST | not measured: it broke |  |  |  |  |  | 2026-01-02 abc1234 |',
  ])
  assert.ok(!page.includes('Large clusters'))
})
