/**
 * Which nodes a pod can go to: the filters of its profile over the nodes of a snapshot, beginning where the last search ended and
 * stopping when enough are found. Filters that depend on the node's value and the pod's template alone are asked once for equal pods
 * (node-column.ts), so that the usual pod costs a comparison a node. Upstream: findNodesThatFitPod in pkg/scheduler/schedule_one.go.
 */
import { rejectionMessage } from './diagnosis.ts'
import { impossible } from './framework.ts'
import type { Plugin, PodChange, Profile, Rejection, Trial } from './framework.ts'
import { createRemembered } from './node-column.ts'
import type { Remembered } from './node-column.ts'
import { withoutPod, withPod } from './node-info.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import type { Snapshot } from './snapshot.ts'

/** Fewer nodes than this are always all looked at (upstream minFeasibleNodesToFind). */
const MINIMUM_FEASIBLE = 100
const MINIMUM_PERCENTAGE = 5

/** After how many fitting nodes the search may stop. */
export function feasibleNodesToFind(nodeCount: number, percentage: number): number {
  if (nodeCount < MINIMUM_FEASIBLE) return nodeCount
  const share = percentage > 0 ? percentage : Math.max(MINIMUM_PERCENTAGE, 50 - Math.trunc(nodeCount / 125))
  return Math.max(MINIMUM_FEASIBLE, Math.trunc((nodeCount * share) / 100))
}

/** A plugin that filters in this cycle, with its state. */
export interface ActiveFilter {
  readonly plugin: Plugin
  readonly state: unknown
}

export interface Refusal {
  readonly plugins: readonly string[]
  readonly rejection: Rejection
}

/** What equal pods share of each node, by its place. */
interface LocalResults {
  readonly nodes: (NodeInfo | undefined)[]
  /** Place among the filters of the one that refused; all of them: none did. */
  readonly refusedBy: number[]
  readonly refusals: (Refusal | undefined)[]
}

/** What a scheduler remembers from one decision to the next; leaving it out changes no decision. */
export interface DecisionMemory {
  readonly filters: Remembered<LocalResults>
  readonly scores: Remembered<LocalScores>
}

/** Raw scores of one plugin by node; undefined where the node is another one by now. */
export interface LocalScores {
  readonly nodes: (NodeInfo | undefined)[]
  readonly scores: number[]
}

export const createDecisionMemory = (): DecisionMemory => ({ filters: createRemembered(), scores: createRemembered() })

type Prepared = {
  readonly filters: readonly ActiveFilter[]
  readonly nodeNames: ReadonlySet<string> | undefined
  readonly narrowedBy: readonly string[]
  readonly refusal: Refusal | undefined
  /** Plugins whose preFilter was not asked any more. */
  readonly passedOver: readonly Plugin[]
}

function prepare(snapshot: Snapshot, pod: PodInfo, profile: Profile): Prepared {
  const states = new Map<Plugin, unknown>()
  const skipped = new Set<Plugin>()
  let nodeNames: ReadonlySet<string> | undefined
  const narrowedBy: string[] = []
  let refusal: Refusal | undefined
  const filters = (): readonly ActiveFilter[] =>
    profile.points.filter.filter((plugin) => !skipped.has(plugin)).map((plugin) => ({ plugin, state: states.get(plugin) }))
  for (const [i, plugin] of profile.points.preFilter.entries()) {
    const passedOver = () => profile.points.preFilter.slice(i + 1)
    const result = plugin.preFilter!(pod, snapshot)
    if ('skip' in result) {
      skipped.add(plugin)
      continue
    }
    if ('rejection' in result) {
      const refused = { plugins: [plugin.name], rejection: result.rejection }
      if (!result.rejection.canPreempt) return { refusal: refused, filters: filters(), nodeNames, narrowedBy, passedOver: passedOver() }
      // Preemption may help: the others' states are needed for trying it.
      refusal = refused
      continue
    }
    states.set(plugin, result.state)
    if (!result.nodeNames) continue
    narrowedBy.push(plugin.name)
    nodeNames = nodeNames ? nodeNames.intersection(result.nodeNames) : result.nodeNames
    if (nodeNames.size > 0) continue
    const names = narrowedBy.toSorted()
    const text =
      names.length === 1
        ? `node(s) didn't satisfy plugin ${names[0]}`
        : `node(s) didn't satisfy plugin(s) [${names.join(' ')}] simultaneously`
    return { refusal: { plugins: names, rejection: impossible(text) }, filters: filters(), nodeNames, narrowedBy, passedOver: passedOver() }
  }
  return { refusal, filters: filters(), nodeNames, narrowedBy, passedOver: [] }
}

