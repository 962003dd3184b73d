/** Rules of RBAC objects (upstream's apis/rbac/validation). Whether a user may grant what a role holds is decided by the authoriser. */
import type { PolicyRule, RoleRef, Subject } from '../../../api/generated/rbac/v1.ts'
import { dns1123SubdomainFaults, pathSegmentFaults } from '../../../api/names.ts'
import { isEqual, mapItems, withDefaults } from '../immutable.ts'
import { checkFormat, invalid, notSupported, required, type FieldErrors } from '../rules.ts'

export const RBAC_GROUP = 'rbac.authorization.k8s.io'

export function validatePolicyRules(errors: FieldErrors, rules: readonly PolicyRule[] | undefined, isNamespaced: boolean): void {
  rules?.forEach((rule, i) => {
    const path = `rules[${i}]`
    const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule
    if (!verbs?.length) errors.push(required(`${path}.verbs`, 'verbs must contain at least one value'))
    if (nonResourceURLs?.length) {
      if (isNamespaced)
        errors.push(invalid(`${path}.nonResourceURLs`, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'))
      if (apiGroups?.length || resources?.length || resourceNames?.length) {
        errors.push(
          invalid(`${path}.nonResourceURLs`, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'),
        )
      }
      return
    }
    if (!apiGroups?.length) errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
    if (!resources?.length) errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'))
  })
}

export function validateRoleRef(errors: FieldErrors, ref: RoleRef | undefined, kinds: readonly string[]): void {
  if (ref?.apiGroup !== RBAC_GROUP) errors.push(notSupported('roleRef.apiGroup', ref?.apiGroup ?? '', [RBAC_GROUP]))
  if (!kinds.includes(ref?.kind ?? '')) errors.push(notSupported('roleRef.kind', ref?.kind ?? '', kinds))
  if (!ref?.name) errors.push(required('roleRef.name'))
  else checkFormat(errors, 'roleRef.name', ref.name, pathSegmentFaults)
}

export function validateSubjects(errors: FieldErrors, subjects: readonly Subject[] | undefined, isNamespaced: boolean): void {
  subjects?.forEach(({ kind, name, namespace, apiGroup = '' }, i) => {
    const path = `subjects[${i}]`
    if (!name) errors.push(required(`${path}.name`))
    if (kind === 'ServiceAccount') {
      if (name) checkFormat(errors, `${path}.name`, name, dns1123SubdomainFaults)
      if (apiGroup !== '') errors.push(notSupported(`${path}.apiGroup`, apiGroup, ['']))
      if (!isNamespaced && !namespace) errors.push(required(`${path}.namespace`))
    } else if (kind === 'User' || kind === 'Group') {
      if (apiGroup !== RBAC_GROUP) errors.push(notSupported(`${path}.apiGroup`, apiGroup, [RBAC_GROUP]))
    } else errors.push(notSupported(`${path}.kind`, kind ?? '', ['ServiceAccount', 'User', 'Group']))
  })
}

/** Upstream shows its internal type. */
const shown = (ref: RoleRef | undefined) => ref && { APIGroup: ref.apiGroup, Kind: ref.kind, Name: ref.name }

export function validateSameRoleRef(errors: FieldErrors, next: RoleRef | undefined, old: RoleRef | undefined): void {
  if (!isEqual(next, old)) errors.push(invalid('roleRef', shown(next), 'cannot change roleRef'))
}

interface BindingFields {
  readonly roleRef: RoleRef
  readonly subjects?: readonly Subject[]
}

const subjectDefaults = (subject: Subject): Subject =>
  subject.kind === 'User' || subject.kind === 'Group' ? withDefaults(subject, { apiGroup: RBAC_GROUP }) : subject

export function bindingDefaults<T extends BindingFields>(binding: T): T {
  const roleRef = binding.roleRef && withDefaults(binding.roleRef, { apiGroup: RBAC_GROUP })
  const subjects = binding.subjects && mapItems(binding.subjects, subjectDefaults)
  return roleRef === binding.roleRef && subjects === binding.subjects ? binding : { ...binding, roleRef, subjects }
}

/** Names of subjects of one kind, as the wide columns list them. */
export const subjectNames = (subjects: readonly Subject[] | undefined, kind: string): string =>
  (subjects ?? [])
    .filter((subject) => subject.kind === kind)
    .map(({ namespace, name }) => (kind === 'ServiceAccount' && namespace ? `${namespace}/${name}` : name))
    .join(', ')
