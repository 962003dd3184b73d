/** Rules of job specs, in jobs and in the templates of cron jobs. */
import type { Job, JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule } from '../../../api/generated/batch/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { compileLabelSelector } from '../../../api/selectors.ts'
import { validatePodTemplate } from '../core/pod-validation.ts'
import { validateLabelSelector } from '../object-meta.ts'
import {
  checkDomainPrefixedPath,
  checkFormat,
  checkNotNegative,
  checkOneOf,
  duplicate,
  invalid,
  invalidAsWhole,
  notSupported,
  required,
  tooLong,
  tooMany,
  type FieldErrors,
} from '../rules.ts'
import { LABEL_SELECTOR } from '../workload-selector.ts'
import { parseIndexes } from './job-status-validation.ts'

const MAX_INDEXED_PARALLELISM = 100_000
const MAX_FAILED_INDEXES = 100_000
const COMPLETIONS_SOFT_LIMIT = 100_000
const HIGH_COMPLETIONS_LIMIT = 10_000
const MAX_FAILURE_RULES = 20
const MAX_EXIT_CODES = 255
const MAX_CONDITION_PATTERNS = 20
const MAX_MANAGER_LENGTH = 63
const MAX_SUCCESS_RULES = 20
const MAX_INDEXES_BYTES = 64 * 1024
const INDEXED_ONLY = 'requires indexed completion mode'

/** The labels of a job's pods, under their first names and under those of today. */
export const legacyLabelsOf = (uid: string, name: string) => ({ 'controller-uid': uid, 'job-name': name })
export const labelsOf = (uid: string, name: string) => ({
  'batch.kubernetes.io/controller-uid': uid,
  'batch.kubernetes.io/job-name': name,
})

/** Whether the selector is there and picks the job's own pods. */
export function validateSelector(errors: FieldErrors, spec: JobSpec): void {
  const before = errors.length
  if (!spec.selector) errors.push(required('spec.selector'))
  else validateLabelSelector(errors, 'spec.selector', spec.selector)
  if (spec.selector && errors.length > before) return
  const labels = spec.template?.metadata?.labels
  // No selector picks nothing.
  if (!spec.selector || !compileLabelSelector(spec.selector)(labels ?? {})) {
    errors.push(
      invalid('spec.template.metadata.labels', asGiven(spec.template?.metadata, 'labels'), '`selector` does not match template `labels`'),
    )
  }
}

/** Whether a selector that was made for the job picks its pods and no others: by labels that name it. */
export function validateGeneratedSelector(errors: FieldErrors, { metadata, spec }: Job, hasNewLabels: boolean): void {
  if (!spec?.selector || spec.manualSelector) return
  const { name = '', uid = '' } = metadata ?? {}
  if (uid === '') errors.push(required('metadata.uid'))
  const expected = hasNewLabels ? { ...legacyLabelsOf(uid, name), ...labelsOf(uid, name) } : legacyLabelsOf(uid, name)
  const labels = spec.template?.metadata?.labels
  for (const [key, value] of Object.entries(expected)) {
    const path = `spec.template.metadata.labels[${key}]`
    if (labels?.[key] === undefined) errors.push(required(path, `must be '${value}'`))
    else if (labels[key] !== value) errors.push(invalid(path, labels, `must be '${value}'`))
  }
  if (!compileLabelSelector(spec.selector)(expected))
    errors.push(invalid('spec.selector', spec.selector, '`selector` not auto-generated', LABEL_SELECTOR))
}

