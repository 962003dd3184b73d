import type { MutatingAdmissionPolicy } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { changeField, withPointerDefaults } from '../immutable.ts'
import { checkRequiredOneOf, required, type FieldErrors } from '../rules.ts'
import { validateMutations } from './expression-validation.ts'
import { matchResourcesDefaults, paramKindText, validateMutatedOperations, validatePolicySpec } from './policy-validation.ts'
import { REINVOCATION_POLICIES } from './webhook-validation.ts'

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
      changeField(withPointerDefaults(spec, { failurePolicy: 'Fail' }), 'matchConstraints', matchResourcesDefaults),
    ),
  validate({ spec }) {
    const errors: FieldErrors = []
    const options = { hasParams: spec?.paramKind !== undefined, variables: validatePolicySpec(errors, spec, validateMutatedOperations) }
    if (!spec?.mutations?.length) errors.push(required('spec.mutations', 'mutations must contain at least one item'))
    validateMutations(errors, spec?.mutations, options)
    checkRequiredOneOf(errors, 'spec.reinvocationPolicy', spec?.reinvocationPolicy, REINVOCATION_POLICIES)
    return errors
  },
})
