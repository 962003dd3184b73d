import assert from 'node:assert/strict'
import { test } from 'node:test'
import { every, sleep } from '../base/clock.ts'
import { createVirtualClock } from './virtual-clock.ts'

test('timers fire in order, with promises at rest in between', async () => {
  const clock = createVirtualClock(0)
  const log: string[] = []
  const work = async (name: string, ms: number) => {
    await sleep(clock, ms)
    log.push(`${name} at ${clock.now()}`)
    // A long chain of promises is over before the next timer.
    for (let i = 0; i < 50; i++) await Promise.resolve()
    log.push(`${name} done at ${clock.now()}`)
  }
  void work('b', 20)
  void work('a', 10)
  void work('c', 20)
  await clock.advance(15)
  assert.deepEqual(log, ['a at 10', 'a done at 10'])
  assert.equal(clock.now(), 15)
  await clock.advance(5)
  assert.deepEqual(log.slice(2), ['b at 20', 'b done at 20', 'c at 20', 'c done at 20'])
})

test('timers set by timers fire in the same run when they fall due', async () => {
  const clock = createVirtualClock(0)
  let count = 0
  const again = () => {
    count++
    clock.setTimeout(again, 100)
  }
  clock.setTimeout(again, 100)
  await clock.advance(1000)
  assert.equal(count, 10)
  assert.equal(clock.pendingTimers, 1)
  assert.equal(clock.nextTimerMs, 100)
})

test('a cancelled timer does not fire and is not counted', async () => {
  const clock = createVirtualClock(0)
  let isFired = false
  const cancel = clock.setTimeout(() => (isFired = true), 10)
  cancel()
  cancel()
  assert.equal(clock.pendingTimers, 0)
  await clock.advance(20)
  assert.equal(isFired, false)
  assert.equal(clock.nextTimerMs, undefined)
  assert.equal(clock.pendingTimers, 0)
})

test('until stops at the moment the condition holds', async () => {
  const clock = createVirtualClock(0)
  let ticks = 0
  const stop = new AbortController()
  void every(clock, 1000, stop.signal, () => void ticks++)
  assert.equal(await clock.until(() => ticks === 5, 60_000), true)
  assert.equal(clock.monotonic(), 4000)
  assert.equal(await clock.until(() => ticks === 500, 10_000), false)
  assert.equal(clock.monotonic(), 14_000)
  stop.abort()
  await clock.settle()
  assert.equal(clock.pendingTimers, 0)
})

test('two callers at once are refused', async () => {
  const clock = createVirtualClock(0)
  const first = clock.advance(10)
  await assert.rejects(clock.advance(10), /one caller at a time/)
  await first
})
