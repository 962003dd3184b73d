import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod, Service } from '../../api/generated/core/v1.ts'
import { createTriggerTimes, TRIGGER_TIME, withTriggerTime } from './trigger-times.ts'

const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`
const service: Service = { metadata: { namespace: 'a', name: 's', creationTimestamp: at(1) } }
const pod = (name: string, second?: number): Pod => ({
  metadata: { namespace: 'a', name },
  status: second === undefined ? {} : { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: at(second) }] },
})

test('the time is that of the earliest change since the last look', () => {
  const times = createTriggerTimes()
  const looks: [readonly Pod[], string | undefined][] = [
    [[pod('p', 5)], at(1)],
    [[pod('p', 5)], undefined],
    [[pod('p', 9), pod('q', 7), pod('waiting')], at(7)],
    [[pod('q', 7)], undefined],
    // Gone for a look, it is new again.
    [[pod('p', 9), pod('q', 7)], at(9)],
  ]
  for (const [pods, time] of looks) assert.equal(times.of(service, pods), time)
  times.forget('a/s')
  assert.equal(times.of(service, [pod('p', 9)]), at(1), 'a new Service')
})

test('nothing new takes the annotation away', () => {
  assert.deepEqual(withTriggerTime({ own: 'x', [TRIGGER_TIME]: at(1) }, undefined), { own: 'x' })
  assert.deepEqual(withTriggerTime({ own: 'x', [TRIGGER_TIME]: at(1) }, at(2)), { own: 'x', [TRIGGER_TIME]: at(2) })
})
