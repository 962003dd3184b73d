/** Which FlowSchema a request belongs to (k8s.io/apiserver/pkg/util/flowcontrol/rule.go): the first that matches, by precedence. */
import type { UserInfo } from '../../api/exchange.ts'
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  Subject,
} from '../../api/generated/flowcontrol/v1.ts'
import type { RequestInfo } from '../request-info.ts'

/** In two steps, as the same few users ask again and again: which of the rules are about a user, then what each says of a request. */
export type Matcher = (user: UserInfo) => readonly Rule[]

interface Rule {
  readonly resources: readonly ((info: RequestInfo) => boolean)[]
  readonly others: readonly ((info: RequestInfo) => boolean)[]
}

export function isMatch(rules: readonly Rule[], info: RequestInfo): boolean {
  for (const { resources, others } of rules) for (const matches of info.isResource ? resources : others) if (matches(info)) return true
  return false
}

/** Lower precedence first, then by name. */
export const byPrecedence = (a: FlowSchema, b: FlowSchema): number =>
  (a.spec?.matchingPrecedence ?? 0) - (b.spec?.matchingPrecedence ?? 0) || ((a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1)

export function matcherOf({ spec }: FlowSchema): Matcher {
  const rules = (spec?.rules ?? []).map(compileRule)
  return (user) => rules.filter(({ subjects }) => subjects.some((matches) => matches(user)))
}

const compileRule = ({ subjects, resourceRules = [], nonResourceRules = [] }: PolicyRulesWithSubjects) => ({
  subjects: subjects.map(subjectMatcher),
  resources: resourceRules.map(resourceMatcher),
  others: nonResourceRules.map(pathMatcher),
})

const SERVICE_ACCOUNT = 'system:serviceaccount:'

function subjectMatcher({ kind, user, group, serviceAccount }: Subject): (user: UserInfo) => boolean {
  if (kind === 'User' && user) return user.name === '*' ? () => true : ({ name }) => name === user.name
  if (kind === 'Group' && group) return group.name === '*' ? () => true : ({ groups }) => groups.includes(group.name)
  if (kind === 'ServiceAccount' && serviceAccount) {
    const { namespace, name } = serviceAccount
    const own = `${SERVICE_ACCOUNT}${namespace}:`
    return name === '*' ? (asker) => asker.name.startsWith(own) : (asker) => asker.name === own + name
  }
  return () => false
}

/** A wildcard stands alone in its list: validation sees to that. */
function contains(list: readonly string[] = []): (value: string) => boolean {
  if (list.length === 1 && list[0] === '*') return () => true
  return (value) => list.includes(value)
}

function resourceMatcher(rule: ResourcePolicyRule): (info: RequestInfo) => boolean {
  const [verbs, groups, resources, namespaces] = [rule.verbs, rule.apiGroups, rule.resources, rule.namespaces].map(contains)
  return ({ verb, group, resource, subresource, namespace }) =>
    verbs!(verb) &&
    resources!(subresource === '' ? resource : `${resource}/${subresource}`) &&
    groups!(group) &&
    (namespace === '' ? rule.clusterScope === true : namespaces!(namespace))
}

function pathMatcher({ verbs, nonResourceURLs }: NonResourcePolicyRule): (info: RequestInfo) => boolean {
  const isVerb = contains(verbs)
  return ({ verb, path }) =>
    isVerb(verb) &&
    nonResourceURLs.some((url) => {
      if (url === '*' || url === path) return true
      const prefix = url.replace(/\*$/, '')
      return path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)
    })
}
