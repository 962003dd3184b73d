/**
 * When a pod fits nowhere: which pods of lower priority to evict, and where, so that it will. Only a plan; scheduler.ts carries
 * it out. Pods of disruption budgets are spared where possible, and as many pods as possible stay.
 */
import type { PodDisruptionBudget } from '../../api/generated/policy/v1.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { randomInt } from '../../base/random.ts'
import { describeDiagnosis } from '../diagnosis.ts'
import { definePlugin, impossible } from '../framework.ts'
import type { Candidate, Plugin, PostFilterContext, PostFilterResult, Rejection } from '../framework.ts'
import { createRemembered } from '../node-column.ts'
import type { Remembered } from '../node-column.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import { hasSelectorTerms } from '../selector-terms.ts'

const NOT_HELPFUL = impossible('Preemption is not helpful for scheduling')
const NO_VICTIMS = impossible('No preemption victims found for incoming pod')

export interface DefaultPreemptionArgs {
  readonly minCandidateNodesPercentage: number
  readonly minCandidateNodesAbsolute: number
}

/** How many nodes to try. */
const candidateCount = (nodes: number, args: DefaultPreemptionArgs): number =>
  Math.min(nodes, Math.max(Math.trunc((nodes * args.minCandidateNodesPercentage) / 100), args.minCandidateNodesAbsolute))

/** A pod that has not started is as young as can be. */
const startOf = ({ pod }: PodInfo): number => (pod.status?.startTime ? Date.parse(pod.status.startTime) : Infinity)

const byImportance = (a: PodInfo, b: PodInfo): number =>
  a.priority === b.priority ? compareNumbers(startOf(a), startOf(b)) : b.priority - a.priority
const compareNumbers = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0)

const isPreempted = ({ pod }: PodInfo): boolean =>
  pod.metadata?.deletionTimestamp !== undefined &&
  (pod.status?.conditions?.some(
    ({ type, status, reason }) => type === 'DisruptionTarget' && status === 'True' && reason === 'PreemptionByScheduler',
  ) ??
    false)

