import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expireEvents } from './housekeeping.ts'
import { startServer } from './server.test-support.ts'

const event = (name: string, lastTimestamp: string) => ({
  metadata: { name },
  involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
  lastTimestamp,
})

test('events go when they were last seen long ago', async (t) => {
  const { call, server, clock } = await startServer(t)
  const events = '/api/v1/namespaces/default/events'
  await call('POST', events, event('old', '2026-01-01T00:00:00Z'))
  await call('POST', events, event('new', '2026-01-01T00:59:00Z'))
  await expireEvents(server.core, clock.now() + 60_000)
  const { body } = await call('GET', events)
  assert.deepEqual(
    body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
    ['new'],
  )
})
