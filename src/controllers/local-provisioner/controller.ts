/**
 * The provisioner behind the default StorageClass: volumes that are directories of a node, made when the scheduler has chosen the node
 * (WaitForFirstConsumer) and removed after their claim, or kept, as the class says. It talks to the API as any external provisioner does
 * (sig-storage-lib-external-provisioner), so that another one, a CSI driver's for instance, can stand beside it or take its place.
 *
 * A directory is there before its volume's object, and goes before that goes: what the API tells of can be mounted.
 */
import type { PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { read, watch, type Controller, type ReconcileContext } from '../controller.ts'
import { hostnameOf, isToBeDeleted, planClaim, SELECTED_NODE, volumeNameOf, volumeOf } from './plan.ts'

const CLAIM = 'v1/PersistentVolumeClaim'
const VOLUME = 'v1/PersistentVolume'
const CLASS = 'storage.k8s.io/v1/StorageClass'
const NODE = 'v1/Node'
/** Before the key of a volume; names never hold a colon. */
const VOLUME_PREFIX = 'volume:'
const HOSTNAME_LABEL = 'kubernetes.io/hostname'

/** Where a node keeps its volumes. */
export interface VolumeHome {
  /** The path of a volume of this name. */
  path(volume: string): string
  /** Makes the directory, for whoever may use it; nothing happens when it is there. */
  make(path: string): Promise<void>
  /** Removes it with all that is in it; nothing happens when it is not there. */
  remove(path: string): Promise<void>
}

/** `homeOf` knows the nodes that it provisions on; undefined for those that somebody else looks after. */
export const localProvisioner = (homeOf: (nodeName: string) => VolumeHome | undefined): Controller => ({
  name: 'local-path-provisioner',
  component: 'local-path-provisioner',
  eventSource: 'proa.dev/local-path',
  reads: [CLAIM, VOLUME, CLASS, NODE],
  writes: [CLAIM, VOLUME],
  watches: [
    watch(CLAIM, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object))),
    watch(VOLUME, ({ type, object }) =>
      type !== 'deleted' && isToBeDeleted(object) ? `${VOLUME_PREFIX}${object.metadata?.name}` : undefined,
    ),
    read(CLASS),
    read(NODE),
  ],

  async reconcile(key, context) {
    if (key.startsWith(VOLUME_PREFIX)) return remove(context, key.slice(VOLUME_PREFIX.length), homeOf)
    const claim = context.caches.of(CLAIM).get(key)
    if (claim) await provision(context, claim, homeOf)
  },
})

async function provision(
  { client, caches, events }: ReconcileContext,
  claim: PersistentVolumeClaim,
  homeOf: (nodeName: string) => VolumeHome | undefined,
): Promise<void> {
  const plan = planClaim(claim, (name) => caches.of(CLASS).get(name))
  if (plan.do === 'nothing') return
  const about = referenceTo(CLAIM, claim)
  const className = claim.spec?.storageClassName ?? ''
  const failed = (message: string) =>
    events.record(about, 'Warning', 'ProvisioningFailed', `failed to provision volume with StorageClass "${className}": ${message}`)
  if (plan.do === 'refuse') return failed(plan.message)
  const node = caches.of(NODE).get(plan.nodeName)
  const home = homeOf(plan.nodeName)
  if (!node) {
    // The scheduler chooses again (KEP-1472: a node that is gone).
    const { [SELECTED_NODE]: _gone, ...annotations } = claim.metadata?.annotations ?? {}
    await client.update(CLAIM, { ...claim, metadata: { ...claim.metadata, annotations } })
    return failed(`node "${plan.nodeName}" not found`)
  }
  if (!home) return
  const name = volumeNameOf(claim)
  if (caches.of(VOLUME).get(name)) return
  events.record(about, 'Normal', 'Provisioning', `External provisioner is provisioning volume for claim "${keyOf(claim)}"`)
  const path = home.path(name)
  try {
    await home.make(path)
  } catch (error) {
    failed(error instanceof Error ? error.message : String(error))
    throw error
  }
  try {
    await client.create(VOLUME, volumeOf(claim, plan.storageClass, node.metadata?.labels?.[HOSTNAME_LABEL] ?? plan.nodeName, path))
  } catch (error) {
    if (!isApiError(error, 'AlreadyExists')) throw error
  }
  events.record(about, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`)
}

async function remove(
  { client, caches, events }: ReconcileContext,
  name: string,
  homeOf: (nodeName: string) => VolumeHome | undefined,
): Promise<void> {
  const volume = caches.of(VOLUME).get(name)
  if (!volume || !isToBeDeleted(volume)) return
  const hostname = hostnameOf(volume)
  const node = [...caches.of(NODE).values()].find(({ metadata }) => metadata?.labels?.[HOSTNAME_LABEL] === hostname)
  const home = homeOf(node?.metadata?.name ?? hostname ?? '')
  const path = volume.spec?.local?.path
  // Nothing outside of the home is ever removed, whatever the object says.
  if (!home || path !== home.path(name)) return
  try {
    await home.remove(path)
  } catch (error) {
    events.record(referenceTo(VOLUME, volume), 'Warning', 'VolumeFailedDelete', error instanceof Error ? error.message : String(error))
    throw error
  }
  if (volume.metadata?.deletionTimestamp) return
  try {
    await client.delete(VOLUME, { name }, { preconditions: { uid: volume.metadata?.uid ?? '' } })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}
