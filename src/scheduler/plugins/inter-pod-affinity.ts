/**
 * Affinity and anti-affinity between pods. For one decision, matching pods are counted once by topology ("zone=a": 3), so that
 * each node costs a few look-ups. Anti-affinity holds both ways: a pod must neither break its own terms nor those of pods that run.
 */
import type { Labels } from '../../api/selectors.ts'
import { MATCHES_NOTHING } from '../../api/selectors.ts'
import type { ClusterView } from '../cluster-view.ts'
import { definePlugin, impossible, insufficient, MAXIMUM_SCORE } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import { termMatches } from '../pod-info.ts'
import type { AffinityTerm, PodInfo, WeightedTerm } from '../pod-info.ts'

const AFFINITY = impossible("node(s) didn't match pod affinity rules")
const ANTI_AFFINITY = insufficient("node(s) didn't match pod anti-affinity rules")
const EXISTING_ANTI_AFFINITY = insufficient("node(s) didn't satisfy existing pods anti-affinity rules")

/** What an existing pod's required affinity adds to the score of nodes near it (upstream HardPodAffinityWeight). */
const HARD_WEIGHT = 1
const NO_LABELS: Labels = {}

/** Counts by topology key, then value. No zeros are kept. */
type Counts = Map<string, Map<string, number>>

function add(counts: Counts, key: string, node: NodeInfo, amount: number): void {
  const value = node.labels[key]
  if (value === undefined || amount === 0) return
  let values = counts.get(key)
  if (!values) counts.set(key, (values = new Map()))
  const sum = (values.get(value) ?? 0) + amount
  if (sum !== 0) values.set(value, sum)
  else if (values.delete(value) && values.size === 0) counts.delete(key)
}

const countAt = (counts: Counts, key: string, node: NodeInfo): number => counts.get(key)?.get(node.labels[key] ?? '') ?? 0
const clone = (counts: Counts): Counts => new Map([...counts].map(([key, values]) => [key, new Map(values)]))

interface State {
  /** Of running pods whose anti-affinity the pod would break. */
  readonly existing: Counts
  readonly affinity: Counts
  readonly antiAffinity: Counts
  readonly affinityTerms: readonly AffinityTerm[]
  readonly antiAffinityTerms: readonly AffinityTerm[]
  readonly namespaceLabels: Labels
}

const namespaceLabelsOf = (view: ClusterView, namespace: string): Labels => view.namespace(namespace)?.metadata?.labels ?? NO_LABELS

/** The term with its namespace selector worked out to names, so that matching needs no namespaces. */
function resolved(term: AffinityTerm, view: ClusterView): AffinityTerm {
  if (term.namespaceSelector === MATCHES_NOTHING) return term
  const namespaces = new Set(term.namespaces)
  for (const { metadata } of view.namespaces())
    if (term.namespaceSelector(metadata?.labels ?? NO_LABELS)) namespaces.add(metadata?.name ?? '')
  return { ...term, namespaces, namespaceSelector: MATCHES_NOTHING }
}

/** A pod counts for affinity only when it meets all terms. */
const matchesAll = (terms: readonly AffinityTerm[], pod: PodInfo): boolean =>
  terms.length > 0 && terms.every((term) => termMatches(term, pod, NO_LABELS))

function count(state: State, incoming: PodInfo, other: PodInfo, node: NodeInfo, sign: 1 | -1): void {
  for (const term of other.requiredAntiAffinity)
    if (termMatches(term, incoming, state.namespaceLabels)) add(state.existing, term.topologyKey, node, sign)
  if (matchesAll(state.affinityTerms, other)) for (const term of state.affinityTerms) add(state.affinity, term.topologyKey, node, sign)
  for (const term of state.antiAffinityTerms) if (termMatches(term, other, NO_LABELS)) add(state.antiAffinity, term.topologyKey, node, sign)
}

function meetsAffinity({ affinity, affinityTerms }: State, pod: PodInfo, node: NodeInfo): boolean {
  let isMet = true
  for (const { topologyKey } of affinityTerms) {
    if (node.labels[topologyKey] === undefined) return false
    if (countAt(affinity, topologyKey, node) <= 0) isMet = false
  }
  // The first of a group that wants to be together has nobody to join yet.
  return isMet || (affinity.size === 0 && matchesAll(affinityTerms, pod))
}

interface ScoreState {
  readonly counts: Counts
}

