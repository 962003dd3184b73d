import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createMemoryStore } from '../store/memory.ts'
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

/** Runs for so many steps of ten seconds with a write in each; answers how many revisions can be read after it. */
async function keptAfter(t: TestContext, steps: number, maxHistoryBytes: number): Promise<number> {
  const store = createMemoryStore()
  const { call, clock } = await startServer(t, { store, housekeeping: { compactionPeriodMs: 100_000, maxHistoryBytes } })
  for (let i = 0; i < steps; i++) {
    await call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: `m-${i}` } })
    clock.advance(10_000)
    await nextTurn()
  }
  let kept = 0
  const isKept = (revision: number) =>
    store.get('/', revision).then(
      () => true,
      () => false,
    )
  while (kept < store.revision && (await isKept(store.revision - kept))) kept++
  return kept
}

test('history is kept for its period, and for less when it takes too much', async (t) => {
  const kept = await keptAfter(t, 25, 1 << 20)
  assert.ok(kept >= 10 && kept <= 13, `${kept} revisions of ten steps`)
  const keptOfLarge = await keptAfter(t, 25, 100)
  assert.ok(keptOfLarge <= 3, `${keptOfLarge} revisions of one step`)
})
