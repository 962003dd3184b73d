/**
 * RBAC over the roles and bindings in the watch cache: the bindings of a subject are found by an index that is made anew when
 * bindings have changed, and a role is read when a binding leads to it (pkg/registry/rbac/validation, plugin/pkg/auth/authorizer/rbac).
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject } from '../../api/generated/rbac/v1.ts'
import type { ResourceCache, WatchCaches } from '../watch-cache.ts'
import { MASTERS, type Attributes, type Authorizer, type Rules, type Verdict } from './authorizer.ts'

const GROUP = 'rbac.authorization.k8s.io'

type Binding = RoleBinding | ClusterRoleBinding

interface Granted {
  readonly roleRef: RoleRef
  /** "" for a ClusterRoleBinding. */
  readonly namespace: string
  readonly text: string
}

/** Bindings by subject: "User:alice", "Group:devs", "ServiceAccount:ns:name" → where they lead. */
type Index = ReadonlyMap<string, readonly Granted[]>

const ALLOWED: Verdict = { isAllowed: true, reason: '' }

export interface RuleSource {
  /** All rules that a user has in a namespace ("" for cluster-wide ones alone), with the text of the binding that gives them. */
  visit(user: UserInfo, namespace: string, take: (rule: PolicyRule, text: string) => boolean): void
}

export function createRbacAuthorizer(caches: WatchCaches): Authorizer & RuleSource {
  const roles = caches.of(GROUP, 'roles')
  const clusterRoles = caches.of(GROUP, 'clusterroles')
  const bindings = indexed(caches.of(GROUP, 'rolebindings'))
  const clusterBindings = indexed(caches.of(GROUP, 'clusterrolebindings'))

  const rulesOf = ({ kind, name }: RoleRef, namespace: string): readonly PolicyRule[] | undefined => {
    const role = kind === 'Role' ? roles.get(`${namespace}/${name}`) : clusterRoles.get(name)
    return role && ((role.object.rules ?? []) as readonly PolicyRule[])
  }

  /** Stops when `take` returns false. */
  const visit = (user: UserInfo, namespace: string, take: (rule: PolicyRule, text: string) => boolean, missing?: string[]): void => {
    for (const subject of subjectsOf(user)) {
      for (const source of [clusterBindings(), bindings()]) {
        for (const granted of source.get(subject) ?? []) {
          if (granted.namespace !== '' && granted.namespace !== namespace) continue
          const rules = rulesOf(granted.roleRef, granted.namespace)
          if (!rules) missing?.push(notFoundText(granted.roleRef))
          for (const rule of rules ?? []) if (!take(rule, granted.text)) return
        }
      }
    }
  }

  return {
    visit,
    authorize(attributes) {
      if (attributes.user.groups.includes(MASTERS)) return ALLOWED
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
      if (allowedBy !== undefined) return { isAllowed: true, reason: `RBAC: allowed by ${allowedBy}` }
      if (missing.length === 0) return { isAllowed: false, reason: '' }
      const texts = [...new Set(missing)].toSorted()
      return { isAllowed: false, reason: `RBAC: ${texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`}` }
    },
    rulesFor(user, namespace) {
      const resourceRules: Rules['resourceRules'][number][] = []
      const nonResourceRules: Rules['nonResourceRules'][number][] = []
      visit(user, namespace, (rule) => {
        const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule
        if (resources.length > 0) resourceRules.push({ verbs, apiGroups, resources, resourceNames })
        if (nonResourceURLs.length > 0) nonResourceRules.push({ verbs, nonResourceURLs })
        return true
      })
      if (user.groups.includes(MASTERS)) {
        resourceRules.push({ verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [] })
        nonResourceRules.push({ verbs: ['*'], nonResourceURLs: ['*'] })
      }
      return { resourceRules, nonResourceRules }
    },
  }
}

const notFoundText = ({ kind, name }: RoleRef): string =>
  `${kind === 'Role' ? 'role' : 'clusterrole'}.${GROUP} ${JSON.stringify(name)} not found`

function* subjectsOf({ name, groups }: UserInfo): Iterable<string> {
  yield `User:${name}`
  for (const group of groups) yield `Group:${group}`
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name)
  if (account) yield `ServiceAccount:${account[1]}:${account[2]}`
}

/** The index of a cache of bindings, made anew when the cache has changed. */
function indexed(cache: ResourceCache): () => Index {
  let index: Index = new Map()
  let madeAt = -1
  return () => {
    if (cache.lastChange !== madeAt) {
      madeAt = cache.lastChange
      index = indexOf(cache)
    }
    return index
  }
}

function indexOf(cache: ResourceCache): Index {
  const index = new Map<string, Granted[]>()
  cache.walk('', undefined, (item) => {
    const binding = item.object as Binding
    const { name, namespace = '' } = binding.metadata!
    const kind = namespace === '' ? 'ClusterRoleBinding' : 'RoleBinding'
    const shown = namespace === '' ? name : `${name}/${namespace}`
    for (const subject of binding.subjects ?? []) {
      const text = `${kind} ${JSON.stringify(shown)} of ${binding.roleRef.kind} ${JSON.stringify(binding.roleRef.name)} to ${subjectText(subject, namespace)}`
      const key = subjectKey(subject, namespace)
      const granted: Granted = { roleRef: binding.roleRef, namespace, text }
      const known = index.get(key)
      if (known) known.push(granted)
      else index.set(key, [granted])
    }
  })
  return index
}

const subjectKey = ({ kind, name, namespace }: Subject, own: string): string =>
  kind === 'ServiceAccount' ? `ServiceAccount:${namespace || own}:${name}` : `${kind}:${name}`

const subjectText = ({ kind, name, namespace }: Subject, own: string): string =>
  kind === 'ServiceAccount' ? `ServiceAccount ${JSON.stringify(`${name}/${namespace || own}`)}` : `${kind} ${JSON.stringify(name)}`

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
