import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StatefulSet } from '../../api/generated/apps/v1.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import { planStatefulSet } from './plan.ts'

const setOf = (replicas: number, rollingUpdate: object = {}, more: object = {}): StatefulSet => ({
  metadata: { name: 's', namespace: 'n', uid: 'u', generation: 2 },
  spec: {
    replicas,
    serviceName: 's',
    selector: { matchLabels: { a: 'b' } },
    template: { spec: { containers: [{ name: 'c', image: 'x' }] } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0, ...rollingUpdate } },
    ...more,
  },
  status: { replicas, currentRevision: 'old', updateRevision: 'new', currentReplicas: replicas },
})

const podOf = (ordinal: number, revision: string, ready = true): Pod => ({
  metadata: { name: `s-${ordinal}`, namespace: 'n', labels: { 'controller-revision-hash': revision } },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
})

const plan = (set: StatefulSet, pods: readonly Pod[]) => {
  const { create, delete: doomed } = planStatefulSet({ set, pods, currentRevision: 'old', updateRevision: 'new', nowMs: 0 })
  return [create.map(({ ordinal, revision }) => `+${ordinal} ${revision}`), doomed.map(({ metadata }) => `-${metadata?.name}`)].flat()
}
const old = (count: number) => Array.from({ length: count }, (_, i) => podOf(i, 'old'))

for (const [name, set, pods, expected] of [
  ['one pod is replaced at a time, the highest first', setOf(4), old(4), ['-s-3']],
  ['the next once the last one is ready', setOf(4), [...old(3), podOf(3, 'new', false)], []],
  ['none below the partition', setOf(4, { partition: 4 }), old(4), []],
  ['as many as may be unavailable', setOf(5, { maxUnavailable: 2 }), old(5), ['-s-4', '-s-3']],
  ['those that are so already count', setOf(5, { maxUnavailable: '40%' }), [...old(3), podOf(3, 'old', false), podOf(4, 'new')], []],
  [
    'with parallel management they count',
    setOf(5, { maxUnavailable: '40%' }, { podManagementPolicy: 'Parallel' }),
    [...old(4), podOf(4, 'new', false)],
    ['-s-3'],
  ],
  ['at least one', setOf(5, { maxUnavailable: '10%' }), old(5), ['-s-4']],
  ['also then none below the partition', setOf(5, { maxUnavailable: 3, partition: 4 }), old(5), ['-s-4']],
  ['ordinals begin where the set says', setOf(2, {}, { ordinals: { start: 5 } }), [podOf(5, 'old')], ['+6 new']],
] as const)
  test(name, () => assert.deepEqual(plan(set, pods), expected))