/** Why this pod must not preempt now. */
function ineligibility({ pod, snapshot, refusalAt }: PostFilterContext): string | undefined {
  if (pod.pod.spec?.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.'
  const place = snapshot.indexOf(pod.pod.status?.nominatedNodeName ?? '')
  if (place === undefined || !refusalAt(place).canPreempt) return undefined
  const node = snapshot.nodes[place]!
  const isUnderWay = node.pods.some((other) => other.priority < pod.priority && isPreempted(other))
  return isUnderWay ? 'not eligible due to a terminating pod on the nominated node.' : undefined
}

/** Counts off each budget as pods are asked about in turn; true when one that covers the pod is used up. */
function createBudgetCheck(budgets: Iterable<PodDisruptionBudget>): (pod: PodInfo) => boolean {
  const open = [...budgets]
    .filter(({ spec }) => hasSelectorTerms(spec?.selector))
    .map(({ metadata, spec, status }) => ({
      namespace: metadata?.namespace,
      matches: compileLabelSelector(spec?.selector),
      disrupted: status?.disruptedPods ?? {},
      allowed: status?.disruptionsAllowed ?? 0,
    }))
  return (pod) => {
    let isViolated = false
    for (const budget of open) {
      if (budget.namespace !== pod.namespace || Object.keys(pod.labels).length === 0 || !budget.matches(pod.labels)) continue
      if (budget.disrupted[pod.pod.metadata?.name ?? '']) continue
      if (--budget.allowed < 0) isViolated = true
    }
    return isViolated
  }
}

type Outcome = Candidate | Rejection

function selectVictims({ pod, snapshot, tryOn }: PostFilterContext, node: NodeInfo): Outcome {
  const lower = node.pods.filter((other) => other.priority < pod.priority)
  if (lower.length === 0) return NO_VICTIMS
  const trial = tryOn(node)
  for (const other of lower) trial.remove(other)
  const refusal = trial.refusal()
  if (refusal) return refusal
  const isViolating = createBudgetCheck(snapshot.view.disruptionBudgets())
  const { violating = [], others = [] } = Object.groupBy(lower.toSorted(byImportance), (other) =>
    isViolating(other) ? 'violating' : 'others',
  )
  const victims: PodInfo[] = []
  let budgetViolations = 0
  for (const [group, countsAsViolation] of [
    [violating, 1],
    [others, 0],
  ] as const) {
    for (const other of group) {
      trial.add(other)
      if (!trial.refusal()) continue
      trial.remove(other)
      victims.push(other)
      budgetViolations += countsAsViolation
    }
  }
  return { node: node.name, victims: victims.toSorted(byImportance), budgetViolations }
}

/** What makes a candidate good, the most decisive first; the smaller the better. */
const costs: readonly ((candidate: Candidate) => number)[] = [
  ({ budgetViolations }) => budgetViolations,
  ({ victims }) => victims[0]!.priority,
  // Shifted, so that more victims of negative priority cost more, too.
  ({ victims }) => victims.reduce((sum, { priority }) => sum + priority + 2 ** 31, 0),
  ({ victims }) => victims.length,
  // Of the most important victims, the one that started first: the later the better.
  ({ victims }) => -Math.min(...victims.filter(({ priority }) => priority === victims[0]!.priority).map(startOf)),
]

/** Less than zero when the first costs less, zero when both cost the same. */
export function costOf(a: Candidate, b: Candidate): number {
  for (const cost of costs) {
    const [one, other] = [cost(a), cost(b)]
    // Two that have not started have no difference.
    if (one !== other) return one - other
  }
  return 0
}

/** The candidate that costs least; of equal ones the first. */
export const cheapest = (candidates: readonly Candidate[]): Candidate =>
  candidates.reduce((best, candidate) => (costOf(candidate, best) < 0 ? candidate : best))

/** What was found out about nodes for equal pods, by place. */
interface Tried {
  readonly nodes: (NodeInfo | undefined)[]
  readonly outcomes: Outcome[]
}

/**
 * Asks for each node once, as long as the node and the template of the pod are all that counts: with budgets, which are used up over
 * time, or pods that are promised room it is asked anew.
 */
function createTrying(remembered: Remembered<Tried>, context: PostFilterContext): (place: number) => Outcome {
  const { snapshot, pod, template } = context
  const hasBudgets = snapshot.view.disruptionBudgets()[Symbol.iterator]().next().done !== true
  if (template === undefined || hasBudgets) return (place) => selectVictims(context, snapshot.nodes[place]!)
  const tried = remembered.of(`${pod.priority} ${template}`, () => ({ nodes: [], outcomes: [] }))
  return (place) => {
    const node = snapshot.nodes[place]!
    if (snapshot.hasNominated && snapshot.nominated(node.name).length > 0) return selectVictims(context, node)
    if (tried.nodes[place] !== node) {
      tried.outcomes[place] = selectVictims(context, node)
      tried.nodes[place] = node
    }
    return tried.outcomes[place]!
  }
}

function plan(context: PostFilterContext, args: DefaultPreemptionArgs, remembered: Remembered<Tried>): PostFilterResult {
  const { snapshot, random, refusalAt } = context
  const why = ineligibility(context)
  if (why) return { message: `preemption: ${why}`, clearNomination: false }
  const promising: number[] = []
  for (let place = 0; place < snapshot.nodes.length; place++) if (refusalAt(place).canPreempt) promising.push(place)
  const candidates: Candidate[] = []
  const refusals: Rejection[] = []
  const wanted = candidateCount(promising.length, args)
  const offset = promising.length > 0 ? randomInt(random, promising.length) : 0
  const tryAt = createTrying(remembered, context)
  let isOneWithoutViolation = false
  for (let i = 0; i < promising.length && !(isOneWithoutViolation && candidates.length >= wanted); i++) {
    const place = promising[(offset + i) % promising.length]!
    const outcome = tryAt(place)
    if ('reasons' in outcome) refusals[place] = outcome
    else if (outcome.victims.length > 0) {
      candidates.push(outcome)
      isOneWithoutViolation ||= outcome.budgetViolations === 0
    }
  }
  if (candidates.length === 0) {
    const message = describeDiagnosis({
      nodeCount: snapshot.nodes.length,
      rejections: refusals,
      absent: NOT_HELPFUL,
      preFilterMessage: '',
      postFilterMessage: '',
    })
    return { message: `preemption: ${message}`, clearNomination: true }
  }
  const { node, victims } = cheapest(candidates)
  return { nominate: node, victims, candidates }
}

export const DEFAULT_PREEMPTION_ARGS: DefaultPreemptionArgs = { minCandidateNodesPercentage: 10, minCandidateNodesAbsolute: 100 }

export function createDefaultPreemption(args: DefaultPreemptionArgs = DEFAULT_PREEMPTION_ARGS): Plugin {
  const remembered = createRemembered<Tried>()
  return definePlugin({
    name: 'DefaultPreemption',
    postFilter: (context) => plan(context, args, remembered),
    // Rejections of a pod are the filters'; what this plugin promises comes with their events.
    requeueOn: [],
  })
}
