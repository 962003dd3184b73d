/**
 * Binds claims to volumes that are there, and asks the provisioner of their class for one where none is. What fits a node is the
 * scheduler's to choose: it keeps a volume for the claim or names the node, and here the binding is completed.
 *
 * Not here: volumes made, deleted or scrubbed by this process. A released volume with the policy Delete is left to its driver.
 */
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { classOf } from './matching.ts'
import { BIND_COMPLETED, boundClaim, boundVolume, claimStatus, planClaim, volumePhase, withProvisioner } from './plan.ts'

const CLAIM = 'v1/PersistentVolumeClaim'
const VOLUME = 'v1/PersistentVolume'
const CLASS = 'storage.k8s.io/v1/StorageClass'
/** Before the key of a volume; names never hold a colon. */
const VOLUME_PREFIX = 'volume:'
const UNBOUND_INDEX = 'unbound-of-class'
const CLASS_INDEX = 'class'
const CLAIM_REF_INDEX = 'claim'

const unboundClass = (claim: PersistentVolumeClaim): string | undefined =>
  claim.metadata?.annotations?.[BIND_COMPLETED] === undefined ? classOf(claim) : undefined

const claimKeyOf = ({ spec }: PersistentVolume): string | undefined =>
  spec?.claimRef ? `${spec.claimRef.namespace}/${spec.claimRef.name}` : undefined

const unboundOf = (caches: Caches, className: string): readonly string[] => caches.of(CLAIM).byIndex(UNBOUND_INDEX, className).map(keyOf)

export const volumeBinder: Controller = {
  name: 'persistent-volume-binder',
  component: 'persistent-volume-binder',
  eventSource: 'persistentvolume-controller',
  reads: [CLAIM, VOLUME, CLASS],
  writes: [CLAIM, 'v1/PersistentVolumeClaim/status', VOLUME, 'v1/PersistentVolume/status'],
  watches: [
    watch(
      CLAIM,
      ({ object, old }) => {
        const volumes = [object.spec?.volumeName, old?.spec?.volumeName].filter((name) => name !== undefined && name !== '')
        return [keyOf(object), ...volumes.map((name) => `${VOLUME_PREFIX}${name}`)]
      },
      { [UNBOUND_INDEX]: unboundClass },
    ),
    watch(
      VOLUME,
      ({ type, object, old }, caches) => {
        const claims = [claimKeyOf(object), old && claimKeyOf(old)].filter((key) => key !== undefined)
        // A volume that is free now may be what some claim waits for; so may one that a claim names.
        const waiting = type !== 'deleted' && claims.length === 0 ? unboundOf(caches, classOf(object)) : []
        return [...(type === 'deleted' ? [] : [`${VOLUME_PREFIX}${object.metadata!.name}`]), ...claims, ...waiting]
      },
      { [CLASS_INDEX]: classOf, [CLAIM_REF_INDEX]: claimKeyOf },
    ),
    watch(CLASS, ({ type, object }, caches) => (type === 'added' ? unboundOf(caches, object.metadata!.name!) : [])),
  ],

  async reconcile(key, context) {
    return key.startsWith(VOLUME_PREFIX) ? syncVolume(context, key.slice(VOLUME_PREFIX.length)) : syncClaim(context, key)
  },
}

async function syncClaim({ client, caches, events }: ReconcileContext, key: string): Promise<void> {
  let claim = caches.of(CLAIM).get(key)
  if (!claim || (claim.metadata?.deletionTimestamp && claim.metadata.annotations?.[BIND_COMPLETED] === undefined)) return
  const volumes = caches.of(VOLUME)
  const plan = planClaim({
    claim,
    volumeNamed: (name) => volumes.get(name),
    candidates: [...volumes.byIndex(CLAIM_REF_INDEX, key), ...volumes.byIndex(CLASS_INDEX, classOf(claim))],
    storageClass: caches.of(CLASS).get(classOf(claim)),
  })
  const before = claim.status?.phase
  let volume: PersistentVolume | undefined
  if (plan.type === 'bind') {
    volume = boundVolume(plan.volume, claim)
    if (volume !== plan.volume) volume = await client.update(VOLUME, volume)
    await setVolumePhase(client, volume, 'Bound')
    const bound = boundClaim(claim, volume.metadata!.name!)
    if (bound !== claim) claim = await client.update(CLAIM, bound)
  } else if (plan.type === 'wait' && plan.provisioner !== undefined) {
    const marked = withProvisioner(claim, plan.provisioner)
    if (marked !== claim) claim = await client.update(CLAIM, marked)
  }
  const phase = plan.type === 'bind' ? 'Bound' : plan.type === 'lost' ? 'Lost' : 'Pending'
  const status = claimStatus(claim, phase, volume)
  if (status !== claim.status) claim = await client.update(CLAIM, { ...claim, status }, { subresource: 'status' })
  if (plan.type === 'bind' || plan.event === undefined) return
  if (plan.type === 'wait' || before !== phase) events.record(referenceTo(CLAIM, claim), ...plan.event)
}

async function syncVolume({ client, caches }: ReconcileContext, name: string): Promise<void> {
  const volume = caches.of(VOLUME).get(name)
  if (!volume) return
  const phase = volumePhase(volume, caches.of(CLAIM).get(claimKeyOf(volume) ?? ''))
  if (phase !== undefined) await setVolumePhase(client, volume, phase)
}

async function setVolumePhase(
  client: ReconcileContext['client'],
  volume: PersistentVolume,
  phase: 'Available' | 'Bound' | 'Released',
): Promise<void> {
  if (volume.status?.phase === phase) return
  const { reason: _reason, message: _message, ...rest } = volume.status ?? {}
  await client.update(VOLUME, { ...volume, status: { ...rest, phase } }, { subresource: 'status' })
}
