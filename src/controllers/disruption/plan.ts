/** What a PodDisruptionBudget's status should say: how many of its pods are healthy, how many must be, and how many may be lost. */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { Condition, LabelSelector } from '../../api/generated/meta/v1.ts'
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '../../api/generated/policy/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { findCondition } from '../conditions.ts'
import { scaledValue } from '../int-or-percent.ts'
import { isPodReady, isPodTerminal, timeOf } from '../pods/pod-state.ts'

/** An eviction was granted: within this time the pod must be seen being deleted, or it counts again. */
const DELETION_TIMEOUT_MS = 120_000
/** How long a pod may be marked as about to be disrupted without being deleted. */
const STALE_MARK_MS = 120_000

/** Whether the budget is relative to the scale of what owns the pods. */
export const needsScale = ({ spec }: PodDisruptionBudget): boolean =>
  spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === 'string'

export interface BudgetInput {
  readonly budget: PodDisruptionBudget
  /** The pods that its selector matches. */
  readonly pods: readonly Pod[]
  /** The sum of the scales of their owners, where the budget needs it. */
  readonly scale: number
  readonly nowMs: number
  readonly now: string
}

export interface BudgetPlan {
  /** The very status that was passed in when nothing differs. */
  readonly status: PodDisruptionBudgetStatus | undefined
  /** Pods whose eviction was granted but not carried out. */
  readonly notDeleted: readonly Pod[]
  readonly afterMs: number | undefined
}

export function planBudget({ budget, pods, scale, nowMs, now }: BudgetInput): BudgetPlan {
  const { expectedPods, desiredHealthy } = expectation(budget, pods.length, scale)
  const { disruptedPods, notDeleted, afterMs } = stillDisrupted(budget, pods, nowMs)
  const currentHealthy = pods.filter(
    (pod) => !pod.metadata?.deletionTimestamp && disruptedPods[pod.metadata!.name!] === undefined && isPodReady(pod),
  ).length
  // Without pods nothing is allowed: the first of them would otherwise meet a budget that was counted before they were there.
  const disruptionsAllowed = expectedPods > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0
  const generation = budget.metadata?.generation ?? 0
  const next: PodDisruptionBudgetStatus = {
    ...(Object.keys(disruptedPods).length > 0 ? { disruptedPods } : {}),
    currentHealthy,
    desiredHealthy,
    expectedPods,
    disruptionsAllowed,
    observedGeneration: generation,
    conditions: withAllowed(budget.status?.conditions, {
      type: 'DisruptionAllowed',
      status: disruptionsAllowed > 0 ? 'True' : 'False',
      reason: disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods',
      message: '',
      observedGeneration: generation,
      lastTransitionTime: now,
    }),
  }
  return { status: isSameStatus(budget.status, next) ? budget.status : next, notDeleted, afterMs }
}

/** What is written when counting fails: nothing may be evicted until it succeeds. */
export function failedStatus({ status }: PodDisruptionBudget, message: string, now: string): PodDisruptionBudgetStatus {
  const observed = status?.observedGeneration
  return {
    ...status,
    disruptionsAllowed: 0,
    conditions: withAllowed(status?.conditions, {
      type: 'DisruptionAllowed',
      status: 'False',
      reason: 'SyncFailed',
      message,
      ...(observed === undefined ? {} : { observedGeneration: observed }),
      lastTransitionTime: now,
    }),
  }
}

function expectation({ spec }: PodDisruptionBudget, podCount: number, scale: number): { expectedPods: number; desiredHealthy: number } {
  if (spec?.maxUnavailable !== undefined)
    return { expectedPods: scale, desiredHealthy: Math.max(0, scale - scaledValue(spec.maxUnavailable, scale, 'up')) }
  if (typeof spec?.minAvailable === 'string') return { expectedPods: scale, desiredHealthy: scaledValue(spec.minAvailable, scale, 'up') }
  return spec?.minAvailable === undefined
    ? { expectedPods: 0, desiredHealthy: 0 }
    : { expectedPods: podCount, desiredHealthy: spec.minAvailable }
}

function stillDisrupted({ status }: PodDisruptionBudget, pods: readonly Pod[], nowMs: number) {
  const disruptedPods: Record<string, string> = {}
  const notDeleted: Pod[] = []
  let afterMs: number | undefined
  for (const pod of pods) {
    const since = status?.disruptedPods?.[pod.metadata!.name!]
    if (since === undefined || pod.metadata?.deletionTimestamp) continue
    const remainingMs = timeOf(since)! + DELETION_TIMEOUT_MS - nowMs
    if (remainingMs <= 0) notDeleted.push(pod)
    else {
      disruptedPods[pod.metadata!.name!] = since
      afterMs = Math.min(afterMs ?? Infinity, remainingMs)
    }
  }
  return { disruptedPods, notDeleted, afterMs }
}

/** A condition keeps its time while its status stays; all else is as it is now. */
function withAllowed(conditions: readonly Condition[] = [], wanted: Condition): readonly Condition[] {
  const current = findCondition(conditions, wanted.type)
  const made = current?.status === wanted.status ? { ...wanted, lastTransitionTime: current.lastTransitionTime } : wanted
  return current ? conditions.map((condition) => (condition === current ? made : condition)) : [...conditions, made]
}

function isSameStatus(a: PodDisruptionBudgetStatus | undefined, b: PodDisruptionBudgetStatus): boolean {
  const numbers = ['currentHealthy', 'desiredHealthy', 'expectedPods', 'disruptionsAllowed', 'observedGeneration'] as const
  if (numbers.some((name) => (a?.[name] ?? 0) !== (b[name] ?? 0)) || !deepEqual(a?.disruptedPods ?? {}, b.disruptedPods ?? {})) return false
  const [before, after] = [a?.conditions, b.conditions].map((conditions) => findCondition(conditions, 'DisruptionAllowed'))
  return before !== undefined && before.status === after?.status && before.reason === after.reason
}

/** How long until a pod's mark of a coming disruption is stale; undefined when it bears none that could be. */
export function staleMarkAfterMs(pod: Pod | undefined, nowMs: number): number | undefined {
  if (!pod || pod.metadata?.deletionTimestamp || isPodTerminal(pod)) return undefined
  const mark = findCondition(pod.status?.conditions, 'DisruptionTarget')
  if (mark?.status !== 'True' || mark.reason === 'TerminationByKubelet') return undefined
  return Math.max(0, (timeOf(mark.lastTransitionTime) ?? 0) + STALE_MARK_MS - nowMs)
}

/** A selector as events show it: what Go prints of it. */
export function printSelector(selector: LabelSelector | undefined): string {
  if (!selector) return 'nil'
  const labels = Object.entries(selector.matchLabels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`)
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values = [] }) => `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`,
  )
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join('')}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join('')}},}`
}
