/** Jobs: pods that run to an end. */
import type { Job, JobSpec, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule } from '../../../api/generated/batch/v1.ts'
import type { PodTemplateSpec } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { defineResource } from '../../resource.ts'
import { containerColumns, nameToAge, selectorColumn, text } from '../columns.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { workloadWarnings } from '../core/pod-warnings.ts'
import { humanDuration } from '../duration.ts'
import { changeField, mapItems, withDefaults, withField, withMissingEntries, withPointerDefaults } from '../immutable.ts'
import { internalEqual } from '../internal-form.ts'
import { checkImmutable, IMMUTABLE, invalid, type FieldErrors } from '../rules.ts'
import { LABEL_SELECTOR } from '../workload-selector.ts'
import { validateJobStatus } from './job-status-validation.ts'
import { labelsOf, legacyLabelsOf, validateGeneratedSelector, validateJobSpec, validateSelector } from './job-validation.ts'

const MAX_INT32 = 2 ** 31 - 1
const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid'

function completions({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`
  return (spec?.parallelism ?? 0) > 1 ? `${succeeded}/1 of ${spec?.parallelism}` : `${succeeded}/1`
}

function duration({ status }: Job, nowMs: number): string {
  if (!status?.startTime) return ''
  return humanDuration((status.completionTime ? Date.parse(status.completionTime) : nowMs) - Date.parse(status.startTime))
}

function statusWord({ metadata, status }: Job): string {
  const has = (type: string): boolean => status?.conditions?.find((condition) => condition.type === type)?.status === 'True'
  if (has('Complete')) return 'Complete'
  if (has('Failed')) return 'Failed'
  if (metadata?.deletionTimestamp) return 'Terminating'
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find(has) ?? 'Running'
}

const patternDefaults = (pattern: PodFailurePolicyOnPodConditionsPattern): PodFailurePolicyOnPodConditionsPattern =>
  withDefaults(pattern, { status: 'True' })
const ruleDefaults = (rule: PodFailurePolicyRule): PodFailurePolicyRule =>
  changeField(rule, 'onPodConditions', (patterns) => mapItems(patterns, patternDefaults))

export function jobSpecDefaults(spec: JobSpec): JobSpec {
  let next = spec.completions === undefined && spec.parallelism === undefined ? { ...spec, completions: 1, parallelism: 1 } : spec
  next = withPointerDefaults(next, {
    parallelism: 1,
    backoffLimit: next.backoffLimitPerIndex === undefined ? 6 : MAX_INT32,
    completionMode: 'NonIndexed',
    suspend: false,
    podReplacementPolicy: next.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed',
    manualSelector: false,
  })
  next = changeField(next, 'podFailurePolicy', (policy) => changeField(policy, 'rules', (rules) => mapItems(rules, ruleDefaults)))
  return changeField(next, 'template', podTemplateDefaults)
}

function setDefaults(job: Job): Job {
  const next = changeField(job, 'spec', jobSpecDefaults)
  const labels = next.spec?.template?.metadata?.labels
  const hasLabels = Object.keys(next.metadata?.labels ?? {}).length > 0
  return labels && !hasLabels ? { ...next, metadata: { ...next.metadata, labels } } : next
}

/** A job's own selector: its uid, in the labels of its pods under the old and the new key. */
function generateSelector(job: Job): Job {
  const spec = job.spec
  if (!spec || spec.manualSelector) return job
  const { name = '', uid = '' } = job.metadata ?? {}
  const given = spec.template?.metadata?.labels
  const labels = withMissingEntries(given, { ...legacyLabelsOf(uid, name), ...labelsOf(uid, name) })
  const template = { ...spec.template, metadata: { ...spec.template?.metadata, labels } }
  const matchLabels = withMissingEntries(spec.selector?.matchLabels, { [CONTROLLER_UID]: uid })
  // Labels that a job has of its pods stay theirs.
  const isTheirs = given !== undefined && job.metadata?.labels === given
  const metadata = isTheirs ? { ...job.metadata, labels: labels ?? {} } : job.metadata
  return { ...job, metadata, spec: { ...spec, template, selector: { ...spec.selector, matchLabels } } }
}

/** While suspended and never started, where the pods may run can still be changed. */
function comparableTemplate(spec: JobSpec, like: JobSpec, mayMove: boolean): unknown {
  const template = spec.template
  if (!mayMove || !template?.spec) return template
  const target = like.template
  const affinity = { ...template.spec.affinity, nodeAffinity: target?.spec?.affinity?.nodeAffinity }
  return {
    ...template,
    metadata: { ...template.metadata, labels: target?.metadata?.labels, annotations: target?.metadata?.annotations },
    spec: {
      ...template.spec,
      affinity: target?.spec?.affinity || Object.values(affinity).some((value) => value !== undefined) ? affinity : undefined,
      nodeSelector: target?.spec?.nodeSelector,
      tolerations: target?.spec?.tolerations,
      schedulingGates: target?.spec?.schedulingGates,
    },
  }
}

const SHOWN = {
  completionMode: undefined,
  podFailurePolicy: 'batch/v1.PodFailurePolicy',
  backoffLimitPerIndex: undefined,
  managedBy: undefined,
  successPolicy: 'batch/v1.SuccessPolicy',
} as const

/** A suspended job of which nothing runs, or ever ran. */
const isAtRest = ({ spec, status }: Job): boolean =>
  spec?.suspend === true &&
  !status?.active &&
  (!status?.startTime || (status.conditions?.some(({ type, status: value }) => type === 'Suspended' && value === 'True') ?? false))

/** Of a job at rest, what the containers ask for may change too (KEP-5440). */
function validateTemplateUpdate(errors: FieldErrors, next: JobSpec, old: JobSpec, isResting: boolean): void {
  if (!isResting) return checkImmutable(errors, 'spec.template', next.template, old.template, 'core/v1.PodTemplateSpec')
  const [spec, before] = [next.template?.spec, old.template?.spec]
  const resized = (list: 'containers' | 'initContainers') =>
    before?.[list]?.map((container, i) => {
      const wanted = spec?.[list]?.[i]
      const isSame = spec?.[list]?.length === before[list]?.length && wanted?.name === container.name
      return isSame ? withField(container, 'resources', wanted.resources) : container
    })
  const allowed = before && { ...before, containers: resized('containers') ?? [], initContainers: resized('initContainers') }
  if (!internalEqual(spec, allowed, 'core/v1.PodSpec')) errors.push(invalid('spec.template.spec', spec, IMMUTABLE, 'core/v1.PodSpec'))
}

function validateUpdate(next: Job, old: Job): readonly FieldError[] {
  const errors = validate(next, old)
  const spec = next.spec
  const before = old.spec
  if (!spec || !before) return errors
  if (spec.completionMode !== 'Indexed') checkImmutable(errors, 'spec.completions', spec.completions, before.completions)
  else if (spec.completions !== undefined && spec.completions !== before.completions && spec.completions !== spec.parallelism) {
    errors.push(invalid('spec.completions', spec.completions, 'can only be modified in tandem with spec.parallelism'))
  }
  checkImmutable(errors, 'spec.selector', spec.selector, before.selector, LABEL_SELECTOR)
  const isResting = isAtRest(old)
  const template = comparableTemplate(before, spec, isResting)
  validateTemplateUpdate(errors, spec, { ...before, template: template as PodTemplateSpec }, isResting)
  for (const field of ['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const) {
    checkImmutable(errors, `spec.${field}`, spec[field], before[field], SHOWN[field])
  }
  return errors
}

function validate(job: Job, old?: Job): FieldErrors {
  const errors: FieldErrors = []
  const { metadata, spec } = job
  if (!spec) return errors
  const before = old?.spec?.template?.metadata?.labels
  validateGeneratedSelector(errors, job, !old || Object.keys(labelsOf('', '')).every((key) => before?.[key] !== undefined))
  validateJobSpec(errors, 'spec', spec)
  validateSelector(errors, spec)
  const { completionMode, completions = 0 } = spec
  // The controller names the pods of an indexed job by their index, and their hosts like them.
  const host = `${metadata?.name ?? ''}-${completions - 1}`
  if (completionMode === 'Indexed' && completions > 0 && dns1123LabelFaults(host).length > 0) {
    const fault = `will not able to create pod with invalid DNS label: ${host}`
    errors.push(invalid('metadata.name', metadata?.name ?? '', fault))
  }
  return errors
}

export const jobs = defineResource({
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  columns: [
    ...nameToAge(text('Status', statusWord), text('Completions', completions), text('Duration', duration)),
    ...containerColumns(({ spec }: Job) => spec?.template?.spec?.containers),
    selectorColumn(({ spec }: Job) => spec?.selector),
  ],
  fieldSelectors: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
  setDefaults,
  prepareForCreate: (job) => generateSelector(withField(setDefaults(job), 'status', {})),
  validateCreate: (job) => validate(job),
  // A job without labels has those of its pods, as upstream's defaults give it whenever it is read.
  claim: (job) => ({ object: setDefaults(job), claim: { keep() {}, release() {} } }),
  validateUpdate,
  validateStatusUpdate: validateJobStatus,
  defaultPropagation: 'Orphan',
  warnings: workloadWarnings,
})
