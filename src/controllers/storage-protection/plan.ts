/**
 * Who still uses a claim, a volume or a class of volume attributes: while somebody does, its finalizer keeps a deleted one there.
 * Admission puts the finalizers on; what is older than that gets them here.
 */
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { isControlledBy } from '../owner-references.ts'

export type Protection = 'add' | 'remove' | 'nothing'

/** What to do about the finalizer; `isUsed` is asked only when the answer decides. */
export function planProtection({ metadata }: KubeObject, finalizer: string, isUsed: () => boolean): Protection {
  const isProtected = metadata?.finalizers?.includes(finalizer) ?? false
  if (!metadata?.deletionTimestamp) return isProtected ? 'nothing' : 'add'
  return isProtected && !isUsed() ? 'remove' : 'nothing'
}

/** The object with the finalizer, or without it. */
export function withProtection<T extends KubeObject>(object: T, finalizer: string, protection: 'add' | 'remove'): T {
  const others = (object.metadata?.finalizers ?? []).filter((name) => name !== finalizer)
  return { ...object, metadata: { ...object.metadata, finalizers: protection === 'add' ? [...others, finalizer] : others } }
}

/** The claim behind a volume of a pod: one that it names, or the one made for it. */
const claimNameOf = (pod: Pod, volume: Volume): string | undefined =>
  volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral ? `${pod.metadata?.name}-${volume.name}` : undefined)

/** Keys of the claims that a pod may use. */
export const claimKeysOf = (pod: Pod): readonly string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume) => {
    const name = claimNameOf(pod, volume)
    return name === undefined ? [] : [`${pod.metadata?.namespace}/${name}`]
  })

/** The kubelet is done with it, or it was deleted by force. */
const isShutDown = ({ metadata }: Pod): boolean => metadata?.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0

/** A pod uses its claims once it is on a node: no kubelet starts a pod whose claim is being deleted. */
export function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if (!pod.spec?.nodeName) return false
  return (pod.spec.volumes ?? []).some((volume) => {
    if (claimNameOf(pod, volume) !== claim.metadata?.name) return false
    return volume.persistentVolumeClaim !== undefined || (!isShutDown(pod) && isControlledBy(claim, pod))
  })
}

const named = (names: readonly (string | undefined)[]): readonly string[] =>
  [...new Set(names.filter((name) => name !== undefined && name !== ''))] as readonly string[]

/** The classes of volume attributes that a claim has, asks for, or is being changed to. */
export const classesOfClaim = ({ spec, status }: PersistentVolumeClaim): readonly string[] =>
  named([
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ])

export const classesOfVolume = ({ spec }: PersistentVolume): readonly string[] => named([spec?.volumeAttributesClassName])
