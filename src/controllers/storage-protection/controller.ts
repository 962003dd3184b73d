/** Three controllers that let a deleted claim, volume or class of volume attributes go once nothing uses it any more. */
import { keyOf, parseKey } from '../../api/object.ts'
import type { KubeObject } from '../../api/object.ts'
import type { Client, KindName, ObjectOf } from '../../client/client.ts'
import { watch } from '../controller.ts'
import type { Change, Controller } from '../controller.ts'
import { isPodTerminal } from '../pods/pod-state.ts'
import { claimKeysOf, classesOfClaim, classesOfVolume, planProtection, usesClaim, withProtection } from './plan.ts'

const CLAIM = 'v1/PersistentVolumeClaim'
const VOLUME = 'v1/PersistentVolume'
const CLASS = 'storage.k8s.io/v1/VolumeAttributesClass'
const CLAIM_INDEX = 'claims'
const CLASS_INDEX = 'volume-attributes-classes'

const keyUnlessDeleted = ({ type, object }: Change<KubeObject>): string | undefined => (type === 'deleted' ? undefined : keyOf(object))

async function protect<K extends KindName>(
  client: Client,
  kind: K,
  object: ObjectOf<K> & KubeObject,
  finalizer: string,
  isUsed: () => boolean,
): Promise<void> {
  const protection = planProtection(object, finalizer, isUsed)
  if (protection !== 'nothing') await client.update(kind, withProtection(object, finalizer, protection))
}

export const claimProtectionController: Controller = {
  name: 'pvc-protection',
  component: 'pvc-protection-controller',
  reads: [CLAIM, 'v1/Pod'],
  writes: [CLAIM],
  watches: [
    watch(CLAIM, keyUnlessDeleted),
    watch(
      'v1/Pod',
      // Only a pod that stops using a claim can free it.
      ({ type, object, old }) => {
        const isOther = old !== undefined && old.metadata?.uid !== object.metadata?.uid
        const isDone = type === 'deleted' || isPodTerminal(object) || object.metadata?.deletionGracePeriodSeconds === 0
        return [...(isOther ? claimKeysOf(old) : []), ...(isDone ? claimKeysOf(object) : [])]
      },
      { [CLAIM_INDEX]: claimKeysOf },
    ),
  ],
  async reconcile(key, { client, caches }) {
    const claim = caches.of(CLAIM).get(key)
    if (!claim) return
    const isUsedBy = (pods: Parameters<typeof usesClaim>[0][]): boolean => pods.some((pod) => usesClaim(pod, claim))
    const finalizer = 'kubernetes.io/pvc-protection'
    const known = [...caches.of('v1/Pod').byIndex(CLAIM_INDEX, key)]
    if (planProtection(claim, finalizer, () => isUsedBy(known)) === 'nothing') return
    // A pod that the cache does not show yet may use it: before it goes, the server itself is asked.
    const live = claim.metadata?.deletionTimestamp ? (await client.list('v1/Pod', { namespace: parseKey(key).namespace })).items : []
    await protect(client, CLAIM, claim, finalizer, () => isUsedBy([...live]))
  },
}

export const volumeProtectionController: Controller = {
  name: 'pv-protection',
  component: 'pv-protection-controller',
  reads: [VOLUME],
  writes: [VOLUME],
  watches: [watch(VOLUME, keyUnlessDeleted)],
  async reconcile(key, { client, caches }) {
    const volume = caches.of(VOLUME).get(key)
    if (volume) await protect(client, VOLUME, volume, 'kubernetes.io/pv-protection', () => volume.status?.phase === 'Bound')
  },
}

export const attributesClassProtectionController: Controller = {
  name: 'volumeattributesclass-protection',
  component: 'volumeattributesclass-protection-controller',
  reads: [CLASS, CLAIM, VOLUME],
  writes: [CLASS],
  watches: [
    watch(CLASS, keyUnlessDeleted),
    watch(CLAIM, ({ type, object, old }) => freed(type, classesOfClaim(object), old && classesOfClaim(old)), {
      [CLASS_INDEX]: classesOfClaim,
    }),
    watch(VOLUME, ({ type, object, old }) => freed(type, classesOfVolume(object), old && classesOfVolume(old)), {
      [CLASS_INDEX]: classesOfVolume,
    }),
  ],
  async reconcile(key, { client, caches }) {
    const found = caches.of(CLASS).get(key)
    const isUsed = (): boolean =>
      caches.of(VOLUME).byIndex(CLASS_INDEX, key).length > 0 || caches.of(CLAIM).byIndex(CLASS_INDEX, key).length > 0
    if (found) await protect(client, CLASS, found, 'kubernetes.io/vac-protection', isUsed)
  },
}

/** The classes that a change may have freed. */
const freed = (type: Change<unknown>['type'], names: readonly string[], before: readonly string[] = []): readonly string[] =>
  type === 'deleted' ? names : before.filter((name) => !names.includes(name))
