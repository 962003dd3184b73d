import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../../server.test-support.ts'
import { events } from './event.ts'

test('an event made as events.k8s.io/v1 is the same object in v1, and found by the fields of both', async (t) => {
  const { call } = await startServer(t, { resources: [events] })
  const path = 'namespaces/default/events'
  await call('POST', `/apis/events.k8s.io/v1/${path}`, {
    metadata: { name: 'e' },
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'c',
    reportingInstance: 'i',
    action: 'Do',
    reason: 'Test',
    type: 'Normal',
    note: 'text',
    regarding: { namespace: 'default' },
  })
  const core = await call('GET', `/api/v1/${path}/e`)
  assert.deepEqual([core.body.apiVersion, core.body.message, core.body.reportingComponent], ['v1', 'text', 'c'])
  const countOf = async (url: string) => (await call('GET', url)).body.items.length
  assert.equal(await countOf(`/api/v1/${path}?fieldSelector=source%3Dc`), 1)
  assert.equal(await countOf(`/apis/events.k8s.io/v1/${path}?fieldSelector=reportingController%3Dc`), 1)
  assert.equal(await countOf(`/api/v1/${path}?fieldSelector=source%3Dother`), 0)
})
