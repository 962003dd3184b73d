import type { ClusterRoleBinding } from '../../../api/generated/rbac/v1.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text, wide } from '../columns.ts'
import type { FieldErrors } from '../rules.ts'
import { bindingDefaults, subjectNames, validateRoleRef, validateSameRoleRef, validateSubjects } from './role-validation.ts'

/** ClusterRoleBindings: who has a role. */
export const clusterRoleBindings = defineResource({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'ClusterRoleBinding',
  hasGeneration: false,
  nameFormat: pathSegmentFaults,
  columns: [
    ...nameToAge(text('Role', ({ roleRef }: ClusterRoleBinding) => `${roleRef?.kind ?? ''}/${roleRef?.name ?? ''}`)),
    wide(text('Users', ({ subjects }: ClusterRoleBinding) => subjectNames(subjects, 'User'))),
    wide(text('Groups', ({ subjects }: ClusterRoleBinding) => subjectNames(subjects, 'Group'))),
    wide(text('ServiceAccounts', ({ subjects }: ClusterRoleBinding) => subjectNames(subjects, 'ServiceAccount'))),
  ],
  setDefaults: bindingDefaults,
  validate({ roleRef, subjects }) {
    const errors: FieldErrors = []
    validateRoleRef(errors, roleRef, ['ClusterRole'])
    validateSubjects(errors, subjects, false)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    validateSameRoleRef(errors, next.roleRef, old.roleRef)
    return errors
  },
})
