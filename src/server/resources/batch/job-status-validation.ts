/**
 * What a job's status may say: its own counts agree, and what has ended stays ended (upstream's validateJobStatus). What an update
 * leaves as it was is not looked at: it may have become wrong by a change of the spec, and the controller has yet to see to it.
 */
import type { Job } from '../../../api/generated/batch/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { isSemanticallyEqual } from '../immutable.ts'
import { checkNotNegative, duplicate, invalid, invalidAsWhole, required, type FieldErrors } from '../rules.ts'

const hasAs = ({ status }: Job, type: string, value: string): boolean =>
  status?.conditions?.some((condition) => condition.type === type && condition.status === value) ?? false
const has = (job: Job, type: string): boolean => hasAs(job, type, 'True')
const isFinished = (job: Job): boolean => has(job, 'Complete') || has(job, 'Failed')

type Interval = readonly [from: number, to: number]

/** Indexes as "1,3-5,7"; a text is what is wrong with them. */
export function parseIndexes(text: string, completions: number): readonly Interval[] | string {
  const found: Interval[] = []
  for (const part of text === '' ? [] : text.split(',')) {
    const bounds = part.split('-')
    if (bounds.length > 2)
      return `the fragment ${JSON.stringify(part)} violates the requirement that an index interval can have at most two parts separated by '-'`
    const numbers: number[] = []
    for (const bound of bounds) {
      if (!/^[+-]?\d+$/.test(bound)) return `cannot convert string to integer for index: ${JSON.stringify(bound)}`
      const number = Number(bound)
      if (number >= completions) return `too large index: ${JSON.stringify(bound)}`
      numbers.push(number)
    }
    const [from = 0, to = from] = numbers
    if (bounds.length > 1 && from >= to) return `non-increasing order, previous: ${from}, current: ${to}`
    const last = found.at(-1)?.[1]
    if (last !== undefined && last >= from) return `non-increasing order, previous: ${last}, current: ${from}`
    found.push([from, to])
  }
  return found
}

/** The first index that both have. */
function overlapOf(a: readonly Interval[], b: readonly Interval[]): number | undefined {
  for (const [from, to] of a) {
    const other = b.find((interval) => interval[0] <= to && interval[1] >= from)
    if (other) return Math.max(from, other[0])
  }
  return undefined
}

/** Whether what is read of a job is another than before. */
type Differs = (read: (job: Job) => unknown) => boolean

