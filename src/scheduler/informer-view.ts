/** The view of other objects, over the shared informers. */
import type { DeviceClass } from '../api/generated/resource/v1.ts'
import type { VolumeAttachment } from '../api/generated/storage/v1.ts'
import type { Informers } from '../client/informers.ts'
import type { ClusterView } from './cluster-view.ts'
import { CLASS_PREFIX } from './devices/extended-resources.ts'

const byAttachedNode = ({ spec }: VolumeAttachment): string => spec.nodeName

const byResource = ({ metadata, spec }: DeviceClass): readonly string[] => [
  `${CLASS_PREFIX}${metadata?.name}`,
  ...(spec.extendedResourceName ? [spec.extendedResourceName] : []),
]

const newestFirst = ({ metadata: a }: DeviceClass, { metadata: b }: DeviceClass): number =>
  Date.parse(b?.creationTimestamp ?? '') - Date.parse(a?.creationTimestamp ?? '') || ((a?.name ?? '') < (b?.name ?? '') ? -1 : 1)

/** Asks for the informers at once, so that they are synced before the first decision. */
export function clusterViewOf(informers: Informers): ClusterView {
  const namespaces = informers.of('v1/Namespace').cache
  const services = informers.of('v1/Service').cache
  const replicationControllers = informers.of('v1/ReplicationController').cache
  const replicaSets = informers.of('apps/v1/ReplicaSet').cache
  const statefulSets = informers.of('apps/v1/StatefulSet').cache
  const budgets = informers.of('policy/v1/PodDisruptionBudget').cache
  const claims = informers.of('v1/PersistentVolumeClaim').cache
  const volumes = informers.of('v1/PersistentVolume').cache
  const storageClasses = informers.of('storage.k8s.io/v1/StorageClass').cache
  const capacities = informers.of('storage.k8s.io/v1/CSIStorageCapacity').cache
  const drivers = informers.of('storage.k8s.io/v1/CSIDriver').cache
  const csiNodes = informers.of('storage.k8s.io/v1/CSINode').cache
  const attachments = informers.of('storage.k8s.io/v1/VolumeAttachment', { attachedNode: byAttachedNode }).cache
  const resourceClaims = informers.of('resource.k8s.io/v1/ResourceClaim').cache
  const slices = informers.of('resource.k8s.io/v1/ResourceSlice').cache
  const deviceClasses = informers.of('resource.k8s.io/v1/DeviceClass', { resource: byResource }).cache
  return {
    namespace: (name) => namespaces.get(name),
    namespaces: () => namespaces.values(),
    services: (namespace) => services.byNamespace(namespace),
    replicationController: (namespace, name) => replicationControllers.get(`${namespace}/${name}`),
    replicaSet: (namespace, name) => replicaSets.get(`${namespace}/${name}`),
    statefulSet: (namespace, name) => statefulSets.get(`${namespace}/${name}`),
    disruptionBudgets: () => budgets.values(),
    claim: (namespace, name) => claims.get(`${namespace}/${name}`),
    volume: (name) => volumes.get(name),
    volumes: () => volumes.values(),
    storageClass: (name) => storageClasses.get(name),
    storageCapacities: () => capacities.values(),
    csiDriver: (name) => drivers.get(name),
    csiNode: (name) => csiNodes.get(name),
    attachments: (nodeName) => attachments.byIndex('attachedNode', nodeName),
    resourceClaim: (namespace, name) => resourceClaims.get(`${namespace}/${name}`),
    resourceClaims: () => resourceClaims.values(),
    resourceSlices: () => slices.values(),
    deviceClass: (name) => deviceClasses.get(name),
    classOfResource: (name) => deviceClasses.byIndex('resource', name).toSorted(newestFirst)[0],
  }
}
