import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { randomInt, seededRandom } from '../base/random.ts'
import type { Node, Pod, PodSpec } from '../api/generated/core/v1.ts'
import { emptyView } from './cluster-view.ts'
import { definePlugin, impossible, insufficient, profileOf } from './framework.ts'
import type { Profile } from './framework.ts'
import { makeNode, makePod, makeSnapshot } from './objects.test-support.ts'
import { podInfoOf } from './pod-info.ts'
import { createDefaultProfile } from './profile.ts'
import { scheduleOne } from './schedule-one.ts'
import type { Decision } from './schedule-one.ts'
import { feasibleNodesToFind } from './search.ts'
import { createClusterState } from './snapshot.ts'

const defaultProfile = createDefaultProfile()

const decide = (
  nodes: readonly Node[],
  pod: Pod,
  placed: readonly (readonly [Pod, string])[] = [],
  profile: Profile = defaultProfile,
): Decision => scheduleOne(makeSnapshot(nodes, placed), podInfoOf(pod), profile, seededRandom(1))

const outcomeOf = (decision: Decision): string => (decision.kind === 'node' ? decision.nodeName : decision.message)

const nodeAffinity = (...matchExpressions: { key: string; operator: string; values?: readonly string[] }[]): Partial<PodSpec> => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] } } },
})

const fields = (operator: string, ...values: string[]): Partial<PodSpec> => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator, values }] }],
      },
    },
  },
})

const hostPort = (port: number, ip?: string, protocol?: string): Partial<PodSpec> => ({
  containers: [
    {
      name: 'main',
      image: 'app',
      ports: [{ containerPort: 80, hostPort: port, ...(ip ? { hostIP: ip } : {}), ...(protocol ? { protocol } : {}) }],
    },
  ],
})