function validateIndexed(errors: FieldErrors, path: string, spec: JobSpec): void {
  const { completions, parallelism, maxFailedIndexes, backoffLimitPerIndex } = spec
  const atMost = (field: 'parallelism' | 'maxFailedIndexes', most: number, why: string): void => {
    const value = spec[field]
    if (value !== undefined && value > most) errors.push(invalid(`${path}.${field}`, value, `must be less than or equal to ${why}`))
  }
  if (completions === undefined) errors.push(required(`${path}.completions`, 'when completion mode is Indexed'))
  atMost('parallelism', MAX_INDEXED_PARALLELISM, `${MAX_INDEXED_PARALLELISM} when completion mode is Indexed`)
  if (completions !== undefined) atMost('maxFailedIndexes', completions, 'completions')
  atMost('maxFailedIndexes', MAX_FAILED_INDEXES, `${MAX_FAILED_INDEXES}`)
  if (completions === undefined || completions <= COMPLETIONS_SOFT_LIMIT || backoffLimitPerIndex === undefined) return
  if (maxFailedIndexes === undefined)
    errors.push(required(`${path}.maxFailedIndexes`, `must be specified when completions is above ${COMPLETIONS_SOFT_LIMIT}`))
  const why = `${HIGH_COMPLETIONS_LIMIT} when completions are above ${COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index`
  if (parallelism !== undefined) atMost('parallelism', HIGH_COMPLETIONS_LIMIT, why)
  atMost('maxFailedIndexes', HIGH_COMPLETIONS_LIMIT, why)
}

