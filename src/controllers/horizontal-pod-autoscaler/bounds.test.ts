import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HorizontalPodAutoscaler, HPAScalingRules } from '../../api/generated/autoscaling/v2.ts'
import { bound, newHistory, noteScale } from './bounds.ts'

const NOW = 1_000_000_000
const hpa = (
  min: number,
  max: number,
  behavior?: { readonly scaleUp: HPAScalingRules; readonly scaleDown: HPAScalingRules },
): HorizontalPodAutoscaler => ({
  spec: { scaleTargetRef: { kind: 'Deployment', name: 'd' }, minReplicas: min, maxReplicas: max, ...(behavior ? { behavior } : {}) },
})

const rules = (percent: number, pods: number, more: Partial<HPAScalingRules> = {}): HPAScalingRules => ({
  selectPolicy: 'Max',
  policies: [
    { type: 'Percent', value: percent, periodSeconds: 60 },
    { type: 'Pods', value: pods, periodSeconds: 60 },
  ],
  ...more,
})

test('bounds without a behaviour', () => {
  const told = (current: number, desired: number) => {
    const { replicas, isLimited, limit } = bound(hpa(2, 20), newHistory(current, NOW - 600_000), current, desired, NOW)
    return [replicas, isLimited, limit[0]]
  }
  assert.deepEqual(told(3, 5), [5, false, 'DesiredWithinRange'])
  assert.deepEqual(told(3, 19), [6, true, 'ScaleUpLimit'])
  assert.deepEqual(told(1, 19), [4, true, 'ScaleUpLimit'])
  assert.deepEqual(told(15, 40), [20, true, 'TooManyReplicas'])
  assert.deepEqual(told(5, 1), [2, true, 'TooFewReplicas'])
})

test('going down waits until no recommendation of the last five minutes was higher', () => {
  const history = newHistory(10, NOW)
  const early = bound(hpa(1, 20), history, 10, 3, NOW + 60_000)
  assert.deepEqual([early.replicas, early.able[0]], [10, 'ScaleDownStabilized'])
  const late = bound(hpa(1, 20), history, 10, 3, NOW + 301_000)
  assert.deepEqual([late.replicas, late.able[0]], [3, 'ReadyForNewScale'])
  // What no window needs is forgotten.
  for (let i = 0; i < 1000; i++) bound(hpa(1, 20), history, 3, 3, NOW + 301_000 + i * 15_000)
  assert.ok(history.recommendations.length < 25)
})

test('policies set the pace, over their period', () => {
  const behavior = { scaleUp: rules(100, 4), scaleDown: rules(10, 1, { stabilizationWindowSeconds: 0 }) }
  const autoscaler = hpa(1, 100, behavior)
  const history = newHistory(10, NOW)
  const first = bound(autoscaler, history, 10, 50, NOW)
  assert.deepEqual([first.replicas, first.limit[0]], [20, 'ScaleUpLimit'])
  noteScale(autoscaler, history, 10, 20, NOW)
  // Within the same minute there is no more.
  assert.equal(bound(autoscaler, history, 20, 50, NOW + 15_000).replicas, 20)
  assert.equal(bound(autoscaler, history, 20, 50, NOW + 61_000).replicas, 40)
  const down = bound(autoscaler, history, 40, 5, NOW + 122_000)
  assert.deepEqual([down.replicas, down.limit[0]], [36, 'ScaleDownLimit'])
})

test('a direction can be disabled, the least of the policies chosen, an increase stabilised', () => {
  const disabled = {
    scaleUp: rules(100, 4, { selectPolicy: 'Disabled' }),
    scaleDown: rules(100, 4, { selectPolicy: 'Min', stabilizationWindowSeconds: 0 }),
  }
  assert.equal(bound(hpa(1, 100, disabled), newHistory(10, NOW), 10, 50, NOW).replicas, 10)
  assert.equal(bound(hpa(1, 100, disabled), newHistory(10, NOW), 10, 1, NOW).replicas, 6)
  const slow = { scaleUp: rules(900, 90, { stabilizationWindowSeconds: 120 }), scaleDown: rules(100, 4) }
  const up = bound(hpa(1, 100, slow), newHistory(10, NOW), 10, 50, NOW + 15_000)
  assert.deepEqual([up.replicas, up.able[0]], [10, 'ScaleUpStabilized'])
})
