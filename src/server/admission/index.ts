/**
 * The built-in admission plugins in upstream's order (pkg/kubeapiserver/options/plugins.go). Not here yet:
 * CertificateApproval, CertificateSigning, CertificateSubjectRestriction, ClusterTrustBundleAttest,
 * PodTopologyLabels, NodeDeclaredFeatureValidator and PodResizeValidator. Admission policies (policies/) and
 * webhooks (webhooks/) are dynamic: they see what the built-in plugins have made.
 */
import type { AdmissionPlugin } from '../admission.ts'
import { defaultIngressClass } from './default-ingress-class.ts'
import { defaultStorageClass } from './default-storage-class.ts'
import { defaultTolerationSeconds } from './default-toleration-seconds.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { nodeRestriction } from './node-restriction.ts'
import { persistentVolumeClaimResize } from './persistent-volume-claim-resize.ts'
import { podSecurity } from './pod-security/plugin.ts'
import { priority } from './priority.ts'
import { createResourceQuota } from './resource-quota.ts'
import { runtimeClass } from './runtime-class.ts'
import { serviceAccount } from './service-account.ts'
import { storageObjectInUseProtection } from './storage-object-in-use-protection.ts'
import { taintNodesByCondition } from './taint-nodes-by-condition.ts'

export interface AdmissionOptions {
  /** How long pods stay on a node that is not ready, or cannot be reached. Default 300. */
  readonly notReadySeconds?: number
  readonly unreachableSeconds?: number
  /** Names of plugins to leave out. */
  readonly disabled?: readonly string[]
  /** Admission policies and webhooks, called after the built-in plugins, before what is used is charged. */
  readonly dynamic?: readonly AdmissionPlugin[]
}

export function createAdmission({
  notReadySeconds = 300,
  unreachableSeconds = 300,
  disabled = [],
  dynamic = [],
}: AdmissionOptions = {}): readonly AdmissionPlugin[] {
  const plugins: readonly AdmissionPlugin[] = [
    namespaceLifecycle,
    limitRanger,
    serviceAccount,
    nodeRestriction,
    taintNodesByCondition,
    podSecurity(),
    priority,
    defaultTolerationSeconds({ notReadySeconds, unreachableSeconds }),
    defaultStorageClass,
    storageObjectInUseProtection,
    persistentVolumeClaimResize,
    runtimeClass,
    defaultIngressClass,
    ...dynamic,
    // Last: nothing is charged that another would refuse.
    createResourceQuota(),
  ]
  return plugins.filter(({ name }) => !disabled.includes(name))
}
