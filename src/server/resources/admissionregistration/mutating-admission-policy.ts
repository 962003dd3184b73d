import type { MutatingAdmissionPolicy } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { changeField, withDefaults } from '../immutable.ts'
import type { FieldErrors } from '../rules.ts'
import { validateMutations } from './expression-validation.ts'
import { matchResourcesDefaults, paramKindText, validatePolicySpec } from './policy-validation.ts'

/** MutatingAdmissionPolicies: rules in CEL that change objects before they are stored. */
export const mutatingAdmissionPolicies = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingAdmissionPolicy',
  hasGeneration: true,
  columns: nameToAge(
    integer('Mutations', ({ spec }: MutatingAdmissionPolicy) => spec?.mutations?.length),
    text('ParamKind', ({ spec }: MutatingAdmissionPolicy) => paramKindText(spec?.paramKind)),
  ),
  setDefaults: (policy) =>
    changeField(policy, 'spec', (spec) =>
      changeField(withDefaults(spec, { failurePolicy: 'Fail' }), 'matchConstraints', matchResourcesDefaults),
    ),
  validate({ spec }) {
    const errors: FieldErrors = []
    const options = { hasParams: spec?.paramKind !== undefined, variables: validatePolicySpec(errors, spec) }
    validateMutations(errors, spec?.mutations, options)
    return errors
  },
})
