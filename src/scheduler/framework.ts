/**
 * What a scheduler plugin is. Its decisions are pure functions of an immutable snapshot: in the order of a cycle
 * queueSort, preEnqueue, preFilter, filter, postFilter, preScore, score, normalise. Its effects, on the way to the node, are reserve,
 * permit, preBind, bind and postBind. State of one cycle is a value that preFilter and preScore return and that the later points
 * are given back. What a plugin keeps between cycles can only be results that it repairs by what has changed since.
 */
import type { KubeObject } from '../api/object.ts'
import type { Node, Pod } from '../api/generated/core/v1.ts'
import type { Client } from '../client/client.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Random } from '../base/random.ts'
import type { ClusterView } from './cluster-view.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import type { Snapshot } from './snapshot.ts'

/** Why a pod cannot go somewhere, in the words a user will read. */
export interface Rejection {
  readonly reasons: readonly string[]
  /** False when evicting pods from the node cannot help, so that preemption need not try (upstream UnschedulableAndUnresolvable). */
  readonly canPreempt: boolean
  /** The pod waits for something outside of scheduling; its event then skips the back-off (upstream Pending). */
  readonly isPending?: true
}

/** The node may fit once pods have left it. */
export const insufficient = (...reasons: readonly string[]): Rejection => ({ reasons, canPreempt: true })
/** Evictions will not change it. */
export const impossible = (...reasons: readonly string[]): Rejection => ({ reasons, canPreempt: false })

/** What can make a rejected pod worth another try. `pod-...` are about pods on nodes unless it says `own`. */
export type ClusterEvent =
  | { readonly kind: 'node-added'; readonly node: Node }
  | {
      readonly kind: 'node-allocatable' | 'node-labels' | 'node-taints' | 'node-conditions' | 'node-annotations' | 'node-features'
      readonly node: Node
      readonly old: Node
    }
  | { readonly kind: 'node-deleted'; readonly node: Node }
  | { readonly kind: 'pod-added' | 'pod-deleted'; readonly pod: PodInfo }
  | { readonly kind: 'pod-labels' | 'pod-scaled-down'; readonly pod: PodInfo; readonly old: PodInfo }
  /** The rejected pod itself was changed. */
  | {
      readonly kind: 'own-labels' | 'own-tolerations' | 'own-gates' | 'own-scaled-down' | 'own-claims'
      readonly pod: PodInfo
      readonly old: PodInfo
    }
  | { readonly kind: 'namespace-labels' }
  | { readonly kind: ObjectEventKind; readonly object: KubeObject; readonly old?: KubeObject }

/** Something came, changed or (where it says so) went away, beside nodes and pods. */
export type ObjectEventKind =
  | 'claim'
  | 'volume'
  | 'storage-class'
  | 'storage-capacity'
  | 'csi-node'
  | 'csi-driver'
  | 'attachment-deleted'
  | 'resource-claim'
  | 'resource-slice'
  | 'device-class'

export interface RequeueRule {
  readonly on: readonly ClusterEvent['kind'][]
  /** Refines the rule: could this very event help this very pod? Absent: yes. */
  isWorth?(pod: PodInfo, event: ClusterEvent): boolean
}

export type PreFilterResult<State> =
  /** This plugin's filter has nothing to do for this pod. */
  | { readonly skip: true }
  | { readonly rejection: Rejection }
  /** `nodeNames`: no other node can do; undefined means that any may. */
  | { readonly state: State; readonly nodeNames?: ReadonlySet<string> | undefined }

export type PreScoreResult<State> = { readonly skip: true } | { readonly state: State }

/** What postFilter is given when no node fits. */
export interface PostFilterContext {
  readonly pod: PodInfo
  readonly snapshot: Snapshot
  readonly random: Random
  /** Why the node at this place in the snapshot was refused; for one that was not looked at, what refused the pod on all of them. */
  refusalAt(place: number): Rejection
  /** Text of what of the pod decided, and undefined when what decided was more than the pod and each node by itself. */
  readonly template: string | undefined
  /** What this plugin's preFilter made; undefined when it made none. */
  readonly state: unknown
  /** Another plugin's preFilter refused the pod before this one's was asked. */
  readonly wasPassedOver: boolean
  /** A copy of the node to try evictions on. */
  readonly tryOn: (node: NodeInfo) => Trial
}

