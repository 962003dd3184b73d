import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Job } from '../../api/generated/batch/v1.ts'
import { Cluster } from '../../cluster/cluster.ts'
import { expiresAfterMs } from './plan.ts'

test('when a Job expires', () => {
  const job = (ttlSecondsAfterFinished?: number, type = 'Complete'): Job => ({
    spec: { template: {}, ...(ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished }) },
    status: { conditions: [{ type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] },
  })
  const at = (seconds: number) => Date.parse('2026-01-01T00:00:00Z') + seconds * 1000
  assert.equal(expiresAfterMs(job(60), at(20)), 40_000)
  assert.equal(expiresAfterMs(job(60, 'Failed'), at(90)), 0)
  assert.equal(expiresAfterMs(job(60, 'Suspended'), at(90)), undefined)
  assert.equal(expiresAfterMs(job(), at(90)), undefined)
  assert.equal(expiresAfterMs({ ...job(60), metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, at(90)), undefined)
})

test('a Job goes with its pods when its time is over', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const key = { namespace: 'default', name: 'j' }
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } }
  await cluster.client.create('batch/v1/Job', { metadata: key, spec: { ttlSecondsAfterFinished: 30, activeDeadlineSeconds: 5, template } })
  await cluster.until(
    'batch/v1/Job',
    key,
    (job) => job?.status?.conditions?.some(({ type }) => type === 'Failed' || type === 'Complete') === true,
    {
      timeoutMs: 120_000,
    },
  )
  await cluster.advance(20_000)
  assert.ok(await cluster.client.get('batch/v1/Job', key))
  await cluster.until('batch/v1/Job', key, (job) => job === undefined, { timeoutMs: 60_000 })
})
