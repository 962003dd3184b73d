/**
 * From what the metrics ask for to what is done: stabilisation over a window of earlier recommendations, the pace that the
 * behaviour allows (KEP-853), and the bounds. Pure but for the history, which is given and added to.
 */
import type { HorizontalPodAutoscaler, HPAScalingRules } from '../../api/generated/autoscaling/v2.ts'

interface Recommendation {
  readonly replicas: number
  readonly atMs: number
}

interface ScaleEvent {
  /** By how many pods; never negative. */
  readonly change: number
  readonly atMs: number
}

/** What is remembered of one autoscaler; lost with the process, as upstream's is. */
export interface ScaleHistory {
  recommendations: readonly Recommendation[]
  ups: readonly ScaleEvent[]
  downs: readonly ScaleEvent[]
}

export const newHistory = (replicas: number, nowMs: number): ScaleHistory => ({
  recommendations: [{ replicas, atMs: nowMs }],
  ups: [],
  downs: [],
})

type Told = readonly [reason: string, message: string]

export interface Bounded {
  readonly replicas: number
  readonly able: Told
  readonly isLimited: boolean
  readonly limit: Told
}

/** What applies where the behaviour says nothing (upstream's downscale-stabilization). */
const DOWNSCALE_WINDOW_MS = 300_000
const SCALE_UP_FACTOR = 2
const SCALE_UP_MINIMUM = 4

const READY: Told = ['ReadyForNewScale', 'recommended size matches current size']
const UP_STABILIZED: Told = [
  'ScaleUpStabilized',
  'recent recommendations were lower than current one, applying the lowest recent recommendation',
]
const DOWN_STABILIZED: Told = [
  'ScaleDownStabilized',
  'recent recommendations were higher than current one, applying the highest recent recommendation',
]
const WITHIN: Told = ['DesiredWithinRange', 'the desired count is within the acceptable range']
const TOO_FAST: Told = ['ScaleUpLimit', 'the desired replica count is increasing faster than the maximum scale rate']
const TOO_SLOW: Told = ['ScaleDownLimit', 'the desired replica count is decreasing faster than the maximum scale rate']
const TOO_MANY: Told = ['TooManyReplicas', 'the desired replica count is more than the maximum replica count']
const TOO_FEW: Told = ['TooFewReplicas', 'the desired replica count is less than the minimum replica count']

const windowMsOf = (rules: HPAScalingRules | undefined, absentMs: number): number =>
  rules?.stabilizationWindowSeconds === undefined ? absentMs : rules.stabilizationWindowSeconds * 1000

/** What to do about a recommendation of `desired`; notes it in the history. */
export function bound(hpa: HorizontalPodAutoscaler, history: ScaleHistory, current: number, desired: number, nowMs: number): Bounded {
  const { behavior, maxReplicas, minReplicas = 1 } = hpa.spec
  const upWindowMs = behavior ? windowMsOf(behavior.scaleUp, 0) : 0
  const downWindowMs = behavior ? windowMsOf(behavior.scaleDown, DOWNSCALE_WINDOW_MS) : DOWNSCALE_WINDOW_MS
  const within = (windowMs: number) => history.recommendations.filter(({ atMs }) => atMs > nowMs - windowMs).map(({ replicas }) => replicas)
  const highest = Math.max(desired, ...within(downWindowMs))
  // Without a behaviour only going down is delayed.
  const lowest = Math.min(desired, ...(behavior ? within(upWindowMs) : []))
  const stabilized = behavior ? Math.min(Math.max(current, lowest), highest) : highest
  const oldestMs = nowMs - Math.max(upWindowMs, downWindowMs)
  history.recommendations = [...history.recommendations.filter(({ atMs }) => atMs >= oldestMs), { replicas: desired, atMs: nowMs }]

  const isUp = behavior !== undefined && desired >= current
  const able = stabilized === desired ? READY : isUp ? UP_STABILIZED : DOWN_STABILIZED
  const [replicas, limit] = behavior
    ? paced(hpa, history, current, stabilized, nowMs)
    : limited(current, stabilized, minReplicas, maxReplicas)
  return { replicas, able, isLimited: replicas !== stabilized, limit }
}

type Limited = readonly [replicas: number, why: Told]

function limited(current: number, desired: number, min: number, max: number): Limited {
  const pace = Math.max(SCALE_UP_FACTOR * current, SCALE_UP_MINIMUM)
  const most = Math.min(max, pace)
  if (desired < min) return [min, TOO_FEW]
  return desired > most ? [most, max > pace ? TOO_FAST : TOO_MANY] : [desired, WITHIN]
}

function paced({ spec }: HorizontalPodAutoscaler, history: ScaleHistory, current: number, desired: number, nowMs: number): Limited {
  const { behavior, maxReplicas, minReplicas = 1 } = spec
  if (desired > current) {
    const pace = Math.max(current, upLimit(behavior?.scaleUp, history, current, nowMs))
    const most = Math.min(maxReplicas, pace)
    return desired > most ? [most, maxReplicas > pace ? TOO_FAST : TOO_MANY] : [desired, WITHIN]
  }
  if (desired < current) {
    const pace = Math.min(current, downLimit(behavior?.scaleDown, history, current, nowMs))
    const least = Math.max(minReplicas, pace)
    return desired < least ? [least, minReplicas < pace ? TOO_SLOW : TOO_FEW] : [desired, WITHIN]
  }
  return [desired, WITHIN]
}

/** How many pods there were when the period of a policy began. */
function replicasBefore({ ups, downs }: ScaleHistory, current: number, periodSeconds: number, nowMs: number): number {
  const sum = (events: readonly ScaleEvent[]) =>
    events.reduce((total, { change, atMs }) => (atMs > nowMs - periodSeconds * 1000 ? total + change : total), 0)
  return current - sum(ups) + sum(downs)
}

function upLimit(rules: HPAScalingRules | undefined, history: ScaleHistory, current: number, nowMs: number): number {
  if (rules?.selectPolicy === 'Disabled') return current
  const limits = (rules?.policies ?? []).map(({ type, value, periodSeconds }) => {
    const before = replicasBefore(history, current, periodSeconds, nowMs)
    return type === 'Pods' ? before + value : Math.ceil(before * (1 + value / 100))
  })
  return rules?.selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits)
}

function downLimit(rules: HPAScalingRules | undefined, history: ScaleHistory, current: number, nowMs: number): number {
  if (rules?.selectPolicy === 'Disabled') return current
  const limits = (rules?.policies ?? []).map(({ type, value, periodSeconds }) => {
    const before = replicasBefore(history, current, periodSeconds, nowMs)
    return type === 'Pods' ? before - value : Math.trunc(before * (1 - value / 100))
  })
  return rules?.selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits)
}

/** Notes that the target was scaled: the pace of the next steps depends on it. */
export function noteScale(
  { spec: { behavior } }: HorizontalPodAutoscaler,
  history: ScaleHistory,
  from: number,
  to: number,
  nowMs: number,
): void {
  if (!behavior) return
  const kept = (events: readonly ScaleEvent[], rules: HPAScalingRules | undefined) => {
    const longestMs = Math.max(0, ...(rules?.policies ?? []).map(({ periodSeconds }) => periodSeconds * 1000))
    return events.filter(({ atMs }) => atMs >= nowMs - longestMs)
  }
  if (to > from) history.ups = [...kept(history.ups, behavior.scaleUp), { change: to - from, atMs: nowMs }]
  else history.downs = [...kept(history.downs, behavior.scaleDown), { change: from - to, atMs: nowMs }]
}
