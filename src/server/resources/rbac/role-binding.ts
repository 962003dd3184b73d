import type { RoleBinding } from '../../../api/generated/rbac/v1.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text, wide } from '../columns.ts'
import type { FieldErrors } from '../rules.ts'
import { bindingDefaults, subjectNames, validateRoleRef, validateSameRoleRef, validateSubjects } from './role-validation.ts'

/** RoleBindings: who has a role. */
export const roleBindings = defineResource({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'RoleBinding',
  hasGeneration: false,
  nameFormat: pathSegmentFaults,
  columns: [
    ...nameToAge(text('Role', ({ roleRef }: RoleBinding) => `${roleRef?.kind ?? ''}/${roleRef?.name ?? ''}`)),
    wide(text('Users', ({ subjects }: RoleBinding) => subjectNames(subjects, 'User'))),
    wide(text('Groups', ({ subjects }: RoleBinding) => subjectNames(subjects, 'Group'))),
    wide(text('ServiceAccounts', ({ subjects }: RoleBinding) => subjectNames(subjects, 'ServiceAccount'))),
  ],
  setDefaults: bindingDefaults,
  validate({ roleRef, subjects }) {
    const errors: FieldErrors = []
    validateRoleRef(errors, roleRef, ['Role', 'ClusterRole'])
    validateSubjects(errors, subjects, true)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    validateSameRoleRef(errors, next.roleRef, old.roleRef)
    return errors
  },
})
