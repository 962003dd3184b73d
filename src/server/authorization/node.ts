/**
 * What a node may do (plugin/pkg/auth/authorizer/node): its own objects, and of secrets, config maps, claims, volumes and accounts
 * only those that pods bound to it use. A node that is broken into gives away what runs on it and nothing else. What is found in
 * the pods of the node by looking is what upstream keeps as a graph: a node has some hundred pods.
 */
import type { Pod, PodSpec, Volume } from '../../api/generated/core/v1.ts'
import type { UserInfo } from '../../api/exchange.ts'
import { parseFieldSelector } from '../../api/selectors.ts'
import type { Reader } from '../resource.ts'
import type { WatchCaches } from '../watch-cache.ts'
import type { Attributes, Authorizer, Verdict } from './authorizer.ts'
import { clusterRoles } from './bootstrap-roles.ts'
import { parseRule } from './bootstrap-rules.ts'
import { ruleAllows } from './rbac.ts'

const PREFIX = 'system:node:'
const NODES = 'system:nodes'

const ALLOW: Verdict = { isAllowed: true, reason: '' }
const deny = (reason = ''): Verdict => ({ isAllowed: false, reason })

/** The node's name; "" when it cannot be told; undefined for who is no node. */
export function nodeIdentity({ name, groups }: UserInfo): string | undefined {
  if (!groups.includes(NODES)) return undefined
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : ''
}

const nodeRules = (clusterRoles.find(({ name }) => name === 'system:node')?.rules ?? []).map(parseRule)

/** Asks the node's rules first, then `others`. */
export function withNodeAuthorizer(caches: WatchCaches, read: Reader, others: Authorizer): Authorizer {
  const pods = caches.of('', 'pods')
  const podsOf = (node: string): readonly Pod[] => (pods.indexed('spec.nodeName', node) ?? []).map(({ object }) => object as Pod)
  return {
    authorize(attributes) {
      const node = nodeIdentity(attributes.user)
      if (node === undefined) return others.authorize(attributes)
      const verdict =
        node === ''
          ? deny(`unknown node for user ${JSON.stringify(attributes.user.name)}`)
          : decide(attributes, node, () => podsOf(node), read)
      if (verdict.isAllowed) return verdict
      const other = others.authorize(attributes)
      return other.isAllowed || verdict.reason === '' ? other : verdict
    },
    rulesFor: (user, namespace) => others.rulesFor(user, namespace),
  }
}

type Pods = () => readonly Pod[]

function decide(attributes: Attributes, node: string, pods: Pods, read: Reader): Verdict {
  if (attributes.isResource) {
    switch (attributes.group === '' ? attributes.resource : `${attributes.resource}.${attributes.group}`) {
      case 'secrets':
        return namespaced(attributes, node, pods, (pod) => secretsOf(pod, read))
      case 'configmaps':
        return namespaced(attributes, node, pods, configMapsOf)
      case 'persistentvolumeclaims':
        return claims(attributes, node, pods)
      case 'persistentvolumes':
        return single(attributes, () =>
          related(attributes, node, () => pods().some((pod) => volumesOf(pod, read).includes(attributes.name))),
        )
      case 'resourceclaims.resource.k8s.io':
        return single(attributes, () => uses(attributes, node, pods, resourceClaimsOf))
      case 'volumeattachments.storage.k8s.io':
        return single(attributes, () =>
          related(
            attributes,
            node,
            () => read.get('storage.k8s.io/v1/VolumeAttachment', undefined, attributes.name)?.spec.nodeName === node,
          ),
        )
      case 'serviceaccounts':
        return accounts(attributes, node, pods)
      case 'leases.coordination.k8s.io':
        return lease(attributes, node)
      case 'csinodes.storage.k8s.io':
        return csiNode(attributes, node)
      case 'nodes':
        return ownNode(attributes, node)
      case 'pods':
        return podAccess(attributes, node, pods)
    }
  }
  return nodeRules.some((rule) => ruleAllows(rule, attributes)) ? ALLOW : deny()
}

const READING: ReadonlySet<string> = new Set(['get', 'list', 'watch'])
const KEEPING: ReadonlySet<string> = new Set(['get', 'create', 'update', 'patch', 'delete'])

function related({ name }: Attributes, node: string, isRelated: () => boolean): Verdict {
  if (name === '') return deny('No Object name found')
  return isRelated() ? ALLOW : deny(`no relationship found between node '${node}' and this object`)
}

const uses = (attributes: Attributes, node: string, pods: Pods, of: (pod: Pod) => readonly (string | undefined)[]): Verdict =>
  related(attributes, node, () =>
    pods().some((pod) => pod.metadata!.namespace === attributes.namespace && of(pod).includes(attributes.name)),
  )

function namespaced(attributes: Attributes, node: string, pods: Pods, of: (pod: Pod) => readonly (string | undefined)[]): Verdict {
  if (!READING.has(attributes.verb)) return deny('can only read resources of this type')
  if (attributes.subresource !== '') return deny('cannot read subresource')
  if (attributes.namespace === '') return deny('can only read namespaced object of this type')
  return uses(attributes, node, pods, of)
}

function single({ verb, subresource }: Attributes, then: () => Verdict): Verdict {
  if (verb !== 'get') return deny('can only get individual resources of this type')
  return subresource === '' ? then() : deny('cannot get subresource')
}

function claims(attributes: Attributes, node: string, pods: Pods): Verdict {
  const ask = () => uses(attributes, node, pods, claimsOf)
  if (attributes.subresource !== 'status') return single(attributes, ask)
  return attributes.verb === 'update' || attributes.verb === 'patch' ? ask() : deny('can only get/update/patch this type')
}

