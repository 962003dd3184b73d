/**
 * Decides the next step of a Job from a snapshot. No clock, no I/O.
 *
 * What stays true: a pod is counted exactly once. A pod that has ended is first noted by uid in the status, only then loses its
 * finalizer, and only when it has lost that does it move from the note into the counters. Each of the three is a step of its own,
 * so that a crash between any two changes nothing. The Job ends in the same manner: first the reason is written
 * (SuccessCriteriaMet, FailureTarget), and when every pod is counted and gone, Complete or Failed.
 */
import type { Job, JobCondition, JobStatus } from '../../api/generated/batch/v1.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import { findCondition, withCondition } from '../conditions.ts'
import { selectPodsToDelete } from '../pods/deletion-order.ts'
import { isPodActive, isPodReady, isPodTerminating, timeOf } from '../pods/pod-state.ts'
import { judgeFailure } from './failure-policy.ts'
import { formatIndexes, parseIndexes } from './indexes.ts'
import {
  completionIndexOf,
  finishedAt,
  hasIndexLimit,
  ignoredIndexFailures,
  indexFailures,
  isIndexed,
  isPodFailed,
  isSuspended,
  isTracked,
  replacesOnlyFailed,
  restartsOf,
} from './job-pods.ts'

export const MAX_CREATE_OR_DELETE = 500
/** Uids that the status notes at most: it must stay small. */
const MAX_UNCOUNTED = 500
const BACK_OFF_MS = 10_000
const MAX_BACK_OFF_MS = 600_000

/** Failures in a row, for the back-off before replacements. */
export interface BackOffRecord {
  readonly failures: number
  readonly lastMs: number
}

export interface JobInput {
  readonly job: Job
  /** All pods that it owns. */
  readonly pods: readonly Pod[]
  readonly backOff: BackOffRecord | undefined
  readonly nowMs: number
  readonly now: string
}

export interface PodToCreate {
  readonly index: number | undefined
  /** Of the index so far; undefined where indexes have no limit of their own. */
  readonly failures: number | undefined
  readonly ignoredFailures: number | undefined
}

export interface JobPlan {
  readonly create: readonly PodToCreate[]
  readonly delete: readonly Pod[]
  readonly status: JobStatus
  /** Pods to take the finalizer off, after the status was written. */
  readonly release: readonly Pod[]
  readonly events: readonly (readonly [type: 'Normal' | 'Warning', reason: string, message: string])[]
  readonly backOff: BackOffRecord | undefined
  readonly afterMs: number | undefined
}

