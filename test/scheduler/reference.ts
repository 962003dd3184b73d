/**
 * The rules of the default profile as plainly as they can be said: nothing is remembered, nothing is shared, every rule looks at every
 * node and every pod. What the scheduler decides fast must be what this decides slowly. Volumes and devices are left out.
 */
import type {
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  Pod,
  PodAffinityTerm,
  Taint,
  TopologySpreadConstraint,
} from '../../src/api/generated/core/v1.ts'
import type { LabelSelector } from '../../src/api/generated/meta/v1.ts'
import { toMilli } from '../../src/api/quantity.ts'

export interface World {
  readonly nodes: readonly Node[]
  /** By node name. */
  readonly pods: ReadonlyMap<string, readonly Pod[]>
  /** Labels by namespace. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** Selectors of services, with their namespaces. */
  readonly services: readonly { readonly namespace: string; readonly selector: Readonly<Record<string, string>> }[]
}

const HOST = 'kubernetes.io/hostname'
const nameOf = (object: Node | Pod): string => object.metadata!.name!
const labelsOf = (object: Node | Pod): Readonly<Record<string, string>> => object.metadata?.labels ?? {}
const podsOn = (world: World, node: Node): readonly Pod[] => world.pods.get(nameOf(node)) ?? []

function matches(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (!selector) return false
  if (!Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value)) return false
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    if (operator === 'In') return labels[key] !== undefined && values.includes(labels[key])
    if (operator === 'NotIn') return labels[key] === undefined || !values.includes(labels[key])
    return (labels[key] !== undefined) === (operator === 'Exists')
  })
}

// Resources, in thousandths.

function amount(pod: Pod, name: string, options: { readonly fill?: number; readonly isWhole?: boolean } = {}): number {
  const { fill = 0, isWhole = true } = options
  const whole = pod.spec!.resources?.requests?.[name]
  if (isWhole && whole !== undefined) return toMilli(whole)
  const of = (list: Readonly<Record<string, string>> | undefined) => (list?.[name] === undefined ? fill : toMilli(list[name]))
  let together = pod.spec!.containers.reduce((sum, { resources }) => sum + of(resources?.requests), 0)
  let sidecars = 0
  let widest = 0
  for (const { resources, restartPolicy } of pod.spec!.initContainers ?? []) {
    if (restartPolicy === 'Always') {
      sidecars += of(resources?.requests)
      together += of(resources?.requests)
      widest = Math.max(widest, sidecars)
    } else widest = Math.max(widest, sidecars + of(resources?.requests))
  }
  return Math.max(together, widest)
}

const RESOURCES = ['cpu', 'memory', 'ephemeral-storage', 'example.com/gpu']
const capacity = (node: Node, name: string): number => toMilli(node.status?.allocatable?.[name] ?? '0')
const used = (world: World, node: Node, name: string): number => podsOn(world, node).reduce((sum, pod) => sum + amount(pod, name), 0)

function insufficient(world: World, pod: Pod, node: Node): readonly string[] {
  const reasons = RESOURCES.filter((name) => amount(pod, name) > 0 && amount(pod, name) > capacity(node, name) - used(world, node, name))
  const isFull = podsOn(world, node).length + 1 > capacity(node, 'pods') / 1000
  return [...(isFull ? ['Too many pods'] : []), ...reasons.map((name) => `Insufficient ${name}`)]
}

// Taints, selectors, ports.

const isTolerated = ({ key, value = '', effect }: Taint, pod: Pod): boolean =>
  (pod.spec!.tolerations ?? []).some(
    (toleration) =>
      (!toleration.effect || toleration.effect === effect) &&
      (!toleration.key || toleration.key === key) &&
      (toleration.operator === 'Exists' || (toleration.value ?? '') === value),
  )
const isKeptOff = (node: Node, pod: Pod): boolean =>
  (node.spec?.taints ?? []).some((taint) => taint.effect !== 'PreferNoSchedule' && !isTolerated(taint, pod))

function meets({ key, operator, values = [] }: NodeSelectorRequirement, actual: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return actual !== undefined && values.includes(actual)
    case 'NotIn':
      return actual === undefined || !values.includes(actual)
    case 'Exists':
      return actual !== undefined
    case 'DoesNotExist':
      return actual === undefined
    case 'Gt':
      return actual !== undefined && Number(actual) > Number(values[0])
    default:
      return actual !== undefined && Number(actual) < Number(values[0]) && key !== ''
  }
}
const meetsTerm = (node: Node, { matchExpressions = [], matchFields = [] }: NodeSelectorTerm): boolean =>
  matchExpressions.length + matchFields.length > 0 &&
  matchExpressions.every((one) => meets(one, labelsOf(node)[one.key])) &&
  matchFields.every((one) => meets(one, nameOf(node)))

