/** Rules of job specs, in jobs and in the templates of cron jobs. */
import type { JobSpec, PodFailurePolicyRule } from '../../../api/generated/batch/v1.ts'
import { compileLabelSelector } from '../../../api/selectors.ts'
import { validatePodTemplate } from '../core/pod-validation.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkNotNegative, checkOneOf, invalid, notSupported, required, tooMany, type FieldErrors } from '../rules.ts'

const MAX_INDEXED_PARALLELISM = 100_000
const MAX_FAILED_INDEXES = 100_000
const COMPLETIONS_SOFT_LIMIT = 100_000
const HIGH_COMPLETIONS_LIMIT = 10_000
const MAX_FAILURE_RULES = 20
const MAX_EXIT_CODES = 255
const MAX_CONDITION_PATTERNS = 20
const INDEXED_ONLY = 'requires indexed completion mode'

/** Whether the selector is there and picks the job's own pods. */
export function validateSelector(errors: FieldErrors, spec: JobSpec, uid: string | undefined): void {
  if (!spec.selector) {
    errors.push(required('spec.selector'))
    return
  }
  const before = errors.length
  validateLabelSelector(errors, 'spec.selector', spec.selector)
  if (errors.length > before) return
  const labels = spec.template?.metadata?.labels ?? {}
  if (!compileLabelSelector(spec.selector)(labels)) {
    errors.push(invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'))
  }
  if (spec.manualSelector) return
  const key = 'batch.kubernetes.io/controller-uid'
  if (uid !== undefined && spec.selector.matchLabels?.[key] !== undefined && spec.selector.matchLabels[key] !== uid) {
    errors.push(invalid('spec.selector', spec.selector, '`selector` not auto-generated'))
  }
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
    const { operator, values, containerName } = onExitCodes
    if (!operator) errors.push(required(`${at}.operator`, 'valid values: ["In" "NotIn"]'))
    else checkOneOf(errors, `${at}.operator`, operator, ['In', 'NotIn'])
    const names = [...(spec.template?.spec?.containers ?? []), ...(spec.template?.spec?.initContainers ?? [])].map(({ name }) => name)
    if (containerName !== undefined && !names.includes(containerName)) {
      errors.push(invalid(`${at}.containerName`, containerName, 'must be one of the container or initContainer names in the pod template'))
    }
    if (values.length === 0) errors.push(invalid(`${at}.values`, values, 'at least one value is required'))
    else if (values.length > MAX_EXIT_CODES) errors.push(tooMany(`${at}.values`, values.length, MAX_EXIT_CODES))
    values.forEach((value, i) => {
      if (operator === 'In' && value === 0) errors.push(invalid(`${at}.values[${i}]`, value, 'must not be 0 for the In operator'))
      if (i > 0 && value < (values[i - 1] ?? 0)) errors.push(invalid(`${at}.values`, values, 'must be ordered'))
      if (i > 0 && value === values[i - 1])
        errors.push({ type: 'FieldValueDuplicate', field: `${at}.values[${i}]`, detail: `Duplicate value: ${value}` })
    })
  }
  if (onPodConditions?.length) {
    if (onPodConditions.length > MAX_CONDITION_PATTERNS)
      errors.push(tooMany(`${path}.onPodConditions`, onPodConditions.length, MAX_CONDITION_PATTERNS))
    onPodConditions.forEach(({ status }, i) =>
      checkOneOf(errors, `${path}.onPodConditions[${i}].status`, status, ['False', 'True', 'Unknown']),
    )
  }
  const conditionCount = onPodConditions?.length ?? 0
  if (onExitCodes && conditionCount > 0)
    errors.push(invalid(path, rule, 'specifying both OnExitCodes and OnPodConditions is not supported', 'batch/v1.PodFailurePolicyRule'))
  if (!onExitCodes && conditionCount === 0)
    errors.push(invalid(path, rule, 'specifying one of OnExitCodes and OnPodConditions is required', 'batch/v1.PodFailurePolicyRule'))
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
  if (spec.managedBy !== undefined && !/^[^/]+\/.+$/.test(spec.managedBy)) {
    errors.push(invalid(`${path}.managedBy`, spec.managedBy, 'must be a domain-prefixed path (such as "acme.io/foo")'))
  }
  const mode = spec.completionMode
  if (mode !== undefined) checkOneOf(errors, `${path}.completionMode`, mode, ['NonIndexed', 'Indexed'])
  if (mode === 'Indexed') validateIndexed(errors, path, spec)
  else {
    for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes', 'successPolicy'] as const) {
      if (spec[field] !== undefined) errors.push(invalid(`${path}.${field}`, spec[field], INDEXED_ONLY))
    }
  }
  const rules = spec.podFailurePolicy?.rules ?? []
  if (rules.length > MAX_FAILURE_RULES) errors.push(tooMany(`${path}.podFailurePolicy.rules`, rules.length, MAX_FAILURE_RULES))
  rules.forEach((rule, i) => validateFailureRule(errors, `${path}.podFailurePolicy.rules[${i}]`, rule, spec))
  if (spec.successPolicy && mode === 'Indexed' && !spec.successPolicy.rules?.length) {
    errors.push(required(`${path}.successPolicy.rules`, 'at least one rules must be specified when the successPolicy is specified'))
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