const cases: readonly {
  readonly name: string
  readonly nodes: readonly Node[]
  readonly pod: Pod
  readonly placed?: readonly (readonly [Pod, string])[]
  /** The node's name, or the start of the message. */
  readonly want: string
}[] = [
  { name: 'no nodes', nodes: [], pod: makePod('a'), want: 'no nodes available to schedule pods' },
  { name: 'the only node', nodes: [makeNode('n1')], pod: makePod('a'), want: 'n1' },
  {
    name: 'the emptier node',
    nodes: [makeNode('n1'), makeNode('n2')],
    pod: makePod('a', { requests: { cpu: '1' } }),
    placed: [[makePod('b', { requests: { cpu: '2', memory: '1Gi' } }), 'n1']],
    want: 'n2',
  },
  {
    name: 'reasons are counted and sorted',
    nodes: [
      makeNode('n1', { cpu: '1' }),
      makeNode('n2', { cpu: '1' }),
      makeNode('n3', { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] }),
    ],
    pod: makePod('a', { requests: { cpu: '2' } }),
    want: '0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.',
  },
  {
    name: 'cpu and memory both',
    nodes: [makeNode('n1', { cpu: '1', memory: '1Gi' })],
    pod: makePod('a', { requests: { cpu: '2', memory: '2Gi' } }),
    want: '0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.',
  },
  {
    name: 'too many pods',
    nodes: [makeNode('n1', { pods: '1' })],
    pod: makePod('a'),
    placed: [[makePod('b'), 'n1']],
    want: '0/1 nodes are available: 1 Too many pods.',
  },
  {
    name: 'exactly full',
    nodes: [makeNode('n1', { cpu: '1' })],
    pod: makePod('a', { requests: { cpu: '500m' } }),
    placed: [[makePod('b', { requests: { cpu: '0.5' } }), 'n1']],
    want: 'n1',
  },
  {
    name: 'extended resource missing',
    nodes: [makeNode('n1')],
    pod: makePod('a', { requests: { 'example.com/gpu': '1' } }),
    want: '0/1 nodes are available: 1 Insufficient example.com/gpu.',
  },
  {
    name: 'extended resource there',
    nodes: [makeNode('n1'), makeNode('n2', { extra: { 'example.com/gpu': '2' } })],
    pod: makePod('a', { requests: { 'example.com/gpu': '2' } }),
    want: 'n2',
  },
  {
    name: 'ephemeral storage',
    nodes: [makeNode('n1')],
    pod: makePod('a', { requests: { 'ephemeral-storage': '101Gi' } }),
    want: '0/1 nodes are available: 1 Insufficient ephemeral-storage.',
  },
  {
    name: 'overhead counts',
    nodes: [makeNode('n1', { cpu: '1' })],
    pod: makePod('a', { requests: { cpu: '800m' }, spec: { overhead: { cpu: '300m' } } }),
    want: '0/1 nodes are available: 1 Insufficient cpu.',
  },
  {
    name: 'cordoned',
    nodes: [makeNode('n1', { spec: { unschedulable: true } })],
    pod: makePod('a'),
    want: '0/1 nodes are available: 1 node(s) were unschedulable.',
  },
  {
    name: 'cordoned but tolerated',
    nodes: [makeNode('n1', { spec: { unschedulable: true } })],
    pod: makePod('a', { spec: { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] } }),
    want: 'n1',
  },
  {
    name: 'node selector',
    nodes: [makeNode('n1'), makeNode('n2', { labels: { disk: 'ssd' } })],
    pod: makePod('a', { spec: { nodeSelector: { disk: 'ssd' } } }),
    want: 'n2',
  },
  {
    name: 'node selector without a match',
    nodes: [makeNode('n1')],
    pod: makePod('a', { spec: { nodeSelector: { disk: 'ssd' } } }),
    want: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
  },
  {
    name: 'In',
    nodes: [makeNode('n1', { labels: { z: 'a' } }), makeNode('n2', { labels: { z: 'b' } })],
    pod: makePod('a', { spec: nodeAffinity({ key: 'z', operator: 'In', values: ['b', 'c'] }) }),
    want: 'n2',
  },
  {
    name: 'NotIn matches an absent label',
    nodes: [makeNode('n1', { labels: { z: 'a' } }), makeNode('n2')],
    pod: makePod('a', { spec: nodeAffinity({ key: 'z', operator: 'NotIn', values: ['a'] }) }),
    want: 'n2',
  },
  {
    name: 'Exists',
    nodes: [makeNode('n1'), makeNode('n2', { labels: { z: '' } })],
    pod: makePod('a', { spec: nodeAffinity({ key: 'z', operator: 'Exists' }) }),
    want: 'n2',
  },
  {
    name: 'DoesNotExist',
    nodes: [makeNode('n1', { labels: { z: '' } }), makeNode('n2')],
    pod: makePod('a', { spec: nodeAffinity({ key: 'z', operator: 'DoesNotExist' }) }),
    want: 'n2',
  },
  {
    name: 'Gt',
    nodes: [makeNode('n1', { labels: { gen: '5' } }), makeNode('n2', { labels: { gen: '12' } }), makeNode('n3', { labels: { gen: 'x' } })],
    pod: makePod('a', { spec: nodeAffinity({ key: 'gen', operator: 'Gt', values: ['5'] }) }),
    want: 'n2',
  },
  {
    name: 'Lt',
    nodes: [makeNode('n1', { labels: { gen: '5' } }), makeNode('n2', { labels: { gen: '-1' } }), makeNode('n3')],
    pod: makePod('a', { spec: nodeAffinity({ key: 'gen', operator: 'Lt', values: ['5'] }) }),
    want: 'n2',
  },
  { name: 'a node by its name', nodes: [makeNode('n1'), makeNode('n2')], pod: makePod('a', { spec: fields('In', 'n2') }), want: 'n2' },
  { name: 'any node but this', nodes: [makeNode('n1'), makeNode('n2')], pod: makePod('a', { spec: fields('NotIn', 'n2') }), want: 'n1' },
  {
    name: 'a node that is not there',
    nodes: [makeNode('n1'), makeNode('n2')],
    pod: makePod('a', { spec: fields('In', 'n9') }),
    want: "0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
  },
  {
    name: 'host port taken',
    nodes: [makeNode('n1'), makeNode('n2')],
    pod: makePod('a', { spec: hostPort(80) }),
    placed: [[makePod('b', { spec: hostPort(80, '10.0.0.1') }), 'n1']],
    want: 'n2',
  },
  {
    name: 'host port taken everywhere',
    nodes: [makeNode('n1')],
    pod: makePod('a', { spec: hostPort(80) }),
    placed: [[makePod('b', { spec: hostPort(80) }), 'n1']],
    want: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
  },
  {
    name: 'host port of another address',
    nodes: [makeNode('n1')],
    pod: makePod('a', { spec: hostPort(80, '10.0.0.2') }),
    placed: [[makePod('b', { spec: hostPort(80, '10.0.0.1') }), 'n1']],
    want: 'n1',
  },
  {
    name: 'host port of another protocol',
    nodes: [makeNode('n1')],
    pod: makePod('a', { spec: hostPort(80, undefined, 'UDP') }),
    placed: [[makePod('b', { spec: hostPort(80) }), 'n1']],
    want: 'n1',
  },
  {
    name: 'tolerated taint',
    nodes: [makeNode('n1', { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] })],
    pod: makePod('a', { spec: { tolerations: [{ key: 'k', value: 'v' }] } }),
    want: 'n1',
  },
  {
    name: 'PreferNoSchedule is avoided',
    nodes: [makeNode('n1', { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] }), makeNode('n2')],
    pod: makePod('a'),
    want: 'n2',
  },
  {
    name: 'an image of 500 MB draws',
    nodes: [makeNode('n1'), makeNode('n2', { images: [{ names: ['app:latest'], sizeBytes: 500 * 1024 * 1024 }] })],
    pod: makePod('a'),
    want: 'n2',
  },
]

