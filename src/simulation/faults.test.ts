import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import { silentLog } from '../base/log.ts'
import { createClient } from '../client/create-client.ts'
import { createFakeServer } from '../client/fake-server.test-support.ts'
import { createInformer } from '../client/informer.ts'
import { isApiError } from '../api/status.ts'
import { withFaults } from './faults.ts'
import { createVirtualClock } from './virtual-clock.ts'

async function run(seed: number): Promise<{ log: string[]; stored: number; faults: number }> {
  const clock = createVirtualClock(0)
  const server = createFakeServer(clock)
  const faulty = withFaults(clock, seededRandom(seed), server.transport, {
    refused: 0.3,
    lostAnswers: 0.2,
    latencyMs: { minimum: 1, maximum: 50 },
  })
  const client = createClient(faulty.transport)
  const log: string[] = []
  const work = async () => {
    for (let i = 0; i < 30; i++) {
      try {
        await client.create('v1/ConfigMap', { metadata: { name: `c${i}`, namespace: 'default' } })
        log.push(`${i} created at ${clock.now().toFixed(3)}`)
      } catch (error) {
        assert.ok(isApiError(error, 'ServiceUnavailable'), String(error))
        log.push(`${i} failed at ${clock.now().toFixed(3)}`)
      }
    }
  }
  const done = work()
  await clock.advance(30 * 50)
  await done
  return { log, stored: server.objects('v1/ConfigMap').length, faults: faulty.faults }
}

test('faults follow from the seed, and a lost answer is not a lost write', async () => {
  const first = await run(3)
  assert.deepEqual(await run(3), first)
  assert.notDeepEqual((await run(4)).log, first.log)
  const created = first.log.filter((line) => line.includes('created')).length
  assert.ok(created > 5 && created < 25)
  assert.ok(first.faults > 5)
  assert.ok(first.stored > created, 'some writes happened whose answer was lost')
})

test('watches that break off leave no watcher behind, and the informer catches up', async () => {
  const clock = createVirtualClock(0)
  const server = createFakeServer(clock)
  const faulty = withFaults(clock, seededRandom(1), server.transport, { watchLifetimeMs: 2_000 })
  const runtime = { clock, random: seededRandom(2), log: silentLog }
  const stop = new AbortController()
  const informer = createInformer(runtime, createClient(faulty.transport), 'v1/ConfigMap')
  const running = informer.run(stop.signal)
  const writer = createClient(server.transport)
  for (let i = 0; i < 20; i++) {
    await writer.create('v1/ConfigMap', { metadata: { name: `c${i}`, namespace: 'default' } })
    await clock.advance(1_000)
  }
  faulty.setPlan({})
  await clock.advance(60_000)
  assert.equal(informer.cache.size, 20)
  assert.ok(faulty.faults > 5, `${faulty.faults} watches were broken off`)
  stop.abort()
  await running
})