function firstRefusal(filters: readonly ActiveFilter[], pod: PodInfo, node: NodeInfo, snapshot: Snapshot): Refusal | undefined {
  for (const { plugin, state } of filters) {
    const rejection = plugin.filter!(state, pod, node, snapshot)
    if (rejection) return { plugins: [plugin.name], rejection }
  }
  return undefined
}

const cloneStates = (filters: readonly ActiveFilter[]): readonly ActiveFilter[] =>
  filters.map((filter) => (filter.plugin.cloneState ? { plugin: filter.plugin, state: filter.plugin.cloneState(filter.state) } : filter))

function adjustStates(filters: readonly ActiveFilter[], pod: PodInfo, change: PodChange, node: NodeInfo): void {
  for (const { plugin, state } of filters) plugin.adjust?.(state, pod, change, node)
}

/**
 * The filters on a node where pods of the same or higher priority are promised room. They must pass with those pods there and
 * without them: with, because the room is theirs; without, because they may yet go elsewhere.
 */
function refusalOn(filters: readonly ActiveFilter[], pod: PodInfo, node: NodeInfo, snapshot: Snapshot): Refusal | undefined {
  const promised = snapshot.nominated(node.name).filter((other) => other.priority >= pod.priority && other.uid !== pod.uid)
  if (promised.length > 0) {
    const states = cloneStates(filters)
    let crowded = node
    for (const other of promised) {
      crowded = withPod(crowded, other)
      adjustStates(states, pod, { pod: other, sign: 1 }, crowded)
    }
    const refusal = firstRefusal(states, pod, crowded, snapshot)
    if (refusal) return refusal
  }
  return firstRefusal(filters, pod, node, snapshot)
}

export function trialOn(filters: readonly ActiveFilter[], pod: PodInfo, start: NodeInfo, snapshot: Snapshot): Trial {
  const states = cloneStates(filters)
  let node = start
  return {
    remove(other) {
      node = withoutPod(node, other)
      adjustStates(states, pod, { pod: other, sign: -1 }, node)
    },
    add(other) {
      node = withPod(node, other)
      adjustStates(states, pod, { pod: other, sign: 1 }, node)
    },
    refusal: () => refusalOn(states, pod, node, snapshot)?.rejection,
  }
}

/** Asks the filters about one node after the other. */
interface NodeCheck {
  /** What, beside the node, decided; undefined when something else did. */
  readonly template: string | undefined
  refusal(index: number): Refusal | undefined
}

function createCheck(
  filters: readonly ActiveFilter[],
  pod: PodInfo,
  snapshot: Snapshot,
  schedulerName: string,
  memory: DecisionMemory | undefined,
): NodeCheck {
  const { nodes } = snapshot
  const local: ActiveFilter[] = []
  const others: { readonly filter: ActiveFilter; readonly place: number }[] = []
  let key = schedulerName
  for (const [place, filter] of filters.entries()) {
    const text = memory && filter.plugin.template?.(pod, snapshot)
    if (text === undefined) others.push({ filter, place })
    else {
      local.push(filter)
      key += `\n${filter.plugin.name} ${text}`
    }
  }
  const names = filters.map(({ plugin }) => [plugin.name])
  const hasPromises = snapshot.hasNominated
  if (!memory || local.length === 0) return { template: undefined, refusal: (index) => refusalOn(filters, pod, nodes[index]!, snapshot) }

  const results = memory.filters.of(key, () => ({ nodes: [], refusedBy: [], refusals: [] }))
  const places = local.map((filter) => filters.indexOf(filter))
  function workOut(index: number, node: NodeInfo): void {
    results.nodes[index] = node
    results.refusedBy[index] = filters.length
    results.refusals[index] = undefined
    for (let i = 0; i < local.length; i++) {
      const rejection = local[i]!.plugin.filter!(local[i]!.state, pod, node, snapshot)
      if (!rejection) continue
      results.refusedBy[index] = places[i]!
      results.refusals[index] = { plugins: names[places[i]!]!, rejection }
      return
    }
  }
  return {
    template: others.length === 0 ? key : undefined,
    refusal(index) {
      const node = nodes[index]!
      if (hasPromises && snapshot.nominated(node.name).length > 0) return refusalOn(filters, pod, node, snapshot)
      if (results.nodes[index] !== node) workOut(index, node)
      const refusedBy = results.refusedBy[index]!
      for (const { filter, place } of others) {
        if (place > refusedBy) break
        const rejection = filter.plugin.filter!(filter.state, pod, node, snapshot)
        if (rejection) return { plugins: names[place]!, rejection }
      }
      return results.refusals[index]
    },
  }
}

