/** What a claim and a volume need next. Binding is written on both, the volume first: so no volume is ever promised twice. */
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import type { StorageClass } from '../../api/generated/storage/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { classOf, findVolume, isFor, mismatch } from './matching.ts'

export const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
const PROVISIONERS = ['volume.beta.kubernetes.io/storage-provisioner', 'volume.kubernetes.io/storage-provisioner']
const NO_PROVISIONER = 'kubernetes.io/no-provisioner'

export type Event = readonly [type: 'Normal' | 'Warning', reason: string, message: string]

export type ClaimPlan =
  | { readonly type: 'bind'; readonly volume: PersistentVolume }
  /** `provisioner`: who is to make a volume; it watches for claims that carry its name. */
  | { readonly type: 'wait'; readonly event?: Event; readonly provisioner?: string }
  | { readonly type: 'lost'; readonly event: Event }

export interface ClaimInput {
  readonly claim: PersistentVolumeClaim
  readonly volumeNamed: (name: string) => PersistentVolume | undefined
  /** All that may be had by claims of its class, and those kept for it. */
  readonly candidates: readonly PersistentVolume[]
  readonly storageClass: StorageClass | undefined
}

export function planClaim({ claim, volumeNamed, candidates, storageClass }: ClaimInput): ClaimPlan {
  const name = claim.spec?.volumeName
  if (claim.metadata?.annotations?.[BIND_COMPLETED] !== undefined) return planBound(claim, name ? volumeNamed(name) : undefined)
  if (!name) return planUnbound(claim, candidates, storageClass)
  const volume = volumeNamed(name)
  // It may come yet.
  if (!volume) return { type: 'wait' }
  if (volume.spec?.claimRef && !isFor(volume, claim))
    return { type: 'wait', event: ['Warning', 'FailedBinding', `volume ${JSON.stringify(name)} already bound to a different claim.`] }
  const problem = volume.spec?.claimRef ? undefined : mismatch(volume, claim)
  if (problem === undefined) return { type: 'bind', volume }
  return { type: 'wait', event: ['Warning', 'VolumeMismatch', `Cannot bind to requested volume ${JSON.stringify(name)}: ${problem}`] }
}

function planBound(claim: PersistentVolumeClaim, volume: PersistentVolume | undefined): ClaimPlan {
  const lost = (reason: string, message: string): ClaimPlan => ({ type: 'lost', event: ['Warning', reason, message] })
  if (!claim.spec?.volumeName) return lost('ClaimLost', 'Bound claim has lost reference to PersistentVolume. Data on the volume is lost!')
  if (!volume) return lost('ClaimLost', 'Bound claim has lost its PersistentVolume. Data on the volume is lost!')
  if (!volume.spec?.claimRef || isFor(volume, claim)) return { type: 'bind', volume }
  return lost('ClaimMisbound', 'Two claims are bound to the same volume, this one is bound incorrectly')
}

function planUnbound(
  claim: PersistentVolumeClaim,
  candidates: readonly PersistentVolume[],
  storageClass: StorageClass | undefined,
): ClaimPlan {
  const isScheduled = claim.metadata?.annotations?.[SELECTED_NODE] !== undefined
  const isWaiting = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && !isScheduled
  const volume = findVolume(claim, candidates, isWaiting)
  if (volume) return { type: 'bind', volume }
  if (isWaiting)
    return { type: 'wait', event: ['Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding'] }
  const className = classOf(claim)
  if (className === '') {
    const message = 'no persistent volumes available for this claim and no storage class is set'
    return { type: 'wait', event: ['Normal', 'FailedBinding', message] }
  }
  if (!storageClass) {
    const message = `storageclass.storage.k8s.io ${JSON.stringify(className)} not found`
    return { type: 'wait', event: ['Warning', 'ProvisioningFailed', message] }
  }
  const { provisioner } = storageClass
  if (provisioner === NO_PROVISIONER) return { type: 'wait' }
  const message =
    `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. ` +
    'If volume creation is delayed, please verify that the provisioner is running and correctly registered.'
  return { type: 'wait', event: ['Normal', 'ExternalProvisioning', message], provisioner }
}

