/** Objects beside nodes and pods that scheduling depends on, as plugins see them: live, read-only, never asked of the server. */
import type { Namespace, PersistentVolume, PersistentVolumeClaim, ReplicationController, Service } from '../api/generated/core/v1.ts'
import type { ReplicaSet, StatefulSet } from '../api/generated/apps/v1.ts'
import type { PodDisruptionBudget } from '../api/generated/policy/v1.ts'
import type { DeviceClass, ResourceClaim, ResourceSlice } from '../api/generated/resource/v1.ts'
import type { CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment } from '../api/generated/storage/v1.ts'

export interface ClusterView {
  namespace(name: string): Namespace | undefined
  namespaces(): Iterable<Namespace>
  services(namespace: string): readonly Service[]
  replicationController(namespace: string, name: string): ReplicationController | undefined
  replicaSet(namespace: string, name: string): ReplicaSet | undefined
  statefulSet(namespace: string, name: string): StatefulSet | undefined
  disruptionBudgets(): Iterable<PodDisruptionBudget>
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined
  volume(name: string): PersistentVolume | undefined
  volumes(): Iterable<PersistentVolume>
  storageClass(name: string): StorageClass | undefined
  storageCapacities(): Iterable<CSIStorageCapacity>
  csiDriver(name: string): CSIDriver | undefined
  csiNode(name: string): CSINode | undefined
  /** Volumes attached to the node. */
  attachments(nodeName: string): readonly VolumeAttachment[]
  resourceClaim(namespace: string, name: string): ResourceClaim | undefined
  resourceClaims(): Iterable<ResourceClaim>
  resourceSlices(): Iterable<ResourceSlice>
  deviceClass(name: string): DeviceClass | undefined
  /** The class that stands for an extended resource (KEP-5004); of several the newest. */
  classOfResource(name: string): DeviceClass | undefined
}

/** Nothing there: for simulations of nodes and pods alone. */
export const emptyView: ClusterView = {
  namespace: () => undefined,
  namespaces: () => [],
  services: () => [],
  replicationController: () => undefined,
  replicaSet: () => undefined,
  statefulSet: () => undefined,
  disruptionBudgets: () => [],
  claim: () => undefined,
  volume: () => undefined,
  volumes: () => [],
  storageClass: () => undefined,
  storageCapacities: () => [],
  csiDriver: () => undefined,
  csiNode: () => undefined,
  attachments: () => [],
  resourceClaim: () => undefined,
  resourceClaims: () => [],
  resourceSlices: () => [],
  deviceClass: () => undefined,
  classOfResource: () => undefined,
}