export const isFinished = (job: Job): boolean =>
  job.status?.conditions?.some(({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True') ?? false

const isTrue = (condition: JobCondition | undefined): condition is JobCondition => condition?.status === 'True'

export function planJob(input: JobInput): JobPlan {
  return new JobStep(input).plan()
}

class JobStep {
  readonly #job: Job
  readonly #pods: readonly Pod[]
  readonly #input: JobInput
  readonly #completions: number | undefined
  readonly #active: readonly Pod[]
  readonly #noted: { readonly succeeded: Set<string>; readonly failed: Set<string> }
  readonly #counted: { succeeded: number; failed: number }
  readonly #succeededIndexes: Set<number>
  readonly #failedIndexes: Set<number> | undefined
  readonly #events: (readonly ['Normal' | 'Warning', string, string])[] = []
  #conditions: readonly JobCondition[]
  #startTime: string | undefined
  #afterMs: number | undefined

  constructor(input: JobInput) {
    const { job, pods } = input
    this.#input = input
    this.#job = job
    this.#pods = pods
    this.#completions = job.spec?.completions
    this.#active = pods.filter(isPodActive)
    this.#conditions = job.status?.conditions ?? []
    this.#startTime = job.status?.startTime ?? (isSuspended(job) ? undefined : input.now)
    const tracked = new Set(pods.filter(isTracked).map((pod) => pod.metadata!.uid!))
    const { succeeded = [], failed = [] } = job.status?.uncountedTerminatedPods ?? {}
    // Noted pods that have lost their finalizer, or are gone, now move into the counters.
    this.#noted = {
      succeeded: new Set(succeeded.filter((uid) => tracked.has(uid))),
      failed: new Set(failed.filter((uid) => tracked.has(uid))),
    }
    this.#counted = {
      succeeded: (job.status?.succeeded ?? 0) + succeeded.length - this.#noted.succeeded.size,
      failed: (job.status?.failed ?? 0) + failed.length - this.#noted.failed.size,
    }
    this.#succeededIndexes = this.#findSucceededIndexes()
    this.#failedIndexes = hasIndexLimit(job) ? this.#findFailedIndexes() : undefined
  }

  plan(): JobPlan {
    const fresh = this.#freshlyFinished()
    const backOff = nextBackOff(this.#input.backOff, fresh)
    const succeeded = isIndexed(this.#job)
      ? this.#succeededIndexes.size
      : this.#counted.succeeded + this.#noted.succeeded.size + fresh.succeeded.length
    const failures = fresh.failed.filter((pod) => judgeFailure(this.#job, pod).isCounted).length
    const failed = this.#counted.failed + this.#noted.failed.size + failures

    const isDecided = this.#decided() !== undefined
    const target = this.#decided() ?? this.#decide(succeeded, failed)
    const doomed = target ? this.#active : []
    const change = target ? { create: [], delete: doomed } : this.#manage(succeeded, backOff)
    const activeCount = this.#active.length - change.delete.length + change.create.length
    const end =
      target ??
      (this.#isComplete(succeeded, activeCount)
        ? this.#condition('SuccessCriteriaMet', 'CompletionsReached', 'Reached expected number of succeeded pods')
        : undefined)
    if (end && !isDecided) this.#conditions = withCondition(this.#conditions, end)
    if (!end && !this.#job.metadata?.deletionTimestamp) this.#markSuspension()

    const release = this.#noteFinished(end)
    const terminating = this.#pods.filter(isPodTerminating).length + change.delete.length
    const isOver =
      isDecided &&
      release.length === 0 &&
      this.#noted.succeeded.size === 0 &&
      this.#noted.failed.size === 0 &&
      terminating === 0 &&
      activeCount === 0
    const completionTime = isOver ? this.#finish(end!, succeeded) : undefined
    return {
      ...change,
      release,
      events: this.#events,
      backOff,
      afterMs: this.#afterMs,
      status: this.#status(activeCount, terminating, change.delete, completionTime),
    }
  }

  #condition(type: string, reason: string, message: string): JobCondition {
    const { now } = this.#input
    return { type, status: 'True', lastProbeTime: now, lastTransitionTime: now, reason, message }
  }

  /** How it was decided before that the Job ends. */
  #decided(): JobCondition | undefined {
    const success = findCondition(this.#job.status?.conditions, 'SuccessCriteriaMet')
    if (isTrue(success)) return success
    const failure = findCondition(this.#job.status?.conditions, 'FailureTarget')
    return isTrue(failure) ? failure : undefined
  }

  #isValid(pod: Pod): boolean {
    if (!isTracked(pod)) return false
    const index = completionIndexOf(pod)
    return !isIndexed(this.#job) || (index >= 0 && index < (this.#completions ?? 0))
  }

  /** Pods that have ended and are neither counted nor noted. */
  #freshlyFinished(): { succeeded: readonly Pod[]; failed: readonly Pod[] } {
    const isFresh = (pod: Pod, noted: ReadonlySet<string>) => this.#isValid(pod) && !noted.has(pod.metadata!.uid!)
    return {
      succeeded: this.#pods.filter((pod) => pod.status?.phase === 'Succeeded' && isFresh(pod, this.#noted.succeeded)),
      failed: this.#pods.filter((pod) => isPodFailed(pod, this.#job) && isFresh(pod, this.#noted.failed)),
    }
  }

  #findSucceededIndexes(): Set<number> {
    if (!isIndexed(this.#job)) return new Set()
    const indexes = parseIndexes(this.#job.status?.completedIndexes, this.#completions ?? 0)
    for (const pod of this.#pods) if (pod.status?.phase === 'Succeeded' && this.#isValid(pod)) indexes.add(completionIndexOf(pod))
    return indexes
  }

  #findFailedIndexes(): Set<number> {
    const indexes = parseIndexes(this.#job.status?.failedIndexes, this.#completions ?? 0)
    const limit = this.#job.spec!.backoffLimitPerIndex!
    for (const pod of this.#pods) {
      if (!this.#isValid(pod) || !isPodFailed(pod, this.#job)) continue
      const { action, isCounted } = judgeFailure(this.#job, pod)
      if (action === 'FailIndex' || (isCounted && indexFailures(pod) >= limit)) indexes.add(completionIndexOf(pod))
    }
    return indexes
  }

  /** Whether the Job must end now, and why. */
  #decide(succeeded: number, failed: number): JobCondition | undefined {
    const { spec, metadata } = this.#job
    const fail = (reason: string, message: string) => this.#condition('FailureTarget', reason, message)
    if (spec?.podFailurePolicy) {
      for (const pod of this.#pods) {
        const verdict = isPodFailed(pod, this.#job) ? judgeFailure(this.#job, pod) : undefined
        if (verdict?.message) return fail('PodFailurePolicy', verdict.message)
      }
    }
    const limit = spec?.backoffLimit ?? 6
    const restarts = spec?.template.spec?.restartPolicy === 'OnFailure' ? restartsOf(this.#pods) : 0
    if (failed > limit || (restarts > 0 && restarts >= limit))
      return fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
    if (spec?.activeDeadlineSeconds !== undefined && !isSuspended(this.#job) && this.#startTime !== undefined) {
      const remaining = timeOf(this.#startTime)! + spec.activeDeadlineSeconds * 1000 - this.#input.nowMs
      if (remaining <= 0 && this.#job.status?.startTime) return fail('DeadlineExceeded', 'Job was active longer than specified deadline')
      this.#lookAgain(remaining)
    }
    if (!isIndexed(this.#job) || metadata?.deletionTimestamp) return undefined
    return this.#decideByIndexes(succeeded)
  }

  #decideByIndexes(succeeded: number): JobCondition | undefined {
    const { spec } = this.#job
    const failedCount = this.#failedIndexes?.size ?? 0
    if (spec?.maxFailedIndexes !== undefined && failedCount > spec.maxFailedIndexes) {
      return this.#condition('FailureTarget', 'MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes')
    }
    if (failedCount > 0 && failedCount + succeeded >= (this.#completions ?? 0))
      return this.#condition('FailureTarget', 'FailedIndexes', 'Job has failed indexes')
    for (const [i, rule] of (spec?.successPolicy?.rules ?? []).entries()) {
      const wanted = rule.succeededIndexes === undefined ? undefined : parseIndexes(rule.succeededIndexes, this.#completions ?? 0)
      const met = wanted ? [...wanted].filter((index) => this.#succeededIndexes.has(index)).length : succeeded
      const isAll = wanted !== undefined && wanted.size > 0 && met === wanted.size
      if (succeeded > 0 && (isAll || (rule.succeededCount !== undefined && met >= rule.succeededCount)))
        return this.#condition('SuccessCriteriaMet', 'SuccessPolicy', `Matched rules at index ${i}`)
    }
    return undefined
  }

  #lookAgain(ms: number): void {
    this.#afterMs = Math.min(this.#afterMs ?? Infinity, Math.max(0, ms))
  }

  /** Pods to make or delete while the Job goes on. */
  #manage(succeeded: number, backOff: BackOffRecord | undefined): { create: readonly PodToCreate[]; delete: readonly Pod[] } {
    const job = this.#job
    if (job.metadata?.deletionTimestamp) return { create: [], delete: [] }
    if (isSuspended(job)) return { create: [], delete: this.#active }
    const parallelism = job.spec?.parallelism ?? 1
    const remaining =
      this.#completions === undefined ? (succeeded > 0 ? this.#active.length : parallelism) : Math.max(0, this.#completions - succeeded)
    const wanted = this.#completions === undefined ? remaining : Math.min(remaining, parallelism)
    const surplus = this.#surplus(Math.max(0, this.#active.length - wanted))
    if (surplus.length > 0) return { create: [], delete: surplus.slice(0, MAX_CREATE_OR_DELETE) }
    const terminating = replacesOnlyFailed(job) ? this.#pods.filter(isPodTerminating).length : 0
    const missing = Math.min(wanted - terminating - this.#active.length, MAX_CREATE_OR_DELETE)
    if (missing <= 0) return { create: [], delete: [] }
    if (!hasIndexLimit(job)) {
      const waitMs = backOff ? backOffMs(backOff, this.#input.nowMs) : 0
      if (waitMs > 0) {
        this.#lookAgain(waitMs)
        return { create: [], delete: [] }
      }
    }
    if (!isIndexed(job))
      return {
        create: Array.from({ length: missing }, () => ({ index: undefined, failures: undefined, ignoredFailures: undefined })),
        delete: [],
      }
    return { create: this.#createIndexed(missing), delete: [] }
  }

  /** Pods too many: those of an index that has another already, then those that serve least. */
  #surplus(atLeast: number): readonly Pod[] {
    const surplus: Pod[] = []
    let left = this.#active
    if (isIndexed(this.#job)) {
      const seen = new Set<number>()
      left = this.#active.filter((pod) => {
        const index = completionIndexOf(pod)
        const isSpare = index < 0 || index >= (this.#completions ?? 0) || seen.has(index)
        seen.add(index)
        if (isSpare) surplus.push(pod)
        return !isSpare
      })
    }
    if (surplus.length < atLeast) surplus.push(...selectPodsToDelete(left, [], atLeast - surplus.length, this.#input.nowMs))
    return surplus
  }

  #createIndexed(count: number): readonly PodToCreate[] {
    const taken = new Set([...this.#succeededIndexes, ...(this.#failedIndexes ?? []), ...this.#active.map(completionIndexOf)])
    if (replacesOnlyFailed(this.#job)) for (const pod of this.#pods) if (isPodTerminating(pod)) taken.add(completionIndexOf(pod))
    const awaiting = this.#awaitingReplacement()
    const create: PodToCreate[] = []
    for (let index = 0; index < (this.#completions ?? 0) && create.length < count; index++) {
      if (taken.has(index)) continue
      if (!this.#failedIndexes) {
        create.push({ index, failures: undefined, ignoredFailures: undefined })
        continue
      }
      const last = awaiting.get(index)
      const before = last ? indexFailures(last) + ignoredIndexFailures(last) + 1 : 0
      const waitMs = last ? backOffMs({ failures: before, lastMs: finishedAt(last) }, this.#input.nowMs) : 0
      if (waitMs > 0) {
        this.#lookAgain(waitMs)
        continue
      }
      const isCounted = last !== undefined && judgeFailure(this.#job, last).isCounted
      create.push({
        index,
        failures: (last ? indexFailures(last) : 0) + (isCounted ? 1 : 0),
        ignoredFailures: (last ? ignoredIndexFailures(last) : 0) + (last && !isCounted ? 1 : 0),
      })
    }
    return create
  }

  /** The last failed pod of each index that goes on: it holds the index's count until its replacement has taken that over. */
  #awaitingReplacement(): ReadonlyMap<number, Pod> {
    const awaiting = new Map<number, Pod>()
    if (!this.#failedIndexes) return awaiting
    const active = new Set(this.#active.map(completionIndexOf))
    for (const pod of this.#pods) {
      const index = completionIndexOf(pod)
      if (!this.#isValid(pod) || !isPodFailed(pod, this.#job)) continue
      if (this.#succeededIndexes.has(index) || this.#failedIndexes.has(index) || active.has(index)) continue
      const other = awaiting.get(index)
      if (!other || finishedAt(pod) >= finishedAt(other)) awaiting.set(index, pod)
    }
    return awaiting
  }

  #isComplete(succeeded: number, active: number): boolean {
    return this.#completions === undefined ? succeeded > 0 && active === 0 : succeeded >= this.#completions && active === 0
  }

  #markSuspension(): void {
    const current = findCondition(this.#conditions, 'Suspended')
    const isOn = current?.status === 'True'
    if (isSuspended(this.#job)) {
      if (isOn) return
      this.#conditions = withCondition(this.#conditions, this.#condition('Suspended', 'JobSuspended', 'Job suspended'))
      this.#startTime = undefined
      this.#events.push(['Normal', 'Suspended', 'Job suspended'])
    } else if (isOn) {
      this.#conditions = withCondition(this.#conditions, { ...this.#condition('Suspended', 'JobResumed', 'Job resumed'), status: 'False' })
      this.#startTime = this.#input.now
      this.#events.push(['Normal', 'Resumed', 'Job resumed'])
    }
  }

  /** Notes the pods that have ended; returns those whose finalizer may go once the status is written. */
  #noteFinished(end: JobCondition | undefined): readonly Pod[] {
    const isFailing = end?.type === 'FailureTarget'
    const awaiting = this.#awaitingReplacement()
    const release: Pod[] = []
    for (const pod of this.#pods) {
      if (!isTracked(pod)) continue
      const uid = pod.metadata!.uid!
      const isFailed = isPodFailed(pod, this.#job)
      const isSucceeded = pod.status?.phase === 'Succeeded'
      const mustStay =
        !this.#job.metadata?.deletionTimestamp && !end && !isSucceeded && (!isFailed || awaiting.get(completionIndexOf(pod)) === pod)
      if (mustStay) continue
      if (
        this.#noted.succeeded.size + this.#noted.failed.size >= MAX_UNCOUNTED &&
        !this.#noted.succeeded.has(uid) &&
        !this.#noted.failed.has(uid)
      )
        break
      release.push(pod)
      // An index that succeeded is noted by itself.
      if (isSucceeded && !this.#noted.failed.has(uid)) {
        if (!isIndexed(this.#job)) this.#noted.succeeded.add(uid)
      } else if ((isFailed || isFailing) && this.#isValid(pod) && judgeFailure(this.#job, pod).isCounted) this.#noted.failed.add(uid)
    }
    return release
  }

  /** Writes how it ended; returns when it was completed. */
  #finish({ type, reason, message }: JobCondition, succeeded: number): string | undefined {
    const isSuccess = type === 'SuccessCriteriaMet'
    this.#conditions = withCondition(this.#conditions, this.#condition(isSuccess ? 'Complete' : 'Failed', reason ?? '', message ?? ''))
    if (!isSuccess) this.#events.push(['Warning', reason ?? '', message ?? ''])
    else {
      if (this.#completions !== undefined && succeeded > this.#completions)
        this.#events.push(['Warning', 'TooManySucceededPods', 'Too many succeeded pods running after completion count reached'])
      this.#events.push(['Normal', 'Completed', 'Job completed'])
    }
    return isSuccess ? this.#input.now : undefined
  }

  #status(active: number, terminating: number, deleted: readonly Pod[], completionTime: string | undefined): JobStatus {
    const old = this.#job.status ?? {}
    const { startTime: _startTime, ...rest } = old
    const noted = {
      ...(this.#noted.succeeded.size > 0 ? { succeeded: [...this.#noted.succeeded] } : {}),
      ...(this.#noted.failed.size > 0 ? { failed: [...this.#noted.failed] } : {}),
    }
    return {
      ...rest,
      ...(this.#conditions.length > 0 ? { conditions: this.#conditions } : {}),
      ...(this.#startTime ? { startTime: this.#startTime } : {}),
      ...(completionTime ? { completionTime } : {}),
      active,
      ready: this.#active.filter((pod) => isPodReady(pod) && !deleted.includes(pod)).length,
      terminating,
      succeeded: isIndexed(this.#job) ? this.#succeededIndexes.size : this.#counted.succeeded,
      failed: this.#counted.failed,
      ...(isIndexed(this.#job) && this.#succeededIndexes.size > 0 ? { completedIndexes: formatIndexes(this.#succeededIndexes) } : {}),
      ...(this.#failedIndexes ? { failedIndexes: formatIndexes(this.#failedIndexes) } : {}),
      uncountedTerminatedPods: noted,
    }
  }
}

const latest = (pods: readonly Pod[]): number => Math.max(0, ...pods.map(finishedAt))

function nextBackOff(
  record: BackOffRecord | undefined,
  { succeeded, failed }: { succeeded: readonly Pod[]; failed: readonly Pod[] },
): BackOffRecord | undefined {
  if (succeeded.length === 0)
    return failed.length === 0 ? record : { failures: (record?.failures ?? 0) + failed.length, lastMs: latest(failed) }
  const since = latest(succeeded)
  const later = failed.filter((pod) => finishedAt(pod) > since)
  return later.length === 0 ? undefined : { failures: later.length, lastMs: latest(later) }
}

function backOffMs({ failures, lastMs }: BackOffRecord, nowMs: number): number {
  if (failures === 0) return 0
  return Math.max(0, lastMs + Math.min(BACK_OFF_MS * 2 ** (failures - 1), MAX_BACK_OFF_MS) - nowMs)
}