/** What a search found, and why other nodes were refused. */
export interface Search {
  /** Places in the snapshot of the nodes that fit. */
  readonly feasible: readonly number[]
  /** By place in the snapshot; undefined for nodes that fit or were not looked at. */
  readonly rejections: (Rejection | undefined)[]
  /** Stands for every node without an entry, when the pod was refused before nodes were looked at. */
  readonly absent: Rejection | undefined
  readonly preFilterMessage: string
  readonly rejectedBy: Set<string>
  readonly pendingFor: Set<string>
  readonly filters: readonly ActiveFilter[]
  readonly passedOver: readonly Plugin[]
  readonly template: string | undefined
  /** Nodes looked at. */
  readonly evaluated: number
  /** Where the next search is to begin. */
  readonly nextStart: number
}

export interface SearchOptions {
  /** Where among the nodes the search starts, so that over many pods all are looked at equally. */
  readonly start?: number
  /** The node that an earlier preemption promised. */
  readonly nominatedNode?: string | undefined
  readonly memory?: DecisionMemory | undefined
  /** Extenders filter afterwards, so that one node that fits is not enough even if nothing scores. */
  readonly hasExtenders?: boolean
}

export function findFeasible(snapshot: Snapshot, pod: PodInfo, profile: Profile, options: SearchOptions): Search {
  const { nodes } = snapshot
  const start = (options.start ?? 0) % nodes.length
  const prepared = prepare(snapshot, pod, profile)
  const { filters, nodeNames, passedOver, refusal: refusedAtOnce } = prepared
  const rejections: (Rejection | undefined)[] = []
  const rejectedBy = new Set<string>()
  const pendingFor = new Set<string>()
  let lastNoted: readonly string[] | undefined
  const note = (refusal: Refusal) => {
    if (refusal.plugins === lastNoted && !refusal.rejection.isPending) return
    lastNoted = refusal.rejection.isPending ? undefined : refusal.plugins
    for (const plugin of refusal.plugins) (refusal.rejection.isPending ? pendingFor : rejectedBy).add(plugin)
  }
  const common = {
    rejections,
    rejectedBy,
    pendingFor,
    filters,
    passedOver,
    preFilterMessage: '',
    nextStart: start,
    absent: undefined,
    evaluated: 0,
  }
  if (refusedAtOnce) {
    note(refusedAtOnce)
    const { rejection } = refusedAtOnce
    return { ...common, feasible: [], absent: rejection, preFilterMessage: rejectionMessage(rejection), template: undefined }
  }

  const check = createCheck(filters, pod, snapshot, profile.schedulerName, options.memory)
  const promised = options.nominatedNode ? snapshot.indexOf(options.nominatedNode) : undefined
  if (promised !== undefined && !refusalOn(filters, pod, nodes[promised]!, snapshot))
    return { ...common, feasible: [promised], template: check.template, evaluated: 1 }

  let absent: Rejection | undefined
  let candidates: readonly number[] | undefined
  if (nodeNames) {
    candidates = [...nodeNames].flatMap((name) => snapshot.indexOf(name) ?? [])
    absent = impossible(`node(s) didn't satisfy plugin(s) [${prepared.narrowedBy.toSorted().join(' ')}]`)
    for (const name of prepared.narrowedBy) rejectedBy.add(name)
  }
  const count = candidates ? candidates.length : nodes.length
  const wanted =
    profile.points.score.length === 0 && !options.hasExtenders ? 1 : feasibleNodesToFind(count, profile.percentageOfNodesToScore)
  const feasible: number[] = []
  let looked = 0
  for (; looked < count && feasible.length < wanted; looked++) {
    const place = (start + looked) % count
    const index = candidates ? candidates[place]! : place
    const refusal = check.refusal(index)
    if (!refusal) {
      feasible.push(index)
      continue
    }
    rejections[index] = refusal.rejection
    note(refusal)
  }
  return { ...common, feasible, absent, template: check.template, evaluated: looked, nextStart: (start + looked) % nodes.length }
}