for (const { name, nodes, pod, placed, want } of cases) {
  test(`a pod's node: ${name}`, () => {
    const outcome = outcomeOf(decide(nodes, pod, placed ?? []))
    assert.ok(outcome === want || outcome.startsWith(`${want} no new claims to deallocate, preemption:`), outcome)
  })
}

test('preferred node affinity adds up its weights', () => {
  const term = (weight: number, value: string) => ({
    weight,
    preference: { matchExpressions: [{ key: 'z', operator: 'In', values: [value] }] },
  })
  const spec = { affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [term(10, 'a'), term(80, 'b')] } } }
  const nodes = [makeNode('n1', { labels: { z: 'a' } }), makeNode('n2', { labels: { z: 'b' } }), makeNode('n3')]
  assert.equal(outcomeOf(decide(nodes, makePod('p', { spec }))), 'n2')
})

test('how many nodes are looked for follows upstream', () => {
  for (const [nodes, percentage, want] of [
    [99, 0, 99],
    [100, 0, 100],
    [1000, 0, 420],
    [5000, 0, 500],
    [6000, 0, 300],
    [1000, 30, 300],
    [1000, 5, 100],
  ] as const) {
    assert.equal(feasibleNodesToFind(nodes, percentage), want, `${nodes} nodes, ${percentage}%`)
  }
})

