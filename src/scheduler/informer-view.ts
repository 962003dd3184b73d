/** The view of other objects, over the shared informers. */
import type { Informers } from '../client/informers.ts'
import type { ClusterView } from './cluster-view.ts'

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
  }
}
