/**
 * Spread constraints (KEP-895) ready to count with: those of a pod itself, or the defaults for pods without any, which take their
 * selector from the services and the owner of the pod.
 */
import type { Pod, TopologySpreadConstraint } from '../api/generated/core/v1.ts'
import type { LabelSelector } from '../api/generated/meta/v1.ts'
import { matchesRequiredNodeAffinity } from '../api/node-selector.ts'
import { compileLabels, compileLabelSelector } from '../api/selectors.ts'
import type { LabelMatcher } from '../api/selectors.ts'
import type { ClusterView } from './cluster-view.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import { hasSelectorTerms } from './selector-terms.ts'
import { hasUntoleratedTaint } from './taints.ts'

export const HOSTNAME = 'kubernetes.io/hostname'

export type LabelPair = readonly [key: string, value: string]

export interface Constraint {
  readonly maxSkew: number
  readonly topologyKey: string
  readonly matches: LabelMatcher
  /** A label that all pods that match have. */
  readonly pair: LabelPair | undefined
  /** An empty selector counts no pods, though it matches the pod itself. */
  readonly countsNone: boolean
  readonly minDomains: number
  readonly honoursAffinity: boolean
  readonly honoursTaints: boolean
}

export interface Constraints {
  readonly list: readonly Constraint[]
  /** Only nodes that have all topology keys take part; the system's defaults also spread over hosts that have no zone. */
  readonly wantAllTopologies: boolean
  /** Text that tells these constraints, as they are of this pod, from all others. */
  readonly key: string
}

/** Of several the last: what controllers add to make their pods unlike others, such as pod-template-hash, mostly comes late. */
const pairOf = (labels: Readonly<Record<string, string>> = {}): LabelPair | undefined => Object.entries(labels).at(-1)

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
    pair: pairOf(own) ?? pairOf(constraint.labelSelector?.matchLabels),
    countsNone: !hasOwn && constraint.labelSelector !== undefined && !hasSelectorTerms(constraint.labelSelector),
    minDomains: constraint.minDomains ?? 1,
    honoursAffinity: (constraint.nodeAffinityPolicy ?? 'Honor') === 'Honor',
    honoursTaints: (constraint.nodeTaintsPolicy ?? 'Ignore') === 'Honor',
  }
}

/** What selects the pod's fellows: services, and its controller. */
function fellowSelectors({ pod, labels, namespace }: PodInfo, view: ClusterView): readonly LabelSelector[] {
  const selectors: LabelSelector[] = []
  const want = (selector: LabelSelector | undefined) => {
    if (selector && hasSelectorTerms(selector)) selectors.push(selector)
  }
  for (const { spec } of view.services(namespace))
    if (spec?.selector && compileLabels(spec.selector)(labels)) want({ matchLabels: spec.selector })
  const owner = pod.metadata?.ownerReferences?.find(({ controller }) => controller)
  if (owner?.kind === 'ReplicationController')
    want({ matchLabels: view.replicationController(namespace, owner.name)?.spec?.selector ?? {} })
  if (owner?.kind === 'ReplicaSet') want(view.replicaSet(namespace, owner.name)?.spec?.selector)
  if (owner?.kind === 'StatefulSet') want(view.statefulSet(namespace, owner.name)?.spec?.selector)
  return selectors
}

export interface Defaults {
  readonly constraints: readonly TopologySpreadConstraint[]
  readonly isSystem: boolean
}

const NONE: Constraints = { list: [], wantAllTopologies: true, key: '' }

/** What of the pod decides which nodes take part and which pods count. */
const scopeOf = ({ namespace, pod: { spec } }: PodInfo): readonly unknown[] => [
  namespace,
  spec?.nodeSelector,
  spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
  spec?.tolerations,
]

export function constraintsOf(
  pod: PodInfo,
  action: 'DoNotSchedule' | 'ScheduleAnyway',
  defaults: Defaults,
  view: ClusterView,
): Constraints {
  const own = pod.pod.spec?.topologySpreadConstraints ?? []
  const wanted = (own.length > 0 ? own : defaults.constraints).filter(({ whenUnsatisfiable }) => whenUnsatisfiable === action)
  if (wanted.length === 0) return NONE
  const list = wanted.map((constraint) => compile(constraint, pod))
  const ownLabels = wanted.flatMap(({ matchLabelKeys = [] }) => matchLabelKeys.map((key) => pod.labels[key]))
  if (own.length > 0) return { list, wantAllTopologies: true, key: JSON.stringify([wanted, ownLabels, scopeOf(pod)]) }
  const selectors = fellowSelectors(pod, view)
  if (selectors.length === 0) return NONE
  const matchers = selectors.map((selector) => compileLabelSelector(selector))
  const matches: LabelMatcher = (labels) => matchers.every((matcher) => matcher(labels))
  const pair = pairOf(selectors.findLast(({ matchLabels }) => matchLabels)?.matchLabels)
  return {
    list: list.map((constraint) => ({ ...constraint, matches, pair, countsNone: false })),
    wantAllTopologies: !defaults.isSystem,
    key: JSON.stringify([wanted, selectors, scopeOf(pod)]),
  }
}

export const hasTopologies = (node: NodeInfo, constraints: readonly Constraint[]): boolean =>
  constraints.every(({ topologyKey }) => node.labels[topologyKey] !== undefined)

/** Does this node's topology take part in the spreading of this pod? */
export const isIncluded = (constraint: Constraint, pod: Pod, node: NodeInfo): boolean =>
  (!constraint.honoursAffinity || matchesRequiredNodeAffinity(pod.spec, node.node)) &&
  (!constraint.honoursTaints || !hasUntoleratedTaint(node.taints, pod.spec?.tolerations ?? []))

/**
 * The pods of nodes by a label. A new template would else be compared with every pod of the cluster; what is made for one template serves
 * the next ones, for as long as the node's pods are the same.
 */
export interface PodsByLabel {
  on(node: NodeInfo, pair: LabelPair): readonly PodInfo[]
}

const NO_PODS: readonly PodInfo[] = []
/** Label keys that a node's pods are kept by. */
const MAXIMUM_KEYS = 8

export function createPodsByLabel(): PodsByLabel {
  const byPods = new WeakMap<readonly PodInfo[], Map<string, ReadonlyMap<string, readonly PodInfo[]>>>()
  return {
    on({ pods }, [key, value]) {
      if (pods.length === 0) return NO_PODS
      let byKey = byPods.get(pods)
      if (!byKey) byPods.set(pods, (byKey = new Map()))
      let byValue = byKey.get(key)
      if (byKey.size >= MAXIMUM_KEYS && !byValue) byKey.clear()
      if (!byValue) byKey.set(key, (byValue = Map.groupBy(pods, ({ labels }) => labels[key] ?? '')))
      return byValue.get(value) ?? NO_PODS
    },
  }
}

/** How many of these pods, which a node has, the constraint counts. */
export function countOn(pods: readonly PodInfo[], { matches, countsNone }: Constraint, namespace: string): number {
  if (countsNone) return 0
  let count = 0
  for (const other of pods) if (other.namespace === namespace && !other.pod.metadata?.deletionTimestamp && matches(other.labels)) count++
  return count
}
