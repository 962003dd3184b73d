/**
 * Affinity and anti-affinity between pods. Matching pods are counted by topology ("zone=a": 3), so that each node costs a few look-ups;
 * the counts of a template are kept and repaired by the nodes that changed, so that a decision does not look at every pod.
 * Anti-affinity holds both ways: a pod must neither break its own terms nor those of pods that run.
 */
import type { Labels } from '../../api/selectors.ts'
import { MATCHES_EVERYTHING, MATCHES_NOTHING } from '../../api/selectors.ts'
import type { ClusterView } from '../cluster-view.ts'
import { definePlugin, impossible, insufficient, MAXIMUM_SCORE } from '../framework.ts'
import type { Plugin } from '../framework.ts'
import { createNodeChanges, createRemembered } from '../node-column.ts'
import type { NodeChanges } from '../node-column.ts'
import type { NodeInfo } from '../node-info.ts'
import { termMatches } from '../pod-info.ts'
import type { AffinityTerm, PodInfo, WeightedTerm } from '../pod-info.ts'

const AFFINITY = impossible("node(s) didn't match pod affinity rules")
const ANTI_AFFINITY = insufficient("node(s) didn't match pod anti-affinity rules")
const EXISTING_ANTI_AFFINITY = insufficient("node(s) didn't satisfy existing pods anti-affinity rules")
const NO_LABELS: Labels = {}

export interface InterPodAffinityArgs {
  /** What an existing pod's required affinity adds to the score of nodes near it. */
  readonly hardPodAffinityWeight: number
  readonly ignorePreferredTermsOfExistingPods: boolean
}

export const INTER_POD_AFFINITY_ARGS: InterPodAffinityArgs = { hardPodAffinityWeight: 1, ignorePreferredTermsOfExistingPods: false }

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

/** Matching pods by topology. */
interface Matches {
  /** Of running pods whose anti-affinity the pod would break. */
  readonly existing: Counts
  readonly affinity: Counts
  readonly antiAffinity: Counts
}

const noMatches = (): Matches => ({ existing: new Map(), affinity: new Map(), antiAffinity: new Map() })
const cloneMatches = ({ existing, affinity, antiAffinity }: Matches): Matches => ({
  existing: clone(existing),
  affinity: clone(affinity),
  antiAffinity: clone(antiAffinity),
})

interface State {
  /** As the snapshot is. */
  readonly base: Matches
  /** What a trial has changed of it. */
  readonly delta: Matches | undefined
  readonly affinityTerms: readonly AffinityTerm[]
  readonly antiAffinityTerms: readonly AffinityTerm[]
  readonly namespaceLabels: Labels
}

const namespaceLabelsOf = (view: ClusterView, namespace: string): Labels => view.namespace(namespace)?.metadata?.labels ?? NO_LABELS

/** The term with its namespace selector worked out to names, so that matching needs no namespaces. */
function resolved(term: AffinityTerm, view: ClusterView): AffinityTerm {
  if (term.namespaceSelector === MATCHES_NOTHING || term.namespaceSelector === MATCHES_EVERYTHING) return term
  const namespaces = new Set(term.namespaces)
  for (const { metadata } of view.namespaces())
    if (term.namespaceSelector(metadata?.labels ?? NO_LABELS)) namespaces.add(metadata?.name ?? '')
  return { ...term, namespaces, namespaceSelector: MATCHES_NOTHING }
}

/** A pod counts for affinity only when it meets all terms. */
const matchesAll = (terms: readonly AffinityTerm[], pod: PodInfo): boolean =>
  terms.length > 0 && terms.every((term) => termMatches(term, pod, NO_LABELS))

type Terms = Pick<State, 'affinityTerms' | 'antiAffinityTerms' | 'namespaceLabels'>

