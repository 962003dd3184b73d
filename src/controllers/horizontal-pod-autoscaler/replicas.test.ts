import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import { MetricError, replicasByAverage, replicasByShare, replicasByTotal, replicasByUtilization } from './replicas.ts'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString()
const tolerances = { down: 0.1, up: 0.1 }

interface PodSketch {
  readonly phase?: string
  readonly ready?: boolean
  readonly startedAgo?: number
  readonly readyAgo?: number
  readonly deleted?: boolean
}

function podsOf(sketches: readonly PodSketch[], request = '1'): Pod[] {
  return sketches.map(({ phase = 'Running', ready = true, startedAgo = 3600, readyAgo = 3500, deleted = false }, i) => ({
    metadata: { name: `p${i}`, ...(deleted ? { deletionTimestamp: at(-1) } : {}) },
    spec: { containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: request } } }] },
    status: {
      phase,
      startTime: at(-startedAgo),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: at(-readyAgo) }],
    },
  }))
}

const metricsOf = (values: readonly (number | undefined)[]) =>
  new Map(values.flatMap((value, i) => (value === undefined ? [] : [[`p${i}`, { timestampMs: NOW, windowMs: 60_000, value }] as const])))

const byCpu = (sketches: readonly PodSketch[], values: readonly (number | undefined)[], target: number) =>
  replicasByUtilization(
    {
      pods: podsOf(sketches),
      metrics: metricsOf(values),
      currentReplicas: sketches.length,
      tolerances,
      resource: 'cpu',
      nowMs: NOW,
    },
    target,
    undefined,
  )

const well: PodSketch = {}

for (const [name, sketches, values, target, replicas] of [
  ['up', [well, well, well], [300, 500, 700], 30, 5],
  ['down', [well, well, well, well, well], [100, 300, 500, 250, 250], 50, 3],
  ['within the tolerance', [well, well, well], [1010, 1030, 1020], 100, 3],
  [
    'an unready pod that is starting counts as idle when going up',
    [well, well, { ready: false, startedAgo: 60, readyAgo: 60 }],
    [500, 700, 900],
    30,
    4,
  ],
  ['pending pods count as idle when going up', [well, { phase: 'Pending' }, { phase: 'Pending' }], [900, undefined, undefined], 30, 3],
  ['a pod without a metric counts as idle when going up', [well, well, well], [900, 900, undefined], 50, 4],
  ['and as fully used when going down', [well, well, well, well], [100, 100, 100, undefined], 50, 3],
  ['failed and deleted pods do not count', [well, { phase: 'Failed' }, { deleted: true }], [500, 900, 900], 50, 3],
] as const)
  test(`cpu: ${name}`, () => assert.equal(byCpu(sketches, values, target).replicas, replicas))

test('what cannot be calculated says why', () => {
  const fails = (run: () => unknown, message: string) =>
    assert.throws(run, (error) => error instanceof MetricError && error.message === message)
  fails(() => byCpu([], [], 50), 'no pods returned by selector while calculating replica count')
  fails(() => byCpu([well], [undefined], 50), 'did not receive metrics for targeted pods (pods might be unready)')
  const [pod] = podsOf([well])
  const bare = { ...pod!, spec: { containers: [{ name: 'c', image: 'x' }] } }
  const input = { pods: [bare], metrics: metricsOf([5]), currentReplicas: 1, tolerances, resource: 'cpu', nowMs: NOW }
  fails(() => replicasByUtilization(input, 50, undefined), 'missing request for cpu in container c of Pod p0')
  fails(() => replicasByUtilization(input, 50, 'other'), 'container other not found in Pod p0')
})

test('utilization and average are told as upstream rounds them', () => {
  assert.deepEqual(byCpu([well, well, well], [300, 500, 701], 30), { replicas: 5, utilization: 50, averageMilli: 500 })
})

test('averages, totals and shares', () => {
  const input = {
    pods: podsOf([well, well]),
    metrics: metricsOf([2000, 4000]),
    currentReplicas: 2,
    tolerances,
    resource: undefined,
    nowMs: NOW,
  }
  assert.deepEqual(replicasByAverage(input, 1000), { replicas: 6, averageMilli: 3000 })
  assert.equal(replicasByTotal(33_000, 10_000, input), 7)
  assert.equal(replicasByTotal(10_500, 10_000, input), 2)
  assert.deepEqual(replicasByShare(8600, 2000, 2, tolerances), { replicas: 5, averageMilli: 4300 })
  assert.deepEqual(replicasByShare(4100, 2000, 2, tolerances), { replicas: 2, averageMilli: 2050 })
})