function addWeighted(counts: Counts, terms: readonly WeightedTerm[], pod: PodInfo, labels: Labels, node: NodeInfo, sign: 1 | -1): void {
  for (const { term, weight } of terms) if (termMatches(term, pod, labels)) add(counts, term.topologyKey, node, sign * weight)
}

export const interPodAffinity = definePlugin<State, ScoreState>({
  name: 'InterPodAffinity',
  preFilter(pod, snapshot) {
    const { view } = snapshot
    const state: State = {
      existing: new Map(),
      affinity: new Map(),
      antiAffinity: new Map(),
      affinityTerms: pod.requiredAffinity.map((term) => resolved(term, view)),
      antiAffinityTerms: pod.requiredAntiAffinity.map((term) => resolved(term, view)),
      namespaceLabels: namespaceLabelsOf(view, pod.namespace),
    }
    const hasTerms = state.affinityTerms.length + state.antiAffinityTerms.length > 0
    for (const node of hasTerms ? snapshot.nodes : snapshot.nodesWithRequiredAntiAffinity)
      for (const other of hasTerms ? node.pods : node.podsWithRequiredAntiAffinity) count(state, pod, other, node, 1)
    return hasTerms || state.existing.size > 0 ? { state } : { skip: true }
  },
  filter(state, pod, node) {
    if (!meetsAffinity(state, pod, node)) return AFFINITY
    for (const { topologyKey } of state.antiAffinityTerms) if (countAt(state.antiAffinity, topologyKey, node) > 0) return ANTI_AFFINITY
    for (const key of state.existing.keys()) if (countAt(state.existing, key, node) > 0) return EXISTING_ANTI_AFFINITY
    return undefined
  },
  cloneState: (state) => ({
    ...state,
    existing: clone(state.existing),
    affinity: clone(state.affinity),
    antiAffinity: clone(state.antiAffinity),
  }),
  adjust: (state, pod, change, node) => count(state, pod, change.pod, node, change.sign),
  preScore(pod, _nodes, snapshot) {
    const { view } = snapshot
    const resolveAll = (terms: readonly WeightedTerm[]) => terms.map(({ term, weight }) => ({ term: resolved(term, view), weight }))
    const [affinity, antiAffinity] = [resolveAll(pod.preferredAffinity), resolveAll(pod.preferredAntiAffinity)]
    const hasTerms = affinity.length + antiAffinity.length > 0
    const labels = namespaceLabelsOf(view, pod.namespace)
    const counts: Counts = new Map()
    for (const node of hasTerms ? snapshot.nodes : snapshot.nodesWithAffinity) {
      for (const other of hasTerms ? node.pods : node.podsWithAffinity) {
        addWeighted(counts, affinity, other, NO_LABELS, node, 1)
        addWeighted(counts, antiAffinity, other, NO_LABELS, node, -1)
        for (const term of other.requiredAffinity) if (termMatches(term, pod, labels)) add(counts, term.topologyKey, node, HARD_WEIGHT)
        addWeighted(counts, other.preferredAffinity, pod, labels, node, 1)
        addWeighted(counts, other.preferredAntiAffinity, pod, labels, node, -1)
      }
    }
    return counts.size === 0 ? { skip: true } : { state: { counts } }
  },
  score({ counts }, _pod, node) {
    let sum = 0
    for (const key of counts.keys()) sum += countAt(counts, key, node)
    return sum
  },
  normalise(scores) {
    const least = Math.min(...scores)
    const range = Math.max(...scores) - least
    for (let i = 0; i < scores.length; i++) scores[i] = range > 0 ? Math.trunc((MAXIMUM_SCORE * (scores[i]! - least)) / range) : 0
  },
  requeueOn: [
    // Whom a new or gone pod helps depends on both pods' terms.
    {
      on: ['pod-added', 'pod-labels'],
      isWorth: (pod, event) =>
        (event.kind === 'pod-added' || event.kind === 'pod-labels') &&
        (pod.requiredAffinity.some((term) => term.selector(event.pod.labels)) ||
          (event.kind === 'pod-labels' && pod.requiredAntiAffinity.some((term) => term.selector(event.old.labels)))),
    },
    {
      on: ['pod-deleted'],
      isWorth: (pod, event) =>
        event.kind === 'pod-deleted' &&
        (pod.requiredAntiAffinity.some((term) => term.selector(event.pod.labels)) ||
          event.pod.requiredAntiAffinity.some((term) => term.selector(pod.labels))),
    },
    { on: ['node-added', 'node-labels', 'namespace-labels', 'own-labels'] },
  ],
})
