/**
 * RBAC over the roles and bindings in the watch cache (pkg/registry/rbac/validation, plugin/pkg/auth/authorizer/rbac). Bindings are
 * found by namespace and subject in an index that follows each change, so a check looks at the bindings of the one who asks and at no
 * others, however many there are; a role is read when a binding leads to it.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { PolicyRule, RoleRef } from '../../api/generated/rbac/v1.ts'
import type { WatchCaches } from '../watch-cache.ts'
import { ALLOWED, NO_OPINION, type Attributes, type Authorizer, type Rules, type Verdict } from './authorizer.ts'
import { BindingIndex, RBAC_GROUP } from './binding-index.ts'

export interface RuleSource {
  /** All rules that a user has in a namespace ("" for cluster-wide ones alone), with the text of the binding that gives them. */
  visit(user: UserInfo, namespace: string, take: (rule: PolicyRule, text: string) => boolean): void
}

export function createRbacAuthorizer(caches: WatchCaches): Authorizer & RuleSource & { authorize(attributes: Attributes): Verdict } {
  const roles = caches.of(RBAC_GROUP, 'roles')
  const clusterRoles = caches.of(RBAC_GROUP, 'clusterroles')
  const bindings = new BindingIndex(caches.of(RBAC_GROUP, 'rolebindings'))
  const clusterBindings = new BindingIndex(caches.of(RBAC_GROUP, 'clusterrolebindings'))

  const rulesOf = ({ kind, name }: RoleRef, namespace: string): readonly PolicyRule[] | undefined => {
    const role = kind === 'Role' ? roles.get(`${namespace}/${name}`) : clusterRoles.get(name)
    return role && ((role.object.rules ?? []) as readonly PolicyRule[])
  }

  /** Stops when `take` returns false. */
  const visit = (user: UserInfo, namespace: string, take: (rule: PolicyRule, text: string) => boolean, missing?: string[]): void => {
    const subjects = subjectsOf(user)
    const sources =
      namespace === ''
        ? ([[clusterBindings, '']] as const)
        : ([
            [clusterBindings, ''],
            [bindings, namespace],
          ] as const)
    for (const [index, of] of sources) {
      for (const subject of subjects) {
        for (const { roleRef, text } of index.of(of, subject)) {
          const rules = rulesOf(roleRef, of)
          if (!rules) missing?.push(notFoundText(roleRef))
          for (const rule of rules ?? []) if (!take(rule, text)) return
        }
      }
    }
  }

  return {
    visit,
    authorize(attributes) {
      let allowedBy: string | undefined
      const missing: string[] = []
      visit(
        attributes.user,
        attributes.namespace,
        (rule, text) => {
          if (!ruleAllows(rule, attributes)) return true
          allowedBy = text
          return false
        },
        missing,
      )
      if (allowedBy !== undefined) return { ...ALLOWED, reason: `RBAC: allowed by ${allowedBy}` }
      if (missing.length === 0) return NO_OPINION
      const texts = [...new Set(missing)].toSorted()
      return { isAllowed: false, reason: `RBAC: ${texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`}` }
    },
    rulesFor(user, namespace) {
      const resourceRules: Rules['resourceRules'][number][] = []
      const nonResourceRules: Rules['nonResourceRules'][number][] = []
      visit(user, namespace, (rule) => {
        const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule
        if (resources.length > 0)
          resourceRules.push({ verbs, apiGroups, resources, ...(resourceNames.length > 0 ? { resourceNames } : {}) })
        if (nonResourceURLs.length > 0) nonResourceRules.push({ verbs, nonResourceURLs })
        return true
      })
      return { resourceRules, nonResourceRules }
    },
  }
}

const notFoundText = ({ kind, name }: RoleRef): string =>
  `${kind === 'Role' ? 'role' : 'clusterrole'}.${RBAC_GROUP} ${JSON.stringify(name)} not found`

const ACCOUNT = 'system:serviceaccount:'

/** The keys under which bindings name this user. */
function subjectsOf({ name, groups }: UserInfo): readonly string[] {
  const subjects = [`User:${name}`]
  for (const group of groups) subjects.push(`Group:${group}`)
  if (name.startsWith(ACCOUNT)) {
    const [namespace, account, ...more] = name.slice(ACCOUNT.length).split(':')
    if (namespace && account && more.length === 0) subjects.push(`ServiceAccount:${namespace}:${account}`)
  }
  return subjects
}

export function ruleAllows(rule: PolicyRule, attributes: Omit<Attributes, 'user'>): boolean {
  if (!has(rule.verbs, attributes.verb)) return false
  if (!attributes.isResource) return (rule.nonResourceURLs ?? []).some((pattern) => matchesPath(pattern, attributes.path))
  if (!has(rule.apiGroups, attributes.group) || !matchesResource(rule.resources ?? [], attributes.resource, attributes.subresource))
    return false
  return !rule.resourceNames?.length || rule.resourceNames.includes(attributes.name)
}

const has = (values: readonly string[] | undefined, wanted: string): boolean =>
  values !== undefined && (values.includes(wanted) || values.includes('*'))

function matchesResource(resources: readonly string[], resource: string, subresource: string): boolean {
  const wanted = subresource === '' ? resource : `${resource}/${subresource}`
  return resources.some((one) => one === '*' || one === wanted || (subresource !== '' && one === `*/${subresource}`))
}

const matchesPath = (pattern: string, path: string): boolean =>
  pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1).replace(/\*+$/, '')))
