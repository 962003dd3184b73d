/**
 * Where a pod's claims let it run: bound claims tie it to the nodes their volumes can be reached from, claims that wait for
 * their first consumer are matched with volumes or left to a provisioner. Upstream: pkg/scheduler/framework/plugins/volumebinding.
 */
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '../api/generated/core/v1.ts'
import type { StorageClass } from '../api/generated/storage/v1.ts'
import { keyOf } from '../api/object.ts'
import { compareQuantities } from '../api/quantity.ts'
import { compileLabelSelector } from '../api/selectors.ts'
import type { ClusterView } from './cluster-view.ts'
import { matchesNodeSelector } from '../api/node-selector.ts'

export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'
const NO_PROVISIONER = 'kubernetes.io/no-provisioner'

/** A pod's claims by what the scheduler has to do about them. */
export interface Claims {
  readonly bound: readonly PersistentVolumeClaim[]
  /** Wait for their first consumer: this pod. */
  readonly delayed: readonly PersistentVolumeClaim[]
}

/** What must be written before the pod can be bound to its node. */
export interface VolumePlan {
  readonly bindings: readonly { readonly volume: PersistentVolume; readonly claim: PersistentVolumeClaim }[]
  readonly provisions: readonly PersistentVolumeClaim[]
}

export const isFullyBound = (claim: PersistentVolumeClaim): boolean =>
  Boolean(claim.spec?.volumeName) && claim.metadata?.annotations?.[BIND_COMPLETED] !== undefined

export const classOf = (claim: PersistentVolumeClaim): string =>
  claim.metadata?.annotations?.[BETA_CLASS] ?? claim.spec?.storageClassName ?? ''
const classOfVolume = (volume: PersistentVolume): string =>
  volume.metadata?.annotations?.[BETA_CLASS] ?? volume.spec?.storageClassName ?? ''
const sizeOf = (claim: PersistentVolumeClaim): string => claim.spec?.resources?.requests?.['storage'] ?? '0'

/** The claim a volume of the pod uses; generic ephemeral volumes have one of their own. */
export const claimNameOf = (pod: Pod, volume: Volume): string | undefined =>
  volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral ? `${pod.metadata?.name}-${volume.name}` : undefined)

function findClaim(pod: Pod, volume: Volume, name: string, view: ClusterView): PersistentVolumeClaim | string {
  const namespace = pod.metadata?.namespace ?? ''
  const claim = view.claim(namespace, name)
  if (!claim) {
    return volume.ephemeral
      ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
      : `persistentvolumeclaim "${name}" not found`
  }
  if (claim.status?.phase === 'Lost')
    return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName}"`
  if (claim.metadata?.deletionTimestamp) return `persistentvolumeclaim "${name}" is being deleted`
  return (volume.ephemeral && foreignClaim(pod, claim)) || claim
}

/** Why the claim cannot be the one of the pod's ephemeral volume; undefined when it is. */
export function foreignClaim(pod: Pod, claim: PersistentVolumeClaim): string | undefined {
  if (claim.metadata?.ownerReferences?.some(({ controller, uid }) => controller && uid === pod.metadata?.uid)) return undefined
  return `PVC ${keyOf(claim)} was not created for pod ${keyOf(pod)} (pod is not owner)`
}

/** The pod's claims, or in words why it cannot be scheduled anywhere yet. */
export function claimsOf(pod: Pod, view: ClusterView): Claims | string {
  const bound: PersistentVolumeClaim[] = []
  const delayed: PersistentVolumeClaim[] = []
  let isUnbound = false
  for (const volume of pod.spec?.volumes ?? []) {
    const name = claimNameOf(pod, volume)
    if (name === undefined) continue
    const claim = findClaim(pod, volume, name, view)
    if (typeof claim === 'string') return claim
    if (isFullyBound(claim)) bound.push(claim)
    else if (!claim.spec?.volumeName && view.storageClass(classOf(claim))?.volumeBindingMode === 'WaitForFirstConsumer') delayed.push(claim)
    else isUnbound = true
  }
  return isUnbound ? 'pod has unbound immediate PersistentVolumeClaims' : { bound, delayed }
}

const isReachable = (volume: PersistentVolume, node: Node): boolean => {
  const required = volume.spec?.nodeAffinity?.required
  return !required || matchesNodeSelector(required, node)
}

function isFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const reference = volume.spec?.claimRef
  return (
    reference?.name === claim.metadata?.name &&
    reference?.namespace === claim.metadata?.namespace &&
    (!reference?.uid || reference.uid === claim.metadata?.uid)
  )
}

