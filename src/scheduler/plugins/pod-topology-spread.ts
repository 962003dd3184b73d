/**
 * Spreads pods over topologies (KEP-895): a constraint with DoNotSchedule filters, one with ScheduleAnyway scores. Pods without
 * constraints of their own are spread softly over hosts and zones by the owner or service that selects them.
 */
import type { Pod, TopologySpreadConstraint } from '../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../api/generated/meta/v1.ts'
import { compileLabels, compileLabelSelector } from '../../api/selectors.ts'
import type { LabelMatcher } from '../../api/selectors.ts'
import type { ClusterView } from '../cluster-view.ts'
import { definePlugin, impossible, insufficient, MAXIMUM_SCORE } from '../framework.ts'
import type { ClusterEvent } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import { matchesRequiredNodeAffinity } from '../../api/node-selector.ts'
import type { PodInfo } from '../pod-info.ts'
import { hasSelectorTerms } from '../selector-terms.ts'
import { hasUntoleratedTaint } from '../taints.ts'

const REFUSED = insufficient("node(s) didn't match pod topology spread constraints")
const NO_TOPOLOGY = impossible("node(s) didn't match pod topology spread constraints (missing required label)")
const HOSTNAME = 'kubernetes.io/hostname'

interface Constraint {
  readonly maxSkew: number
  readonly topologyKey: string
  readonly matches: LabelMatcher
  /** An empty selector counts no pods, though it matches the pod itself. */
  readonly countsNone: boolean
  readonly minDomains: number
  readonly honoursAffinity: boolean
  readonly honoursTaints: boolean
}

function compile(constraint: TopologySpreadConstraint, pod: PodInfo): Constraint {
  const selector = compileLabelSelector(constraint.labelSelector)
  const own: Record<string, string> = {}
  for (const key of constraint.matchLabelKeys ?? []) if (pod.labels[key] !== undefined) own[key] = pod.labels[key]
  const hasOwn = Object.keys(own).length > 0
  const sameOwn = compileLabels(own)
  return {
    maxSkew: constraint.maxSkew,
    topologyKey: constraint.topologyKey,
    matches: hasOwn ? (labels) => sameOwn(labels) && selector(labels) : selector,
    countsNone: !hasOwn && constraint.labelSelector !== undefined && !hasSelectorTerms(constraint.labelSelector),
    minDomains: constraint.minDomains ?? 1,
    honoursAffinity: (constraint.nodeAffinityPolicy ?? 'Honor') === 'Honor',
    honoursTaints: (constraint.nodeTaintsPolicy ?? 'Ignore') === 'Honor',
  }
}

const compileAll = (pod: PodInfo, action: string): readonly Constraint[] =>
  (pod.pod.spec?.topologySpreadConstraints ?? [])
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === action)
    .map((constraint) => compile(constraint, pod))

/** What selects the pod's fellows: services, and its controller. Undefined when nothing does. */
function fellowsOf({ pod, labels, namespace }: PodInfo, view: ClusterView): LabelMatcher | undefined {
  const matchers: LabelMatcher[] = []
  const want = (selector: LabelSelector | undefined) => {
    if (hasSelectorTerms(selector)) matchers.push(compileLabelSelector(selector))
  }
  for (const { spec } of view.services(namespace))
    if (spec?.selector && compileLabels(spec.selector)(labels)) want({ matchLabels: spec.selector })
  const owner = pod.metadata?.ownerReferences?.find(({ controller }) => controller)
  if (owner?.kind === 'ReplicationController')
    want({ matchLabels: view.replicationController(namespace, owner.name)?.spec?.selector ?? {} })
  if (owner?.kind === 'ReplicaSet') want(view.replicaSet(namespace, owner.name)?.spec?.selector)
  if (owner?.kind === 'StatefulSet') want(view.statefulSet(namespace, owner.name)?.spec?.selector)
  return matchers.length === 0 ? undefined : (candidate) => matchers.every((matches) => matches(candidate))
}

/** Upstream's system defaults: softly over hosts and zones. */
function defaultConstraints(pod: PodInfo, view: ClusterView): readonly Constraint[] {
  const matches = fellowsOf(pod, view)
  if (!matches) return []
  const soft = (topologyKey: string, maxSkew: number): Constraint => ({
    topologyKey,
    maxSkew,
    matches,
    countsNone: false,
    minDomains: 1,
    honoursAffinity: true,
    honoursTaints: false,
  })
  return [soft(HOSTNAME, 3), soft('topology.kubernetes.io/zone', 5)]
}

const hasTopologies = (node: NodeInfo, constraints: readonly Constraint[]): boolean =>
  constraints.every(({ topologyKey }) => node.labels[topologyKey] !== undefined)

/** Does this node's topology take part in the spreading of this pod? */
const isIncluded = (constraint: Constraint, pod: Pod, node: NodeInfo): boolean =>
  (!constraint.honoursAffinity || matchesRequiredNodeAffinity(pod.spec, node.node)) &&
  (!constraint.honoursTaints || !hasUntoleratedTaint(node.taints, pod.spec?.tolerations ?? []))

function countOn(node: NodeInfo, { matches, countsNone }: Constraint, namespace: string): number {
  if (countsNone) return 0
  let count = 0
  for (const other of node.pods)
    if (other.namespace === namespace && !other.pod.metadata?.deletionTimestamp && matches(other.labels)) count++
  return count
}

interface FilterState {
  readonly constraints: readonly Constraint[]
  /** For each constraint: pods by topology value. */
  readonly counts: readonly Map<string, number>[]
  /** For each constraint the least count; undefined when it must be worked out anew. */
  readonly least: (number | undefined)[]
}

