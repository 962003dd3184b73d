import type { ValidatingAdmissionPolicyBinding } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField } from '../immutable.ts'
import { checkOneOf, duplicate, invalid, required, type FieldErrors } from '../rules.ts'
import { matchResourcesDefaults, paramRefText, validateBindingSpec } from './policy-validation.ts'

const DENIES_AND_WARNS =
  'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)'

/** ValidatingAdmissionPolicyBindings: where a policy holds, and with what parameters. */
export const validatingAdmissionPolicyBindings = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  hasGeneration: true,
  columns: nameToAge(
    text('PolicyName', ({ spec }: ValidatingAdmissionPolicyBinding) => spec?.policyName ?? ''),
    text('ParamRef', ({ spec }: ValidatingAdmissionPolicyBinding) => paramRefText(spec?.paramRef)),
  ),
  setDefaults: (binding) => changeField(binding, 'spec', (spec) => changeField(spec, 'matchResources', matchResourcesDefaults)),
  validate({ spec }) {
    const errors: FieldErrors = []
    validateBindingSpec(errors, spec)
    const path = 'spec.validationActions'
    const actions = spec?.validationActions ?? []
    actions.forEach((action, i) => {
      checkOneOf(errors, `${path}[${i}]`, action, ['Audit', 'Deny', 'Warn'])
      if (actions.indexOf(action) < i) errors.push(duplicate(`${path}[${i}]`, action))
    })
    if (actions.includes('Deny') && actions.includes('Warn')) errors.push(invalid(path, actions, DENIES_AND_WARNS))
    if (actions.length === 0) errors.push(required(path, 'at least one validation action is required'))
    return errors
  },
})
