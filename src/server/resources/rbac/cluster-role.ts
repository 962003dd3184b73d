import { validateLabelSelector } from '../object-meta.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import type { FieldErrors } from '../rules.ts'
import { validatePolicyRules } from './role-validation.ts'

/** ClusterRoles: what may be done anywhere, or in the namespaces of the bindings that name them. */
export const clusterRoles = defineResource({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'ClusterRole',
  hasGeneration: false,
  nameFormat: pathSegmentFaults,
  validate(role) {
    const errors: FieldErrors = []
    validatePolicyRules(errors, role.rules, false)
    role.aggregationRule?.clusterRoleSelectors?.forEach((selector, i) =>
      validateLabelSelector(errors, `aggregationRule.clusterRoleSelectors[${i}]`, selector),
    )
    return errors
  },
})
