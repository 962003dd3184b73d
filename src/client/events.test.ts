import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event, ObjectReference } from '../api/generated/core/v1.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from './create-client.ts'
import { createEventRecorder } from './events.ts'
import { createFakeClock } from './fake-clock.test-support.ts'
import { createFakeServer } from './fake-server.test-support.ts'

const about: ObjectReference = { apiVersion: 'v1', kind: 'Pod', namespace: 'a', name: 'p', uid: 'u1' }

function start() {
  const clock = createFakeClock()
  const server = createFakeServer(clock)
  const runtime = { clock, random: seededRandom(1), log: silentLog }
  const recorder = createEventRecorder(runtime, createClient(server.transport), { component: 'test-controller' })
  const events = () => server.objects('v1/Event') as readonly Event[]
  return { clock, server, recorder, events }
}

test('an event holds what kubectl describe prints; the same one again is counted', async () => {
  const { clock, recorder, events } = start()
  recorder.record(about, 'Normal', 'SuccessfulCreate', 'Created pod: p')
  await recorder.flush()
  await clock.advance(5000)
  recorder.record(about, 'Normal', 'SuccessfulCreate', 'Created pod: p')
  await recorder.flush()
  assert.equal(events().length, 1)
  const [event] = events()
  assert.equal(event!.count, 2)
  assert.equal(event!.firstTimestamp, '2026-01-01T00:00:00Z')
  assert.equal(event!.lastTimestamp, '2026-01-01T00:00:05Z')
  assert.equal(event!.source?.component, 'test-controller')
  assert.match(event!.metadata.name!, /^p\.[0-9a-f]+$/)
})

test('more than ten similar events are combined into one', async () => {
  const { recorder, events } = start()
  for (let i = 0; i < 15; i++) recorder.record(about, 'Warning', 'FailedCreate', `Error creating: ${i}`)
  await recorder.flush()
  assert.equal(events().length, 10)
  const combined = events().find((event) => event.message?.startsWith('(combined from similar events): '))
  assert.equal(combined?.count, 6)
  assert.equal(combined?.message, '(combined from similar events): Error creating: 14')
})

test('the events of one object are limited to a burst', async () => {
  const { server, recorder } = start()
  for (let i = 0; i < 60; i++) recorder.record(about, 'Normal', `Reason${i}`, 'text')
  recorder.record({ ...about, name: 'other', uid: 'u2' }, 'Normal', 'Reason', 'text')
  await recorder.flush()
  assert.equal(server.requests.length, 26, '25 for the noisy object, one for the other')
})

test('an event that was deleted meanwhile is written anew', async () => {
  const { server, recorder, events } = start()
  recorder.record(about, 'Normal', 'Pulled', 'x')
  await recorder.flush()
  await createClient(server.transport).deleteCollection('v1/Event', { namespace: 'a' })
  recorder.record(about, 'Normal', 'Pulled', 'x')
  await recorder.flush()
  assert.equal(events()[0]?.count, 2)
})
