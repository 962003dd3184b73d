/**
 * A driver can attach so many volumes to a node and no more (CSINode spec.drivers[].allocatable.count). Volumes of pods on the node
 * count, and those that are attached without a pod. In-tree volumes that are migrated count for the driver that has taken them over.
 */
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '../../api/generated/core/v1.ts'
import type { CSINode } from '../../api/generated/storage/v1.ts'
import type { ClusterView } from '../cluster-view.ts'
import { definePlugin, impossible, insufficient } from '../framework.ts'
import type { ClusterEvent } from '../framework.ts'
import type { PodInfo } from '../pod-info.ts'
import { claimNameOf, classOf, foreignClaim } from '../volumes.ts'

const REFUSED = insufficient('node(s) exceed max volume count')

/** By in-tree provisioner: the CSI driver that has taken over its volumes, and the volume's own name in its source. */
const MIGRATED: Readonly<Record<string, { readonly driver: string; handle(source: Partial<Volume>): string | undefined }>> = {
  'kubernetes.io/aws-ebs': { driver: 'ebs.csi.aws.com', handle: ({ awsElasticBlockStore }) => awsElasticBlockStore?.volumeID },
  'kubernetes.io/gce-pd': { driver: 'pd.csi.storage.gke.io', handle: ({ gcePersistentDisk }) => gcePersistentDisk?.pdName },
  'kubernetes.io/azure-disk': { driver: 'disk.csi.azure.com', handle: ({ azureDisk }) => azureDisk?.diskURI },
  'kubernetes.io/cinder': { driver: 'cinder.csi.openstack.org', handle: ({ cinder }) => cinder?.volumeID },
  'kubernetes.io/portworx-volume': { driver: 'pxd.portworx.com', handle: ({ portworxVolume }) => portworxVolume?.volumeID },
}

interface Attachable {
  readonly driver: string
  readonly handle: string
}

/** Migration is on where the node has told of its drivers. */
function migratedSource(source: Partial<Volume>, csiNode: CSINode | undefined): Attachable | undefined {
  for (const { driver, handle } of Object.values(MIGRATED)) {
    const name = handle(source)
    if (name !== undefined) return csiNode ? { driver, handle: name } : undefined
  }
  return undefined
}

function ofClass(claim: PersistentVolumeClaim, csiNode: CSINode | undefined, view: ClusterView): Attachable | undefined {
  const provisioner = view.storageClass(classOf(claim))?.provisioner
  if (!provisioner) return undefined
  // Not there yet, so it has no name but the claim's; no volume is called like this.
  const handle = `\0${claim.metadata?.namespace}/${claim.metadata?.name}`
  const migrated = MIGRATED[provisioner]
  if (migrated) return csiNode ? { driver: migrated.driver, handle } : undefined
  return { driver: provisioner, handle }
}

function ofClaim(claim: PersistentVolumeClaim, csiNode: CSINode | undefined, view: ClusterView): Attachable | undefined {
  const volume: PersistentVolume | undefined = claim.spec?.volumeName ? view.volume(claim.spec.volumeName) : undefined
  if (!volume) return ofClass(claim, csiNode, view)
  const csi = volume.spec?.csi
  if (csi) return { driver: csi.driver, handle: csi.volumeHandle }
  return migratedSource(volume.spec ?? {}, csiNode)
}

/** Adds the pod's volumes to `found`: the driver by the volume's unique name. Returns in words what is missing for a new pod. */
function collect(
  pod: Pod,
  csiNode: CSINode | undefined,
  view: ClusterView,
  isNew: boolean,
  found: Map<string, string>,
): string | undefined {
  const namespace = pod.metadata?.namespace ?? ''
  for (const source of pod.spec?.volumes ?? []) {
    const name = claimNameOf(pod, source)
    let attachable: Attachable | undefined
    if (name === undefined) attachable = migratedSource(source, csiNode)
    else {
      const claim = view.claim(namespace, name)
      if (!claim && isNew) return `looking up PVC ${namespace}/${name}: persistentvolumeclaim "${name}" not found`
      if (!claim || (source.ephemeral && foreignClaim(pod, claim))) continue
      attachable = ofClaim(claim, csiNode, view)
    }
    if (attachable?.driver && attachable.handle) found.set(`${attachable.driver}/${attachable.handle}`, attachable.driver)
  }
  return undefined
}

function limitsOf(csiNode: CSINode | undefined): ReadonlyMap<string, number> {
  const limits = new Map<string, number>()
  for (const { name, allocatable } of csiNode?.spec.drivers ?? []) if (allocatable?.count !== undefined) limits.set(name, allocatable.count)
  return limits
}

const isAttachable = (volume: Volume): boolean =>
  volume.persistentVolumeClaim !== undefined ||
  volume.ephemeral !== undefined ||
  Object.values(MIGRATED).some(({ handle }) => handle(volume) !== undefined)

const hasAttachable = ({ pod }: PodInfo): boolean => pod.spec?.volumes?.some(isAttachable) ?? false

function increment(counts: Map<string, number>, driver: string): void {
  counts.set(driver, (counts.get(driver) ?? 0) + 1)
}

/** Does some driver allow more than before? */
function hasGrown(event: ClusterEvent): boolean {
  if (event.kind !== 'csi-node' || !event.old) return true
  const before = limitsOf(event.old as CSINode)
  return [...limitsOf(event.object as CSINode)].some(([driver, limit]) => limit > (before.get(driver) ?? 0))
}

export const nodeVolumeLimits = definePlugin({
  name: 'NodeVolumeLimits',
  preFilter: (pod) => (hasAttachable(pod) ? { state: undefined } : { skip: true }),
  filter(_state, { pod }, node, { view }) {
    const csiNode = view.csiNode(node.name)
    const wanted = new Map<string, string>()
    const missing = collect(pod, csiNode, view, true, wanted)
    if (missing) return impossible(missing)
    const limits = limitsOf(csiNode)
    if (wanted.size === 0 || limits.size === 0) return undefined

    const attached = new Map<string, string>()
    for (const other of node.pods) collect(other.pod, csiNode, view, false, attached)
    const counts = new Map<string, number>()
    for (const [name, driver] of attached) {
      // A volume that pods share is attached once.
      wanted.delete(name)
      increment(counts, driver)
    }
    for (const { spec } of view.attachments(node.name)) {
      const csi = spec.source.persistentVolumeName ? view.volume(spec.source.persistentVolumeName)?.spec?.csi : undefined
      if (spec.attacher && csi && !attached.has(`${spec.attacher}/${csi.volumeHandle}`)) increment(counts, spec.attacher)
    }
    for (const driver of wanted.values()) {
      increment(counts, driver)
      if ((counts.get(driver) ?? 0) > (limits.get(driver) ?? Infinity)) return REFUSED
    }
    return undefined
  },
  requeueOn: [
    { on: ['csi-node'], isWorth: (_pod, event) => hasGrown(event) },
    { on: ['pod-deleted'], isWorth: (_pod, event) => event.kind === 'pod-deleted' && hasAttachable(event.pod) },
    { on: ['claim', 'attachment-deleted'] },
  ],
})
