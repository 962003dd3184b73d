/**
 * When a pod fits nowhere: which pods of lower priority to evict, and where, so that it will. Only a plan; scheduler.ts carries
 * it out. Pods of disruption budgets are spared where possible, and as many pods as possible stay.
 */
import type { PodDisruptionBudget } from '../../api/generated/policy/v1.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { randomInt } from '../../base/random.ts'
import { describeDiagnosis } from '../diagnosis.ts'
import { definePlugin, impossible } from '../framework.ts'
import type { PostFilterContext, PostFilterResult, Rejection } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import { hasSelectorTerms } from '../selector-terms.ts'

interface Candidate {
  readonly node: string
  /** The most important first. */
  readonly victims: readonly PodInfo[]
  readonly budgetViolations: number
}

const NOT_HELPFUL = impossible('Preemption is not helpful for scheduling')
const NO_VICTIMS = impossible('No preemption victims found for incoming pod')

/** How many nodes to try (upstream minCandidateNodesPercentage and minCandidateNodesAbsolute). */
const candidateCount = (nodes: number): number => Math.min(nodes, Math.max(Math.trunc(nodes / 10), 100))

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
function ineligibility({ pod, snapshot, rejections, absent }: PostFilterContext): string | undefined {
  if (pod.pod.spec?.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.'
  const promised = pod.pod.status?.nominatedNodeName
  const node = promised ? snapshot.node(promised) : undefined
  if (!node || !(rejections.get(node.name) ?? absent).canPreempt) return undefined
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

function selectVictims({ pod, snapshot, tryOn }: PostFilterContext, node: NodeInfo): Candidate | Rejection {
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

function cheapest(candidates: readonly Candidate[]): Candidate {
  let best = candidates
  for (const cost of costs) {
    const all = best.map(cost)
    const least = Math.min(...all)
    best = best.filter((_candidate, i) => all[i] === least)
    if (best.length === 1) break
  }
  return best[0]!
}

function plan(context: PostFilterContext): PostFilterResult {
  const { snapshot, random, rejections, absent } = context
  const why = ineligibility(context)
  if (why) return { message: `preemption: ${why}`, clearNomination: false }
  const promising = snapshot.nodes.filter((node) => (rejections.get(node.name) ?? absent).canPreempt)
  const candidates: Candidate[] = []
  const refusals = new Map<string, Rejection>()
  const wanted = candidateCount(promising.length)
  const offset = promising.length > 0 ? randomInt(random, promising.length) : 0
  let isOneWithoutViolation = false
  for (let i = 0; i < promising.length && !(isOneWithoutViolation && candidates.length >= wanted); i++) {
    const node = promising[(offset + i) % promising.length]!
    const outcome = selectVictims(context, node)
    if ('reasons' in outcome) refusals.set(node.name, outcome)
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
  return { nominate: node, victims }
}

export const defaultPreemption = definePlugin({ name: 'DefaultPreemption', postFilter: plan })