function isSelected(node: Node, pod: Pod): boolean {
  const { nodeSelector = {}, affinity } = pod.spec!
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return (
    Object.entries(nodeSelector).every(([key, value]) => labelsOf(node)[key] === value) &&
    (!required || required.nodeSelectorTerms.some((term) => meetsTerm(node, term)))
  )
}

function portsOf(pod: Pod): readonly { readonly ip: string; readonly key: string }[] {
  return pod.spec!.containers.flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort }) => hostPort)
      .map(({ hostPort, hostIP, protocol }) => ({ ip: hostIP ?? '0.0.0.0', key: `${protocol} ${hostPort}` })),
  )
}
const collide = (a: Pod, b: Pod): boolean =>
  portsOf(a).some((one) =>
    portsOf(b).some((other) => one.key === other.key && (one.ip === other.ip || one.ip === '0.0.0.0' || other.ip === '0.0.0.0')),
  )

// Other pods.

function selects(world: World, term: PodAffinityTerm, owner: Pod, other: Pod): boolean {
  const namespace = other.metadata!.namespace!
  const isOwn = !term.namespaces?.length && !term.namespaceSelector
  const isMeant =
    (isOwn ? namespace === owner.metadata!.namespace : term.namespaces?.includes(namespace)) ||
    matches(term.namespaceSelector, world.namespaces.get(namespace) ?? {})
  return Boolean(isMeant) && matches(term.labelSelector, labelsOf(other))
}

const affinityTerms = (pod: Pod): readonly PodAffinityTerm[] =>
  pod.spec!.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
const antiAffinityTerms = (pod: Pod): readonly PodAffinityTerm[] =>
  pod.spec!.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []

/** Pods on nodes with the same value of the key. */
function near(world: World, node: Node, key: string): readonly Pod[] {
  const value = labelsOf(node)[key]
  if (value === undefined) return []
  return world.nodes.filter((other) => labelsOf(other)[key] === value).flatMap((other) => podsOn(world, other))
}

function affinityRefusal(world: World, pod: Pod, node: Node): string | undefined {
  const terms = affinityTerms(pod)
  const meetsAll = (other: Pod) => terms.every((term) => selects(world, term, pod, other))
  if (terms.some(({ topologyKey }) => labelsOf(node)[topologyKey] === undefined)) return "node(s) didn't match pod affinity rules"
  const isMet = terms.every(({ topologyKey }) => near(world, node, topologyKey).some(meetsAll))
  const isFirst =
    meetsAll(pod) &&
    !world.nodes.some(
      (other) => terms.some(({ topologyKey }) => labelsOf(other)[topologyKey] !== undefined) && podsOn(world, other).some(meetsAll),
    )
  if (!isMet && !isFirst) return "node(s) didn't match pod affinity rules"
  if (antiAffinityTerms(pod).some((term) => near(world, node, term.topologyKey).some((other) => selects(world, term, pod, other))))
    return "node(s) didn't match pod anti-affinity rules"
  const everywhere = world.nodes.flatMap((other) => podsOn(world, other).map((existing) => ({ existing, other })))
  const isUnwanted = everywhere.some(({ existing, other }) =>
    antiAffinityTerms(existing).some(
      (term) =>
        labelsOf(node)[term.topologyKey] !== undefined &&
        labelsOf(node)[term.topologyKey] === labelsOf(other)[term.topologyKey] &&
        selects(world, term, existing, pod),
    ),
  )
  return isUnwanted ? "node(s) didn't satisfy existing pods anti-affinity rules" : undefined
}

// Spreading.

function withOwnLabels({ labelSelector, matchLabelKeys = [] }: TopologySpreadConstraint, pod: Pod): LabelSelector | undefined {
  const own = matchLabelKeys
    .filter((key) => labelsOf(pod)[key] !== undefined)
    .map((key) => ({ key, operator: 'In', values: [labelsOf(pod)[key]!] }))
  return labelSelector && { ...labelSelector, matchExpressions: [...(labelSelector.matchExpressions ?? []), ...own] }
}
const isEmpty = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions?.length ?? 0) === 0

function countedOn(world: World, node: Node, selector: LabelSelector | undefined, pod: Pod): number {
  if (!selector || isEmpty(selector)) return 0
  return podsOn(world, node).filter((other) => other.metadata!.namespace === pod.metadata!.namespace && matches(selector, labelsOf(other)))
    .length
}

const takesPart = (constraint: TopologySpreadConstraint, pod: Pod, node: Node): boolean =>
  (constraint.nodeAffinityPolicy === 'Ignore' || isSelected(node, pod)) &&
  (constraint.nodeTaintsPolicy !== 'Honor' || !isKeptOff(node, pod))

