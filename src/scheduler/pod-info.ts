/**
 * What the scheduler needs to know of a pod, worked out once for each revision: its requests, ports and affinity terms with their
 * selectors compiled. Nodes hold these, so that a decision over thousands of pods parses nothing.
 */
import type { Pod, PodAffinityTerm, WeightedPodAffinityTerm } from '../api/generated/core/v1.ts'
import { keyOf } from '../api/object.ts'
import { compileLabelSelector } from '../api/selectors.ts'
import type { LabelMatcher, Labels } from '../api/selectors.ts'
import { requestsOf } from './resources.ts'
import { hostPortsOf, type HostPort } from '../api/host-ports.ts'
import type { Resources } from './resources.ts'

/** A PodAffinityTerm ready to match. */
export interface AffinityTerm {
  readonly topologyKey: string
  readonly namespaces: ReadonlySet<string>
  readonly namespaceSelector: LabelMatcher
  readonly selector: LabelMatcher
}

export interface WeightedTerm {
  readonly term: AffinityTerm
  readonly weight: number
}

export interface PodInfo {
  readonly pod: Pod
  readonly uid: string
  readonly key: string
  readonly namespace: string
  readonly labels: Labels
  readonly priority: number
  readonly requests: Resources
  readonly nonZeroCpuMilli: number
  readonly nonZeroMemoryBytes: number
  readonly scoredCpuMilli: number
  readonly scoredMemoryBytes: number
  readonly hostPorts: readonly HostPort[]
  readonly requiredAffinity: readonly AffinityTerm[]
  readonly requiredAntiAffinity: readonly AffinityTerm[]
  readonly preferredAffinity: readonly WeightedTerm[]
  readonly preferredAntiAffinity: readonly WeightedTerm[]
  /** True when any of the four lists above holds a term. */
  readonly hasAffinity: boolean
}

const NO_LABELS: Labels = {}
const NONE: readonly never[] = []

/** The namespace of the pod itself is meant when neither namespaces nor a selector are given. */
function compileTerm(pod: Pod, term: PodAffinityTerm): AffinityTerm {
  const isOwnNamespace = !term.namespaces?.length && !term.namespaceSelector
  return {
    topologyKey: term.topologyKey,
    namespaces: new Set(isOwnNamespace ? [pod.metadata?.namespace ?? ''] : term.namespaces),
    namespaceSelector: compileLabelSelector(term.namespaceSelector),
    selector: compileLabelSelector(term.labelSelector),
  }
}

const compileTerms = (pod: Pod, terms: readonly PodAffinityTerm[] | undefined): readonly AffinityTerm[] =>
  terms?.length ? terms.map((term) => compileTerm(pod, term)) : NONE

const compileWeighted = (pod: Pod, terms: readonly WeightedPodAffinityTerm[] | undefined): readonly WeightedTerm[] =>
  terms?.length ? terms.map(({ weight, podAffinityTerm }) => ({ weight, term: compileTerm(pod, podAffinityTerm) })) : NONE

export const priorityOf = (pod: Pod): number => pod.spec?.priority ?? 0

/** Has nothing of it changed that its needs follow from? Objects share what did not change, so the same values are the same objects. */
const haveSameNeeds = (a: Pod, b: Pod): boolean =>
  a.spec?.containers === b.spec?.containers &&
  a.spec?.initContainers === b.spec?.initContainers &&
  a.spec?.affinity === b.spec?.affinity &&
  a.spec?.overhead === b.spec?.overhead &&
  a.spec?.resources === b.spec?.resources &&
  a.spec?.priority === b.spec?.priority &&
  a.status?.containerStatuses === b.status?.containerStatuses &&
  a.status?.initContainerStatuses === b.status?.initContainerStatuses &&
  a.status?.conditions === b.status?.conditions

/** `before`: an earlier revision of the same pod, whose needs are taken over when they are the same. */
export function podInfoOf(pod: Pod, before?: PodInfo): PodInfo {
  if (before?.pod === pod) return before
  if (before && haveSameNeeds(before.pod, pod)) return { ...before, pod, labels: pod.metadata?.labels ?? NO_LABELS }
  const amounts = requestsOf(pod)
  const affinity = pod.spec?.affinity
  const requiredAffinity = compileTerms(pod, affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution)
  const requiredAntiAffinity = compileTerms(pod, affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution)
  const preferredAffinity = compileWeighted(pod, affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution)
  const preferredAntiAffinity = compileWeighted(pod, affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution)
  return {
    pod,
    uid: pod.metadata?.uid ?? '',
    key: keyOf(pod),
    namespace: pod.metadata?.namespace ?? '',
    labels: pod.metadata?.labels ?? NO_LABELS,
    priority: priorityOf(pod),
    ...amounts,
    hostPorts: hostPortsOf(pod.spec),
    requiredAffinity,
    requiredAntiAffinity,
    preferredAffinity,
    preferredAntiAffinity,
    hasAffinity: requiredAffinity.length + requiredAntiAffinity.length + preferredAffinity.length + preferredAntiAffinity.length > 0,
  }
}

/** Does the term select this pod, whose namespace has these labels? */
export const termMatches = (term: AffinityTerm, pod: PodInfo, namespaceLabels: Labels): boolean =>
  (term.namespaces.has(pod.namespace) || term.namespaceSelector(namespaceLabels)) && term.selector(pod.labels)
