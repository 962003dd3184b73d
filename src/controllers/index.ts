/** The built-in controllers. Made anew for each run (each term of leadership), because some remember what they saw. */
import type { Controller } from './controller.ts'
import { createAttachDetachController, type Sha256 } from './attach-detach/controller.ts'
import { bootstrapSigner } from './bootstrap-signer/controller.ts'
import { clusterRoleAggregationController } from './cluster-role-aggregation/controller.ts'
import { cronJobController } from './cronjob/controller.ts'
import { csrApprovingController } from './csr-approving/controller.ts'
import { csrCleanerController } from './csr-cleaner/controller.ts'
import { createCsrSigningController, type SignCertificate } from './csr-signing/controller.ts'
import { createDaemonSetController } from './daemonset/controller.ts'
import { deploymentController } from './deployment/controller.ts'
import { createDeviceTaintEviction } from './device-taint-eviction/controller.ts'
import { disruptionController } from './disruption/controller.ts'
import { createEndpointsController } from './endpoints/controller.ts'
import { createEndpointSliceController } from './endpointslice/controller.ts'
import { endpointSliceMirroringController } from './endpointslice-mirroring/controller.ts'
import { ephemeralVolumeController } from './ephemeral-volume/controller.ts'
import { createGarbageCollector } from './garbage-collector/controller.ts'
import { createHorizontalPodAutoscaler } from './horizontal-pod-autoscaler/controller.ts'
import { createJobController } from './job/controller.ts'
import { createNamespaceController } from './namespace/controller.ts'
import { createNodeIpamController } from './node-ipam/controller.ts'
import { createNodeLifecycleController } from './node-lifecycle/controller.ts'
import { createNodeTtlController } from './node-ttl/controller.ts'
import { policyStatusController } from './policy-status/controller.ts'
import { createPodGarbageCollector } from './pod-gc/controller.ts'
import { replicaSetController, replicationController } from './replicaset/controller.ts'
import { resourceClaimController } from './resource-claim/controller.ts'
import { createResourceQuotaController } from './resourcequota/controller.ts'
import { createRootCaController } from './root-ca/controller.ts'
import { createServiceAccountTokenController } from './service-account-token/controller.ts'
import type { ServiceAccountTokenOptions } from './service-account-token/controller.ts'
import { serviceAccountController } from './serviceaccount/controller.ts'
import { createServiceLoadBalancerController, type LoadBalancers } from './service-lb/controller.ts'
import { serviceCidrController } from './service-cidr/controller.ts'
import { statefulSetController } from './statefulset/controller.ts'
import {
  attributesClassProtectionController,
  claimProtectionController,
  volumeProtectionController,
} from './storage-protection/controller.ts'
import { createTaintEvictionController } from './taint-eviction/controller.ts'
import { tokenCleanerController } from './token-cleaner/controller.ts'
import { ttlAfterFinishedController } from './ttl-after-finished/controller.ts'
import { volumeExpander } from './volume-expander/controller.ts'
import { volumeBinder } from './volume-binder/controller.ts'

export type { Controller } from './controller.ts'
export type { RunControllersOptions } from './run.ts'

export interface BuiltInControllersOptions {
  /** PEM of the authority that signed the API server's certificate. */
  readonly rootCa: string
  /** The network that pods get their addresses from. */
  readonly podCidr?: string
  /** The prefix length of each node's block. */
  readonly nodeCidrPrefix?: number
  /** Issues the tokens of Secrets that ask for one; without it such Secrets stay empty. */
  readonly issueToken?: ServiceAccountTokenOptions['issue']
  /** Makes load balancers for Services that ask for one; without it they wait. */
  readonly loadBalancers?: LoadBalancers
  /** Names VolumeAttachments; without it none are made. */
  readonly sha256?: Sha256
  /** Signs certificates that are asked for by CertificateSigningRequests; without it nobody does. */
  readonly signCertificate?: SignCertificate
}

export const builtInControllers = ({
  rootCa,
  podCidr = '10.244.0.0/16',
  nodeCidrPrefix = 24,
  issueToken,
  sha256,
  loadBalancers,
  signCertificate,
}: BuiltInControllersOptions): readonly Controller[] => [
  createNamespaceController(),
  serviceAccountController,
  createRootCaController(rootCa),
  createGarbageCollector(),
  deploymentController,
  replicaSetController,
  replicationController,
  createDaemonSetController(),
  statefulSetController,
  createJobController(),
  createEndpointSliceController(),
  createEndpointsController(),
  endpointSliceMirroringController,
  createNodeIpamController(podCidr, nodeCidrPrefix),
  createNodeLifecycleController(),
  createTaintEvictionController(),
  createPodGarbageCollector(),
  createResourceQuotaController(),
  disruptionController,
  volumeBinder,
  claimProtectionController,
  volumeProtectionController,
  attributesClassProtectionController,
  cronJobController,
  ttlAfterFinishedController,
  clusterRoleAggregationController,
  policyStatusController,
  ephemeralVolumeController,
  tokenCleanerController,
  csrApprovingController,
  csrCleanerController,
  ...(signCertificate ? [createCsrSigningController(signCertificate)] : []),
  createHorizontalPodAutoscaler(),
  createNodeTtlController(),
  serviceCidrController,
  resourceClaimController,
  createDeviceTaintEviction(),
  bootstrapSigner,
  ...(sha256 ? [createAttachDetachController(sha256)] : []),
  volumeExpander,
  ...(loadBalancers ? [createServiceLoadBalancerController(loadBalancers)] : []),
  ...(issueToken ? [createServiceAccountTokenController({ rootCa, issue: issueToken })] : []),
]