test('ties are broken by chance, each node with the same', () => {
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((name) => makeNode(name))
  const snapshot = makeSnapshot(nodes)
  const random = seededRandom(7)
  const counts = new Map<string, number>()
  for (let i = 0; i < 4000; i++) {
    const name = outcomeOf(scheduleOne(snapshot, podInfoOf(makePod('p')), defaultProfile, random))
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  for (const count of counts.values()) assert.ok(count > 850 && count < 1150, JSON.stringify([...counts]))
})

test('preFilters that leave no node in common say so', () => {
  const only = (name: string, node: string) =>
    definePlugin({ name, preFilter: () => ({ state: undefined, nodeNames: new Set([node]) }), filter: () => undefined })
  const profile = profileOf('x', [{ plugin: only('B', 'n1') }, { plugin: only('A', 'n2') }])
  const decision = decide([makeNode('n1'), makeNode('n2')], makePod('p'), [], profile)
  assert.equal(outcomeOf(decision), "0/2 nodes are available: node(s) didn't satisfy plugin(s) [A B] simultaneously.")
  assert.deepEqual(decision.kind === 'none' && [...decision.rejectedBy].toSorted(), ['A', 'B'])
})

test('a preFilter that refuses speaks for all nodes', () => {
  const refuse = definePlugin({ name: 'Refuse', preFilter: () => ({ rejection: impossible('not today') }) })
  const decision = decide([makeNode('n1')], makePod('p'), [], profileOf('x', [{ plugin: refuse }]))
  assert.equal(outcomeOf(decision), '0/1 nodes are available: not today.')
})

test('a pod must fit beside those promised room, if they are as important', () => {
  const state = createClusterState(emptyView)
  state.setNode(makeNode('n1', { cpu: '2' }))
  state.nominate(podInfoOf(makePod('promised', { requests: { cpu: '2' }, priority: 5 })), 'n1')
  const attempt = (priority: number) =>
    outcomeOf(scheduleOne(state.snapshot(), podInfoOf(makePod('p', { requests: { cpu: '1' }, priority })), defaultProfile, seededRandom(1)))
  assert.match(attempt(5), /1 Insufficient cpu/)
  assert.equal(attempt(6), 'n1')
})

test('postFilters are asked in order and their messages joined', () => {
  const refuse = definePlugin({ name: 'Refuse', filter: () => insufficient('full') })
  const say = (message: string) => definePlugin({ name: message, postFilter: () => ({ message, clearNomination: false }) })
  const plugins = [refuse, say('one'), say('two')].map((plugin) => ({ plugin }))
  assert.equal(outcomeOf(decide([makeNode('n1')], makePod('p'), [], profileOf('x', plugins))), '0/1 nodes are available: 1 full. one, two')
})

test('no node ever gets more than it has to give', () => {
  const quantity = fc.constantFrom('0', '100m', '250m', '1', '1500m')
  const memory = fc.constantFrom('0', '64Mi', '1Gi', '1500M')
  const step = fc.record({
    cpu: quantity,
    memory,
    remove: fc.boolean(),
    init: quantity,
    sidecar: fc.boolean(),
    pick: fc.nat(),
    fails: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { maxLength: 60 }), (seed, steps) => {
      const random = seededRandom(seed)
      const state = createClusterState(emptyView)
      for (let i = 0; i < 4; i++) state.setNode(makeNode(`n${i}`, { cpu: `${1 + i}`, memory: `${1 + i}Gi`, pods: `${3 + i}` }))
      const running: Pod[] = []
      for (const { cpu, memory: mem, remove, init, sidecar, pick, fails } of steps) {
        if (remove && running.length > 0) {
          const [gone] = running.splice(pick % running.length, 1)
          state.removePod(gone!.metadata!.uid!)
        } else {
          const pod = makePod('p', {
            requests: { cpu, memory: mem },
            spec: {
              initContainers: [
                { name: 'init', image: 'i', resources: { requests: { cpu: init } }, ...(sidecar ? { restartPolicy: 'Always' } : {}) },
              ],
            },
          })
          const info = podInfoOf(pod)
          const decision = scheduleOne(state.snapshot(), info, defaultProfile, random, { start: randomInt(random, 4) })
          if (decision.kind === 'none') continue
          state.assume(info, decision.nodeName)
          if (fails) state.forget(info.uid)
          else {
            if (pick % 2) state.setPod(podInfoOf(pod), decision.nodeName)
            running.push(pod)
          }
        }
        const { nodes } = state.snapshot()
        for (const node of nodes) {
          assert.ok(node.requested.cpuMilli <= node.allocatable.cpuMilli, `cpu of ${node.name}`)
          assert.ok(node.requested.memoryBytes <= node.allocatable.memoryBytes, `memory of ${node.name}`)
          assert.ok(node.pods.length <= node.podLimit, `pods of ${node.name}`)
          const sum = node.pods.reduce((total, other) => total + other.requests.cpuMilli, 0)
          assert.equal(node.requested.cpuMilli, sum, 'the sum is kept right step by step')
        }
        assert.equal(
          nodes.reduce((total, node) => total + node.pods.length, 0),
          running.length,
        )
      }
    }),
    { numRuns: 60 },
  )
})
