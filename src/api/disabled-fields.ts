/**
 * Fields of features that are off by default in v1.36. Upstream's API server knows them, checks their types and drops what clients
 * put there (its strategies' dropDisabledFields); here the decoder does. By type, "core/v1.PodSpec".
 */
export const DISABLED_FIELDS: Readonly<Record<string, readonly string[]>> = {
  // ClusterTrustBundleProjection, PodCertificateRequest
  'core/v1.VolumeProjection': ['clusterTrustBundle', 'podCertificate'],
  // ContainerStopSignals
  'core/v1.Lifecycle': ['stopSignal'],
  // DRANodeAllocatableResources
  'core/v1.PodStatus': ['nodeAllocatableResourceClaimStatuses'],
  // GenericWorkload
  'core/v1.PodSpec': ['schedulingGroup'],
  // ImageVolumeWithDigest
  'core/v1.VolumeMountStatus': ['volumeStatus'],
  // Gone with DynamicKubeletConfig.
  'core/v1.NodeSpec': ['configSource'],
  'core/v1.NodeStatus': ['config'],
  // CoordinatedLeaderElection
  'coordination/v1.LeaseSpec': ['preferredHolder', 'strategy'],
  // MaxUnavailableStatefulSet
  'apps/v1.RollingUpdateStatefulSetStrategy': ['maxUnavailable'],
  // VolumeLimitScaling
  'storage/v1.CSIDriverSpec': ['preventPodSchedulingIfMissing'],
}
