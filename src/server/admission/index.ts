/**
 * The built-in admission plugins in upstream's order (pkg/kubeapiserver/options/plugins.go). Admission policies (policies/) and webhooks
 * (webhooks/) are dynamic: they see what the built-in plugins have made. PodGroupProtection, PodGroupWorkloadExists and JobValidation do
 * nothing: their features are off in v1.36, and so are their kinds.
 */
import type { AdmissionPlugin } from '../admission.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import { ConfigurationError } from '../configuration/decode.ts'
import type { ResourceRegistry } from '../resource-registry.ts'
import { alwaysDeny } from './always-deny.ts'
import { alwaysPullImages } from './always-pull-images.ts'
import { certificatePlugins, certificateSubjectRestriction } from './certificates.ts'
import { defaultIngressClass } from './default-ingress-class.ts'
import { defaultStorageClass } from './default-storage-class.ts'
import { defaultTolerationSeconds } from './default-toleration-seconds.ts'
import { denyServiceExternalIps } from './deny-service-external-ips.ts'
import { eventRateLimit } from './event-rate-limit.ts'
import { imagePolicyWebhook, type ImageReviewer } from './image-policy.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { namespaceAutoProvision, namespaceExists, type CreateObject } from './namespaces.ts'
import { nodeRestriction } from './node-restriction.ts'
import { ownerReferencesPermissionEnforcement } from './owner-references.ts'
import { persistentVolumeClaimResize } from './persistent-volume-claim-resize.ts'
import { podNodeSelector } from './pod-node-selector.ts'
import { podSecurity } from './pod-security/plugin.ts'
import { limitPodHardAntiAffinityTopology, podTopologyLabels } from './pod-topology.ts'
import { nodeDeclaredFeatureValidator, podResizeValidator } from './pod-update-validators.ts'
import { priority } from './priority.ts'
import { createResourceQuota } from './resource-quota.ts'
import { runtimeClass } from './runtime-class.ts'
import { serviceAccount } from './service-account.ts'
import { storageObjectInUseProtection } from './storage-object-in-use-protection.ts'
import { taintNodesByCondition } from './taint-nodes-by-condition.ts'
import { extendedResourceToleration, podTolerationRestriction } from './tolerations.ts'

/** What the administrator chooses: the flags of upstream's server, and its admission control file. */
export interface AdmissionChoice {
  /** Names of plugins that are off by default, to turn on. */
  readonly enabled?: readonly string[]
  /** Names of plugins to leave out. */
  readonly disabled?: readonly string[]
  /** Of the admission control file: what a plugin finds there, by its name. */
  readonly configurations?: ReadonlyMap<string, unknown>
  /** How long pods stay on a node that is not ready, or cannot be reached. Default 300. */
  readonly notReadySeconds?: number
  readonly unreachableSeconds?: number
}

export interface AdmissionParts {
  readonly registry: ResourceRegistry
  readonly authorizer: Authorizer
  readonly create: CreateObject
  /** Admission policies and webhooks, called after the built-in plugins, before what is used is charged. */
  readonly dynamic: readonly AdmissionPlugin[]
  /** Whom ImagePolicyWebhook asks. Absent: it cannot be turned on. */
  readonly imageReviewer?: ImageReviewer
}

/** A plugin by its name; those that are off by default are made when they are turned on. */
type Entry = AdmissionPlugin | { readonly name: string; readonly offByDefault: () => AdmissionPlugin }

const off = (name: string, offByDefault: () => AdmissionPlugin): Entry => ({ name, offByDefault })

/** Known by name, with nothing to do. */
const inert = (name: string): AdmissionPlugin => ({ name, handles: () => false })

/** Throws a ConfigurationError when the choice cannot be followed. */
export function createAdmission(parts: AdmissionParts, choice: AdmissionChoice = {}): readonly AdmissionPlugin[] {
  const { registry, authorizer, create, dynamic, imageReviewer } = parts
  const {
    enabled = [],
    disabled = [],
    configurations = new Map<string, unknown>(),
    notReadySeconds = 300,
    unreachableSeconds = 300,
  } = choice
  const certificates = certificatePlugins(authorizer)
  const configured = <T>(name: string, make: (given: unknown) => T): T => inConfiguration(name, () => make(configurations.get(name)))
  const entries: readonly Entry[] = [
    off('AlwaysAdmit', () => inert('AlwaysAdmit')),
    off('NamespaceAutoProvision', () => namespaceAutoProvision(create)),
    namespaceLifecycle,
    off('NamespaceExists', () => namespaceExists),
    off('LimitPodHardAntiAffinityTopology', () => limitPodHardAntiAffinityTopology),
    limitRanger,
    serviceAccount,
    nodeRestriction,
    taintNodesByCondition,
    off('AlwaysPullImages', () => alwaysPullImages),
    off('ImagePolicyWebhook', () => configured('ImagePolicyWebhook', (given) => imagePolicyWebhook(given, imageReviewer))),
    configured('PodSecurity', podSecurity),
    off('PodNodeSelector', () => configured('PodNodeSelector', podNodeSelector)),
    priority,
    defaultTolerationSeconds({ notReadySeconds, unreachableSeconds }),
    off('PodTolerationRestriction', () => configured('PodTolerationRestriction', podTolerationRestriction)),
    off('EventRateLimit', () => configured('EventRateLimit', eventRateLimit)),
    off('ExtendedResourceToleration', () => extendedResourceToleration),
    defaultStorageClass,
    storageObjectInUseProtection,
    inert('PodGroupProtection'),
    off('OwnerReferencesPermissionEnforcement', () => ownerReferencesPermissionEnforcement(registry, authorizer)),
    persistentVolumeClaimResize,
    runtimeClass,
    certificates.approval,
    certificates.signing,
    certificates.attesting,
    certificateSubjectRestriction,
    defaultIngressClass,
    off('DenyServiceExternalIPs', () => denyServiceExternalIps),
    podTopologyLabels,
    inert('PodGroupWorkloadExists'),
    nodeDeclaredFeatureValidator,
    inert('JobValidation'),
    podResizeValidator,
    ...dynamic,
    // Last: nothing is charged that another would refuse.
    createResourceQuota(),
    off('AlwaysDeny', () => alwaysDeny),
  ]
  checkNames(entries, enabled, disabled)
  return entries
    .filter(({ name }) => !disabled.includes(name))
    .flatMap((entry) => ('offByDefault' in entry ? (enabled.includes(entry.name) ? [entry.offByDefault()] : []) : [entry]))
}

function checkNames(entries: readonly Entry[], enabled: readonly string[], disabled: readonly string[]): void {
  const known = new Set(entries.map(({ name }) => name))
  for (const [flag, names] of [
    ['enable-admission-plugins', enabled],
    ['disable-admission-plugins', disabled],
  ] as const) {
    const unknown = names.find((name) => !known.has(name))
    if (unknown !== undefined) throw new ConfigurationError(`${flag} plugin ${JSON.stringify(unknown)} is unknown`)
  }
  const both = enabled.find((name) => disabled.includes(name))
  if (both !== undefined) throw new ConfigurationError(`[${both}] in enable-admission-plugins and disable-admission-plugins overlapped`)
}

function inConfiguration<T>(name: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof ConfigurationError)
      throw new ConfigurationError(`failed to initialize admission plugin ${JSON.stringify(name)}: ${error.message}`)
    throw error
  }
}
