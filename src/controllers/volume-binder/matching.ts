/** Which volume fits a claim (upstream's FindMatchingVolume, without a node: the scheduler chooses for claims that wait for one). */
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { compareQuantities } from '../../api/quantity.ts'
import { compileLabelSelector, MATCHES_EVERYTHING } from '../../api/selectors.ts'

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'

/** "" for a claim or volume without a class. */
export const classOf = ({ metadata, spec }: PersistentVolume | PersistentVolumeClaim): string =>
  metadata?.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? ''

const capacityOf = ({ spec }: PersistentVolume): string => spec?.capacity?.['storage'] ?? '0'

/** Whether the volume is kept for the claim, bound or not; a reference without a uid fits any claim of the name. */
export function isFor({ spec }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  const reference = spec?.claimRef
  if (reference?.name !== metadata?.name || reference?.namespace !== metadata?.namespace) return false
  return !reference?.uid || reference.uid === metadata?.uid
}

/** Why a claim cannot have the volume that it names, in upstream's words. */
export function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  const { spec: wanted } = claim
  const { spec: given } = volume
  if (volume.metadata?.deletionTimestamp) return `the volume is marked for deletion ${JSON.stringify(volume.metadata.name)}`
  if (compareQuantities(capacityOf(volume), wanted?.resources?.requests?.['storage'] ?? '0') < 0) return 'requested PV is too small'
  if (classOf(volume) !== classOf(claim)) return 'storageClassName does not match'
  if ((wanted?.volumeAttributesClassName ?? '') !== (given?.volumeAttributesClassName ?? ''))
    return 'volumeAttributesClassName does not match'
  if ((wanted?.volumeMode ?? 'Filesystem') !== (given?.volumeMode ?? 'Filesystem')) return 'incompatible volumeMode'
  return wanted?.accessModes?.every((mode) => given?.accessModes?.includes(mode)) ? undefined : 'incompatible accessMode'
}

/**
 * The volume that is kept for the claim, else the smallest that is free and fits. `isWaiting`: the claim waits for its first
 * consumer, so only a volume kept for it will do.
 */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  isWaiting: boolean,
): PersistentVolume | undefined {
  const kept = volumes.find((volume) => isFor(volume, claim) && mismatch(volume, claim) === undefined)
  if (kept || isWaiting) return kept
  const matches = claim.spec?.selector ? compileLabelSelector(claim.spec.selector) : MATCHES_EVERYTHING
  let smallest: PersistentVolume | undefined
  for (const volume of volumes) {
    const isFree = volume.spec?.claimRef === undefined && volume.status?.phase === 'Available'
    if (!isFree || !matches(volume.metadata?.labels ?? {}) || mismatch(volume, claim) !== undefined) continue
    if (!smallest || compareQuantities(capacityOf(volume), capacityOf(smallest)) < 0) smallest = volume
  }
  return smallest
}
