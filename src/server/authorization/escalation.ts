/**
 * Nobody gives away rights that they do not have: whoever writes a role or binds one must hold all of its rules, or may `escalate`
 * or `bind` it (pkg/registry/rbac). Held as the last admission plugin, as it looks at what would be stored.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { PolicyRule, RoleRef } from '../../api/generated/rbac/v1.ts'
import { failure } from '../../api/status.ts'
import type { AdmissionAttributes, AdmissionPlugin } from '../admission.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { MASTERS, type Authorizer } from './authorizer.ts'
import { ruleAllows, type RuleSource } from './rbac.ts'

const GROUP = 'rbac.authorization.k8s.io'
const ROLES: ReadonlySet<string> = new Set(['roles', 'clusterroles'])

export function createEscalationCheck(authorizer: Authorizer, held: RuleSource): AdmissionPlugin {
  return {
    name: 'RBACEscalation',
    handles: ({ resource, operation, object, user }) =>
      resource.group === GROUP &&
      (operation === 'CREATE' || operation === 'UPDATE') &&
      object !== undefined &&
      !user.groups.includes(MASTERS),
    async validate(attributes) {
      if (isUnchanged(attributes)) return
      const isRole = ROLES.has(attributes.resource.resource)
      const rules = await (isRole ? rulesOfRole(authorizer, attributes) : rulesOfBinding(authorizer, attributes))
      const missing = rules && missingRules(held, attributes.user, attributes.namespace ?? '', rules)
      if (missing && missing.length > 0) throw refusal(attributes, missing)
    },
  }
}

/** Changes of metadata alone (finalizers, owners) give no rights. */
const isUnchanged = ({ object, oldObject }: AdmissionAttributes): boolean =>
  oldObject !== undefined && deepEqual({ ...object, metadata: undefined }, { ...oldObject, metadata: undefined })

async function ask(
  authorizer: Authorizer,
  { user, namespace = '' }: AdmissionAttributes,
  verb: string,
  resource: string,
  name: string,
): Promise<boolean> {
  const asked = { user, verb, isResource: true, path: '', group: GROUP, version: '*', resource, subresource: '', namespace, name }
  return (await authorizer.authorize(asked)).isAllowed
}

/** The rules to hold, or undefined when the user may escalate. */
async function rulesOfRole(authorizer: Authorizer, attributes: AdmissionAttributes): Promise<readonly PolicyRule[] | undefined> {
  const { resource, name, object } = attributes
  const mayEscalate = await ask(authorizer, attributes, 'escalate', resource.resource, name)
  return mayEscalate ? undefined : ((object?.rules ?? []) as readonly PolicyRule[])
}

async function rulesOfBinding(authorizer: Authorizer, attributes: AdmissionAttributes): Promise<readonly PolicyRule[] | undefined> {
  const { kind, name } = attributes.object!.roleRef as RoleRef
  const { read } = attributes.context
  if (await ask(authorizer, attributes, 'bind', kind === 'Role' ? 'roles' : 'clusterroles', name)) return undefined
  const role =
    kind === 'Role' ? read.get(`${GROUP}/v1/Role`, attributes.namespace, name) : read.get(`${GROUP}/v1/ClusterRole`, undefined, name)
  if (role) return role.rules ?? []
  const resource = kind === 'Role' ? 'roles' : 'clusterroles'
  throw failure('NotFound', `${resource}.${GROUP} ${JSON.stringify(name)} not found`, { details: { name, group: GROUP, kind: resource } })
}

/** Each verb on each resource that no rule of the user covers. */
function missingRules(held: RuleSource, user: UserInfo, namespace: string, rules: readonly PolicyRule[]): readonly PolicyRule[] {
  const own: PolicyRule[] = []
  held.visit(user, namespace, (rule) => own.push(rule) > 0)
  return rules.flatMap(split).filter((single) => !own.some((rule) => covers(rule, single)))
}

function split({ verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] }: PolicyRule): readonly PolicyRule[] {
  const urls = nonResourceURLs.flatMap((url) => verbs.map((verb): PolicyRule => ({ verbs: [verb], nonResourceURLs: [url] })))
  const names = resourceNames.length > 0 ? resourceNames : [undefined]
  const onResources = apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      verbs.flatMap((verb) =>
        names.map((name): PolicyRule => ({
          verbs: [verb],
          apiGroups: [group],
          resources: [resource],
          ...(name === undefined ? {} : { resourceNames: [name] }),
        })),
      ),
    ),
  )
  return [...onResources, ...urls]
}

/** A rule for all names covers one name; a rule for one name does not cover all. */
function covers(rule: PolicyRule, { verbs, apiGroups, resources, resourceNames, nonResourceURLs }: PolicyRule): boolean {
  const common = { verb: verbs[0]!, version: '*', namespace: '', name: resourceNames?.[0] ?? '' }
  if (nonResourceURLs)
    return ruleAllows(rule, { ...common, isResource: false, path: nonResourceURLs[0]!, group: '', resource: '', subresource: '' })
  const [resource = '', subresource = ''] = resources![0]!.split('/', 2)
  return ruleAllows(rule, { ...common, isResource: true, path: '', group: apiGroups![0]!, resource, subresource })
}

function refusal({ user, name, object, resource }: AdmissionAttributes, missing: readonly PolicyRule[]) {
  const groups = user.groups.map((group) => JSON.stringify(group)).join(' ')
  const lines = [...new Set(compact(missing).map(show))].toSorted().join('\n')
  const of = name || (object?.metadata?.name ?? '')
  const why = `user ${JSON.stringify(user.name)} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${lines}`
  return failure('Forbidden', `${resource.resource}.${GROUP} ${JSON.stringify(of)} is forbidden: ${why}`, {
    details: { name: of, group: GROUP, kind: resource.resource },
  })
}

/** One rule for all verbs on the same resource. */
function compact(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  const grouped = Map.groupBy(rules, ({ verbs: _verbs, ...rest }) => JSON.stringify(rest))
  return Array.from(grouped.values(), (same) => ({ ...same[0]!, verbs: same.flatMap(({ verbs }) => verbs) }))
}

const part = (name: string, values: readonly string[] | undefined): readonly string[] =>
  values?.length ? [`${name}:[${values.map((value) => JSON.stringify(value)).join(', ')}]`] : []

function show({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: PolicyRule): string {
  const parts = [
    ...part('APIGroups', apiGroups),
    ...part('Resources', resources),
    ...part('NonResourceURLs', nonResourceURLs),
    ...part('ResourceNames', resourceNames),
    ...part('Verbs', verbs),
  ]
  return `{${parts.join(', ')}}`
}
