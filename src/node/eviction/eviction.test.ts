import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import { nodeConfiguration } from '../configuration.ts'
import type { MachineUsage } from '../host.ts'
import { evictionMessage, isCritical, rankPods, storageOverrun, type PodUse } from './rank.ts'
import { CALM, mostUrgent, nextPressure, observationsOf, thresholdsOf } from './thresholds.ts'

const MI = 2 ** 20
const usage = (availableBytes: number): MachineUsage => ({
  atMs: 0,
  cpuNanoseconds: 0,
  workingSetBytes: 1024 * MI - availableBytes,
  availableBytes,
  rssBytes: 0,
  pageFaults: 0,
  majorPageFaults: 0,
  interfaces: [],
  nodeFs: { capacityBytes: 1000, availableBytes: 500, usedBytes: 500, inodes: 100, inodesFree: 50 },
  processes: { current: 10, max: 100 },
})

test('hard thresholds count at once, soft ones after their grace, and a condition outlives its cause for a while', () => {
  const thresholds = thresholdsOf(
    nodeConfiguration({
      evictionHard: { 'memory.available': '10%' },
      evictionSoft: { 'memory.available': '200Mi' },
      evictionSoftGracePeriod: { 'memory.available': '30s' },
      evictionMinimumReclaim: { 'memory.available': '50Mi' },
    }),
  )
  let state = CALM
  const seen: unknown[] = []
  for (const [seconds, available] of [
    [0, 500],
    [10, 150],
    [30, 150],
    [40, 150],
    [50, 90],
    [60, 120],
    [70, 210],
    [80, 300],
    [100, 300],
    [140, 300],
  ] as const) {
    state = nextPressure(state, thresholds, observationsOf(usage(available * MI)), seconds * 1000, 60_000)
    seen.push([seconds, state.conditions.length, state.due.map(({ isHard }) => (isHard ? 'hard' : 'soft')).join()])
  }
  assert.deepEqual(seen, [
    [0, 0, ''],
    [10, 1, ''],
    [30, 1, ''],
    [40, 1, 'soft'],
    [50, 1, 'hard,soft'],
    // More than the value is wanted back before it is good again.
    [60, 1, 'hard,soft'],
    [70, 1, 'soft'],
    [80, 1, ''],
    [100, 1, ''],
    [140, 0, ''],
  ])
})

test('memory is the most urgent', () => {
  const thresholds = thresholdsOf(nodeConfiguration({ evictionHard: { 'nodefs.available': '60%', 'memory.available': '1Gi' } }))
  const { due, conditions } = nextPressure(CALM, thresholds, observationsOf(usage(MI)), 0, 0)
  assert.deepEqual([mostUrgent(due)?.signal, conditions.toSorted()], ['memory.available', ['DiskPressure', 'MemoryPressure']])
})

const pod = (name: string, requests: Record<string, string> = {}, priority = 0): Pod => ({
  metadata: { name },
  spec: { priority, containers: [{ name: 'c', resources: { requests } }] },
})

test('pods above their requests go first, then those of low priority, then the largest', () => {
  const uses = new Map<Pod, PodUse>()
  const with_ = (one: Pod, mebibytes: number) => {
    uses.set(one, { total: mebibytes * MI, containers: [{ name: 'c', used: mebibytes * MI }] })
    return one
  }
  const pods = [
    with_(pod('within', { memory: '500Mi' }), 400),
    with_(pod('important', {}, 1000), 900),
    with_(pod('small'), 10),
    with_(pod('large'), 100),
    with_(pod('a bit above', { memory: '90Mi' }), 95),
    pod('unknown', {}, 5),
  ]
  assert.deepEqual(
    rankPods(pods, 'memory', (one) => uses.get(one)).map(({ metadata }) => metadata?.name),
    ['large', 'small', 'a bit above', 'unknown', 'important', 'within'],
  )
  const [first] = rankPods(pods, 'memory', (one) => uses.get(one))
  const thresholds = thresholdsOf(nodeConfiguration())
  assert.equal(
    evictionMessage(first!, 'memory', uses.get(first!), thresholds, observationsOf(usage(95 * MI))),
    'The node was low on resource: memory. Threshold quantity: 100Mi, available: 95Mi. ' +
      'Container c was using 100Mi, request is 0, has larger consumption of memory. ',
  )
})

test('who is never evicted', () => {
  assert.ok(isCritical(pod('system', {}, 2_000_000_000)))
  assert.ok(isCritical({ metadata: { annotations: { 'kubernetes.io/config.source': 'file' } } }))
  assert.ok(!isCritical({ metadata: { annotations: { 'kubernetes.io/config.source': 'api' } }, spec: { containers: [] } }))
})

test('a pod that writes more than it may', () => {
  const limited: Pod = {
    spec: {
      volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }],
      containers: [{ name: 'c', resources: { limits: { 'ephemeral-storage': '2Mi' } } }],
    },
  }
  const overrun = (emptyDir: number, container: number, total: number) =>
    storageOverrun(limited, { emptyDirs: new Map([['v', emptyDir * MI]]), containers: new Map([['c', container * MI]]), total: total * MI })
      ?.message
  assert.equal(overrun(1, 2, 2), undefined)
  assert.equal(overrun(1.5, 0, 0), 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ')
  assert.equal(overrun(0, 0, 3), 'Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ')
  assert.equal(overrun(0, 2.5, 2), 'Container c exceeded its local ephemeral storage limit "2Mi". ')
})
