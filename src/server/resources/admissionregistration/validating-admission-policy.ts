import type { ValidatingAdmissionPolicy } from '../../../api/generated/admissionregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { validateConditions } from '../condition-validation.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { changeField, withPointerDefaults } from '../immutable.ts'
import { required, type FieldErrors } from '../rules.ts'
import { validateAuditAnnotations, validateValidations } from './expression-validation.ts'
import { matchResourcesDefaults, paramKindText, validatePolicySpec } from './policy-validation.ts'

const NOTHING_TO_DO = 'validations or auditAnnotations must contain at least one item'

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
      changeField(withPointerDefaults(spec, { failurePolicy: 'Fail' }), 'matchConstraints', matchResourcesDefaults),
    ),
  validate({ metadata, spec }) {
    const errors: FieldErrors = []
    const variables = validatePolicySpec(errors, spec)
    const options = { hasParams: spec?.paramKind !== undefined, ...(spec?.variables?.length ? { variables } : {}) }
    if (!spec?.validations?.length && !spec?.auditAnnotations?.length) {
      for (const list of ['validations', 'auditAnnotations']) errors.push(required(`spec.${list}`, NOTHING_TO_DO))
    }
    validateValidations(errors, spec?.validations, options)
    validateAuditAnnotations(errors, metadata?.name ?? '', spec?.auditAnnotations, options)
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    status?.typeChecking?.expressionWarnings?.forEach(({ fieldRef, warning }, i) => {
      const at = `status.typeChecking.expressionWarnings[${i}]`
      if (!warning) errors.push(required(`${at}.warning`))
      if (!fieldRef?.trim()) errors.push(required(`${at}.fieldRef`))
    })
    validateConditions(errors, 'status.conditions', status?.conditions)
    return errors
  },
})
