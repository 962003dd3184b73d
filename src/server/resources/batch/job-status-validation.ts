/** What a job's status may say: its own counts agree, and what has ended stays ended (upstream's validateJobStatus). */
import type { Job } from '../../../api/generated/batch/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { checkNotNegative, duplicate, invalid, required, type FieldErrors } from '../rules.ts'

const has = ({ status }: Job, type: string): boolean =>
  status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false

/** An error that shows no value. */
const bare = (field: string, detail: string): FieldError => ({ type: 'FieldValueInvalid', field, detail: `Invalid value: ${detail}` })

/** Indexes as "1,3-5,7"; a text is what is wrong with them. */
function parseIndexes(text: string, completions: number): ReadonlySet<number> | string {
  const found = new Set<number>()
  if (text === '') return found
  let last: number | undefined
  for (const part of text.split(',')) {
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
    if (last !== undefined && last >= from) return `non-increasing order, previous: ${last}, current: ${from}`
    if (bounds.length > 1 && from >= to) return `non-increasing order, previous: ${from}, current: ${to}`
    for (let index = from; index <= to; index++) found.add(index)
    last = to
  }
  return found
}

function validateIndexes(errors: FieldErrors, { spec, status = {} }: Job): void {
  const { completedIndexes = '', failedIndexes } = status
  const completions = spec?.completions
  const completed = completions === undefined ? undefined : parseIndexes(completedIndexes, completions)
  if (typeof completed === 'string')
    errors.push(invalid('status.completedIndexes', completedIndexes, `error parsing completedIndexes: ${completed}`))
  const failed = completions === undefined || failedIndexes === undefined ? undefined : parseIndexes(failedIndexes, completions)
  if (typeof failed === 'string' && spec?.backoffLimitPerIndex !== undefined)
    errors.push(invalid('status.failedIndexes', failedIndexes, `error parsing failedIndexes: ${failed}`))
  if (completedIndexes && spec?.completionMode !== 'Indexed')
    errors.push(
      invalid('status.completedIndexes', completedIndexes, 'cannot set non-empty completedIndexes when non-indexed completion mode'),
    )
  if (spec?.backoffLimitPerIndex === undefined && failedIndexes !== undefined)
    errors.push(invalid('status.failedIndexes', failedIndexes, 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'))
  if (typeof failed === 'object' && typeof completed === 'object') {
    const both = [...failed].find((index) => completed.has(index))
    if (both !== undefined)
      errors.push(invalid('status.failedIndexes', failedIndexes, `failedIndexes and completedIndexes overlap at index: ${both}`))
  }
}

function validateFinished(errors: FieldErrors, job: Job): void {
  const { status = {} } = job
  const { active = 0, startTime, completionTime, terminating = 0, ready, uncountedTerminatedPods: uncounted } = status
  const conditions = 'status.conditions'
  const [isComplete, isFailed] = [has(job, 'Complete'), has(job, 'Failed')]
  const isFinished = isComplete || isFailed
  if (isComplete && isFailed) errors.push(bare(conditions, 'cannot set Complete=True and Failed=true conditions'))
  if (isComplete && has(job, 'FailureTarget')) errors.push(bare(conditions, 'cannot set Complete=True and FailureTarget=true conditions'))
  if (completionTime !== undefined && !isComplete)
    errors.push(invalid('status.completionTime', completionTime, 'cannot set completionTime when there is no Complete=True condition'))
  if (completionTime === undefined && isComplete)
    errors.push(required('status.completionTime', 'completionTime is required for Complete jobs'))
  if (startTime !== undefined && completionTime !== undefined && completionTime < startTime)
    errors.push(invalid('status.completionTime', completionTime, 'must be equal to or after `startTime`'))
  if (isFailed && !has(job, 'FailureTarget'))
    errors.push(bare(conditions, 'cannot set Failed=True condition without the FailureTarget=true condition'))
  if (isComplete && !has(job, 'SuccessCriteriaMet'))
    errors.push(bare(conditions, 'cannot set Complete=True condition without the SuccessCriteriaMet=true condition'))
  if (active > 0 && isFinished) errors.push(invalid('status.active', active, 'active>0 is invalid for finished job'))
  if (startTime === undefined && isFinished) errors.push(required('status.startTime', 'startTime is required for finished job'))
  if (isFinished && (uncounted?.failed?.length ?? 0) + (uncounted?.succeeded?.length ?? 0) > 0)
    errors.push(invalid('status.uncountedTerminatedPods', uncounted, 'must be empty for finished job', 'batch/v1.UncountedTerminatedPods'))
  validateIndexes(errors, job)
  if (terminating > 0 && isFinished) errors.push(invalid('status.terminating', terminating, 'terminating>0 is invalid for finished job'))
  if (ready !== undefined && ready > active) errors.push(invalid('status.ready', ready, 'cannot set more ready pods than active'))
  if (!has(job, 'SuccessCriteriaMet')) return
  if (isFailed) errors.push(bare(conditions, 'cannot set SuccessCriteriaMet=True and Failed=true conditions'))
  if (has(job, 'FailureTarget')) errors.push(bare(conditions, 'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions'))
}

export function validateJobStatus(next: Job, old: Job): readonly FieldError[] {
  const errors: FieldErrors = []
  const { status = {} } = next
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
  validateFinished(errors, next)
  for (const type of ['Failed', 'Complete', 'FailureTarget'])
    if (has(old, type) && !has(next, type)) errors.push(bare('status.conditions', `cannot disable the terminal ${type}=True condition`))
  for (const field of ['failed', 'succeeded'] as const) {
    if ((status[field] ?? 0) < (before[field] ?? 0))
      errors.push(invalid(`status.${field}`, status[field] ?? 0, `cannot decrease the ${field} counter`))
  }
  if (status.completionTime !== undefined && before.completionTime !== undefined && status.completionTime !== before.completionTime)
    errors.push(invalid('status.completionTime', status.completionTime, 'field is immutable'))
  if (before.startTime !== undefined && status.startTime !== before.startTime && !next.spec?.suspend)
    errors.push(invalid('status.startTime', status.startTime, 'field is immutable for unsuspended job once set'))
  if (has(old, 'SuccessCriteriaMet') && !has(next, 'SuccessCriteriaMet'))
    errors.push(bare('status.conditions', 'cannot disable the SuccessCriteriaMet=True condition'))
  return errors
}
