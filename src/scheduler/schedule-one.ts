/**
 * The decision for one pod: which node, or why none. A pure function of a snapshot, so that the same code schedules, answers
 * what-if questions and is tested with tables. Upstream: pkg/scheduler/schedule_one.go.
 */
import type { Random } from '../base/random.ts'
import { describeDiagnosis, rejectionMessage } from './diagnosis.ts'
import { impossible } from './framework.ts'
import type { BindContext, Candidate, PostFilterContext, PostFilterResult, Profile, Rejection } from './framework.ts'
import type { PodInfo } from './pod-info.ts'
import { findFeasible, trialOn } from './search.ts'
import type { Search, SearchOptions } from './search.ts'
import { pickBest, scoreNodes } from './scoring.ts'
import type { Snapshot } from './snapshot.ts'

export type Decision =
  | {
      readonly kind: 'node'
      readonly nodeName: string
      readonly feasible: number
      readonly evaluated: number
      readonly nextStart: number
    }
  | {
      readonly kind: 'none'
      readonly message: string
      /** Plugins that rejected the pod: their events make it worth another try. Empty: any event does. */
      readonly rejectedBy: ReadonlySet<string>
      readonly pendingFor: ReadonlySet<string>
      /** Evict `victims`, then the pod will fit on `nominate`. */
      readonly preemption:
        | { readonly nominate: string; readonly victims: readonly PodInfo[]; readonly candidates?: readonly Candidate[] }
        | undefined
      readonly clearNomination: boolean
      /** What a post-filter does so that the pod fits later. */
      readonly effect: ((context: BindContext) => Promise<void>) | undefined
      readonly nextStart: number
    }

export type ScheduleOptions = SearchOptions

const NO_NODES: Rejection = impossible('no nodes available to schedule pods')

export const noNodes: Decision = {
  kind: 'none',
  message: rejectionMessage(NO_NODES),
  rejectedBy: new Set(),
  pendingFor: new Set(),
  preemption: undefined,
  clearNomination: true,
  effect: undefined,
  nextStart: 0,
}

export function scheduleOne(snapshot: Snapshot, pod: PodInfo, profile: Profile, random: Random, options: ScheduleOptions = {}): Decision {
  if (snapshot.nodes.length === 0) return noNodes
  const search = findFeasible(snapshot, pod, profile, options)
  if (search.feasible.length === 0) return decideNone(snapshot, pod, profile, random, search)
  const best =
    search.feasible.length === 1
      ? search.feasible[0]!
      : pickBest(search.feasible, scoreNodes(snapshot, pod, profile, search.feasible, options.memory), random)
  return decideNode(snapshot, search, best)
}

export const decideNode = (snapshot: Snapshot, search: Search, place: number): Decision => ({
  kind: 'node',
  nodeName: snapshot.nodes[place]!.name,
  feasible: search.feasible.length,
  evaluated: search.evaluated,
  nextStart: search.nextStart,
})

/** When nothing fits: the post-filters look for a way out, and the reasons are told. */
export function decideNone(snapshot: Snapshot, pod: PodInfo, profile: Profile, random: Random, search: Search): Decision {
  const { rejections, absent, filters, rejectedBy, pendingFor, nextStart, preFilterMessage, template } = search
  const otherwise = absent ?? impossible()
  const outcome = runPostFilters(profile, search, {
    pod,
    snapshot,
    random,
    template,
    refusalAt: (place) => rejections[place] ?? otherwise,
    tryOn: (node) => trialOn(filters, pod, node, snapshot),
  })
  const message = describeDiagnosis({
    nodeCount: snapshot.nodes.length,
    rejections,
    absent,
    preFilterMessage,
    postFilterMessage: outcome && 'message' in outcome ? outcome.message : '',
  })
  return {
    kind: 'none',
    message,
    rejectedBy,
    pendingFor,
    preemption: outcome && 'nominate' in outcome ? outcome : undefined,
    clearNomination: outcome === undefined || ('message' in outcome && outcome.clearNomination),
    effect: outcome && 'message' in outcome ? outcome.effect : undefined,
    nextStart,
  }
}

/** The first that finds a way out wins; otherwise their messages are joined. */
function runPostFilters(
  { points }: Profile,
  { filters, passedOver }: Search,
  context: Omit<PostFilterContext, 'state' | 'wasPassedOver'>,
): PostFilterResult | undefined {
  const messages: string[] = []
  const effects: ((context: BindContext) => Promise<void>)[] = []
  let clearNomination = false
  for (const plugin of points.postFilter) {
    const state = filters.find((filter) => filter.plugin === plugin)?.state
    const result = plugin.postFilter!({ ...context, state, wasPassedOver: passedOver.includes(plugin) })
    if ('nominate' in result) return result
    messages.push(result.message)
    clearNomination ||= result.clearNomination
    if (result.effect) effects.push(result.effect)
    if (result.isFinal) break
  }
  if (messages.length === 0) return undefined
  const effect = async (context: BindContext) => {
    for (const run of effects) await run(context)
  }
  return { message: messages.join(', '), clearNomination, ...(effects.length > 0 ? { effect } : {}) }
}
