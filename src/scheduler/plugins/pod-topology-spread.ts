/**
 * Spreads pods over topologies (KEP-895): a constraint with DoNotSchedule filters, one with ScheduleAnyway scores. Pods without
 * constraints of their own are spread by the defaults. The counts of a template are kept and repaired by the nodes that changed.
 */
import type { Node, TopologySpreadConstraint } from '../../api/generated/core/v1.ts'
import type { ClusterView } from '../cluster-view.ts'
import { definePlugin, impossible, insufficient, MAXIMUM_SCORE } from '../framework.ts'
import type { ClusterEvent, Plugin } from '../framework.ts'
import { emptyView } from '../cluster-view.ts'
import { createNodeChanges, createRemembered } from '../node-column.ts'
import type { NodeChanges } from '../node-column.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import type { Snapshot } from '../snapshot.ts'
import { constraintsOf, countOn, createPodsByLabel, hasTopologies, HOSTNAME, isIncluded } from '../topology-constraints.ts'
import type { Constraint, Constraints, Defaults, PodsByLabel } from '../topology-constraints.ts'

const REFUSED = insufficient("node(s) didn't match pod topology spread constraints")
const NO_TOPOLOGY = impossible("node(s) didn't match pod topology spread constraints (missing required label)")

export interface PodTopologySpreadArgs {
  readonly defaultingType: 'System' | 'List'
  readonly defaultConstraints: readonly TopologySpreadConstraint[]
}

export const POD_TOPOLOGY_SPREAD_ARGS: PodTopologySpreadArgs = { defaultingType: 'System', defaultConstraints: [] }

const SYSTEM_DEFAULTS: Defaults = {
  constraints: [
    { topologyKey: HOSTNAME, whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 3 },
    { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 5 },
  ],
  isSystem: true,
}

/** Matching pods in a domain, and the nodes that make it up: without one it does not exist. */
interface Domain {
  pods: number
  nodes: number
}

/** By value of the topology key. */
type Domains = Map<string, Domain>

interface Least {
  readonly value: string
  readonly pods: number
}

/** For each constraint the counts of a template, as its last decision saw them. */
interface Tally {
  readonly changes: NodeChanges
  readonly domains: readonly Domains[]
  /** By node: matching pods for each constraint; less than zero, as the complement, where the node takes no part in it. */
  readonly onNode: Map<NodeInfo, readonly number[]>
  /** For each constraint the two emptiest domains, when worked out. */
  readonly emptiest: (readonly Least[] | undefined)[]
}

const newTally = (count: number): Tally => ({
  changes: createNodeChanges(),
  domains: Array.from({ length: count }, (): Domains => new Map()),
  onNode: new Map(),
  emptiest: [],
})

function addNode(
  tally: Tally,
  { list, wantAllTopologies }: Constraints,
  pod: PodInfo,
  node: NodeInfo,
  podsOf: (node: NodeInfo, constraint: Constraint) => readonly PodInfo[],
): void {
  const takesPart = !wantAllTopologies || hasTopologies(node, list)
  const counts = list.map((constraint, i) => {
    const count = countOn(podsOf(node, constraint), constraint, pod.namespace)
    const value = node.labels[constraint.topologyKey]
    if (!takesPart || value === undefined || !isIncluded(constraint, pod.pod, node)) return ~count
    const domain = tally.domains[i]!.get(value)
    if (domain) {
      domain.pods += count
      domain.nodes++
    } else tally.domains[i]!.set(value, { pods: count, nodes: 1 })
    return count
  })
  tally.onNode.set(node, counts)
}

function removeNode(tally: Tally, list: readonly Constraint[], node: NodeInfo): void {
  for (const [i, count] of (tally.onNode.get(node) ?? []).entries()) {
    if (count < 0) continue
    const value = node.labels[list[i]!.topologyKey]!
    const domain = tally.domains[i]!.get(value)!
    domain.pods -= count
    if (--domain.nodes === 0) tally.domains[i]!.delete(value)
  }
  tally.onNode.delete(node)
}

