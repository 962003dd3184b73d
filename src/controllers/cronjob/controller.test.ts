/** Against a whole cluster in virtual time: half an hour of a clock that ticks every ten minutes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'

const key = { namespace: 'default', name: 'tick' }
const jobTemplate = {
  metadata: { labels: { made: 'by-cron' } },
  spec: { template: { spec: { restartPolicy: 'OnFailure', containers: [{ name: 'c', image: 'x' }] } } },
}

test('Jobs are made by the clock, each once, and old ones go', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const spec = { schedule: '*/10 * * * *', successfulJobsHistoryLimit: 2, jobTemplate }
  await client.create('batch/v1/CronJob', { metadata: key, spec })
  const jobs = async () => (await client.list('batch/v1/Job', { namespace: 'default', labelSelector: 'made=by-cron' })).items
  const first = await cluster.until('batch/v1/CronJob', key, (object) => object?.status?.active?.length === 1, { timeoutMs: 660_000 })
  const [job] = await jobs()
  const minutes = Math.floor(Date.parse(first!.status!.lastScheduleTime!) / 60_000)
  assert.equal(job?.metadata?.name, `tick-${minutes}`)
  assert.equal(job?.metadata?.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'], first?.status?.lastScheduleTime)
  assert.equal(job?.metadata?.ownerReferences?.[0]?.kind, 'CronJob')
  await cluster.until('batch/v1/CronJob', key, (object) => object?.status?.lastSuccessfulTime !== undefined, { timeoutMs: 60_000 })
  await cluster.advance(40 * 60_000)
  assert.equal((await jobs()).length, 2, 'as many as history may hold')
  assert.equal((await client.get('batch/v1/CronJob', key)).status?.active, undefined)
  const events = (await client.list('v1/Event', { namespace: 'default' })).items.filter(
    ({ involvedObject }) => involvedObject.kind === 'CronJob',
  )
  assert.deepEqual([...new Set(events.map(({ reason }) => reason))].toSorted(), ['SawCompletedJob', 'SuccessfulCreate', 'SuccessfulDelete'])
  await client.patch('batch/v1/CronJob', key, 'merge', { spec: { suspend: true } })
  const { lastScheduleTime } = (await client.get('batch/v1/CronJob', key)).status!
  await cluster.advance(30 * 60_000)
  assert.equal((await client.get('batch/v1/CronJob', key)).status?.lastScheduleTime, lastScheduleTime)
})
