import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findZone, parseSchedule, UTC, zonedTimestamp } from './schedule.ts'

const nextOf = (schedule: string, after: string, zone = UTC) => {
  const next = parseSchedule(schedule, zone).next(Date.parse(after))
  return next === undefined ? undefined : new Date(next).toISOString().replace('.000Z', 'Z')
}

test('when schedules are due', () => {
  const rows: readonly [schedule: string, after: string, expected: string | undefined][] = [
    ['*/15 * * * *', '2026-07-09T14:45:00Z', '2026-07-09T15:00:00Z'],
    ['*/15 * * * *', '2026-07-09T14:59:59Z', '2026-07-09T15:00:00Z'],
    ['20-35/15 * * * *', '2026-07-09T15:45:00Z', '2026-07-09T16:20:00Z'],
    ['0 0 * * 1-5', '2026-11-27T12:00:00Z', '2026-11-30T00:00:00Z'],
    ['30 6-16/4 * * MON', '2026-11-24T00:00:00Z', '2026-11-30T06:30:00Z'],
    ['0 0 13 * FRI', '2026-11-24T00:00:00Z', '2026-11-27T00:00:00Z'],
    ['0 0 */2 * *', '2026-11-30T00:00:00Z', '2026-12-01T00:00:00Z'],
    ['0 0 29 FEB ?', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['59 23 31 2 *', '2026-01-01T00:00:00Z', undefined],
    ['@hourly', '2026-12-31T23:00:00Z', '2027-01-01T00:00:00Z'],
    ['@weekly', '2026-11-24T00:00:00Z', '2026-11-29T00:00:00Z'],
    ['@every 1h30m', '2026-01-01T00:00:00.500Z', '2026-01-01T01:30:00Z'],
    ['@every 10ms', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'],
  ]
  for (const [schedule, after, expected] of rows) assert.equal(nextOf(schedule, after), expected, `${schedule} after ${after}`)
})

test('time zones, and days on which their clocks change', () => {
  const newYork = findZone('America/New_York')!
  assert.equal(findZone('Mars/Olympus'), undefined)
  // Clocks went forward at 2 on 8 March 2026 and go back at 2 on 1 November.
  const rows: readonly [schedule: string, after: string, expected: string][] = [
    ['0 9 * * *', '2026-01-05T12:00:00Z', '2026-01-05T14:00:00Z'],
    ['0 9 * * *', '2026-07-06T12:00:00Z', '2026-07-06T13:00:00Z'],
    ['30 2 * * *', '2026-03-08T00:00:00Z', '2026-03-09T06:30:00Z'],
    ['30 1 * * *', '2026-11-01T05:30:00Z', '2026-11-01T06:30:00Z'],
    ['0 0 * * *', '2026-11-01T05:30:00Z', '2026-11-02T05:00:00Z'],
  ]
  for (const [schedule, after, expected] of rows) assert.equal(nextOf(schedule, after, newYork), expected, `${schedule} after ${after}`)
  // Santiago's clocks go forward at midnight: that day begins at 1.
  assert.equal(nextOf('0 * * * 0', '2026-09-06T03:30:00Z', findZone('America/Santiago')), '2026-09-06T04:00:00Z')
  assert.equal(zonedTimestamp(Date.parse('2026-01-05T14:00:00Z'), newYork), '2026-01-05T09:00:00-05:00')
  assert.equal(zonedTimestamp(Date.parse('2026-01-05T14:00:00Z'), UTC), '2026-01-05T14:00:00Z')
})
