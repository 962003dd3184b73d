/** Every kind that has more to it than its schema. A kind that is not listed is served by the general rules alone. */
import type { Resource } from '../resource.ts'
import { mutatingAdmissionPolicyBindings } from './admissionregistration/mutating-admission-policy-binding.ts'
import { mutatingAdmissionPolicies } from './admissionregistration/mutating-admission-policy.ts'
import { mutatingWebhookConfigurations } from './admissionregistration/mutating-webhook-configuration.ts'
import { validatingAdmissionPolicyBindings } from './admissionregistration/validating-admission-policy-binding.ts'
import { validatingAdmissionPolicies } from './admissionregistration/validating-admission-policy.ts'
import { validatingWebhookConfigurations } from './admissionregistration/validating-webhook-configuration.ts'
import { celRules } from '../custom-resources/cel-rules.ts'
import { customResourceDefinitions } from '../custom-resources/definition-kind.ts'
import { apiServices } from './apiregistration/api-service.ts'
import { controllerRevisions } from './apps/controller-revision.ts'
import { daemonSets } from './apps/daemon-set.ts'
import { deployments } from './apps/deployment.ts'
import { replicaSets } from './apps/replica-set.ts'
import { statefulSets } from './apps/stateful-set.ts'
import { horizontalPodAutoscalers } from './autoscaling/horizontal-pod-autoscaler.ts'
import { cronJobs } from './batch/cron-job.ts'
import { jobs } from './batch/job.ts'
import { certificateSigningRequests } from './certificates/certificate-signing-request.ts'
import { clusterTrustBundles } from './certificates/cluster-trust-bundle.ts'
import { podCertificateRequests } from './certificates/pod-certificate-request.ts'
import { leaseCandidates } from './coordination/lease-candidate.ts'
import { leases } from './coordination/lease.ts'
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
import { services } from './core/service.ts'
import { endpointSlices } from './discovery/endpoint-slice.ts'
import { flowSchemas } from './flowcontrol/flow-schema.ts'
import { priorityLevelConfigurations } from './flowcontrol/priority-level-configuration.ts'
import { storageVersions } from './internal/storage-version.ts'
import { ingressClasses } from './networking/ingress-class.ts'
import { ingresses } from './networking/ingress.ts'
import { ipAddresses } from './networking/ip-address.ts'
import { networkPolicies } from './networking/network-policy.ts'
import { serviceCIDRs } from './networking/service-cidr.ts'
import { runtimeClasses } from './node/runtime-class.ts'
import { podDisruptionBudgets } from './policy/pod-disruption-budget.ts'
import { clusterRoleBindings } from './rbac/cluster-role-binding.ts'
import { clusterRoles } from './rbac/cluster-role.ts'
import { roleBindings } from './rbac/role-binding.ts'
import { roles } from './rbac/role.ts'
import { deviceClasses } from './resource/device-class.ts'
import { deviceTaintRules } from './resource/device-taint-rule.ts'
import { resourceClaimTemplates } from './resource/resource-claim-template.ts'
import { resourceClaims } from './resource/resource-claim.ts'
import { resourceSlices } from './resource/resource-slice.ts'
import { podGroups } from './scheduling/pod-group.ts'
import { priorityClasses } from './scheduling/priority-class.ts'
import { workloads } from './scheduling/workload.ts'
import { csiDrivers } from './storage/csi-driver.ts'
import { csiNodes } from './storage/csi-node.ts'
import { csiStorageCapacities } from './storage/csi-storage-capacity.ts'
import { storageClasses } from './storage/storage-class.ts'
import { volumeAttachments } from './storage/volume-attachment.ts'
import { volumeAttributesClasses } from './storage/volume-attributes-class.ts'
import { storageVersionMigrations } from './storagemigration/storage-version-migration.ts'
import type { ServiceAllocator } from './core/service-allocator.ts'

export { createServiceAllocator } from './core/service-allocator.ts'
export type { ServiceAllocator, ServiceAllocatorOptions } from './core/service-allocator.ts'

export const resources: readonly Resource[] = [
  mutatingAdmissionPolicyBindings,
  mutatingAdmissionPolicies,
  mutatingWebhookConfigurations,
  validatingAdmissionPolicyBindings,
  validatingAdmissionPolicies,
  validatingWebhookConfigurations,
  apiServices,
  customResourceDefinitions({ rules: celRules }),
  controllerRevisions,
  daemonSets,
  deployments,
  replicaSets,
  statefulSets,
  horizontalPodAutoscalers,
  cronJobs,
  jobs,
  certificateSigningRequests,
  clusterTrustBundles,
  podCertificateRequests,
  leaseCandidates,
  leases,
  componentStatuses,
  configMaps,
  endpoints,
  events,
  limitRanges,
  namespaces,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  podTemplates,
  pods,
  replicationControllers,
  resourceQuotas,
  secrets,
  serviceAccounts,
  services,
  endpointSlices,
  flowSchemas,
  priorityLevelConfigurations,
  storageVersions,
  ingressClasses,
  ingresses,
  ipAddresses,
  networkPolicies,
  serviceCIDRs,
  runtimeClasses,
  podDisruptionBudgets,
  clusterRoleBindings,
  clusterRoles,
  roleBindings,
  roles,
  deviceClasses,
  deviceTaintRules,
  resourceClaimTemplates,
  resourceClaims,
  resourceSlices,
  podGroups,
  priorityClasses,
  workloads,
  csiDrivers,
  csiNodes,
  csiStorageCapacities,
  storageClasses,
  volumeAttachments,
  volumeAttributesClasses,
  storageVersionMigrations,
]

/** The kinds of a server whose services get their addresses and ports from this allocator. */
export const resourcesWith = (allocator: ServiceAllocator): readonly Resource[] =>
  resources.map((resource) => (resource === services ? { ...resource, ...allocator } : resource)) as readonly Resource[]
