import type { MutatingAdmissionPolicyBinding } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField } from '../immutable.ts'
import type { FieldErrors } from '../rules.ts'
import { matchResourcesDefaults, paramRefText, validateBindingSpec, validateMutatedOperations } from './policy-validation.ts'

/** MutatingAdmissionPolicyBindings: where a policy holds, and with what parameters. */
export const mutatingAdmissionPolicyBindings = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingAdmissionPolicyBinding',
  hasGeneration: true,
  columns: nameToAge(
    text('PolicyName', ({ spec }: MutatingAdmissionPolicyBinding) => spec?.policyName ?? ''),
    text('ParamRef', ({ spec }: MutatingAdmissionPolicyBinding) => paramRefText(spec?.paramRef)),
  ),
  setDefaults: (binding) => changeField(binding, 'spec', (spec) => changeField(spec, 'matchResources', matchResourcesDefaults)),
  validate({ spec }) {
    const errors: FieldErrors = []
    validateBindingSpec(errors, spec)
    validateMutatedOperations(errors, 'spec.matchResources', spec?.matchResources)
    return errors
  },
})
