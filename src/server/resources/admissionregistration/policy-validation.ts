/** What admission policies and their bindings share. Whether their CEL compiles is found by those who run it. */
import type { MatchResources, ParamKind, ParamRef, ValidatingAdmissionPolicySpec } from '../../../api/generated/admissionregistration/v1.ts'
import { selectorText } from '../columns.ts'
import { changeField, mapItems, withDefaults } from '../immutable.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { required, type FieldErrors } from '../rules.ts'
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

export function validatePolicySpec(errors: FieldErrors, spec: PolicySpec | undefined): void {
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
  for (const list of ['matchConditions', 'variables'] as const) {
    spec?.[list]?.forEach(({ name, expression }, i) => {
      if (!name) errors.push(required(`spec.${list}[${i}].name`))
      if (!expression?.trim()) errors.push(required(`spec.${list}[${i}].expression`))
    })
  }
}
