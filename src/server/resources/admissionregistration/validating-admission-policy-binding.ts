import type { ValidatingAdmissionPolicyBinding } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField } from '../immutable.ts'
import { checkOneOf, required, type FieldErrors } from '../rules.ts'
import { matchResourcesDefaults, paramRefText } from './policy-validation.ts'

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
    if (!spec?.policyName) errors.push(required('spec.policyName'))
    if (!spec?.validationActions?.length) errors.push(required('spec.validationActions', 'at least one validation action is required'))
    spec?.validationActions?.forEach((action, i) => checkOneOf(errors, `spec.validationActions[${i}]`, action, ['Audit', 'Deny', 'Warn']))
    return errors
  },
})