/** The volume as it is bound to the claim; itself when it is. */
export function boundVolume(volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume {
  const { claimRef } = volume.spec ?? {}
  const { namespace, name, uid, resourceVersion } = claim.metadata!
  if (claimRef?.uid === uid && isFor(volume, claim)) return volume
  const annotations = claimRef ? volume.metadata?.annotations : { ...volume.metadata?.annotations, [BOUND_BY_CONTROLLER]: 'yes' }
  const reference = { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace: namespace!, name: name!, uid: uid! }
  return {
    ...volume,
    metadata: { ...volume.metadata, ...(annotations ? { annotations } : {}) },
    spec: { ...volume.spec, claimRef: { ...reference, ...(resourceVersion ? { resourceVersion } : {}) } },
  }
}

/** The claim as it is bound to the volume; itself when it is. */
export function boundClaim(claim: PersistentVolumeClaim, volumeName: string): PersistentVolumeClaim {
  const { annotations = {} } = claim.metadata ?? {}
  const isNamed = claim.spec?.volumeName === volumeName
  if (isNamed && annotations[BIND_COMPLETED] !== undefined) return claim
  const marks = { ...(isNamed ? {} : { [BOUND_BY_CONTROLLER]: 'yes' }), [BIND_COMPLETED]: 'yes' }
  return { ...claim, metadata: { ...claim.metadata, annotations: { ...annotations, ...marks } }, spec: { ...claim.spec, volumeName } }
}

export function withProvisioner(claim: PersistentVolumeClaim, provisioner: string): PersistentVolumeClaim {
  const { annotations = {} } = claim.metadata ?? {}
  if (PROVISIONERS.every((key) => annotations[key] === provisioner)) return claim
  const marks = Object.fromEntries(PROVISIONERS.map((key) => [key, provisioner]))
  return { ...claim, metadata: { ...claim.metadata, annotations: { ...annotations, ...marks } } }
}

/** The very status that was passed in when nothing differs. */
export function claimStatus(
  { status = {} }: PersistentVolumeClaim,
  phase: 'Pending' | 'Bound' | 'Lost',
  volume: PersistentVolume | undefined,
): NonNullable<PersistentVolumeClaim['status']> {
  const { accessModes: _modes, capacity: _capacity, currentVolumeAttributesClassName: _class, ...rest } = status
  if (!volume) {
    const next = { ...rest, phase }
    return deepEqual(next, status) ? status : next
  }
  const isNew = status.phase !== phase
  const className = isNew ? volume.spec?.volumeAttributesClassName : status.currentVolumeAttributesClassName
  // The capacity of a bound claim is its file system's, which may differ from the volume's.
  const capacity = isNew ? volume.spec?.capacity : status.capacity
  const next = {
    ...rest,
    phase,
    ...(volume.spec?.accessModes ? { accessModes: volume.spec.accessModes } : {}),
    ...(capacity ? { capacity } : {}),
    ...(className === undefined ? {} : { currentVolumeAttributesClassName: className }),
  }
  return deepEqual(next, status) ? status : next
}

/** The phase of a volume, given the claim that it names. Undefined: it is being bound, and stays as it is. */
export function volumePhase(
  volume: PersistentVolume,
  claim: PersistentVolumeClaim | undefined,
): 'Available' | 'Bound' | 'Released' | undefined {
  const { claimRef } = volume.spec ?? {}
  if (!claimRef?.uid) return 'Available'
  if (!claim || claim.metadata?.uid !== claimRef.uid) return volume.status?.phase === 'Failed' ? undefined : 'Released'
  return claim.spec?.volumeName === volume.metadata?.name ? 'Bound' : undefined
}
