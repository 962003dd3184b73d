import type { ValidatingAdmissionPolicy } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { changeField, withDefaults } from '../immutable.ts'
import type { FieldErrors } from '../rules.ts'
import { matchResourcesDefaults, paramKindText, validatePolicySpec } from './policy-validation.ts'

/** ValidatingAdmissionPolicies: rules in CEL that refuse objects before they are stored. */
export const validatingAdmissionPolicies = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicy',
  hasGeneration: true,
  columns: nameToAge(
    integer('Validations', ({ spec }: ValidatingAdmissionPolicy) => spec?.validations?.length),
    text('ParamKind', ({ spec }: ValidatingAdmissionPolicy) => paramKindText(spec?.paramKind)),
  ),
  setDefaults: (policy) =>
    changeField(policy, 'spec', (spec) =>
      changeField(withDefaults(spec, { failurePolicy: 'Fail' }), 'matchConstraints', matchResourcesDefaults),
    ),
  validate({ spec }) {
    const errors: FieldErrors = []
    validatePolicySpec(errors, spec)
    return errors
  },
})
