import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createFakeClock, settle } from './fake-clock.test-support.ts'
import { createWorkQueue } from './work-queue.ts'

function start() {
  const clock = createFakeClock()
  const queue = createWorkQueue({ clock, random: seededRandom(1), log: silentLog })
  const signal = new AbortController()
  return { clock, queue, stop: signal, signal: signal.signal }
}

test('a key added often is handed out once, and again when it was added while being worked on', async () => {
  const { queue, signal } = start()
  queue.add('a')
  queue.add('a')
  assert.equal(await queue.get(signal), 'a')
  queue.add('a')
  assert.equal(queue.size, 0)
  queue.done('a')
  assert.equal(queue.size, 1)
})

test('delayed keys come in the order of their time, through one timer, the earliest delay counting', async () => {
  const { clock, queue, signal } = start()
  queue.addAfter('late', 1000)
  queue.addAfter('soon', 100)
  queue.addAfter('late', 5000)
  queue.addAfter('soon', 50)
  assert.ok(clock.pendingTimers <= 1)
  await clock.advance(49)
  assert.equal(queue.size, 0)
  await clock.advance(1)
  assert.equal(await queue.get(signal), 'soon')
  await clock.advance(950)
  assert.equal(await queue.get(signal), 'late')
  await clock.advance(10_000)
  assert.equal(queue.size, 0, 'the overridden delays fire nothing')
})

test('failures double the wait of their key alone, until it is forgotten', async () => {
  const { clock, queue, signal } = start()
  for (const expected of [5, 10, 20, 40]) {
    queue.addRateLimited('a')
    await clock.advance(expected - 1)
    assert.equal(queue.size, 0, `not before ${expected} ms`)
    await clock.advance(1)
    assert.equal(await queue.get(signal), 'a')
    queue.done('a')
  }
  assert.equal(queue.failuresOf('a'), 4)
  queue.forget('a')
  queue.addRateLimited('a')
  await clock.advance(5)
  assert.equal(queue.size, 1)
})

test('workers run in parallel, never two on one key, and end with the signal', async () => {
  const { queue, signal, stop } = start()
  const running = new Set<string>()
  let most = 0
  const done = queue.run(signal, 3, async (key) => {
    assert.ok(!running.has(key))
    running.add(key)
    most = Math.max(most, running.size)
    await settle()
    running.delete(key)
  })
  for (const key of ['a', 'b', 'c', 'd', 'a', 'b']) queue.add(key)
  await settle()
  queue.add('a')
  await settle()
  await settle()
  assert.equal(most, 3)
  stop.abort()
  await done
})
