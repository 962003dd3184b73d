/**
 * The decision for one pod: which node, or why none. A pure function of a snapshot, so that the same code schedules, answers
 * what-if questions and is tested with tables. Upstream: pkg/scheduler/schedule_one.go.
 */
import { randomInt } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import { describeDiagnosis, rejectionMessage } from './diagnosis.ts'
import { impossible } from './framework.ts'
import type { Plugin, PodChange, PostFilterResult, Profile, Rejection, Trial } from './framework.ts'
import { withoutPod, withPod } from './node-info.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import type { Snapshot } from './snapshot.ts'

export type Decision =
  | {
      readonly kind: 'node'
      readonly nodeName: string
      readonly feasible: number
      readonly nextStart: number
    }
  | {
      readonly kind: 'none'
      readonly message: string
      /** Plugins that rejected the pod: their events make it worth another try. Empty: any event does. */
      readonly rejectedBy: ReadonlySet<string>
      readonly pendingFor: ReadonlySet<string>
      /** Evict `victims`, then the pod will fit on `nominate`. */
      readonly preemption: { readonly nominate: string; readonly victims: readonly PodInfo[] } | undefined
      readonly clearNomination: boolean
      readonly nextStart: number
    }

export interface ScheduleOptions {
  /** Where among the nodes the search starts, so that over many pods all are looked at equally. */
  readonly start?: number
  /** The node that an earlier preemption promised. */
  readonly nominatedNode?: string | undefined
}

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
interface ActiveFilter {
  readonly plugin: Plugin
  readonly state: unknown
}

interface Refusal {
  readonly plugins: readonly string[]
  readonly rejection: Rejection
}

type Prepared =
  | {
      readonly filters: readonly ActiveFilter[]
      readonly nodeNames: ReadonlySet<string> | undefined
      readonly narrowedBy: readonly string[]
    }
  | { readonly refusal: Refusal; readonly filters: readonly ActiveFilter[] }

function intersect(a: ReadonlySet<string> | undefined, b: ReadonlySet<string>): ReadonlySet<string> {
  return a ? a.intersection(b) : b
}

function prepare(snapshot: Snapshot, pod: PodInfo, plugins: readonly Plugin[]): Prepared {
  const filters: ActiveFilter[] = []
  let nodeNames: ReadonlySet<string> | undefined
  const narrowedBy: string[] = []
  let refusal: Refusal | undefined
  for (const plugin of plugins) {
    const result = plugin.preFilter?.(pod, snapshot) ?? { state: undefined }
    if ('skip' in result) continue
    if ('rejection' in result) {
      const refused = { plugins: [plugin.name], rejection: result.rejection }
      if (!result.rejection.canPreempt) return { refusal: refused, filters }
      // Preemption may help: the others' states are needed for trying it.
      refusal = refused
      continue
    }
    if (plugin.filter) filters.push({ plugin, state: result.state })
    if (!result.nodeNames) continue
    narrowedBy.push(plugin.name)
    nodeNames = intersect(nodeNames, result.nodeNames)
    if (nodeNames.size > 0) continue
    const names = narrowedBy.toSorted()
    const text =
      names.length === 1
        ? `node(s) didn't satisfy plugin ${names[0]}`
        : `node(s) didn't satisfy plugin(s) [${names.join(' ')}] simultaneously`
    return { refusal: { plugins: names, rejection: impossible(text) }, filters }
  }
  return refusal ? { refusal, filters } : { filters, nodeNames, narrowedBy }
}

function firstRefusal(filters: readonly ActiveFilter[], pod: PodInfo, node: NodeInfo, snapshot: Snapshot): Refusal | undefined {
  for (const { plugin, state } of filters) {
    const rejection = plugin.filter!(state, pod, node, snapshot)
    if (rejection) return { plugins: [plugin.name], rejection }
  }
  return undefined
}

function cloneStates(filters: readonly ActiveFilter[]): readonly ActiveFilter[] {
  return filters.map((filter) =>
    filter.plugin.cloneState ? { plugin: filter.plugin, state: filter.plugin.cloneState(filter.state) } : filter,
  )
}

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

