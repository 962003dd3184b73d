/** Every kind that has more to it than its schema. A kind that is not listed is served by the general rules alone. */
import type { Resource } from '../resource.ts'
import { controllerRevisions } from './apps/controller-revision.ts'
import { daemonSets } from './apps/daemon-set.ts'
import { deployments } from './apps/deployment.ts'
import { replicaSets } from './apps/replica-set.ts'
import { statefulSets } from './apps/stateful-set.ts'
import { cronJobs } from './batch/cron-job.ts'
import { jobs } from './batch/job.ts'
import { componentStatuses } from './core/component-status.ts'
import { configMaps } from './core/config-map.ts'
import { endpoints } from './core/endpoints.ts'
import { events } from './core/event.ts'
import { limitRanges } from './core/limit-range.ts'
import { namespaces } from './core/namespace.ts'
import { nodes } from './core/node.ts'
import { persistentVolumeClaims } from './core/persistent-volume-claim.ts'
import { persistentVolumes } from './core/persistent-volume.ts'
import { podTemplates } from './core/pod-template.ts'
import { pods } from './core/pod.ts'
import { replicationControllers } from './core/replication-controller.ts'
import { resourceQuotas } from './core/resource-quota.ts'
import { secrets } from './core/secret.ts'
import { serviceAccounts } from './core/service-account.ts'
import type { ServiceAllocator } from './core/service-allocator.ts'
import { services } from './core/service.ts'

export { createServiceAllocator } from './core/service-allocator.ts'
export type { ServiceAllocator, ServiceAllocatorOptions } from './core/service-allocator.ts'

export const resources: readonly Resource[] = [
  componentStatuses,
  configMaps,
  endpoints,
  events,
  limitRanges,
  namespaces,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  podTemplates,
  replicationControllers,
  resourceQuotas,
  secrets,
  serviceAccounts,
  services,
  controllerRevisions,
  daemonSets,
  deployments,
  replicaSets,
  statefulSets,
  cronJobs,
  jobs,
]

/** The kinds of a server whose services get their addresses and ports from this allocator. */
export const resourcesWith = (allocator: ServiceAllocator): readonly Resource[] =>
  resources.map((resource) => (resource === services ? { ...resource, ...allocator } : resource)) as readonly Resource[]