function spreadRefusal(world: World, pod: Pod, node: Node): string | undefined {
  const constraints = (pod.spec!.topologySpreadConstraints ?? []).filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule')
  const hasAll = (other: Node) => constraints.every(({ topologyKey }) => labelsOf(other)[topologyKey] !== undefined)
  for (const constraint of constraints) {
    const { topologyKey, maxSkew, minDomains = 1 } = constraint
    const value = labelsOf(node)[topologyKey]
    if (value === undefined) return "node(s) didn't match pod topology spread constraints (missing required label)"
    const selector = withOwnLabels(constraint, pod)
    const counts = new Map<string, number>()
    for (const other of world.nodes.filter((one) => hasAll(one) && takesPart(constraint, pod, one))) {
      const domain = labelsOf(other)[topologyKey]!
      counts.set(domain, (counts.get(domain) ?? 0) + countedOn(world, other, selector, pod))
    }
    const least = counts.size < minDomains ? 0 : Math.min(...counts.values())
    const self = matches(selector, labelsOf(pod)) ? 1 : 0
    if ((counts.get(value) ?? 0) + self - least > maxSkew) return "node(s) didn't match pod topology spread constraints"
  }
  return undefined
}

/** Why the pod cannot go to the node, by the first rule that says no. */
export function refusalOf(world: World, pod: Pod, node: Node): readonly string[] | undefined {
  if (node.spec?.unschedulable && !isTolerated({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }, pod))
    return ['node(s) were unschedulable']
  if (isKeptOff(node, pod)) return ['node(s) had untolerated taint(s)']
  if (!isSelected(node, pod)) return ["node(s) didn't match Pod's node affinity/selector"]
  if (podsOn(world, node).some((other) => collide(pod, other))) return ["node(s) didn't have free ports for the requested pod ports"]
  const missing = insufficient(world, pod, node)
  if (missing.length > 0) return missing
  const why = spreadRefusal(world, pod, node) ?? affinityRefusal(world, pod, node)
  return why === undefined ? undefined : [why]
}

// Scores.

const scaled = (scores: readonly number[], isReversed: boolean): readonly number[] => {
  const most = Math.max(...scores, 0)
  return scores.map((score) => {
    const share = most === 0 ? 0 : Math.trunc((100 * score) / most)
    return isReversed ? 100 - share : share
  })
}

function leastAllocated(world: World, pod: Pod, node: Node): number {
  const fills = { cpu: 100, memory: 200 * 1024 * 1024 * 1000 }
  const scores = (['cpu', 'memory'] as const)
    .filter((name) => capacity(node, name) > 0)
    .map((name) => {
      const fill = fills[name]
      const isSet = (one: Pod) => one.spec!.resources?.requests?.[name] !== undefined
      const taken = podsOn(world, node).reduce((sum, other) => sum + amount(other, name, { fill: isSet(other) ? 0 : fill }), 0)
      const after = taken + amount(pod, name, { fill, isWhole: false })
      return after > capacity(node, name) ? 0 : Math.trunc(((capacity(node, name) - after) * 100) / capacity(node, name))
    })
  return scores.length === 0 ? 0 : Math.trunc(scores.reduce((sum, score) => sum + score, 0) / scores.length)
}

function balance(world: World, pod: Pod, node: Node): number {
  const evenness = (extra: number) => {
    const shares = ['cpu', 'memory'].map((name) =>
      Math.min(1, (used(world, node, name) + extra * amount(pod, name)) / capacity(node, name)),
    )
    return Math.trunc((1 - Math.abs((shares[0]! - shares[1]!) / 2)) * 100)
  }
  return 50 + Math.trunc((50 + evenness(1) - evenness(0)) / 2)
}

function imageScore(world: World, pod: Pod, node: Node): number {
  const full = (name: string) => (name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name)
  const has = (other: Node, name: string) => other.status?.images?.find(({ names }) => names?.includes(full(name)))
  const containers = [...(pod.spec!.initContainers ?? []), ...pod.spec!.containers]
  const sum = containers.reduce((total, { image = '' }) => {
    const size = has(node, image)?.sizeBytes ?? 0
    return total + Math.trunc(size * (world.nodes.filter((other) => has(other, image)).length / world.nodes.length))
  }, 0)
  const [least, most] = [23 * 1024 * 1024, 1000 * 1024 * 1024 * containers.length]
  return Math.trunc((100 * (Math.min(Math.max(sum, least), most) - least)) / (most - least))
}