function repaired(tally: Tally, constraints: Constraints, pod: PodInfo, snapshot: Snapshot, byLabel: PodsByLabel): Tally {
  const all = (node: NodeInfo) => node.pods
  const likely = (node: NodeInfo, { pair }: Constraint) => (pair ? byLabel.on(node, pair) : node.pods)
  tally.changes.repair(snapshot.nodes, (now, before) => {
    if (before) removeNode(tally, constraints.list, before)
    if (now) addNode(tally, constraints, pod, now, before ? all : likely)
    tally.emptiest.length = 0
  })
  return tally
}

function emptiestOf(tally: Tally, index: number): readonly Least[] {
  const known = tally.emptiest[index]
  if (known) return known
  let first: Least | undefined
  let second: Least | undefined
  for (const [value, { pods }] of tally.domains[index]!) {
    if (!first || pods < first.pods) {
      second = first
      first = { value, pods }
    } else if (!second || pods < second.pods) second = { value, pods }
  }
  const found = [first, second].filter((least) => least !== undefined)
  tally.emptiest[index] = found
  return found
}

interface FilterState {
  readonly constraints: readonly Constraint[]
  readonly tally: Tally
  /** Does the pod count for the constraint itself? */
  readonly counted: readonly (0 | 1)[]
  /** What a trial has changed: for each constraint, pods by topology value. */
  readonly delta: readonly Map<string, number>[] | undefined
}

/** The least of any domain; in a trial the domains that it has changed count as changed. */
function leastOf({ constraints, tally, delta }: FilterState, index: number): number {
  const domains = tally.domains[index]!
  // Too few domains: the missing ones count as empty.
  if (domains.size < constraints[index]!.minDomains) return 0
  const changed = delta?.[index]
  if (!changed || changed.size === 0) return emptiestOf(tally, index)[0]!.pods
  let least = Infinity
  for (const [value, difference] of changed) {
    const domain = domains.get(value)
    if (domain) least = Math.min(least, domain.pods + difference)
  }
  // A trial is about one node, so at most one domain of a constraint changes and one of the two emptiest is left.
  const untouched = emptiestOf(tally, index).find(({ value }) => !changed.has(value))
  return Math.min(least, untouched?.pods ?? Infinity)
}

interface ScoreState {
  readonly constraints: Constraints
  readonly tally: Tally
  readonly weights: readonly number[]
  readonly ignored: ReadonlySet<NodeInfo>
}

function selects(pod: PodInfo, event: ClusterEvent, defaults: Defaults, view: ClusterView): boolean {
  if (event.kind !== 'pod-added' && event.kind !== 'pod-deleted' && event.kind !== 'pod-labels') return false
  if (event.pod.namespace !== pod.namespace) return false
  if (!pod.pod.spec?.topologySpreadConstraints?.length) return true
  const { list } = constraintsOf(pod, 'DoNotSchedule', defaults, view)
  return list.some(({ matches }) => matches(event.pod.labels) || (event.kind === 'pod-labels' && matches(event.old.labels)))
}

/** Does the node take part before or after, and is it another one for the pod's constraints? */
function movesTopology(pod: PodInfo, event: ClusterEvent): boolean {
  const keys = pod.pod.spec?.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey)
  if (!keys?.length || !('node' in event)) return true
  const takesPart = (node: Node): boolean => keys.every((key) => node.metadata?.labels?.[key] !== undefined)
  if (event.kind === 'node-added' || event.kind === 'node-deleted') return takesPart(event.node)
  const { node, old } = event
  if (takesPart(node) !== takesPart(old)) return true
  const isMoved = keys.some((key) => node.metadata?.labels?.[key] !== old.metadata?.labels?.[key])
  return takesPart(node) && (isMoved || event.kind === 'node-taints')
}