function trialOn(filters: readonly ActiveFilter[], pod: PodInfo, start: NodeInfo, snapshot: Snapshot): Trial {
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

/** The nodes' sums of weighted scores, in the order of `nodes`. */
export function scoreNodes(snapshot: Snapshot, pod: PodInfo, profile: Profile, nodes: readonly NodeInfo[]): Float64Array {
  const totals = new Float64Array(nodes.length)
  const scores = Array.from<number>({ length: nodes.length })
  for (const { plugin, weight = 1 } of profile.plugins) {
    if (!plugin.score) continue
    const prepared = plugin.preScore?.(pod, nodes, snapshot) ?? { state: undefined }
    if ('skip' in prepared) continue
    for (let i = 0; i < nodes.length; i++) scores[i] = plugin.score(prepared.state, pod, nodes[i]!, snapshot)
    plugin.normalise?.(scores, prepared.state, nodes)
    for (let i = 0; i < nodes.length; i++) totals[i]! += weight * scores[i]!
  }
  return totals
}

/** One of the best, each with the same chance. */
function pickBest(nodes: readonly NodeInfo[], totals: Float64Array, random: Random): NodeInfo {
  let best = 0
  let ties = 1
  for (let i = 1; i < nodes.length; i++) {
    if (totals[i]! > totals[best]!) {
      best = i
      ties = 1
    } else if (totals[i] === totals[best] && randomInt(random, ++ties) === 0) best = i
  }
  return nodes[best]!
}

const NO_NODES: Rejection = impossible('no nodes available to schedule pods')

export function scheduleOne(snapshot: Snapshot, pod: PodInfo, profile: Profile, random: Random, options: ScheduleOptions = {}): Decision {
  const all = snapshot.nodes
  const start = all.length > 0 ? (options.start ?? 0) % all.length : 0
  if (all.length === 0) {
    return {
      kind: 'none',
      message: rejectionMessage(NO_NODES),
      rejectedBy: new Set(),
      pendingFor: new Set(),
      preemption: undefined,
      clearNomination: true,
      nextStart: 0,
    }
  }
  const plugins = profile.plugins.map(({ plugin }) => plugin)
  const prepared = prepare(snapshot, pod, plugins)
  const rejections = new Map<string, Rejection>()
  const rejectedBy = new Set<string>()
  const pendingFor = new Set<string>()
  const note = (refusal: Refusal) => {
    for (const plugin of refusal.plugins) (refusal.rejection.isPending ? pendingFor : rejectedBy).add(plugin)
  }

  let nextStart = start
  let absent: Rejection | undefined
  if ('refusal' in prepared) {
    note(prepared.refusal)
    absent = prepared.refusal.rejection
  } else {
    const { filters, nodeNames } = prepared
    const promised = options.nominatedNode ? snapshot.node(options.nominatedNode) : undefined
    if (promised && !refusalOn(filters, pod, promised, snapshot)) return { kind: 'node', nodeName: promised.name, feasible: 1, nextStart }

    const candidates = nodeNames ? [...nodeNames].flatMap((name) => snapshot.node(name) ?? []) : all
    if (nodeNames) {
      absent = impossible(`node(s) didn't satisfy plugin(s) [${prepared.narrowedBy.toSorted().join(' ')}]`)
      for (const name of prepared.narrowedBy) rejectedBy.add(name)
    }
    const wanted = feasibleNodesToFind(candidates.length, profile.percentageOfNodesToScore ?? 0)
    const feasible: NodeInfo[] = []
    let looked = 0
    for (; looked < candidates.length && feasible.length < wanted; looked++) {
      const node = candidates[(start + looked) % candidates.length]!
      const refusal = refusalOn(filters, pod, node, snapshot)
      if (!refusal) {
        feasible.push(node)
        continue
      }
      rejections.set(node.name, refusal.rejection)
      note(refusal)
    }
    nextStart = (start + looked) % all.length
    if (feasible.length === 1) return { kind: 'node', nodeName: feasible[0]!.name, feasible: 1, nextStart }
    if (feasible.length > 1) {
      const node = pickBest(feasible, scoreNodes(snapshot, pod, profile, feasible), random)
      return { kind: 'node', nodeName: node.name, feasible: feasible.length, nextStart }
    }
  }

  const outcome = runPostFilters(plugins, {
    pod,
    snapshot,
    random,
    rejections,
    absent: absent ?? impossible(),
    tryOn: (node) => trialOn(prepared.filters, pod, node, snapshot),
  })
  const message = describeDiagnosis({
    nodeCount: all.length,
    rejections,
    absent,
    preFilterMessage: 'refusal' in prepared ? rejectionMessage(prepared.refusal.rejection) : '',
    postFilterMessage: outcome && 'message' in outcome ? outcome.message : '',
  })
  return {
    kind: 'none',
    message,
    rejectedBy,
    pendingFor,
    preemption: outcome && 'nominate' in outcome ? outcome : undefined,
    clearNomination: outcome === undefined || ('message' in outcome && outcome.clearNomination),
    nextStart,
  }
}

/** The first that finds a way out wins; otherwise their messages are joined. */
function runPostFilters(
  plugins: readonly Plugin[],
  context: Parameters<NonNullable<Plugin['postFilter']>>[0],
): PostFilterResult | undefined {
  const messages: string[] = []
  let clearNomination = false
  for (const plugin of plugins) {
    if (!plugin.postFilter) continue
    const result = plugin.postFilter(context)
    if ('nominate' in result) return result
    messages.push(result.message)
    clearNomination ||= result.clearNomination
  }
  return messages.length > 0 ? { message: messages.join(', '), clearNomination } : undefined
}
