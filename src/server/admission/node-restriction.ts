/**
 * A node may touch what is its own: its Node, the pods bound to it, its lease, its CSINode. Without this a stolen kubelet's
 * credentials would be good for the whole cluster.
 */
import type { Node, Pod, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import type { TokenRequest } from '../../api/generated/authentication/v1.ts'
import type { ResourceSlice } from '../../api/generated/resource/v1.ts'
import type { UserInfo } from '../../api/exchange.ts'
import { notFound } from '../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { isEqual, isSemanticallyEqual } from '../resources/immutable.ts'
import { isMirrorPod } from './pods.ts'

const USER_PREFIX = 'system:node:'
const MIRROR = 'kubernetes.io/config.mirror'
const LEASE_NAMESPACE = 'kube-node-lease'

/** Labels that a kubelet sets about its own node; others of Kubernetes' name spaces are the cluster's to give. */
const KUBELET_LABELS = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
])
const KUBELET_DOMAINS = ['kubelet.kubernetes.io', 'node.kubernetes.io']

/** The node behind a user; undefined for anyone else. */
export const nodeNameOf = ({ name, groups }: UserInfo): string | undefined =>
  name.startsWith(USER_PREFIX) && groups.includes('system:nodes') ? name.slice(USER_PREFIX.length) : undefined