function accounts(attributes: Attributes, node: string, pods: Pods): Verdict {
  const ask = () => uses(attributes, node, pods, ({ spec }) => [spec?.serviceAccountName])
  if (attributes.verb === 'get' && attributes.subresource === '') return ask()
  if (attributes.verb !== 'create' || attributes.name === '') return deny('can only create tokens for individual service accounts')
  return attributes.subresource === 'token' ? ask() : deny('can only create token subresource of serviceaccount')
}

function lease({ verb, namespace, name }: Attributes, node: string): Verdict {
  if (!KEEPING.has(verb)) return deny('can only get, create, update, patch, or delete a node lease')
  if (namespace !== 'kube-node-lease') return deny('can only access leases in the "kube-node-lease" system namespace')
  return verb === 'create' || name === node ? ALLOW : deny('can only access node lease with the same name as the requesting node')
}

function csiNode({ verb, subresource, name }: Attributes, node: string): Verdict {
  if (!KEEPING.has(verb)) return deny('can only get, create, update, patch, or delete a CSINode')
  if (subresource !== '') return deny('cannot authorize CSINode subresources')
  return verb === 'create' || name === node ? ALLOW : deny('can only access CSINode with the same name as the requesting node')
}

/** NodeRestriction admission holds writes to the node's own object. */
function ownNode({ verb, subresource, name }: Attributes, node: string): Verdict {
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOW : deny()
  if (subresource !== '') return deny()
  if (verb === 'create' || verb === 'update' || verb === 'patch') return ALLOW
  if (!READING.has(verb)) return deny()
  if (name === node) return ALLOW
  return deny(
    name === ''
      ? `node '${node}' cannot read all nodes, only its own Node object`
      : `node '${node}' cannot read '${name}', only its own Node object`,
  )
}

function podAccess(attributes: Attributes, node: string, pods: Pods): Verdict {
  const { verb, subresource, name, fieldSelector } = attributes
  const ask = () => uses(attributes, node, pods, ({ metadata }) => [metadata!.name])
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOW : deny()
  if (subresource === 'eviction') return verb === 'create' ? ALLOW : deny()
  if (subresource !== '') return deny()
  if (verb === 'get') return ask()
  if (verb === 'create' || verb === 'delete') return ALLOW
  if (verb !== 'list' && verb !== 'watch') return deny()
  if (fieldSelector && selectsNode(fieldSelector, node)) return ALLOW
  return name === '' ? deny('can only list/watch pods with spec.nodeName field selector') : ask()
}

const selectsNode = (selector: string, node: string): boolean =>
  parseFieldSelector(selector).some(({ field, operator, value }) => field === 'spec.nodeName' && operator === '=' && value === node)

const containersOf = ({ containers, initContainers = [], ephemeralContainers = [] }: PodSpec) => [
  ...containers,
  ...initContainers,
  ...ephemeralContainers,
]

const secretsOfVolume = ({ secret, projected, csi }: Volume): readonly (string | undefined)[] => [
  secret?.secretName,
  csi?.nodePublishSecretRef?.name,
  ...(projected?.sources ?? []).map((source) => source.secret?.name),
]

function secretsOf(pod: Pod, read: Reader): readonly (string | undefined)[] {
  const spec = pod.spec!
  const ofVolumes = volumesOf(pod, read).map((name) => read.get('v1/PersistentVolume', undefined, name)?.spec?.csi)
  return [
    ...(spec.imagePullSecrets ?? []).map(({ name }) => name),
    ...(spec.volumes ?? []).flatMap(secretsOfVolume),
    ...containersOf(spec).flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => valueFrom?.secretKeyRef?.name),
      ...envFrom.map(({ secretRef }) => secretRef?.name),
    ]),
    ...ofVolumes.flatMap((csi) =>
      [csi?.nodePublishSecretRef, csi?.nodeStageSecretRef, csi?.nodeExpandSecretRef]
        .filter((ref) => ref?.namespace === pod.metadata!.namespace)
        .map((ref) => ref?.name),
    ),
  ]
}

function configMapsOf({ spec }: Pod): readonly (string | undefined)[] {
  return [
    ...(spec!.volumes ?? []).flatMap(({ configMap, projected }) => [
      configMap?.name,
      ...(projected?.sources ?? []).map((source) => source.configMap?.name),
    ]),
    ...containersOf(spec!).flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name),
      ...envFrom.map(({ configMapRef }) => configMapRef?.name),
    ]),
  ]
}

/** A claim of an ephemeral volume is named after the pod and the volume. */
const claimsOf = ({ metadata, spec }: Pod): readonly (string | undefined)[] =>
  (spec!.volumes ?? []).map(({ name, persistentVolumeClaim, ephemeral }) =>
    ephemeral ? `${metadata!.name}-${name}` : persistentVolumeClaim?.claimName,
  )

const volumesOf = (pod: Pod, read: Reader): readonly string[] =>
  claimsOf(pod)
    .map((claim) => claim && read.get('v1/PersistentVolumeClaim', pod.metadata!.namespace, claim)?.spec?.volumeName)
    .filter((name): name is string => name !== undefined && name !== '')

const resourceClaimsOf = ({ spec, status }: Pod): readonly (string | undefined)[] => [
  ...(spec!.resourceClaims ?? []).map(({ resourceClaimName }) => resourceClaimName),
  ...(status?.resourceClaimStatuses ?? []).map(({ resourceClaimName }) => resourceClaimName),
]