/** What if pods left this node, or came? */
export interface Trial {
  remove(pod: PodInfo): void
  add(pod: PodInfo): void
  /** This cycle's filters on the node as it is now; undefined when the pod fits. */
  refusal(): Rejection | undefined
}

export interface PodChange {
  readonly pod: PodInfo
  readonly sign: 1 | -1
}

export type PostFilterResult =
  /** Room will be made: evict these and keep the node in mind for the pod. */
  | {
      readonly nominate: string
      readonly victims: readonly PodInfo[]
      /** All ways that were found, for extenders to choose from. */
      readonly candidates?: readonly Candidate[]
    }
  /** Nothing to be done; `clearNomination` when what was promised before does not hold any more. */
  | {
      readonly message: string
      readonly clearNomination: boolean
      /** Nobody else is asked. */
      readonly isFinal?: true
      /** What can be done all the same, so that the pod fits later. */
      readonly effect?: (context: BindContext) => Promise<void>
    }

/** One way to make room. */
export interface Candidate {
  readonly node: string
  /** The most important first. */
  readonly victims: readonly PodInfo[]
  readonly budgetViolations: number
}

/** A pod that waits, as queueSort compares it. */
export interface Queued {
  readonly info: PodInfo
  /** Since when it waits in its present place. */
  readonly timestampMs: number
}

/** What the effects work with. */
export interface BindContext {
  readonly runtime: Runtime
  readonly client: Client
  /** Live. */
  readonly view: ClusterView
  readonly signal: AbortSignal
}

/** A pod held back after its node was chosen: `decided` resolves to a rejection or, when it may go on, to undefined. */
export interface Wait {
  readonly timeoutMs: number
  readonly decided: Promise<Rejection | undefined>
}

// oxlint-disable-next-line typescript/no-explicit-any -- a profile holds plugins of any state
export interface Plugin<FilterState = any, ScoreState = any> {
  /** As in scheduler configuration and in messages: `NodeResourcesFit`. */
  readonly name: string

  /** Which of two waiting pods is tried first; of all profiles the same. */
  queueSort?(a: Queued, b: Queued): boolean
  /** May the pod be tried at all? A rejected pod waits aside, without back-off. */
  preEnqueue?(pod: Pod, view: ClusterView): Rejection | undefined
  preFilter?(pod: PodInfo, snapshot: Snapshot): PreFilterResult<FilterState>
  filter?(state: FilterState, pod: PodInfo, node: NodeInfo, snapshot: Snapshot): Rejection | undefined
  /**
   * Set when filter and score depend on nothing but the node's value and what this text tells of the pod: pods of equal texts then
   * share results on nodes that have not changed (upstream SignPlugin, KEP-5598). Undefined for a pod that cannot share.
   */
  template?(pod: PodInfo, snapshot: Snapshot): string | undefined
  /** With `adjust`: a copy of the state that may be changed. Left out when the state does not depend on pods on nodes. */
  cloneState?(state: FilterState): FilterState
  /** Tells a cloned state that a pod was put on a node (+1) or taken off it (-1). */
  adjust?(state: FilterState, pod: PodInfo, change: PodChange, node: NodeInfo): void
  postFilter?(context: PostFilterContext): PostFilterResult
  preScore?(pod: PodInfo, nodes: readonly NodeInfo[], snapshot: Snapshot): PreScoreResult<ScoreState>
  /** Higher is better: 0 to 100, or anything that `normalise` brings there. */
  score?(state: ScoreState, pod: PodInfo, node: NodeInfo, snapshot: Snapshot): number
  /** Brings the scores of all nodes, in place, to 0 to 100. */
  normalise?(scores: number[], state: ScoreState, nodes: readonly NodeInfo[]): void

