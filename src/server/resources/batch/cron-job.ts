/** CronJobs: jobs made by the clock. */
import type { CronJob } from '../../../api/generated/batch/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { defineResource } from '../../resource.ts'
import { containerColumns, integer, nameToAge, selectorColumn, text } from '../columns.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { templateWarnings } from '../core/pod-warnings.ts'
import { timeSince } from '../duration.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { checkNotNegative, checkRequiredOneOf, invalid, required, type FieldErrors } from '../rules.ts'
import { scheduleProblem } from '../../../api/cron-schedule.ts'
import { LABEL_SELECTOR } from '../workload-selector.ts'
import { validateJobSpec } from './job-validation.ts'

/** A job's name is the cron job's and eleven more characters, and labels pods. */
const MAX_NAME_LENGTH = 52

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    // The platform's time zone data does not know it.
    return false
  }
}

function validateTimeZone(errors: FieldErrors, path: string, zone: string | undefined): void {
  if (zone === undefined) return
  if (zone === '') errors.push(invalid(path, zone, 'timeZone must be nil or non-empty string'))
  else if (zone.toLowerCase() === 'local') {
    errors.push(invalid(path, zone, 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'))
  } else if (!/^[A-Za-z.\-_0-9+]+(\/[A-Za-z.\-_0-9+]+)*$/.test(zone) || !isTimeZone(zone))
    errors.push(invalid(path, zone, `unknown time zone ${zone}`))
}

function validate({ spec }: CronJob): readonly FieldError[] {
  const errors: FieldErrors = []
  if (!spec?.schedule) errors.push(required('spec.schedule'))
  else {
    const problem = scheduleProblem(spec.schedule)
    if (problem !== undefined) errors.push(invalid('spec.schedule', spec.schedule, problem))
    if (spec.schedule.includes('TZ')) {
      errors.push(invalid('spec.schedule', spec.schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'))
    }
  }
  checkNotNegative(errors, 'spec.startingDeadlineSeconds', spec?.startingDeadlineSeconds)
  validateTimeZone(errors, 'spec.timeZone', spec?.timeZone)
  checkRequiredOneOf(errors, 'spec.concurrencyPolicy', spec?.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'])
  const template = spec?.jobTemplate?.spec
  if (template) {
    validateJobSpec(errors, 'spec.jobTemplate.spec', template)
    const path = 'spec.jobTemplate.spec.selector'
    if (template.selector) errors.push(invalid(path, template.selector, '`selector` will be auto-generated', LABEL_SELECTOR))
    if (template.manualSelector)
      errors.push({
        type: 'FieldValueNotSupported',
        field: 'spec.jobTemplate.spec.manualSelector',
        detail: 'Unsupported value: true: supported values: "nil", "false"',
      })
  }
  checkNotNegative(errors, 'spec.successfulJobsHistoryLimit', spec?.successfulJobsHistoryLimit)
  checkNotNegative(errors, 'spec.failedJobsHistoryLimit', spec?.failedJobsHistoryLimit)
  return errors
}

export const cronJobs = defineResource({
  group: 'batch',
  version: 'v1',
  kind: 'CronJob',
  columns: [
    ...nameToAge(
      text('Schedule', ({ spec }: CronJob) => spec?.schedule ?? ''),
      text('Timezone', ({ spec }: CronJob) => spec?.timeZone ?? '<none>'),
      {
        ...text('Suspend', ({ spec }: CronJob) => (spec?.suspend === undefined ? '<unset>' : spec.suspend ? 'True' : 'False')),
        type: 'boolean',
      },
      integer('Active', ({ status }: CronJob) => status?.active?.length),
      text('Last Schedule', ({ status }: CronJob, nowMs) =>
        status?.lastScheduleTime ? timeSince(status.lastScheduleTime, nowMs) : '<none>',
      ),
    ),
    ...containerColumns(({ spec }: CronJob) => spec?.jobTemplate?.spec?.template?.spec?.containers),
    selectorColumn(({ spec }: CronJob) => spec?.jobTemplate?.spec?.selector),
  ],
  setDefaults: (cronJob) =>
    changeField(cronJob, 'spec', (spec) => {
      const next = withDefaults(spec, {
        concurrencyPolicy: 'Allow',
        suspend: false,
        successfulJobsHistoryLimit: 3,
        failedJobsHistoryLimit: 1,
      })
      return changeField(next, 'jobTemplate', (template) =>
        // The rest of the job's defaults come when it is made.
        changeField(template, 'spec', (jobSpec) => changeField(jobSpec, 'template', podTemplateDefaults)),
      )
    }),
  prepareForCreate: (cronJob) => ({ ...cronJob, status: {} }),
  validate,
  validateCreate({ metadata }) {
    const name = metadata?.name ?? ''
    return name.length > MAX_NAME_LENGTH ? [invalid('metadata.name', name, `must be no more than ${MAX_NAME_LENGTH} characters`)] : []
  },
  warnings: ({ spec }) => templateWarnings('spec.jobTemplate.spec.template', spec?.jobTemplate?.spec?.template),
})