function leastOf(state: FilterState, index: number): number {
  const known = state.least[index]
  if (known !== undefined) return known
  const counts = state.counts[index]!
  // Too few domains: the missing ones count as empty.
  const least = counts.size < state.constraints[index]!.minDomains ? 0 : Math.min(...counts.values())
  return (state.least[index] = least)
}

interface ScoreState {
  readonly constraints: readonly Constraint[]
  readonly counts: readonly Map<string, number>[]
  readonly weights: readonly number[]
  readonly ignored: ReadonlySet<string>
  readonly namespace: string
}

const selects = (pod: PodInfo, event: ClusterEvent): boolean => {
  if (event.kind !== 'pod-added' && event.kind !== 'pod-deleted' && event.kind !== 'pod-labels') return false
  if (event.pod.namespace !== pod.namespace) return false
  const constraints = compileAll(pod, 'DoNotSchedule')
  return constraints.some(({ matches }) => matches(event.pod.labels) || (event.kind === 'pod-labels' && matches(event.old.labels)))
}

export const podTopologySpread = definePlugin<FilterState, ScoreState>({
  name: 'PodTopologySpread',
  preFilter(pod, { nodes }) {
    const constraints = compileAll(pod, 'DoNotSchedule')
    if (constraints.length === 0) return { skip: true }
    const counts = constraints.map(() => new Map<string, number>())
    for (const node of nodes) {
      if (!hasTopologies(node, constraints)) continue
      constraints.forEach((constraint, i) => {
        if (!isIncluded(constraint, pod.pod, node)) return
        const value = node.labels[constraint.topologyKey]!
        counts[i]!.set(value, (counts[i]!.get(value) ?? 0) + countOn(node, constraint, pod.namespace))
      })
    }
    return { state: { constraints, counts, least: constraints.map(() => undefined) } }
  },
  filter(state, pod, node) {
    for (let i = 0; i < state.constraints.length; i++) {
      const { topologyKey, maxSkew, matches } = state.constraints[i]!
      const value = node.labels[topologyKey]
      if (value === undefined) return NO_TOPOLOGY
      const after = (state.counts[i]!.get(value) ?? 0) + (matches(pod.labels) ? 1 : 0)
      if (after - leastOf(state, i) > maxSkew) return REFUSED
    }
    return undefined
  },
  cloneState: ({ constraints, counts, least }) => ({ constraints, counts: counts.map((values) => new Map(values)), least: [...least] }),
  adjust(state, pod, change, node) {
    if (change.pod.namespace !== pod.namespace || !hasTopologies(node, state.constraints)) return
    state.constraints.forEach((constraint, i) => {
      if (!constraint.matches(change.pod.labels) || !isIncluded(constraint, pod.pod, node)) return
      const value = node.labels[constraint.topologyKey]!
      state.counts[i]!.set(value, (state.counts[i]!.get(value) ?? 0) + change.sign)
      state.least[i] = undefined
    })
  },
  preScore(pod, feasible, { nodes, view }) {
    const hasOwn = (pod.pod.spec?.topologySpreadConstraints?.length ?? 0) > 0
    const constraints = hasOwn ? compileAll(pod, 'ScheduleAnyway') : defaultConstraints(pod, view)
    if (constraints.length === 0) return { skip: true }
    const counts = constraints.map(() => new Map<string, number>())
    const ignored = new Set<string>()
    for (const node of feasible) {
      // Nodes without a zone can still be spread over by the defaults.
      if (hasOwn && !hasTopologies(node, constraints)) ignored.add(node.name)
      else constraints.forEach(({ topologyKey }, i) => topologyKey !== HOSTNAME && counts[i]!.set(node.labels[topologyKey] ?? '', 0))
    }
    const weights = constraints.map(({ topologyKey }, i) =>
      Math.log((topologyKey === HOSTNAME ? feasible.length - ignored.size : counts[i]!.size) + 2),
    )
    for (const node of nodes) {
      if (hasOwn && !hasTopologies(node, constraints)) continue
      constraints.forEach((constraint, i) => {
        const value = node.labels[constraint.topologyKey]
        const known = value === undefined ? undefined : counts[i]!.get(value)
        if (value !== undefined && known !== undefined && isIncluded(constraint, pod.pod, node))
          counts[i]!.set(value, known + countOn(node, constraint, pod.namespace))
      })
    }
    return { state: { constraints, counts, weights, ignored, namespace: pod.namespace } }
  },
  score({ constraints, counts, weights, ignored, namespace }, _pod, node) {
    if (ignored.has(node.name)) return 0
    let score = 0
    constraints.forEach((constraint, i) => {
      const value = node.labels[constraint.topologyKey]
      if (value === undefined) return
      const count = constraint.topologyKey === HOSTNAME ? countOn(node, constraint, namespace) : (counts[i]!.get(value) ?? 0)
      score += count * weights[i]! + (constraint.maxSkew - 1)
    })
    return Math.round(score)
  },
  normalise(scores, { ignored }, nodes) {
    let least = Infinity
    let most = 0
    for (let i = 0; i < scores.length; i++) {
      if (ignored.has(nodes[i]!.name)) continue
      least = Math.min(least, scores[i]!)
      most = Math.max(most, scores[i]!)
    }
    for (let i = 0; i < scores.length; i++) {
      if (ignored.has(nodes[i]!.name)) scores[i] = 0
      else scores[i] = most === 0 ? MAXIMUM_SCORE : Math.trunc((MAXIMUM_SCORE * (most + least - scores[i]!)) / most)
    }
  },
  requeueOn: [
    { on: ['pod-added', 'pod-deleted', 'pod-labels'], isWorth: selects },
    { on: ['node-added', 'node-deleted', 'node-labels', 'node-taints', 'own-labels', 'own-tolerations'] },
  ],
})