function validateIndexes(errors: FieldErrors, { spec, status = {} }: Job, differs: Differs): void {
  const { completedIndexes = '', failedIndexes } = status
  const { completions, backoffLimitPerIndex, completionMode } = spec ?? {}
  const isCompletedNew = differs((job) => job.status?.completedIndexes)
  const isFailedNew = differs((job) => job.status?.failedIndexes)
  const completed = completions === undefined ? undefined : parseIndexes(completedIndexes, completions)
  if (isCompletedNew && typeof completed === 'string')
    errors.push(invalid('status.completedIndexes', completedIndexes, `error parsing completedIndexes: ${completed}`))
  const failed = completions === undefined || failedIndexes === undefined ? undefined : parseIndexes(failedIndexes, completions)
  if (isFailedNew && typeof failed === 'string' && backoffLimitPerIndex !== undefined)
    errors.push(invalid('status.failedIndexes', failedIndexes, `error parsing failedIndexes: ${failed}`))
  if (isCompletedNew && completedIndexes && completionMode !== 'Indexed')
    errors.push(
      invalid('status.completedIndexes', completedIndexes, 'cannot set non-empty completedIndexes when non-indexed completion mode'),
    )
  if (isFailedNew && backoffLimitPerIndex === undefined && failedIndexes !== undefined)
    errors.push(invalid('status.failedIndexes', failedIndexes, 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'))
  if ((isFailedNew || isCompletedNew) && typeof failed === 'object' && typeof completed === 'object') {
    const both = overlapOf(failed, completed)
    if (both !== undefined)
      errors.push(invalid('status.failedIndexes', failedIndexes, `failedIndexes and completedIndexes overlap at index: ${both}`))
  }
}

function validateFinished(errors: FieldErrors, job: Job, differs: Differs): void {
  const { spec, status = {} } = job
  const { active = 0, startTime, completionTime, terminating = 0, ready, uncountedTerminatedPods: uncounted } = status
  const conditions = 'status.conditions'
  const [isComplete, isFailed, isTargeted, isMet] = ['Complete', 'Failed', 'FailureTarget', 'SuccessCriteriaMet'].map((type) =>
    has(job, type),
  )
  const isDone = isFinished(job)
  const changed = (type: string): boolean => differs((each) => has(each, type))
  const isCompleteNew = changed('Complete')
  const isEndNew = differs(isFinished)
  const isStartNew = differs((each) => each.status?.startTime)
  const isTimeNew = differs((each) => each.status?.completionTime)
  const isActiveNew = differs((each) => each.status?.active)
  if ((isCompleteNew || changed('Failed')) && isComplete && isFailed)
    errors.push(invalidAsWhole(conditions, 'cannot set Complete=True and Failed=true conditions'))
  if ((isCompleteNew || changed('FailureTarget')) && isComplete && isTargeted)
    errors.push(invalidAsWhole(conditions, 'cannot set Complete=True and FailureTarget=true conditions'))
  if ((isCompleteNew || isTimeNew) && completionTime !== undefined && !isComplete)
    errors.push(invalid('status.completionTime', completionTime, 'cannot set completionTime when there is no Complete=True condition'))
  if ((isCompleteNew || isTimeNew) && completionTime === undefined && isComplete)
    errors.push(required('status.completionTime', 'completionTime is required for Complete jobs'))
  if ((isStartNew || isTimeNew) && startTime !== undefined && completionTime !== undefined && completionTime < startTime)
    errors.push(invalid('status.completionTime', completionTime, 'must be equal to or after `startTime`'))
  if ((changed('Failed') || differs((each) => each.status?.failedIndexes)) && isFailed && !isTargeted)
    errors.push(invalidAsWhole(conditions, 'cannot set Failed=True condition without the FailureTarget=true condition'))
  if ((isCompleteNew || changed('SuccessCriteriaMet')) && isComplete && !isMet)
    errors.push(invalidAsWhole(conditions, 'cannot set Complete=True condition without the SuccessCriteriaMet=true condition'))
  if ((isEndNew || isActiveNew) && active > 0 && isDone)
    errors.push(invalid('status.active', active, 'active>0 is invalid for finished job'))
  const isNothing = spec?.suspend === true && spec.completions === 0
  if ((isEndNew || isStartNew) && !isNothing && startTime === undefined && isDone)
    errors.push(required('status.startTime', 'startTime is required for finished job'))
  const hasUncounted = (uncounted?.failed?.length ?? 0) + (uncounted?.succeeded?.length ?? 0) > 0
  if ((isEndNew || differs((each) => each.status?.uncountedTerminatedPods)) && isDone && hasUncounted)
    errors.push(invalid('status.uncountedTerminatedPods', uncounted, 'must be empty for finished job', 'batch/v1.UncountedTerminatedPods'))
  validateIndexes(errors, job, differs)
  if ((isEndNew || differs((each) => each.status?.terminating)) && terminating > 0 && isDone)
    errors.push(invalid('status.terminating', terminating, 'terminating>0 is invalid for finished job'))
  if ((isActiveNew || differs((each) => each.status?.ready)) && ready !== undefined && ready > active)
    errors.push(invalid('status.ready', ready, 'cannot set more ready pods than active'))
  if (isMet && isFailed) errors.push(invalidAsWhole(conditions, 'cannot set SuccessCriteriaMet=True and Failed=true conditions'))
  if (isMet && isTargeted) errors.push(invalidAsWhole(conditions, 'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions'))
  if (spec?.successPolicy && !isMet && isComplete)
    errors.push(invalidAsWhole(conditions, 'cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True'))
}

export function validateJobStatus(next: Job, old: Job): readonly FieldError[] {
  const errors: FieldErrors = []
  const { spec, status = {} } = next
  const before = old.status ?? {}
  for (const field of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const)
    checkNotNegative(errors, `status.${field}`, status[field])
  const seen = new Set<string>()
  for (const list of ['succeeded', 'failed'] as const) {
    status.uncountedTerminatedPods?.[list]?.forEach((uid, i) => {
      const at = `status.uncountedTerminatedPods.${list}[${i}]`
      if (uid === '') errors.push(invalid(at, uid, 'must not be empty'))
      else if (seen.has(uid)) errors.push(duplicate(at, uid))
      seen.add(uid)
    })
  }
  validateFinished(errors, next, (read) => !isSemanticallyEqual(read(next), read(old)))
  for (const type of ['Failed', 'Complete', 'FailureTarget'])
    if (has(old, type) && !has(next, type))
      errors.push(invalidAsWhole('status.conditions', `cannot disable the terminal ${type}=True condition`))
  // An indexed job with as many pods at once as completions can be made smaller.
  const mayShrink = spec?.completionMode === 'Indexed' && spec.completions === spec.parallelism
  for (const field of ['failed', 'succeeded'] as const) {
    if ((status[field] ?? 0) < (before[field] ?? 0) && !(field === 'succeeded' && mayShrink))
      errors.push(invalid(`status.${field}`, status[field] ?? 0, `cannot decrease the ${field} counter`))
  }
  if (status.completionTime !== undefined && before.completionTime !== undefined && status.completionTime !== before.completionTime)
    errors.push(invalid('status.completionTime', status.completionTime, 'field is immutable'))
  const isResuming = has(old, 'Suspended') && hasAs(next, 'Suspended', 'False')
  if (before.startTime !== undefined && status.startTime !== before.startTime && !spec?.suspend && !isResuming)
    errors.push(invalid('status.startTime', status.startTime, 'field is immutable for unsuspended job once set'))
  const [wasMet, isMet] = [has(old, 'SuccessCriteriaMet'), has(next, 'SuccessCriteriaMet')]
  if (wasMet && !isMet) errors.push(invalidAsWhole('status.conditions', 'cannot disable the SuccessCriteriaMet=True condition'))
  if (has(old, 'Complete') && !wasMet && isMet) {
    const fault = 'cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions'
    errors.push(invalidAsWhole('status.conditions', fault))
  }
  return errors
}
