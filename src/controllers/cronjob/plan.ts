/**
 * What a CronJob needs (upstream's controller version 2): first its Jobs are taken stock of (`planStock`), then is decided whether
 * one is due (`planStart`).
 */
import type { CronJob, CronJobStatus, Job } from '../../api/generated/batch/v1.ts'
import type { ObjectReference } from '../../api/generated/core/v1.ts'
import { scheduleProblem } from '../../api/cron-schedule.ts'
import { timeOf } from '../pods/pod-state.ts'
import { findMissed, nextAfterMs } from './missed.ts'
import { findZone, parseSchedule, UTC, zonedTimestamp, type Zone } from './schedule.ts'

export type Event = readonly [type: 'Normal' | 'Warning', reason: string, message: string]

export interface Stock {
  /** The very status that was passed in when nothing differs. */
  readonly status: CronJobStatus
  /** Jobs beyond the limits of history, oldest first. */
  readonly expired: readonly Job[]
  /** Active Jobs that are not among the known ones: to be asked for before they are given up. */
  readonly unseen: readonly ObjectReference[]
  readonly events: readonly Event[]
}

const endOf = ({ status }: Job): string | undefined =>
  status?.conditions?.find(({ type, status: value }) => (type === 'Complete' || type === 'Failed') && value === 'True')?.type

export const isActive = ({ active }: CronJobStatus, uid: string | undefined): boolean => active?.some((one) => one.uid === uid) ?? false

export function withoutActive(status: CronJobStatus, uid: string | undefined): CronJobStatus {
  const { active = [], ...rest } = status
  const left = active.filter((one) => one.uid !== uid)
  return left.length > 0 ? { ...rest, active: left } : rest
}

export function planStock({ spec, status: before = {} }: CronJob, jobs: readonly Job[]): Stock {
  const events: Event[] = []
  let status = before
  for (const job of jobs) {
    const { name, uid } = job.metadata!
    const end = endOf(job)
    if (end === undefined) {
      if (!isActive(status, uid))
        events.push(['Warning', 'UnexpectedJob', `Saw a job that the controller did not create or forgot: ${name}`])
      continue
    }
    if (isActive(status, uid)) {
      status = withoutActive(status, uid)
      events.push(['Normal', 'SawCompletedJob', `Saw completed job: ${name}, condition: ${end}`])
    }
    const completed = job.status?.completionTime
    const isLater = completed !== undefined && (timeOf(completed) ?? 0) > (timeOf(status.lastSuccessfulTime) ?? -Infinity)
    if (end === 'Complete' && isLater) status = { ...status, lastSuccessfulTime: completed }
  }
  const known = new Set(jobs.map(({ metadata }) => metadata?.uid))
  return {
    status,
    expired: [...oldest(jobs, 'Complete', spec.successfulJobsHistoryLimit), ...oldest(jobs, 'Failed', spec.failedJobsHistoryLimit)],
    unseen: (status.active ?? []).filter(({ uid }) => !known.has(uid)),
    events,
  }
}

function oldest(jobs: readonly Job[], end: string, limit: number | undefined): readonly Job[] {
  if (limit === undefined) return []
  const startOf = (job: Job): number => timeOf(job.status?.startTime) ?? Infinity
  const ended = jobs.filter((job) => endOf(job) === end && !job.metadata?.deletionTimestamp)
  const byStart = ended.toSorted((a, b) => {
    const [first, second] = [startOf(a), startOf(b)]
    return first === second ? (a.metadata!.name! < b.metadata!.name! ? -1 : 1) : first < second ? -1 : 1
  })
  return byStart.slice(0, Math.max(0, ended.length - limit))
}

export interface StartPlan {
  /** The time for which a Job is to be made. */
  readonly scheduledMs?: number
  /** In the zone of the schedule. */
  readonly scheduledTimestamp?: string
  /** Active Jobs that make way. */
  readonly replace?: readonly ObjectReference[]
  readonly afterMs?: number | undefined
  readonly events: readonly Event[]
}

export const jobNameOf = (cronJob: CronJob, scheduledMs: number): string => `${cronJob.metadata?.name}-${Math.floor(scheduledMs / 60_000)}`

export function planStart(cronJob: CronJob, nowMs: number): StartPlan {
  const { metadata, spec, status } = cronJob
  if (metadata?.deletionTimestamp) return { events: [] }
  const zone = zoneOf(spec.timeZone)
  if (!zone)
    return {
      events: [['Warning', 'UnknownTimeZone', `invalid timeZone: ${JSON.stringify(spec.timeZone)}: unknown time zone ${spec.timeZone}`]],
    }
  if (spec.suspend) return { events: [] }
  const problem = scheduleProblem(spec.schedule)
  if (problem !== undefined)
    return { events: [['Warning', 'UnparseableSchedule', `unparseable schedule: ${JSON.stringify(spec.schedule)} : ${problem}`]] }
  const schedule = parseSchedule(spec.schedule, zone)
  const missed = findMissed(cronJob, nowMs, schedule, { withinDeadline: true })
  if (!missed) {
    const message = `invalid schedule: ${spec.schedule} : time difference between two schedules is less than 1 second`
    return { events: [['Warning', 'InvalidSchedule', message]] }
  }
  const afterMs = nextAfterMs(cronJob, nowMs, schedule)
  const { recentMs } = missed
  if (recentMs === undefined) return { afterMs, events: [] }
  const events: Event[] = []
  if (missed.count === 'many') {
    const message = 'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew'
    events.push(['Warning', 'TooManyMissedTimes', message])
  }
  const { startingDeadlineSeconds, concurrencyPolicy } = spec
  if (startingDeadlineSeconds !== undefined && recentMs + startingDeadlineSeconds * 1000 < nowMs) {
    const at = new Date(recentMs).toUTCString().replace('GMT', '+0000')
    return { afterMs, events: [...events, ['Warning', 'MissSchedule', `Missed scheduled time to start a job: ${at}`]] }
  }
  const active = status?.active ?? []
  const isDone = active.some(({ name }) => name === jobNameOf(cronJob, recentMs)) || timeOf(status?.lastScheduleTime) === recentMs
  if (isDone) return { afterMs, events }
  if (concurrencyPolicy === 'Forbid' && active.length > 0) {
    const message = 'Not starting job because prior execution is running and concurrency policy is Forbid'
    return { afterMs, events: [...events, ['Normal', 'JobAlreadyActive', message]] }
  }
  return {
    scheduledMs: recentMs,
    scheduledTimestamp: zonedTimestamp(recentMs, zone),
    replace: concurrencyPolicy === 'Replace' ? active : [],
    afterMs,
    events,
  }
}

const zoneOf = (name: string | undefined): Zone | undefined => (name === undefined ? UTC : findZone(name))

/** When the next Job is due after one was made for this time. */
export const afterStartMs = (cronJob: CronJob, lastScheduleTime: string, nowMs: number): number | undefined =>
  nextAfterMs(
    { ...cronJob, status: { ...cronJob.status, lastScheduleTime } },
    nowMs,
    parseSchedule(cronJob.spec.schedule, zoneOf(cronJob.spec.timeZone) ?? UTC),
  )
