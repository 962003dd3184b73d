import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CronJob, Job } from '../../api/generated/batch/v1.ts'
import { planStart, planStock } from './plan.ts'

const CREATED = '2026-01-01T00:00:30Z'
const cron = (spec: Partial<CronJob['spec']> = {}, status: CronJob['status'] = {}): CronJob => ({
  metadata: { namespace: 'default', name: 'c', uid: 'u', creationTimestamp: CREATED },
  spec: { schedule: '0 * * * *', jobTemplate: {}, ...spec },
  status,
})
const at = (time: string) => Date.parse(`2026-01-01T${time}Z`)
const ref = (name: string) => ({ name, uid: name })

test('whether a Job is due', () => {
  const due = { scheduledMs: at('01:00:00') }
  const active = [ref('c-1'), ref('c-2')]
  const rows: readonly [name: string, CronJob, time: string, expected: object, reasons?: readonly string[]][] = [
    ['not yet', cron(), '00:59:00', { afterMs: 60_100 }],
    ['now', cron(), '01:00:05', due],
    ['only the latest that was missed', cron(), '05:30:00', { scheduledMs: at('05:00:00') }],
    ['already made', cron({}, { lastScheduleTime: '2026-01-01T01:00:00Z' }), '01:00:05', { scheduledMs: undefined, afterMs: 3_595_100 }],
    ['suspended', cron({ suspend: true }), '01:00:05', { scheduledMs: undefined, afterMs: undefined }],
    ['too late', cron({ schedule: '0 1 * * *', startingDeadlineSeconds: 30 }), '01:00:31', { scheduledMs: undefined }],
    ['in time', cron({ schedule: '0 1 * * *', startingDeadlineSeconds: 30 }), '01:00:29', due],
    [
      'one runs and none may beside it',
      cron({ concurrencyPolicy: 'Forbid' }, { active }),
      '01:00:05',
      { scheduledMs: undefined },
      ['JobAlreadyActive'],
    ],
    ['one runs and makes way', cron({ concurrencyPolicy: 'Replace' }, { active }), '01:00:05', { ...due, replace: active }],
    ['one runs and may', cron({ concurrencyPolicy: 'Allow' }, { active }), '01:00:05', { ...due, replace: [] }],
    ['never', cron({ schedule: '59 23 31 2 *' }), '01:00:05', { scheduledMs: undefined }, ['InvalidSchedule']],
    ['many missed', cron({ schedule: '* * * * *' }), '05:00:05', { scheduledMs: at('05:00:00') }, ['TooManyMissedTimes']],
    ['no such zone', cron({ timeZone: 'Mars/Olympus' }), '01:00:05', { scheduledMs: undefined }, ['UnknownTimeZone']],
    ['no schedule', cron({ schedule: '1 2 3' }), '01:00:05', { scheduledMs: undefined }, ['UnparseableSchedule']],
  ]
  for (const [name, object, time, expected, reasons = []] of rows) {
    const plan = planStart(object, at(time))
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(plan[field as keyof typeof plan], value, `${name}: ${field}`)
    assert.deepEqual(
      plan.events.map(([, reason]) => reason),
      reasons,
      name,
    )
  }
})

test('Jobs are taken stock of', () => {
  const job = (name: string, type?: string, time = '00:10:00'): Job => ({
    metadata: { name, uid: name },
    spec: { template: {} },
    status: {
      startTime: `2026-01-01T${time}Z`,
      ...(type ? { conditions: [{ type, status: 'True' }] } : {}),
      ...(type === 'Complete' ? { completionTime: `2026-01-01T${time}Z` } : {}),
    },
  })
  const jobs = [job('a', 'Complete', '00:10:00'), job('b', 'Complete', '00:20:00'), job('f', 'Failed'), job('r'), job('s')]
  const before = { active: [ref('b'), ref('r'), ref('lost')] }
  const stock = planStock(cron({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1 }, before), jobs)
  assert.deepEqual(
    stock.expired.map(({ metadata }) => metadata?.name),
    ['a'],
  )
  assert.deepEqual(stock.status, { active: [ref('r'), ref('lost')], lastSuccessfulTime: '2026-01-01T00:20:00Z' })
  assert.deepEqual(stock.unseen, [ref('lost')])
  assert.deepEqual(
    stock.events.map(([, , message]) => message),
    ['Saw completed job: b, condition: Complete', 'Saw a job that the controller did not create or forgot: s'],
  )
  const settled = { active: [ref('r'), ref('s')], lastSuccessfulTime: '2026-01-01T00:20:00Z' }
  assert.equal(planStock(cron({}, settled), jobs).status, settled)
})
