/**
 * What a node may do (plugin/pkg/auth/authorizer/node): its own objects, and of secrets, config maps, claims, volumes and accounts
 * only those that pods bound to it use. A node that is broken into gives away what runs on it and nothing else. What is found in
 * the pods of the node by looking is what upstream keeps as a graph: a node has some hundred pods.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { UserInfo } from '../../api/exchange.ts'
import { parseFieldSelector } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import type { Reader } from '../resource.ts'
import type { WatchCaches } from '../watch-cache.ts'
import { ALLOWED, NO_OPINION, type Attributes, type Authorizer, type Verdict } from './authorizer.ts'
import { clusterRoles } from './bootstrap-roles.ts'
import { parseRule } from './bootstrap-rules.ts'
import {
  accountsOf,
  claimsOf,
  configMapsOf,
  isMirror,
  resourceClaimsOf,
  secretsOf,
  volumesOf,
  type ReferencesOf,
} from './node-references.ts'
import { ruleAllows } from './rbac.ts'

const PREFIX = 'system:node:'
const NODES = 'system:nodes'

const deny = (reason = ''): Verdict => (reason === '' ? NO_OPINION : { isAllowed: false, reason })

/** The node's name; "" when it cannot be told; undefined for who is no node. */
export function nodeIdentity({ name, groups }: UserInfo): string | undefined {
  if (!groups.includes(NODES)) return undefined
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : ''
}

const nodeRules = (clusterRoles.find(({ name }) => name === 'system:node')?.rules ?? []).map(parseRule)

const NO_RULES = { resourceRules: [], nonResourceRules: [] } as const

/** Has no opinion about anybody who is no node. */
export function createNodeAuthorizer(caches: WatchCaches, read: Reader): Authorizer {
  const pods = caches.of('', 'pods')
  const podsOf = (node: string): readonly Pod[] => (pods.indexed('spec.nodeName', node) ?? []).map(({ object }) => object as Pod)
  return {
    authorize(attributes) {
      const node = nodeIdentity(attributes.user)
      if (node === undefined) return NO_OPINION
      if (node === '') return deny(`unknown node for user ${JSON.stringify(attributes.user.name)}`)
      return decide({ attributes, node, pods: () => podsOf(node), read })
    },
    rulesFor: (user) =>
      nodeIdentity(user) === undefined ? NO_RULES : { ...NO_RULES, incomplete: 'node authorizer does not support user rule resolution' },
  }
}

interface Question {
  readonly attributes: Attributes
  readonly node: string
  readonly pods: () => readonly Pod[]
  readonly read: Reader
}

function decide(question: Question): Verdict {
  const { attributes, node } = question
  if (attributes.isResource) {
    switch (attributes.group === '' ? attributes.resource : `${attributes.resource}.${attributes.group}`) {
      case 'secrets':
        return namespaced(question, secretsOf)
      case 'configmaps':
        return namespaced(question, configMapsOf)
      case 'persistentvolumeclaims':
        return claims(question)
      case 'persistentvolumes':
        return single(question, () => uses(question, volumesOf))
      case 'resourceclaims.resource.k8s.io':
        return single(question, () => uses(question, resourceClaimsOf))
      case 'volumeattachments.storage.k8s.io':
        return single(question, () =>
          related(
            question,
            () => question.read.get('storage.k8s.io/v1/VolumeAttachment', undefined, attributes.name)?.spec.nodeName === node,
          ),
        )
      case 'serviceaccounts':
        return accounts(question)
      case 'leases.coordination.k8s.io':
        return lease(attributes, node)
      case 'csinodes.storage.k8s.io':
        return csiNode(attributes, node)
      case 'resourceslices.resource.k8s.io':
        return resourceSlice(question)
      case 'podcertificaterequests.certificates.k8s.io':
        return podCertificateRequest(question)
      case 'nodes':
        return ownNode(attributes, node)
      case 'pods':
        return podAccess(question)
    }
  }
  return nodeRules.some((rule) => ruleAllows(rule, attributes)) ? ALLOWED : NO_OPINION
}

const READING: ReadonlySet<string> = new Set(['get', 'list', 'watch'])
const KEEPING: ReadonlySet<string> = new Set(['get', 'create', 'update', 'patch', 'delete'])

function related({ attributes: { name }, node }: Question, isRelated: () => boolean): Verdict {
  if (name === '') return deny('No Object name found')
  return isRelated() ? ALLOWED : deny(`no relationship found between node '${node}' and this object`)
}

/** Whether a pod of the node uses the object that is asked for. */
const uses = (question: Question, of: ReferencesOf): Verdict => {
  const { name, namespace } = question.attributes
  const isAsked = (ref: { readonly namespace: string; readonly name: string }) => ref.name === name && ref.namespace === namespace
  return related(question, () => question.pods().some((pod) => !isMirror(pod) && of(pod, question.read).some(isAsked)))
}

function namespaced(question: Question, of: ReferencesOf): Verdict {
  const { verb, subresource, namespace } = question.attributes
  if (!READING.has(verb)) return deny('can only read resources of this type')
  if (subresource !== '') return deny('cannot read subresource')
  if (namespace === '') return deny('can only read namespaced object of this type')
  return uses(question, of)
}

