/** What admission policies and their bindings share. */
import type { MatchResources, ParamKind, ParamRef, ValidatingAdmissionPolicySpec } from '../../../api/generated/admissionregistration/v1.ts'
import type { Type } from '../../../cel/types.ts'
import { selectorText } from '../columns.ts'
import { changeField, mapItems, withDefaults } from '../immutable.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { required, type FieldErrors } from '../rules.ts'
import { validateMatchConditions, validateVariables } from './expression-validation.ts'
import { validateRules } from './webhook-validation.ts'

export const matchResourcesDefaults = (match: MatchResources): MatchResources => {
  const next = withDefaults(match, { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} })
  return changeField(next, 'resourceRules', (rules) => mapItems(rules, (rule) => withDefaults(rule, { scope: '*' })))
}

export const paramKindText = (kind: ParamKind | undefined): string => (kind ? `${kind.apiVersion ?? ''}/${kind.kind ?? ''}` : '<unset>')

export function paramRefText(ref: ParamRef | undefined): string {
  if (ref?.name) return `${ref.namespace || '*'}/${ref.name}`
  return ref?.selector ? selectorText(ref.selector) : '<unset>'
}

type PolicySpec = Pick<ValidatingAdmissionPolicySpec, 'matchConstraints' | 'paramKind' | 'matchConditions' | 'variables'>

/** Returns the types of the policy's variables, for its other expressions. */
export function validatePolicySpec(errors: FieldErrors, spec: PolicySpec | undefined): ReadonlyMap<string, Type> {
  const match = spec?.matchConstraints
  if (!match) errors.push(required('spec.matchConstraints'))
  else {
    if (!match.resourceRules?.length) errors.push(required('spec.matchConstraints.resourceRules'))
    validateRules(errors, 'spec.matchConstraints.resourceRules', match.resourceRules)
    validateRules(errors, 'spec.matchConstraints.excludeResourceRules', match.excludeResourceRules)
    validateLabelSelector(errors, 'spec.matchConstraints.namespaceSelector', match.namespaceSelector)
    validateLabelSelector(errors, 'spec.matchConstraints.objectSelector', match.objectSelector)
  }
  if (spec?.paramKind) {
    if (!spec.paramKind.apiVersion) errors.push(required('spec.paramKind.apiVersion'))
    if (!spec.paramKind.kind) errors.push(required('spec.paramKind.kind'))
  }
  const hasParams = spec?.paramKind !== undefined
  validateMatchConditions(errors, 'spec.matchConditions', spec?.matchConditions, hasParams)
  return validateVariables(errors, spec?.variables, hasParams)
}