function validateFailureRule(errors: FieldErrors, path: string, rule: PodFailurePolicyRule, spec: JobSpec): void {
  const { action, onExitCodes, onPodConditions } = rule
  if (!action) errors.push(required(`${path}.action`, 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'))
  else if (action === 'FailIndex') {
    if (spec.backoffLimitPerIndex === undefined)
      errors.push(invalid(`${path}.action`, action, 'requires the backoffLimitPerIndex to be set'))
  } else checkOneOf(errors, `${path}.action`, action, ['Count', 'FailIndex', 'FailJob', 'Ignore'])
  if (onExitCodes) {
    const at = `${path}.onExitCodes`
    const { operator, containerName } = onExitCodes
    if (!operator) errors.push(required(`${at}.operator`, 'valid values: ["In" "NotIn"]'))
    else checkOneOf(errors, `${at}.operator`, operator, ['In', 'NotIn'])
    const names = [...(spec.template?.spec?.containers ?? []), ...(spec.template?.spec?.initContainers ?? [])].map(({ name }) => name)
    if (containerName !== undefined && !names.includes(containerName)) {
      errors.push(invalid(`${at}.containerName`, containerName, 'must be one of the container or initContainer names in the pod template'))
    }
    validateExitCodes(errors, `${at}.values`, onExitCodes)
  }
  const conditions = onPodConditions ?? []
  if (conditions.length > MAX_CONDITION_PATTERNS) errors.push(tooMany(`${path}.onPodConditions`, conditions.length, MAX_CONDITION_PATTERNS))
  conditions.forEach(({ type, status }, i) => {
    checkFormat(errors, `${path}.onPodConditions[${i}].type`, type ?? '', qualifiedNameFaults)
    checkOneOf(errors, `${path}.onPodConditions[${i}].status`, status, ['False', 'True', 'Unknown'])
  })
  if (onExitCodes && conditions.length > 0)
    errors.push(invalidAsWhole(path, 'specifying both OnExitCodes and OnPodConditions is not supported'))
  if (!onExitCodes && conditions.length === 0)
    errors.push(invalidAsWhole(path, 'specifying one of OnExitCodes and OnPodConditions is required'))
}

function validateExitCodes(errors: FieldErrors, path: string, codes: Partial<PodFailurePolicyOnExitCodesRequirement>): void {
  const { operator, values } = codes
  if (!values?.length) return void errors.push(invalid(path, asGiven(codes, 'values'), 'at least one value is required'))
  if (values.length > MAX_EXIT_CODES) errors.push(tooMany(path, values.length, MAX_EXIT_CODES))
  values.forEach((value, i) => {
    if (operator === 'In' && value === 0) errors.push(invalid(`${path}[${i}]`, value, 'must not be 0 for the In operator'))
    if (values.indexOf(value) < i) errors.push(duplicate(`${path}[${i}]`, value))
  })
  if (values.some((value, i) => i > 0 && value < (values[i - 1] ?? 0))) errors.push(invalid(path, values, 'must be ordered'))
}

function validateSuccessPolicy(errors: FieldErrors, path: string, { completions = 0, successPolicy }: JobSpec): void {
  const rules = successPolicy?.rules ?? []
  if (rules.length === 0) errors.push(required(path, 'at least one rules must be specified when the successPolicy is specified'))
  if (rules.length > MAX_SUCCESS_RULES) errors.push(tooMany(path, rules.length, MAX_SUCCESS_RULES))
  rules.forEach(({ succeededCount: count, succeededIndexes: indexes }, i) => {
    const at = `${path}[${i}]`
    if (count === undefined && indexes === undefined)
      errors.push(required(at, 'at least one of succeededCount or succeededIndexes must be specified'))
    if (indexes !== undefined && indexes.length > MAX_INDEXES_BYTES) errors.push(tooLong(`${at}.succeededIndexes`, MAX_INDEXES_BYTES))
    const parsed = parseIndexes(indexes ?? '', completions)
    if (typeof parsed === 'string') errors.push(invalid(`${at}.succeededIndexes`, indexes, `error parsing succeededIndexes: ${parsed}`))
    if (count === undefined) return
    checkNotNegative(errors, `${at}.succeededCount`, count)
    const atMost = (most: number, what: string): void => {
      if (count > most) errors.push(invalid(`${at}.succeededCount`, count, `must be less than or equal to ${most} (the number of ${what})`))
    }
    atMost(completions, 'specified completions')
    if (indexes === undefined) return
    const total = typeof parsed === 'string' ? 0 : parsed.reduce((sum, [from, to]) => sum + to - from + 1, 0)
    atMost(total, 'indexes in the specified succeededIndexes field')
  })
}

function validateRestartPolicy(errors: FieldErrors, path: string, spec: JobSpec): void {
  const policy = spec.template?.spec?.restartPolicy
  if (!policy || policy === 'Always') errors.push(required(path, 'valid values: "OnFailure", "Never"'))
  else if (policy !== 'OnFailure' && policy !== 'Never') errors.push(notSupported(path, policy, ['OnFailure', 'Never']))
  else if (spec.podFailurePolicy && policy !== 'Never')
    errors.push(invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))
}

export function validateJobSpec(errors: FieldErrors, path: string, spec: JobSpec): void {
  const counts = [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const
  for (const field of counts) checkNotNegative(errors, `${path}.${field}`, spec[field])
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    errors.push(required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'))
  }
  if (spec.managedBy !== undefined) {
    checkDomainPrefixedPath(errors, `${path}.managedBy`, spec.managedBy)
    if (spec.managedBy.length > MAX_MANAGER_LENGTH) errors.push(tooLong(`${path}.managedBy`, MAX_MANAGER_LENGTH))
  }
  const mode = spec.completionMode
  if (mode !== undefined) checkOneOf(errors, `${path}.completionMode`, mode, ['NonIndexed', 'Indexed'])
  if (mode === 'Indexed') validateIndexed(errors, path, spec)
  if (mode === undefined || mode === 'NonIndexed') {
    for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
      if (spec[field] !== undefined) errors.push(invalid(`${path}.${field}`, spec[field], INDEXED_ONLY))
    }
  }
  const rules = spec.podFailurePolicy?.rules ?? []
  if (rules.length > MAX_FAILURE_RULES) errors.push(tooMany(`${path}.podFailurePolicy.rules`, rules.length, MAX_FAILURE_RULES))
  rules.forEach((rule, i) => validateFailureRule(errors, `${path}.podFailurePolicy.rules[${i}]`, rule, spec))
  if (spec.successPolicy && mode === 'Indexed' && spec.completions !== undefined)
    validateSuccessPolicy(errors, `${path}.successPolicy.rules`, spec)
  else if (spec.successPolicy && mode !== 'Indexed') {
    errors.push(invalid(`${path}.successPolicy`, spec.successPolicy, INDEXED_ONLY, 'batch/v1.SuccessPolicy'))
  }
  if (spec.podReplacementPolicy !== undefined) {
    checkOneOf(
      errors,
      `${path}.podReplacementPolicy`,
      spec.podReplacementPolicy,
      spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed'],
    )
  }
  if (spec.template) validatePodTemplate(errors, `${path}.template`, spec.template)
  validateRestartPolicy(errors, `${path}.template.spec.restartPolicy`, spec)
}
