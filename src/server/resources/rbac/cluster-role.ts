import { validateLabelSelector } from '../object-meta.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { invalid, required, type FieldErrors } from '../rules.ts'
import { validatePolicyRules } from './role-validation.ts'

const NO_SELECTOR = 'at least one clusterRoleSelector required if aggregationRule is non-nil'

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
    if (role.aggregationRule && !role.aggregationRule.clusterRoleSelectors?.length) {
      errors.push(required('aggregationRule.clusterRoleSelectors', NO_SELECTOR))
    }
    role.aggregationRule?.clusterRoleSelectors?.forEach((selector, i) => {
      const path = `aggregationRule.clusterRoleSelectors[${i}]`
      const before = errors.length
      validateLabelSelector(errors, path, selector)
      // Upstream shows what it could not make of it.
      if (errors.length > before) errors.push(invalid(path, undefined, 'invalid label selector.'))
    })
    return errors
  },
})