function count(matches: Matches, terms: Terms, incoming: PodInfo, other: PodInfo, node: NodeInfo, sign: 1 | -1): void {
  const { affinityTerms, antiAffinityTerms, namespaceLabels } = terms
  for (const term of other.requiredAntiAffinity)
    if (termMatches(term, incoming, namespaceLabels)) add(matches.existing, term.topologyKey, node, sign)
  if (matchesAll(affinityTerms, other)) for (const term of affinityTerms) add(matches.affinity, term.topologyKey, node, sign)
  for (const term of antiAffinityTerms) if (termMatches(term, other, NO_LABELS)) add(matches.antiAffinity, term.topologyKey, node, sign)
}

const sumAt = (state: State, which: keyof Matches, key: string, node: NodeInfo): number =>
  countAt(state.base[which], key, node) + (state.delta ? countAt(state.delta[which], key, node) : 0)

/** Does any running pod meet the affinity terms? What a trial took away may leave none. */
function isAnyMatched({ base, delta }: State): boolean {
  if (!delta || delta.affinity.size === 0) return base.affinity.size > 0
  for (const counts of [base.affinity, delta.affinity])
    for (const [key, values] of counts)
      for (const value of values.keys())
        if ((base.affinity.get(key)?.get(value) ?? 0) + (delta.affinity.get(key)?.get(value) ?? 0) !== 0) return true
  return false
}

function meetsAffinity(state: State, pod: PodInfo, node: NodeInfo): boolean {
  let isMet = true
  for (const { topologyKey } of state.affinityTerms) {
    if (node.labels[topologyKey] === undefined) return false
    if (sumAt(state, 'affinity', topologyKey, node) <= 0) isMet = false
  }
  // The first of a group that wants to be together has nobody to join yet.
  return isMet || (!isAnyMatched(state) && matchesAll(state.affinityTerms, pod))
}

function breaksExisting(state: State, node: NodeInfo): boolean {
  for (const key of state.base.existing.keys()) if (sumAt(state, 'existing', key, node) > 0) return true
  if (state.delta) for (const key of state.delta.existing.keys()) if (sumAt(state, 'existing', key, node) > 0) return true
  return false
}

/** What a template's decisions counted last. */
interface Tally<T> {
  readonly changes: NodeChanges
  readonly counts: T
}

/**
 * Which pods are gone and which came between two values of a node. Pods are added at the end, so what the two lists start with in
 * common is left alone.
 */
function difference(
  now: NodeInfo | undefined,
  before: NodeInfo | undefined,
  podsOf: (node: NodeInfo) => readonly PodInfo[],
  count: (pod: PodInfo, node: NodeInfo, sign: 1 | -1) => void,
): void {
  const [after, old] = [now ? podsOf(now) : [], before ? podsOf(before) : []]
  let common = 0
  if (now && before && now.labels === before.labels) while (common < old.length && old[common] === after[common]) common++
  for (let i = common; i < old.length; i++) count(old[i]!, before!, -1)
  for (let i = common; i < after.length; i++) count(after[i]!, now!, 1)
}

function addWeighted(counts: Counts, terms: readonly WeightedTerm[], pod: PodInfo, labels: Labels, node: NodeInfo, sign: 1 | -1): void {
  for (const { term, weight } of terms) if (termMatches(term, pod, labels)) add(counts, term.topologyKey, node, sign * weight)
}

const namesOf = (terms: readonly AffinityTerm[]): readonly (readonly string[])[] => terms.map(({ namespaces }) => [...namespaces])