export function createPodTopologySpread({ defaultingType, defaultConstraints }: PodTopologySpreadArgs = POD_TOPOLOGY_SPREAD_ARGS): Plugin {
  const defaults = defaultingType === 'System' ? SYSTEM_DEFAULTS : { constraints: defaultConstraints, isSystem: false }
  const tallies = createRemembered<Tally>()
  const byLabel = createPodsByLabel()
  const tallyOf = (constraints: Constraints, pod: PodInfo, snapshot: Snapshot): Tally =>
    repaired(
      tallies.of(constraints.key, () => newTally(constraints.list.length)),
      constraints,
      pod,
      snapshot,
      byLabel,
    )

  return definePlugin<FilterState, ScoreState>({
    name: 'PodTopologySpread',
    preFilter(pod, snapshot) {
      const constraints = constraintsOf(pod, 'DoNotSchedule', defaults, snapshot.view)
      if (constraints.list.length === 0) return { skip: true }
      const { list } = constraints
      // The defaults that filter are a list's: nodes without their topologies are never counted.
      const tally = tallyOf({ ...constraints, wantAllTopologies: true }, pod, snapshot)
      return { state: { constraints: list, tally, counted: list.map(({ matches }) => (matches(pod.labels) ? 1 : 0)), delta: undefined } }
    },
    filter(state, _pod, node) {
      const { constraints, tally, counted, delta } = state
      for (let i = 0; i < constraints.length; i++) {
        const { topologyKey, maxSkew } = constraints[i]!
        const value = node.labels[topologyKey]
        if (value === undefined) return NO_TOPOLOGY
        const there = (tally.domains[i]!.get(value)?.pods ?? 0) + (delta?.[i]!.get(value) ?? 0)
        if (there + counted[i]! - leastOf(state, i) > maxSkew) return REFUSED
      }
      return undefined
    },
    cloneState: (state) => ({ ...state, delta: state.constraints.map((_, i) => new Map(state.delta?.[i])) }),
    adjust({ constraints, delta }, pod, change, node) {
      if (!delta || change.pod.namespace !== pod.namespace || !hasTopologies(node, constraints)) return
      for (const [i, constraint] of constraints.entries()) {
        if (!constraint.matches(change.pod.labels) || !isIncluded(constraint, pod.pod, node)) continue
        const value = node.labels[constraint.topologyKey]!
        delta[i]!.set(value, (delta[i]!.get(value) ?? 0) + change.sign)
      }
    },
    preScore(pod, feasible, snapshot) {
      const constraints = constraintsOf(pod, 'ScheduleAnyway', defaults, snapshot.view)
      const { list, wantAllTopologies } = constraints
      if (list.length === 0) return { skip: true }
      const values = list.map(() => new Set<string>())
      const ignored = new Set<NodeInfo>()
      for (const node of feasible) {
        // Nodes without a zone can still be spread over by the defaults.
        if (wantAllTopologies && !hasTopologies(node, list)) ignored.add(node)
        else for (const [i, { topologyKey }] of list.entries()) if (topologyKey !== HOSTNAME) values[i]!.add(node.labels[topologyKey] ?? '')
      }
      const weights = list.map(({ topologyKey }, i) =>
        Math.log((topologyKey === HOSTNAME ? feasible.length - ignored.size : values[i]!.size) + 2),
      )
      return { state: { constraints, tally: tallyOf(constraints, pod, snapshot), weights, ignored } }
    },
    score({ constraints: { list }, tally, weights, ignored }, _pod, node) {
      if (ignored.has(node)) return 0
      let score = 0
      for (let i = 0; i < list.length; i++) {
        const { topologyKey, maxSkew } = list[i]!
        const value = node.labels[topologyKey]
        if (value === undefined) continue
        let count: number
        if (topologyKey === HOSTNAME) {
          count = tally.onNode.get(node)![i]!
          if (count < 0) count = ~count
        } else count = tally.domains[i]!.get(value)?.pods ?? 0
        score += count * weights[i]! + (maxSkew - 1)
      }
      return Math.round(score)
    },
    normalise(scores, { ignored }, nodes) {
      let least = Infinity
      let most = 0
      for (let i = 0; i < scores.length; i++) {
        if (ignored.size > 0 && ignored.has(nodes[i]!)) continue
        least = Math.min(least, scores[i]!)
        most = Math.max(most, scores[i]!)
      }
      for (let i = 0; i < scores.length; i++) {
        if (ignored.size > 0 && ignored.has(nodes[i]!)) scores[i] = 0
        else scores[i] = most === 0 ? MAXIMUM_SCORE : Math.trunc((MAXIMUM_SCORE * (most + least - scores[i]!)) / most)
      }
    },
    requeueOn: [
      { on: ['pod-added', 'pod-deleted', 'pod-labels'], isWorth: (pod, event) => selects(pod, event, defaults, emptyView) },
      {
        on: ['node-added', 'node-deleted', 'node-labels', 'node-taints'],
        isWorth: (pod, event) => movesTopology(pod, event),
      },
      { on: ['own-labels', 'own-tolerations'] },
    ],
  })
}
