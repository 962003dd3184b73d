/**
 * Makes the bootstrap roles and bindings at the start, and puts back rules that were taken from them; rules that someone added
 * stay (upstream's reconciliation, as long as the autoupdate annotation says so). They are written past admission: nobody has any
 * right before they are there.
 */
import { timestamp } from '../../base/clock.ts'
import { uuid } from '../../base/random.ts'
import type { PolicyRule, RoleRef, Subject } from '../../api/generated/rbac/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import type { Change } from '../../store/store.ts'
import type { Core } from '../core.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { withMetadata, without } from '../metadata.ts'
import { serialise } from '../revision.ts'
import { clusterRoleBindings, controllerRoleBindings, roleBindings } from './bootstrap-bindings.ts'
import { controllerRoles } from './bootstrap-controller-roles.ts'
import { clusterRoles, namespaceRoles } from './bootstrap-roles.ts'
import { parseRule, type BindingFacts, type RoleFacts } from './bootstrap-rules.ts'

const GROUP = 'rbac.authorization.k8s.io'
const AUTO_UPDATE = 'rbac.authorization.kubernetes.io/autoupdate'
const LABELS = { 'kubernetes.io/bootstrapping': 'rbac-defaults' }
/** What one commit may hold is bounded; there are more roles than that is wise for. */
const BATCH = 100

const metadata = (name: string, namespace: string | undefined, labels: Readonly<Record<string, string>> = {}) => ({
  name,
  ...(namespace === undefined ? {} : { namespace }),
  labels: { ...LABELS, ...labels },
  annotations: { [AUTO_UPDATE]: 'true' },
})

function role({ name, namespace, labels, aggregates, rules }: RoleFacts): KubeObject {
  return {
    apiVersion: `${GROUP}/v1`,
    kind: namespace === undefined ? 'ClusterRole' : 'Role',
    metadata: metadata(name, namespace, labels),
    ...(aggregates === undefined ? {} : { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregates]: 'true' } }] } }),
    rules: aggregates === undefined ? rules.map(parseRule) : aggregatedRules(aggregates),
  }
}

/** The rules of all bootstrap roles that carry the label, theirs being computed first. */
function aggregatedRules(label: string): readonly PolicyRule[] {
  return clusterRoles
    .filter(({ labels }) => labels?.[label] === 'true')
    .flatMap((facts) => (facts.aggregates === undefined ? facts.rules.map(parseRule) : aggregatedRules(facts.aggregates)))
}

function binding({ name, namespace, role: roleName, subjects }: BindingFacts): KubeObject {
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  const roleRef: RoleRef = { apiGroup: GROUP, kind, name: roleName }
  return {
    apiVersion: `${GROUP}/v1`,
    kind: `${kind}Binding`,
    metadata: metadata(name, namespace),
    roleRef,
    ...(subjects.length > 0 ? { subjects: subjects.map(subject) } : {}),
  }
}

function subject(text: string): Subject {
  const space = text.indexOf(' ')
  const kind = text.slice(0, space)
  const rest = text.slice(space + 1)
  if (kind !== 'ServiceAccount') return { kind, apiGroup: GROUP, name: rest }
  const slash = rest.indexOf('/')
  return { kind, namespace: rest.slice(0, slash), name: rest.slice(slash + 1) }
}

const RESOURCES: Readonly<Record<string, string>> = {
  ClusterRole: 'clusterroles',
  Role: 'roles',
  ClusterRoleBinding: 'clusterrolebindings',
  RoleBinding: 'rolebindings',
}

export async function ensureBootstrapRoles(core: Core): Promise<void> {
  const objects = [
    ...[...clusterRoles, ...controllerRoles, ...namespaceRoles].map(role),
    ...[...clusterRoleBindings, ...controllerRoleBindings, ...roleBindings].map(binding),
  ]
  const changes = objects.map((object) => changeFor(core, object)).filter((change) => change !== undefined)
  for (let from = 0; from < changes.length; from += BATCH) {
    const outcome = await core.store.commit(changes.slice(from, from + BATCH))
    // Another server that starts beside this one has just written the same.
    if ('conflict' in outcome) core.runtime.log.info('bootstrap roles were written by another server', { key: outcome.conflict })
    else await core.caches.caughtUp(outcome.revision)
  }
}

/** Creates what is missing and adds what a role has lost; undefined when there is nothing to write. */
function changeFor(core: Core, wanted: KubeObject): Change | undefined {
  const cache = core.caches.of(GROUP, RESOURCES[wanted.kind!]!)
  const { name, namespace } = wanted.metadata!
  const key = namespace === undefined ? name! : `${namespace}/${name}`
  const existing = cache.get(key)
  const value = existing ? reconciled(existing.object, wanted) : fresh(core, wanted)
  if (!value) return undefined
  return { key: `/registry/${GROUP}/${cache.resource}/${key}`, value: serialise(value), decoded: value, expected: existing?.revision ?? 0 }
}

const fresh = ({ runtime }: Core, wanted: KubeObject): KubeObject =>
  withMetadata(wanted, { ...wanted.metadata, uid: uuid(runtime.random), creationTimestamp: timestamp(runtime.clock) })

function reconciled(existing: KubeObject, wanted: KubeObject): KubeObject | undefined {
  if (existing.metadata?.annotations?.[AUTO_UPDATE] === 'false' || wanted.aggregationRule !== undefined) return undefined
  const field = wanted.roleRef === undefined ? 'rules' : 'subjects'
  const own = (existing[field] ?? []) as readonly unknown[]
  const missing = ((wanted[field] ?? []) as readonly unknown[]).filter((one) => !own.some((other) => deepEqual(one, other)))
  const { labels = {}, annotations = {} } = existing.metadata ?? {}
  // What somebody has set otherwise stays so.
  const next = { labels: { ...wanted.metadata?.labels, ...labels }, annotations: { ...wanted.metadata?.annotations, ...annotations } }
  if (missing.length === 0 && deepEqual(next, { labels, annotations })) return undefined
  return {
    ...existing,
    metadata: { ...without(existing.metadata!, 'resourceVersion'), ...next },
    ...(missing.length > 0 ? { [field]: [...own, ...missing] } : {}),
  }
}
