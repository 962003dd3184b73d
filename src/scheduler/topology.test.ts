/** Pods that depend on other pods: affinity, spreading and preemption. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import type { Namespace, Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from '../api/generated/core/v1.ts'
import type { PodDisruptionBudget } from '../api/generated/policy/v1.ts'
import { emptyView } from './cluster-view.ts'
import type { ClusterView } from './cluster-view.ts'
import { makeNode, makePod, makeSnapshot } from './objects.test-support.ts'
import type { PodOptions } from './objects.test-support.ts'
import { podInfoOf } from './pod-info.ts'
import { createDefaultProfile } from './profile.ts'
import { scheduleOne } from './schedule-one.ts'
import type { Decision } from './schedule-one.ts'

const defaultProfile = createDefaultProfile()

type Placed = readonly (readonly [Pod, string])[]

const zoned = (name: string, zone: string, cpu = '4'): Node => makeNode(name, { labels: { zone }, cpu })
const decide = (nodes: readonly Node[], pod: Pod, placed: Placed = [], view: ClusterView = emptyView): Decision =>
  scheduleOne(makeSnapshot(nodes, placed, view), podInfoOf(pod), defaultProfile, seededRandom(1))
const outcomeOf = (decision: Decision): string => (decision.kind === 'node' ? decision.nodeName : decision.message)

const near = (app: string, topologyKey = 'zone', more: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
  topologyKey,
  labelSelector: { matchLabels: { app } },
  ...more,
})
const affinity = (...terms: PodAffinityTerm[]): PodOptions => ({
  spec: { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } } },
})
const antiAffinity = (...terms: PodAffinityTerm[]): PodOptions => ({
  spec: { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } } },
})
const web = (name: string, options: PodOptions = {}): Pod => makePod(name, { labels: { app: 'web' }, ...options })

const zones = [zoned('a1', 'a'), zoned('b1', 'b'), zoned('b2', 'b')]

test('affinity goes where the others are, by topology', () => {
  assert.match(outcomeOf(decide(zones, makePod('p', affinity(near('web'))), [[web('w'), 'b1']])), /^b[12]$/)
  assert.match(
    outcomeOf(decide(zones, makePod('p', affinity(near('web'))))),
    /^0\/3 nodes are available: 3 node\(s\) didn't match pod affinity rules\. no new claims to deallocate, preemption: 0\/3 nodes are available: 3 Preemption is not helpful for scheduling\.$/,
  )
})

test('the first of a group that wants to be together may start it', () => {
  assert.match(outcomeOf(decide(zones, web('p', affinity(near('web'))))), /^[ab]/)
  const bare = [makeNode('n1')]
  assert.match(outcomeOf(decide(bare, web('p', affinity(near('web'))))), /didn't match pod affinity rules/)
})

test('anti-affinity keeps away, whichever pod has the term', () => {
  assert.equal(outcomeOf(decide(zones, makePod('p', antiAffinity(near('web'))), [[web('w'), 'b1']])), 'a1')
  assert.equal(outcomeOf(decide(zones, web('p'), [[makePod('w', antiAffinity(near('web'))), 'b2']])), 'a1')
  assert.match(
    outcomeOf(decide([zoned('a1', 'a')], web('p'), [[makePod('w', antiAffinity(near('web'))), 'a1']])),
    /1 node\(s\) didn't satisfy existing pods anti-affinity rules/,
  )
})

test('terms select namespaces by name, by label, or mean their own', () => {
  const namespaces: readonly Namespace[] = [{ metadata: { name: 'default' } }, { metadata: { name: 'team', labels: { team: 'x' } } }]
  const view: ClusterView = {
    ...emptyView,
    namespace: (name) => namespaces.find(({ metadata }) => metadata?.name === name),
    namespaces: () => namespaces,
  }
  const placed: Placed = [[web('w', { namespace: 'team' }), 'a1']]
  const node = (more: Partial<PodAffinityTerm>) =>
    outcomeOf(decide(zones, makePod('p', antiAffinity(near('web', 'kubernetes.io/hostname', more))), placed, view))
  const onA1 = [zones[0]!]
  const refusedOnA1 = (more: Partial<PodAffinityTerm>) =>
    decide(onA1, makePod('p', antiAffinity(near('web', 'zone', more))), placed, view).kind === 'none'
  assert.equal(refusedOnA1({}), false)
  assert.equal(refusedOnA1({ namespaces: ['team'] }), true)
  assert.equal(refusedOnA1({ namespaceSelector: { matchLabels: { team: 'x' } } }), true)
  assert.equal(refusedOnA1({ namespaceSelector: { matchLabels: { team: 'y' } } }), false)
  assert.equal(refusedOnA1({ namespaceSelector: {} }), true)
  assert.match(node({ namespaces: ['team'] }), /^b/)
})

test('preferred affinity draws and preferred anti-affinity repels', () => {
  const soft = (kind: 'podAffinity' | 'podAntiAffinity'): PodOptions => ({
    spec: { affinity: { [kind]: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: near('web') }] } } },
  })
  const two = [zoned('a1', 'a'), zoned('b1', 'b')]
  assert.equal(outcomeOf(decide(two, makePod('p', soft('podAffinity')), [[web('w'), 'b1']])), 'b1')
  assert.equal(outcomeOf(decide(two, makePod('p', soft('podAntiAffinity')), [[web('w'), 'b1']])), 'a1')
})

const spread = (more: Partial<TopologySpreadConstraint> = {}): PodOptions => ({
  spec: {
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'web' } }, ...more },
    ],
  },
})

test('spreading refuses what would make the skew too large', () => {
  const placed: Placed = [[web('w1'), 'b1']]
  assert.equal(outcomeOf(decide(zones, web('p', spread()), placed)), 'a1')
  assert.equal(decide(zones.slice(1), web('p', spread()), placed).kind, 'node', 'one zone alone has no skew')
  const full = [zoned('a1', 'a', '0'), zoned('b1', 'b')]
  assert.match(
    outcomeOf(decide(full, web('p', { ...spread(), requests: { cpu: '1' } }), placed)),
    /^0\/2 nodes are available: 1 Insufficient cpu, 1 node\(s\) didn't match pod topology spread constraints\./,
  )
})

test('nodes without the topology are refused, and too few domains count as empty', () => {
  assert.match(outcomeOf(decide([makeNode('n1')], web('p', spread()))), /missing required label/)
  const placed: Placed = [[web('w1'), 'b1']]
  assert.match(
    outcomeOf(decide([zoned('b1', 'b')], web('p', spread({ minDomains: 2 })), placed)),
    /didn't match pod topology spread constraints/,
  )
})

test('nodes that the pod could not use do not count, unless the policy says so', () => {
  const nodes = [zoned('a1', 'a'), zoned('b1', 'b')]
  const placed: Placed = [[web('w1'), 'b1']]
  const onlyB = { nodeSelector: { zone: 'b' } }
  const pod = (more: Partial<TopologySpreadConstraint>) => web('p', { spec: { ...spread(more).spec, ...onlyB } })
  assert.equal(outcomeOf(decide(nodes, pod({}), placed)), 'b1')
  assert.match(outcomeOf(decide(nodes, pod({ nodeAffinityPolicy: 'Ignore' }), placed)), /topology spread constraints/)
})

test('ScheduleAnyway only scores, and replicas are spread over hosts by default', () => {
  const placed: Placed = [
    [web('w1'), 'b1'],
    [web('w2'), 'b2'],
  ]
  assert.equal(outcomeOf(decide(zones, web('p', spread({ whenUnsatisfiable: 'ScheduleAnyway' })), placed)), 'a1')
  const view: ClusterView = { ...emptyView, services: () => [{ spec: { selector: { app: 'web' } } }] }
  const hosts = [makeNode('n1'), makeNode('n2'), makeNode('n3')]
  const crowd: Placed = [
    [web('w1'), 'n1'],
    [web('w2'), 'n1'],
    [web('w3'), 'n2'],
  ]
  assert.equal(outcomeOf(decide(hosts, web('p'), crowd, view)), 'n3')
})

const important = (name: string, options: PodOptions = {}): Pod => makePod(name, { requests: { cpu: '2' }, priority: 100, ...options })
const filler = (name: string, priority: number, cpu = '2', more: PodOptions = {}): Pod =>
  makePod(name, { requests: { cpu }, priority, ...more })

function preemptionOf(decision: Decision): { node: string; victims: readonly string[] } | string {
  if (decision.kind !== 'none') return `placed on ${decision.nodeName}`
  if (!decision.preemption) return decision.message
  return { node: decision.preemption.nominate, victims: decision.preemption.victims.map(({ pod }) => pod.metadata!.name!) }
}

test('preemption evicts the fewest and least important pods that make room', () => {
  const nodes = [makeNode('n1', { cpu: '4' }), makeNode('n2', { cpu: '4' })]
  assert.deepEqual(
    preemptionOf(
      decide(nodes, important('p'), [
        [filler('x', 50), 'n1'],
        [filler('y', 10), 'n1'],
        [filler('z', 60, '4'), 'n2'],
      ]),
    ),
    { node: 'n1', victims: ['y'] },
  )
})

test('preemption spares equal priorities and says when there is nobody to evict', () => {
  const decision = decide([makeNode('n1', { cpu: '2' })], important('p'), [[filler('x', 100), 'n1']])
  assert.equal(
    preemptionOf(decision),
    '0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
  )
  assert.equal(decision.kind === 'none' && decision.clearNomination, true)
})

test('preemption is not tried where it cannot help', () => {
  const decision = decide([makeNode('n1', { cpu: '1' })], important('p'), [[filler('x', 1, '1'), 'n1']])
  assert.match(String(preemptionOf(decision)), /preemption: 0\/1 nodes are available: 1 Preemption is not helpful for scheduling\.$/)
})

test('preemption obeys preemptionPolicy', () => {
  const decision = decide([makeNode('n1', { cpu: '2' })], important('p', { spec: { preemptionPolicy: 'Never' } }), [[filler('x', 1), 'n1']])
  assert.match(String(preemptionOf(decision)), /preemption: not eligible due to preemptionPolicy=Never\.$/)
})

test('preemption prefers the node where no disruption budget is broken', () => {
  const budget: PodDisruptionBudget = {
    metadata: { name: 'b', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'web' } } },
    status: { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
  }
  const view: ClusterView = { ...emptyView, disruptionBudgets: () => [budget] }
  const nodes = [makeNode('n1', { cpu: '2' }), makeNode('n2', { cpu: '2' })]
  const placed: Placed = [
    [filler('guarded', 1, '2', { labels: { app: 'web' } }), 'n1'],
    [filler('free', 50), 'n2'],
  ]
  assert.deepEqual(preemptionOf(decide(nodes, important('p'), placed, view)), { node: 'n2', victims: ['free'] })
})

test('preemption resolves anti-affinity of running pods', () => {
  const rival = makePod('rival', {
    priority: 1,
    spec: { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [near('web')] } } },
  })
  assert.deepEqual(preemptionOf(decide([zoned('a1', 'a')], web('p', { priority: 100 }), [[rival, 'a1']])), {
    node: 'a1',
    victims: ['rival'],
  })
})

test('among equals the victims that started last go', () => {
  const nodes = [makeNode('n1', { cpu: '2' }), makeNode('n2', { cpu: '2' })]
  const placed: Placed = [
    [filler('old', 1, '2', { startTime: '2026-01-01T00:00:00Z' }), 'n1'],
    [filler('young', 1, '2', { startTime: '2026-02-01T00:00:00Z' }), 'n2'],
  ]
  assert.deepEqual(preemptionOf(decide(nodes, important('p'), placed)), { node: 'n2', victims: ['young'] })
})
