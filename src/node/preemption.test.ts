import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { podsToPreempt } from './preemption.ts'

const CRITICAL = 2_000_000_000
const pod = (name: string, requests?: { cpu?: string; memory?: string }, isGuaranteed = false, priority = 0): Pod => ({
  metadata: { name },
  spec: { priority, containers: [{ name: 'c', resources: requests ? { requests, ...(isGuaranteed ? { limits: requests } : {}) } : {} }] },
})
const room = { cpuMilli: 1000, memoryBytes: 1000, pods: 5 }
const names = (wanted: Pod, others: readonly Pod[]) => podsToPreempt(wanted, others, room).map(({ metadata }) => metadata?.name)

test('as few pods go as will do, the least sure of their place first', () => {
  const burstable = [pod('small', { cpu: '100m' }), pod('middle', { cpu: '300m' }), pod('large', { cpu: '500m' })]
  const sure = pod('sure', { cpu: '100m', memory: '10' }, true)
  const others = [pod('free'), ...burstable, sure]
  const critical = (cpu: string, priority = CRITICAL) => pod('critical', { cpu }, false, priority)
  assert.deepEqual(names(critical('1m'), burstable), [])
  // One place of five is wanted and 200m of CPU.
  assert.deepEqual(names(critical('200m'), others), ['middle'])
  assert.deepEqual(names(critical('450m'), others), ['large'])
  assert.deepEqual(names(critical('700m'), others), ['large', 'small', 'middle'].slice(0, 1).concat('middle'))
  assert.deepEqual(names(critical('200m', 5), others), [], 'not critical')
  assert.deepEqual(names(critical('2'), others), [], 'nothing helps')
  assert.deepEqual(names(critical('0'), others), ['free'])
  assert.deepEqual(names(critical('1'), [pod('other', { cpu: '1' }, false, CRITICAL)]), [], 'critical pods stay')
})
