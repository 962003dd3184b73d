import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import type { FieldErrors } from '../rules.ts'
import { validatePolicyRules } from './role-validation.ts'

/** Roles: what may be done in one namespace. */
export const roles = defineResource({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'Role',
  hasGeneration: false,
  nameFormat: pathSegmentFaults,
  validate(role) {
    const errors: FieldErrors = []
    validatePolicyRules(errors, role.rules, true)

    return errors
  },
})