/** The smallest volume that the claim can have on this node; one that is pre-bound to it goes first. */
function findVolume(
  claim: PersistentVolumeClaim,
  node: Node,
  candidates: Iterable<PersistentVolume>,
  isTaken: (name: string) => boolean,
): PersistentVolume | undefined {
  const matches = claim.spec?.selector ? compileLabelSelector(claim.spec.selector) : undefined
  let smallest: PersistentVolume | undefined
  for (const volume of candidates) {
    const { metadata, spec, status } = volume
    if (isTaken(metadata?.name ?? '') || (spec?.claimRef && !isFor(volume, claim)) || metadata?.deletionTimestamp) continue
    const capacity = spec?.capacity?.['storage'] ?? '0'
    if (compareQuantities(capacity, sizeOf(claim)) < 0) continue
    if ((claim.spec?.volumeMode ?? 'Filesystem') !== (spec?.volumeMode ?? 'Filesystem')) continue
    if ((claim.spec?.volumeAttributesClassName ?? '') !== (spec?.volumeAttributesClassName ?? '')) continue
    if (spec?.claimRef) return isReachable(volume, node) ? volume : undefined
    if (status?.phase !== 'Available' || (matches && !matches(metadata?.labels ?? {})) || classOfVolume(volume) !== classOf(claim)) continue
    if (!isReachable(volume, node) || !claim.spec?.accessModes?.every((mode) => spec?.accessModes?.includes(mode))) continue
    if (!smallest || compareQuantities(capacity, smallest.spec?.capacity?.['storage'] ?? '0') < 0) smallest = volume
  }
  return smallest
}

const allowsTopology = ({ allowedTopologies }: StorageClass, node: Node): boolean =>
  !allowedTopologies?.length ||
  allowedTopologies.some(({ matchLabelExpressions = [] }) =>
    matchLabelExpressions.every(({ key, values }) => values.includes(node.metadata?.labels?.[key] ?? '')),
  )

/** Drivers that tell of their capacity provision only where some is left for the node (KEP-1472). */
function hasCapacity(claim: PersistentVolumeClaim, storageClass: StorageClass, node: Node, view: ClusterView): boolean {
  const size = claim.spec?.resources?.requests?.['storage']
  if (size === undefined || !view.csiDriver(storageClass.provisioner)?.spec.storageCapacity) return true
  const labels = node.metadata?.labels ?? {}
  for (const { storageClassName, capacity, maximumVolumeSize, nodeTopology } of view.storageCapacities()) {
    const limit = maximumVolumeSize ?? capacity
    if (storageClassName !== storageClass.metadata?.name || limit === undefined || compareQuantities(limit, size) < 0) continue
    if (nodeTopology && compileLabelSelector(nodeTopology)(labels)) return true
  }
  return false
}

const VOLUME_NOT_REACHABLE = "node(s) didn't match PersistentVolume's node affinity"
const NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
const NO_SPACE = 'node(s) did not have enough free storage'
const VOLUME_MISSING = 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)'

/** Why a provisioner cannot make it where this node can reach it. */
function provisionRefusal(claim: PersistentVolumeClaim, node: Node, view: ClusterView): string | undefined {
  const storageClass = view.storageClass(classOf(claim))
  if (!storageClass?.provisioner || storageClass.provisioner === NO_PROVISIONER || !allowsTopology(storageClass, node)) return NO_VOLUME
  return hasCapacity(claim, storageClass, node, view) ? undefined : NO_SPACE
}

function boundRefusal(claims: readonly PersistentVolumeClaim[], node: Node, view: ClusterView): string | undefined {
  for (const { spec } of claims) {
    const volume = view.volume(spec?.volumeName ?? '')
    if (!volume) return VOLUME_MISSING
    if (!isReachable(volume, node)) return VOLUME_NOT_REACHABLE
  }
  return undefined
}

/** What the claims that wait for this pod need on the node, or why there is nothing for one of them. */
function planDelayed(
  claims: readonly PersistentVolumeClaim[],
  node: Node,
  view: ClusterView,
  isTaken: (volumeName: string) => boolean,
): VolumePlan | string {
  const selectedBy = (claim: PersistentVolumeClaim) => claim.metadata?.annotations?.[SELECTED_NODE]
  const provisions = claims.filter((claim) => selectedBy(claim) !== undefined)
  if (provisions.some((claim) => selectedBy(claim) !== node.metadata?.name)) return NO_VOLUME
  const bindings: { volume: PersistentVolume; claim: PersistentVolumeClaim }[] = []
  const chosen = new Set<string>()
  const unselected = claims.filter((claim) => selectedBy(claim) === undefined)
  // The smallest first, so that they do not take what only suits the larger.
  for (const claim of unselected.toSorted((a, b) => compareQuantities(sizeOf(a), sizeOf(b)))) {
    const volume = findVolume(claim, node, view.volumes(), (name) => chosen.has(name) || isTaken(name))
    if (!volume) {
      provisions.push(claim)
      continue
    }
    chosen.add(volume.metadata?.name ?? '')
    bindings.push({ volume, claim })
  }
  for (const claim of provisions) {
    const refusal = provisionRefusal(claim, node, view)
    if (refusal) return refusal
  }
  return { bindings, provisions }
}

const REASON_ORDER: readonly string[] = [VOLUME_NOT_REACHABLE, NO_VOLUME, NO_SPACE, VOLUME_MISSING]

/** What binding the pod to this node needs, or all reasons why it cannot be. `isTaken`: volumes that others on their way have chosen. */
export function planVolumes(
  claims: Claims,
  node: Node,
  view: ClusterView,
  isTaken: (volumeName: string) => boolean,
): VolumePlan | readonly string[] {
  const refused = boundRefusal(claims.bound, node, view)
  const plan = planDelayed(claims.delayed, node, view, isTaken)
  if (refused === undefined && typeof plan !== 'string') return plan
  const reasons = [refused, typeof plan === 'string' ? plan : undefined].filter((reason) => reason !== undefined)
  return reasons.toSorted((a, b) => REASON_ORDER.indexOf(a) - REASON_ORDER.indexOf(b))
}