export function createInterPodAffinity({
  hardPodAffinityWeight,
  ignorePreferredTermsOfExistingPods,
}: InterPodAffinityArgs = INTER_POD_AFFINITY_ARGS): Plugin {
  const filterTallies = createRemembered<Tally<Matches>>()
  const scoreTallies = createRemembered<Tally<Counts>>()

  return definePlugin<State, { readonly counts: Counts }>({
    name: 'InterPodAffinity',
    preFilter(pod, snapshot) {
      const hasTerms = pod.requiredAffinity.length + pod.requiredAntiAffinity.length > 0
      if (!hasTerms && !snapshot.hasRequiredAntiAffinity) return { skip: true }
      const { view } = snapshot
      const terms: Terms = {
        affinityTerms: pod.requiredAffinity.map((term) => resolved(term, view)),
        antiAffinityTerms: pod.requiredAntiAffinity.map((term) => resolved(term, view)),
        namespaceLabels: namespaceLabelsOf(view, pod.namespace),
      }
      const key = JSON.stringify([
        pod.namespace,
        pod.labels,
        pod.pod.spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
        pod.pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
        terms.namespaceLabels,
        namesOf(terms.affinityTerms),
        namesOf(terms.antiAffinityTerms),
      ])
      const { changes, counts } = filterTallies.of(key, () => ({ changes: createNodeChanges(), counts: noMatches() }))
      changes.repair(snapshot.nodes, (now, before) =>
        difference(
          now,
          before,
          (node) => (hasTerms ? node.pods : node.podsWithRequiredAntiAffinity),
          (other, node, sign) => count(counts, terms, pod, other, node, sign),
        ),
      )
      return hasTerms || counts.existing.size > 0 ? { state: { base: counts, delta: undefined, ...terms } } : { skip: true }
    },
    filter(state, pod, node) {
      if (!meetsAffinity(state, pod, node)) return AFFINITY
      for (const { topologyKey } of state.antiAffinityTerms) if (sumAt(state, 'antiAffinity', topologyKey, node) > 0) return ANTI_AFFINITY
      return breaksExisting(state, node) ? EXISTING_ANTI_AFFINITY : undefined
    },
    cloneState: (state) => ({ ...state, delta: state.delta ? cloneMatches(state.delta) : noMatches() }),
    adjust(state, pod, { pod: other, sign }, node) {
      if (state.delta) count(state.delta, state, pod, other, node, sign)
    },
    preScore(pod, _feasible, snapshot) {
      const hasPreferred = pod.preferredAffinity.length + pod.preferredAntiAffinity.length > 0
      if (!hasPreferred && (ignorePreferredTermsOfExistingPods || !snapshot.hasAffinity)) return { skip: true }
      const { view } = snapshot
      const weighted = ({ term, weight }: WeightedTerm) => ({ term: resolved(term, view), weight })
      const preferred = pod.preferredAffinity.map(weighted)
      const avoided = pod.preferredAntiAffinity.map(weighted)
      const labels = namespaceLabelsOf(view, pod.namespace)
      const key = JSON.stringify([
        pod.namespace,
        pod.labels,
        pod.pod.spec?.affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution,
        pod.pod.spec?.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution,
        labels,
        namesOf(preferred.map(({ term }) => term)),
        namesOf(avoided.map(({ term }) => term)),
      ])
      const { changes, counts } = scoreTallies.of(key, () => ({ changes: createNodeChanges(), counts: new Map() }))
      const countOne = (other: PodInfo, node: NodeInfo, sign: 1 | -1) => {
        addWeighted(counts, preferred, other, NO_LABELS, node, sign)
        addWeighted(counts, avoided, other, NO_LABELS, node, sign === 1 ? -1 : 1)
        for (const term of other.requiredAffinity)
          if (termMatches(term, pod, labels)) add(counts, term.topologyKey, node, sign * hardPodAffinityWeight)
        addWeighted(counts, other.preferredAffinity, pod, labels, node, sign)
        addWeighted(counts, other.preferredAntiAffinity, pod, labels, node, sign === 1 ? -1 : 1)
      }
      changes.repair(snapshot.nodes, (now, before) =>
        difference(now, before, (node) => (hasPreferred ? node.pods : node.podsWithAffinity), countOne),
      )
      return counts.size > 0 ? { state: { counts } } : { skip: true }
    },
    score({ counts }, _pod, node) {
      let sum = 0
      for (const key of counts.keys()) sum += countAt(counts, key, node)
      return sum
    },
    normalise(scores) {
      let [least, most] = [Infinity, -Infinity]
      for (const score of scores) {
        if (score < least) least = score
        if (score > most) most = score
      }
      const range = most - least
      // Divided first, as upstream does: the rounding of the product is seen.
      for (let i = 0; i < scores.length; i++) scores[i] = range > 0 ? Math.trunc(MAXIMUM_SCORE * ((scores[i]! - least) / range)) : 0
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
}