  /** Sets aside what the pod needs on the node. Whatever happens later, `unreserve` undoes it if the pod does not get there. */
  reserve?(pod: PodInfo, nodeName: string, snapshot: Snapshot): Rejection | undefined
  unreserve?(pod: PodInfo, nodeName: string): void
  permit?(pod: PodInfo, nodeName: string): Rejection | Wait | undefined
  /** Whether `preBind` has anything to do for the pod; without it, it has. The chosen node is told in the pod's status then (KEP-5278). */
  preBindPreFlight?(pod: PodInfo, nodeName: string): boolean
  preBind?(pod: PodInfo, nodeName: string, context: BindContext): Promise<void>
  /** True when this plugin has bound the pod; false leaves it to the next. */
  bind?(pod: PodInfo, nodeName: string, context: BindContext): Promise<boolean>
  postBind?(pod: PodInfo, nodeName: string): void

  /** Which events make a pod that this plugin rejected worth another try; absent: any event does. */
  readonly requeueOn?: readonly RequeueRule[]
}

/** Checks the plugin's points against each other and erases the types of its states. */
export function definePlugin<FilterState = undefined, ScoreState = undefined>(plugin: Plugin<FilterState, ScoreState>): Plugin {
  return plugin
}

export const POINTS = [
  'queueSort',
  'preEnqueue',
  'preFilter',
  'filter',
  'postFilter',
  'preScore',
  'score',
  'reserve',
  'permit',
  'preBind',
  'bind',
  'postBind',
] as const
export type Point = (typeof POINTS)[number]

export interface WeightedPlugin {
  readonly plugin: Plugin
  /** Of its score; default 1. */
  readonly weight?: number
}

/** A way of scheduling that pods choose by spec.schedulerName. */
export interface Profile {
  readonly schedulerName: string
  /** Each plugin once, for what is asked of it by name. */
  readonly plugins: readonly Plugin[]
  /** Who takes part where, in order: filters run one after the other and the first refusal counts. */
  readonly points: Readonly<Record<Point, readonly Plugin[]>>
  /** Of scores, by plugin name. */
  readonly weights: ReadonlyMap<string, number>
  /** Stop looking for nodes when this share of all fits; 0 adapts to the size of the cluster as upstream does. */
  readonly percentageOfNodesToScore: number
}

/** The plugin takes part at reserve, too, when it only has something to undo. */
const hasPoint = (plugin: Plugin, point: Point): boolean =>
  plugin[point] !== undefined || (point === 'reserve' && plugin.unreserve !== undefined)

/** A profile of plugins that take part wherever they can, in this order. */
export function profileOf(
  schedulerName: string,
  plugins: readonly WeightedPlugin[],
  options: { readonly points?: Profile['points']; readonly percentageOfNodesToScore?: number } = {},
): Profile {
  const all = plugins.map(({ plugin }) => plugin)
  const everywhere = () => Object.fromEntries(POINTS.map((point) => [point, pluginsAt(all, point)])) as unknown as Profile['points']
  return {
    schedulerName,
    plugins: all,
    points: options.points ?? everywhere(),
    weights: new Map(plugins.map(({ plugin, weight = 1 }) => [plugin.name, weight])),
    percentageOfNodesToScore: options.percentageOfNodesToScore ?? 0,
  }
}

export const pluginsAt = (plugins: readonly Plugin[], point: Point): readonly Plugin[] =>
  plugins.filter((plugin) => hasPoint(plugin, point))

export const MAXIMUM_SCORE = 100

/** Brings scores from [0, highest] to [0, 100]; `isReversed`: less is better. */
export function normaliseByMaximum(scores: number[], isReversed: boolean): void {
  let highest = 0
  for (const score of scores) if (score > highest) highest = score
  for (let i = 0; i < scores.length; i++) {
    const share = highest === 0 ? 0 : Math.trunc((MAXIMUM_SCORE * scores[i]!) / highest)
    scores[i] = isReversed ? MAXIMUM_SCORE - share : share
  }
}
