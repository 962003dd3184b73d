import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { PodDisruptionBudget } from '../../api/generated/policy/v1.ts'
import { failedStatus, planBudget, printSelector, staleMarkAfterMs } from './plan.ts'

const nowMs = Date.UTC(2026, 0, 1)
const at = (secondsAgo: number) => new Date(nowMs - secondsAgo * 1000).toISOString()
const now = at(0)

const pod = (name: string, isReady = true, metadata: Pod['metadata'] = {}): Pod => ({
  metadata: { name, ...metadata },
  status: { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
})
const budget = (spec: PodDisruptionBudget['spec'], status?: PodDisruptionBudget['status']): PodDisruptionBudget => ({
  metadata: { name: 'b', generation: 3 },
  spec,
  ...(status ? { status } : {}),
})
const plan = (object: PodDisruptionBudget, pods: readonly Pod[], scale = 0) => planBudget({ budget: object, pods, scale, nowMs, now })

test('how many may be lost', () => {
  const pods = [pod('a'), pod('b'), pod('c', false), pod('d', true, { deletionTimestamp: at(5) })]
  const rows: readonly [spec: PodDisruptionBudget['spec'], scale: number, expected: number, desired: number, allowed: number][] = [
    [{ minAvailable: 1 }, 0, 4, 1, 1],
    [{ minAvailable: 3 }, 0, 4, 3, 0],
    [{ minAvailable: '50%' }, 3, 3, 2, 0],
    [{ maxUnavailable: 2 }, 3, 3, 1, 1],
    [{ maxUnavailable: '34%' }, 3, 3, 1, 1],
    [{ maxUnavailable: 9 }, 3, 3, 0, 2],
    [{ maxUnavailable: 1 }, 0, 0, 0, 0],
    [{}, 0, 0, 0, 0],
  ]
  for (const [spec, scale, expected, desired, allowed] of rows) {
    const { status } = plan(budget(spec), pods, scale)
    const { expectedPods, desiredHealthy, disruptionsAllowed, currentHealthy, observedGeneration, conditions } = status!
    assert.deepEqual(
      [expectedPods, desiredHealthy, disruptionsAllowed, currentHealthy, observedGeneration],
      [expected, desired, allowed, 2, 3],
      JSON.stringify(spec),
    )
    assert.equal(conditions?.[0]?.reason, allowed > 0 ? 'SufficientPods' : 'InsufficientPods')
  }
})

test('a pod whose eviction was granted counts for nothing until two minutes have passed', () => {
  const granted = budget({ minAvailable: 1 }, { disruptedPods: { a: at(20), b: at(130), gone: at(1) } })
  const { status, notDeleted, afterMs } = plan(granted, [pod('a'), pod('b'), pod('c')])
  assert.deepEqual(status?.disruptedPods, { a: at(20) })
  assert.equal(status?.currentHealthy, 2)
  assert.deepEqual(
    notDeleted.map(({ metadata }) => metadata?.name),
    ['b'],
  )
  assert.equal(afterMs, 100_000)
})

test('nothing is written when nothing differs, and a failure forbids evictions', () => {
  const first = plan(budget({ minAvailable: 1 }), [pod('a'), pod('b')]).status!
  assert.equal(plan(budget({ minAvailable: 1 }, first), [pod('a'), pod('b')]).status, first)
  const failed = failedStatus(budget({ minAvailable: 1 }, first), 'why', at(-9))
  assert.deepEqual([failed.disruptionsAllowed, failed.conditions?.[0]?.reason, failed.conditions?.[0]?.message], [0, 'SyncFailed', 'why'])
  assert.equal(failedStatus(budget({}, failed), 'why', at(-20)).conditions?.[0]?.lastTransitionTime, at(-9))
})

test('marks that are stale', () => {
  const marked = (reason: string, phase = 'Running'): Pod => ({
    status: { phase, conditions: [{ type: 'DisruptionTarget', status: 'True', reason, lastTransitionTime: at(100) }] },
  })
  assert.equal(staleMarkAfterMs(marked('EvictionByEvictionAPI'), nowMs), 20_000)
  assert.equal(staleMarkAfterMs(marked('EvictionByEvictionAPI'), nowMs + 60_000), 0)
  assert.equal(staleMarkAfterMs(marked('TerminationByKubelet'), nowMs), undefined)
  assert.equal(staleMarkAfterMs(marked('EvictionByEvictionAPI', 'Failed'), nowMs), undefined)
})

test('selectors as events show them', () => {
  assert.equal(
    printSelector({ matchLabels: { app: 'web' } }),
    '&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}',
  )
})