function single({ attributes: { verb, subresource } }: Question, then: () => Verdict): Verdict {
  if (verb !== 'get') return deny('can only get individual resources of this type')
  return subresource === '' ? then() : deny('cannot get subresource')
}

function claims(question: Question): Verdict {
  const { verb, subresource } = question.attributes
  if (subresource !== 'status') return single(question, () => uses(question, claimsOf))
  return verb === 'update' || verb === 'patch' ? uses(question, claimsOf) : deny('can only get/update/patch this type')
}

function accounts(question: Question): Verdict {
  const { verb, subresource, name } = question.attributes
  if (verb === 'get' && subresource === '') return namespaced(question, accountsOf)
  if (verb !== 'create' || name === '') return deny('can only create tokens for individual service accounts')
  return subresource === 'token' ? uses(question, accountsOf) : deny('can only create token subresource of serviceaccount')
}

function lease({ verb, namespace, name }: Attributes, node: string): Verdict {
  if (!KEEPING.has(verb)) return deny('can only get, create, update, patch, or delete a node lease')
  if (namespace !== 'kube-node-lease') return deny('can only access leases in the "kube-node-lease" system namespace')
  return verb === 'create' || name === node ? ALLOWED : deny('can only access node lease with the same name as the requesting node')
}

function csiNode({ verb, subresource, name }: Attributes, node: string): Verdict {
  if (!KEEPING.has(verb)) return deny('can only get, create, update, patch, or delete a CSINode')
  if (subresource !== '') return deny('cannot authorize CSINode subresources')
  return verb === 'create' || name === node ? ALLOWED : deny('can only access CSINode with the same name as the requesting node')
}

/** NodeRestriction admission looks at what is created. */
function resourceSlice(question: Question): Verdict {
  const { attributes, node, read } = question
  const { verb, subresource, name } = attributes
  if (subresource !== '') return deny('cannot authorize ResourceSlice subresources')
  switch (verb) {
    case 'create':
      return ALLOWED
    case 'get':
    case 'update':
    case 'patch':
    case 'delete':
      return related(question, () => read.get('resource.k8s.io/v1/ResourceSlice', undefined, name)?.spec?.nodeName === node)
    case 'watch':
    case 'list':
    case 'deletecollection':
      return selects(attributes, 'spec.nodeName', node)
        ? ALLOWED
        : deny('can only list/watch/deletecollection resourceslices with nodeName field selector')
    default:
      return deny(
        'only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection',
      )
  }
}

function podCertificateRequest(question: Question): Verdict {
  const { attributes, node, read } = question
  const { verb, subresource, namespace, name } = attributes
  if (subresource !== '') return deny('nodes may not access the status subresource of PodCertificateRequests')
  switch (verb) {
    case 'create':
      return ALLOWED
    case 'get':
      return related(
        question,
        () => read.get('certificates.k8s.io/v1beta1/PodCertificateRequest', namespace, name)?.spec?.nodeName === node,
      )
    case 'list':
    case 'watch':
      return selects(attributes, 'spec.nodeName', node)
        ? ALLOWED
        : deny('can only list/watch podcertificaterequests with nodeName field selector')
    default:
      return deny(`nodes may not ${verb} podcertificaterequests`)
  }
}

/** NodeRestriction admission holds writes to the node's own object. */
function ownNode({ verb, subresource, name }: Attributes, node: string): Verdict {
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : deny()
  if (subresource !== '') return deny()
  if (verb === 'create' || verb === 'update' || verb === 'patch') return ALLOWED
  if (!READING.has(verb)) return deny()
  if (name === node) return ALLOWED
  return deny(
    name === ''
      ? `node '${node}' cannot read all nodes, only its own Node object`
      : `node '${node}' cannot read '${name}', only its own Node object`,
  )
}

function podAccess(question: Question): Verdict {
  const { attributes, node, pods } = question
  const { verb, subresource, namespace, name } = attributes
  // A pod is its node's also when the node has made it.
  const ask = () => related(question, () => pods().some(({ metadata }) => metadata!.name === name && metadata!.namespace === namespace))
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : deny()
  if (subresource === 'eviction') return verb === 'create' ? ALLOWED : deny()
  if (subresource !== '') return deny()
  if (verb === 'get') return ask()
  if (verb === 'create' || verb === 'delete') return ALLOWED
  if (verb !== 'list' && verb !== 'watch') return deny()
  if (selects(attributes, 'spec.nodeName', node)) return ALLOWED
  return name === '' ? deny('can only list/watch pods with spec.nodeName field selector') : ask()
}

/** A selector that cannot be read selects nothing. */
function selects({ fieldSelector }: Attributes, wanted: string, node: string): boolean {
  if (fieldSelector === undefined) return false
  try {
    return parseFieldSelector(fieldSelector).some(({ field, operator, value }) => field === wanted && operator === '=' && value === node)
  } catch (error) {
    if (isApiError(error)) return false
    throw error
  }
}
