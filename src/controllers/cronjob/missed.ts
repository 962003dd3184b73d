/** Which times of a schedule have passed without a Job. */
import type { CronJob } from '../../api/generated/batch/v1.ts'
import { timeOf } from '../pods/pod-state.ts'
import type { Schedule } from './schedule.ts'

export interface Missed {
  /** The schedule counts from here. */
  readonly earliestMs: number
  /** The latest time that is due. */
  readonly recentMs: number | undefined
  readonly count: 'none' | 'few' | 'many'
}

/** More than this is likely a clock that was wrong: it is told. */
const MANY = 100
/** Added to a wait, for clocks that are not quite alike. */
const PADDING_MS = 100

/** Undefined for a schedule that never comes (the 31st of February). */
export function findMissed(
  { metadata, spec, status }: CronJob,
  nowMs: number,
  schedule: Schedule,
  { withinDeadline }: { readonly withinDeadline: boolean },
): Missed | undefined {
  let earliestMs = timeOf(status?.lastScheduleTime ?? metadata?.creationTimestamp) ?? nowMs
  if (withinDeadline && spec.startingDeadlineSeconds !== undefined)
    earliestMs = Math.max(earliestMs, nowMs - spec.startingDeadlineSeconds * 1000)
  const first = schedule.next(earliestMs)
  if (first !== undefined && nowMs < first) return { earliestMs, recentMs: undefined, count: 'none' }
  const second = first === undefined ? undefined : schedule.next(first)
  if (first === undefined || second === undefined) return undefined
  if (nowMs < second) return { earliestMs, recentMs: first, count: 'none' }
  const intervalMs = Math.round((second - first) / 1000) * 1000
  // An estimate, good for even schedules: the search begins shortly before now and not in the far past.
  const missed = Math.floor((nowMs - first) / intervalMs) + 1
  let recentMs: number | undefined
  for (let at = schedule.next(first + (missed - 2) * intervalMs); at !== undefined && at <= nowMs; at = schedule.next(at)) recentMs = at
  return { earliestMs, recentMs, count: missed > MANY ? 'many' : 'few' }
}

/** How long until the schedule must be looked at again. */
export function nextAfterMs(cronJob: CronJob, nowMs: number, schedule: Schedule): number | undefined {
  const missed = findMissed(cronJob, nowMs, schedule, { withinDeadline: false })
  const fromMs = missed?.recentMs ?? (missed?.count === 'none' ? missed.earliestMs : nowMs)
  const next = schedule.next(fromMs)
  return next === undefined ? undefined : Math.max(0, next - nowMs) + PADDING_MS
}