function softSpread(world: World, pod: Pod, feasible: readonly Node[]): readonly number[] | undefined {
  const own = pod.spec!.topologySpreadConstraints ?? []
  const fellows = world.services.filter(
    ({ namespace, selector }) =>
      namespace === pod.metadata!.namespace && Object.entries(selector).every(([key, value]) => labelsOf(pod)[key] === value),
  )
  const matchLabels = Object.assign({}, ...fellows.map(({ selector }) => selector)) as Readonly<Record<string, string>>
  const soft = (topologyKey: string, maxSkew: number) => ({
    topologyKey,
    maxSkew,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels },
  })
  const defaults = fellows.length > 0 ? [soft(HOST, 3), soft('topology.kubernetes.io/zone', 5)] : []
  const constraints: readonly TopologySpreadConstraint[] =
    own.length > 0 ? own.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'ScheduleAnyway') : defaults
  if (constraints.length === 0) return undefined
  const counts = (node: Node) => own.length === 0 || constraints.every(({ topologyKey }) => labelsOf(node)[topologyKey] !== undefined)
  const scored = feasible.filter(counts)
  const raw = feasible.map((node) => {
    if (!counts(node)) return undefined
    let score = 0
    for (const constraint of constraints) {
      const { topologyKey, maxSkew } = constraint
      const value = labelsOf(node)[topologyKey]
      if (value === undefined) continue
      const selector = withOwnLabels(constraint, pod)
      const domains = topologyKey === HOST ? scored.length : new Set(scored.map((other) => labelsOf(other)[topologyKey] ?? '')).size
      const there =
        topologyKey === HOST
          ? [node]
          : world.nodes.filter((other) => labelsOf(other)[topologyKey] === value && counts(other) && takesPart(constraint, pod, other))
      score += there.reduce((sum, other) => sum + countedOn(world, other, selector, pod), 0) * Math.log(domains + 2) + (maxSkew - 1)
    }
    return Math.round(score)
  })
  const known = raw.filter((score) => score !== undefined)
  const [least, most] = [Math.min(...known), Math.max(...known, 0)]
  return raw.map((score) => (score === undefined ? 0 : most === 0 ? 100 : Math.trunc((100 * (most + least - score)) / most)))
}

function softAffinity(world: World, pod: Pod, feasible: readonly Node[]): readonly number[] {
  const preferred = (one: Pod, which: 'podAffinity' | 'podAntiAffinity') =>
    one.spec!.affinity?.[which]?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  const sums = feasible.map((node) => {
    let sum = 0
    for (const other of world.nodes) {
      const isNear = (key: string) => labelsOf(node)[key] !== undefined && labelsOf(node)[key] === labelsOf(other)[key]
      for (const existing of podsOn(world, other)) {
        for (const [which, sign] of [
          ['podAffinity', 1],
          ['podAntiAffinity', -1],
        ] as const) {
          for (const { weight, podAffinityTerm: term } of preferred(pod, which))
            if (isNear(term.topologyKey) && selects(world, term, pod, existing)) sum += sign * weight
          for (const { weight, podAffinityTerm: term } of preferred(existing, which))
            if (isNear(term.topologyKey) && selects(world, term, existing, pod)) sum += sign * weight
        }
        for (const term of affinityTerms(existing)) if (isNear(term.topologyKey) && selects(world, term, existing, pod)) sum += 1
      }
    }
    return sum
  })
  const [least, most] = [Math.min(...sums), Math.max(...sums)]
  return sums.map((sum) => (most > least ? Math.trunc(100 * ((sum - least) / (most - least))) : 0))
}

/** The weighted sums of all scores, in the order of the nodes. */
export function scoresOf(world: World, pod: Pod, feasible: readonly Node[]): readonly number[] {
  const taints = scaled(
    feasible.map((node) => {
      const preferring = (pod.spec!.tolerations ?? []).filter(({ effect }) => !effect || effect === 'PreferNoSchedule')
      const lenient = { ...pod, spec: { ...pod.spec!, tolerations: preferring } }
      return (node.spec?.taints ?? []).filter((taint) => taint.effect === 'PreferNoSchedule' && !isTolerated(taint, lenient)).length
    }),
    true,
  )
  const terms = pod.spec!.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution
  const selected =
    terms &&
    scaled(
      feasible.map((node) => terms.reduce((sum, { weight, preference }) => sum + (meetsTerm(node, preference) ? weight : 0), 0)),
      false,
    )
  const asksForSome = amount(pod, 'cpu') + amount(pod, 'memory') > 0
  const spread = softSpread(world, pod, feasible)
  const affinity = softAffinity(world, pod, feasible)
  return feasible.map(
    (node, i) =>
      3 * taints[i]! +
      2 * (selected?.[i] ?? 0) +
      leastAllocated(world, pod, node) +
      (asksForSome ? balance(world, pod, node) : 0) +
      imageScore(world, pod, node) +
      2 * (spread?.[i] ?? 0) +
      2 * affinity[i]!,
  )
}
