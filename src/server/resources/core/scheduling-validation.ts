/** Rules of where a pod may go: affinity, tolerations, spreading. */
import type { Affinity, PodAffinity, PodAffinityTerm, Toleration, TopologySpreadConstraint } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, labelValueFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkFormat, checkOneOf, duplicate, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { validateNodeSelector, validateNodeSelectorTerm } from './node-selector-validation.ts'
import { TAINT_EFFECTS } from './node.ts'

/** Operators of a feature that is off: refused, though listed. */
const NUMERIC = ['Lt', 'Gt']

export function validateTolerations(errors: FieldErrors, path: string, tolerations: readonly Toleration[] | undefined): void {
  tolerations?.forEach(({ key, operator = '', value = '', effect, tolerationSeconds }, i) => {
    const at = `${path}[${i}]`
    if (key) checkFormat(errors, `${at}.key`, key, qualifiedNameFaults)
    else if (operator !== 'Exists') {
      errors.push(
        invalid(`${at}.operator`, operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"'),
      )
    }
    if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
      errors.push(invalid(`${at}.effect`, effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    }
    if (operator === 'Equal' || operator === '') {
      const faults = labelValueFaults(value)
      if (faults.length > 0) errors.push(invalid(`${at}.operator`, value, faults.join(';')))
    } else if (operator === 'Exists') {
      if (value) errors.push(invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"))
    } else
      errors.push(
        notSupported(`${at}.operator`, operator, NUMERIC.includes(operator) ? ['Equal', 'Exists', ...NUMERIC] : ['Equal', 'Exists']),
      )
    if (effect) checkOneOf(errors, `${at}.effect`, effect, TAINT_EFFECTS)
  })
}

function checkWeight(errors: FieldErrors, path: string, weight: number): void {
  if (weight <= 0 || weight > 100) errors.push(invalid(path, weight, 'must be in the range 1-100'))
}

function validateLabelKeys(
  errors: FieldErrors,
  path: string,
  term: Pick<PodAffinityTerm, 'labelSelector' | 'matchLabelKeys' | 'mismatchLabelKeys'>,
): void {
  const match = term.matchLabelKeys ?? []
  const mismatch = term.mismatchLabelKeys ?? []
  if (match.length === 0 && mismatch.length === 0) return
  if (!term.labelSelector) {
    const why = 'must not be specified when labelSelector is not set'
    for (const [name, keys] of [
      ['matchLabelKeys', match],
      ['mismatchLabelKeys', mismatch],
    ] as const) {
      if (keys.length > 0) errors.push({ type: 'FieldValueForbidden', field: `${path}.${name}`, detail: `Forbidden: ${why}` })
    }
  }
  match.forEach((key, i) => checkFormat(errors, `${path}.matchLabelKeys[${i}]`, key, qualifiedNameFaults))
  mismatch.forEach((key, i) => checkFormat(errors, `${path}.mismatchLabelKeys[${i}]`, key, qualifiedNameFaults))
  match.forEach((key, i) => {
    if (mismatch.includes(key))
      errors.push(invalid(`${path}.matchLabelKeys[${i}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys'))
  })
}

function validateTerm(errors: FieldErrors, path: string, term: PodAffinityTerm): void {
  validateLabelSelector(errors, `${path}.labelSelector`, term.labelSelector)
  validateLabelSelector(errors, `${path}.namespaceSelector`, term.namespaceSelector)
  for (const name of term.namespaces ?? []) checkFormat(errors, `${path}.namespace`, name, dns1123LabelFaults)
  validateLabelKeys(errors, path, term)
  if (!term.topologyKey) errors.push(required(`${path}.topologyKey`, 'can not be empty'))
  checkFormat(errors, `${path}.topologyKey`, term.topologyKey ?? '', qualifiedNameFaults)
}

function validatePodAffinity(errors: FieldErrors, path: string, affinity: PodAffinity | undefined): void {
  const requiredPath = `${path}.requiredDuringSchedulingIgnoredDuringExecution`
  affinity?.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) => validateTerm(errors, `${requiredPath}[${i}]`, term))
  affinity?.preferredDuringSchedulingIgnoredDuringExecution?.forEach(({ weight, podAffinityTerm }, i) => {
    const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`
    checkWeight(errors, `${at}.weight`, weight)
    if (podAffinityTerm) validateTerm(errors, `${at}.podAffinityTerm`, podAffinityTerm)
  })
}

export function validateAffinity(errors: FieldErrors, path: string, affinity: Affinity | undefined): void {
  const node = affinity?.nodeAffinity
  if (node?.requiredDuringSchedulingIgnoredDuringExecution) {
    validateNodeSelector(
      errors,
      `${path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`,
      node.requiredDuringSchedulingIgnoredDuringExecution,
    )
  }
  node?.preferredDuringSchedulingIgnoredDuringExecution?.forEach(({ weight, preference }, i) => {
    const at = `${path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${i}]`
    checkWeight(errors, `${at}.weight`, weight)
    if (preference) validateNodeSelectorTerm(errors, `${at}.preference`, preference, { areValuesFree: true })
  })
  validatePodAffinity(errors, `${path}.podAffinity`, affinity?.podAffinity)
  validatePodAffinity(errors, `${path}.podAntiAffinity`, affinity?.podAntiAffinity)
}

const UNSATISFIABLE = ['DoNotSchedule', 'ScheduleAnyway']

export function validateSpreadConstraints(
  errors: FieldErrors,
  path: string,
  constraints: readonly TopologySpreadConstraint[] | undefined,
): void {
  constraints?.forEach((constraint, i) => {
    const at = `${path}[${i}]`
    const { maxSkew, topologyKey, whenUnsatisfiable, minDomains } = constraint
    if (!(maxSkew > 0)) errors.push(invalid(`${at}.maxSkew`, maxSkew ?? 0, 'must be greater than zero'))
    if (!topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'))
    checkOneOf(errors, `${at}.whenUnsatisfiable`, whenUnsatisfiable, UNSATISFIABLE)
    if (constraints.slice(i + 1).some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable)) {
      errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`))
    }
    if (minDomains !== undefined) {
      if (minDomains <= 0) errors.push(invalid(`${at}.minDomains`, minDomains, 'must be greater than zero'))
      if (whenUnsatisfiable !== 'DoNotSchedule') {
        errors.push(
          invalid(`${at}.minDomains`, minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`),
        )
      }
    }
    for (const field of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      if (constraint[field] !== undefined) checkOneOf(errors, `${at}.${field}`, constraint[field], ['Honor', 'Ignore'])
    }
    validateLabelKeys(errors, at, constraint)
    validateLabelSelector(errors, `${at}.labelSelector`, constraint.labelSelector)
  })
}