const isIn = (domain: string, parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`)

function isForbiddenLabel(key: string): boolean {
  const domain = key.includes('/') ? key.slice(0, key.indexOf('/')) : ''
  if (isIn(domain, 'node-restriction.kubernetes.io')) return true
  if (!isIn(domain, 'kubernetes.io') && !isIn(domain, 'k8s.io')) return false
  return !KUBELET_LABELS.has(key) && !KUBELET_DOMAINS.some((parent) => isIn(domain, parent))
}

function forbiddenLabels(next: Node | undefined, old: Node | undefined): string {
  const after = next?.metadata?.labels ?? {}
  const before = old?.metadata?.labels ?? {}
  const changed = new Set([...Object.keys(after), ...Object.keys(before)].filter((key) => after[key] !== before[key]))
  return [...changed].filter(isForbiddenLabel).sort().join(', ')
}

type Check = (node: string, attributes: AdmissionAttributes) => string | undefined

function podCreateProblem(node: string, { object, context }: AdmissionAttributes): string | undefined {
  const pod = object as Pod
  if (!isMirrorPod(pod)) return `pod does not have "${MIRROR}" annotation, node "${node}" can only create mirror pods`
  if (pod.spec?.nodeName !== node) return `node "${node}" can only create pods with spec.nodeName set to itself`
  const owners = pod.metadata?.ownerReferences ?? []
  if (owners.length > 1) return `node "${node}" can only create pods with a single owner reference set to itself`
  const owner = owners[0]
  if (!owner || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    return `node "${node}" can only create pods with an owner reference set to itself`
  }
  if (!owner.controller) return `node "${node}" can only create pods with a controller owner reference set to itself`
  if (owner.blockOwnerDeletion) return `node "${node}" must not set blockOwnerDeletion on an owner reference`
  const uid = context.read.get('v1/Node', undefined, node)?.metadata?.uid
  if (uid === undefined) throw notFound('', 'nodes', node)
  return owner.uid === uid ? undefined : `node ${node} UID mismatch: expected ${owner.uid} got ${uid}`
}

const boundPod = ({ context, namespace }: AdmissionAttributes, name: string): Pod => {
  const pod = context.read.get('v1/Pod', namespace, name)
  if (!pod) throw notFound('', 'pods', name)
  return pod
}

const podProblem: Check = (node, attributes) => {
  const { operation, subresource, name, object, oldObject } = attributes
  if (subresource === undefined) {
    if (operation === 'CREATE') return podCreateProblem(node, attributes)
    if (operation !== 'DELETE') return `unexpected operation "${operation}", node "${node}" can only create and delete mirror pods`
    return boundPod(attributes, name).spec?.nodeName === node
      ? undefined
      : `node "${node}" can only delete pods with spec.nodeName set to itself`
  }
  if (subresource === 'status') {
    const next = object as Pod
    const old = oldObject as Pod
    if (operation !== 'UPDATE') return `unexpected operation "${operation}"`
    if (old.spec?.nodeName !== node) return `node "${node}" can only update pod status for pods with spec.nodeName set to itself`
    if (!isSemanticallyEqual(old.metadata?.labels, next.metadata?.labels)) return `node "${node}" cannot update labels through pod status`
    return isSemanticallyEqual(old.status?.resourceClaimStatuses, next.status?.resourceClaimStatuses)
      ? undefined
      : `node "${node}" cannot update resource claim statues`
  }
  if (subresource !== 'eviction') return `unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`
  const podName = name || object?.metadata?.name
  if (!podName) return 'could not determine pod from request data'
  return boundPod(attributes, podName).spec?.nodeName === node
    ? undefined
    : `node ${node} can only evict pods with spec.nodeName set to itself`
}

const nodeProblem: Check = (node, { operation, name, object, oldObject }) => {
  const requested = name || (object?.metadata?.name ?? '')
  if (requested !== node) return `node "${node}" is not allowed to modify node "${requested}"`
  const next = object as Node | undefined
  const old = oldObject as Node | undefined
  if (operation === 'CREATE') {
    if (next?.spec?.configSource) return `node "${node}" is not allowed to create pods with a non-nil configSource`
    const labels = forbiddenLabels(next, undefined)
    return labels ? `node "${node}" is not allowed to set the following labels: ${labels}` : undefined
  }
  if (operation !== 'UPDATE') return undefined
  if (next?.spec?.configSource && !isEqual(next.spec.configSource, old?.spec?.configSource)) {
    return `node "${node}" is not allowed to update configSource to a new non-nil configSource`
  }
  if (!isSemanticallyEqual(next?.spec?.taints, old?.spec?.taints)) return `node "${node}" is not allowed to modify taints`
  if (!isSemanticallyEqual(next?.metadata?.ownerReferences, old?.metadata?.ownerReferences))
    return `node "${node}" is not allowed to modify ownerReferences`
  const labels = forbiddenLabels(next, old)
  return labels ? `is not allowed to modify labels: ${labels}` : undefined
}

const claimProblem: Check = (node, { operation, subresource, object, oldObject }) => {
  if (subresource !== 'status') return 'may only update PVC status'
  if (operation !== 'UPDATE') return `unexpected operation "${operation}"`
  const rest = (claim: PersistentVolumeClaim) => ({
    ...claim,
    metadata: { ...claim.metadata, resourceVersion: undefined, managedFields: undefined },
    status: {
      ...claim.status,
      capacity: undefined,
      conditions: undefined,
      allocatedResources: undefined,
      allocatedResourceStatuses: undefined,
    },
  })
  return isSemanticallyEqual(rest(object as PersistentVolumeClaim), rest(oldObject as PersistentVolumeClaim))
    ? undefined
    : `node "${node}" is not allowed to update fields other than status.quantity and status.conditions`
}

const tokenProblem: Check = (node, attributes) => {
  if (attributes.operation !== 'CREATE' || attributes.subresource !== 'token') return undefined
  const ref = (attributes.object as TokenRequest | undefined)?.spec?.boundObjectRef
  if (ref?.apiVersion !== 'v1' || ref.kind !== 'Pod' || !ref.name) return 'node requested token not bound to a pod'
  if (!ref.uid) return 'node requested token with a pod binding without a uid'
  const pod = boundPod(attributes, ref.name)
  if (pod.metadata?.uid !== ref.uid) {
    return `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`
  }
  return pod.spec?.nodeName === node ? undefined : 'node requested token bound to a pod scheduled on a different node'
}

const ownName = ({ operation, name, object }: AdmissionAttributes): string =>
  operation === 'CREATE' ? (object?.metadata?.name ?? '') : name

const CHECKS: Readonly<Record<string, Check>> = {
  pods: podProblem,
  nodes: nodeProblem,
  persistentvolumeclaims: claimProblem,
  serviceaccounts: tokenProblem,
  'leases.coordination.k8s.io': (node, attributes) => {
    if (attributes.namespace !== LEASE_NAMESPACE) return `can only access leases in the "${LEASE_NAMESPACE}" system namespace`
    return ownName(attributes) === node ? undefined : 'can only access node lease with the same name as the requesting node'
  },
  'csinodes.storage.k8s.io': (node, attributes) =>
    ownName(attributes) === node ? undefined : 'can only access CSINode with the same name as the requesting node',
  'resourceslices.resource.k8s.io': (node, { operation, object, oldObject }) => {
    if (operation !== 'CREATE' && operation !== 'DELETE') return undefined
    const slice = (operation === 'CREATE' ? object : oldObject) as ResourceSlice | undefined
    return slice?.spec?.nodeName === node
      ? undefined
      : `can only ${operation === 'CREATE' ? 'create' : 'delete'} ResourceSlice with the same NodeName as the requesting node`
  },
}

const checkFor = ({ resource }: AdmissionAttributes): Check | undefined =>
  CHECKS[resource.group ? `${resource.resource}.${resource.group}` : resource.resource]

export const nodeRestriction: AdmissionPlugin = {
  name: 'NodeRestriction',
  handles: (attributes) =>
    attributes.operation !== 'CONNECT' && nodeNameOf(attributes.user) !== undefined && checkFor(attributes) !== undefined,
  admit(attributes) {
    const node = nodeNameOf(attributes.user)
    if (node === '') throw admissionDenied(attributes, `could not determine node from user "${attributes.user.name}"`)
    const problem = node === undefined ? undefined : checkFor(attributes)?.(node, attributes)
    if (problem !== undefined) throw admissionDenied(attributes, problem)
    return attributes.object
  },
}
