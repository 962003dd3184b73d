/** What pods need of ResourceClaims, and which claims nobody needs any more (KEP-3063, KEP-4381). No I/O. */
import type { Pod, PodResourceClaim } from '../../api/generated/core/v1.ts'
import type { ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate } from '../../api/generated/resource/v1.ts'
import { isPodTerminal } from '../pods/pod-state.ts'

/** On claims made from a template: which entry of the pod they are for. */
const POD_CLAIM_NAME = 'resource.kubernetes.io/pod-claim-name'
/** Keeps a claim that is allocated. */
export const FINALIZER = 'resource.kubernetes.io/delete-protection'
/** Of the generated name, without the suffix: 63 characters in all. */
const MAX_PREFIX_LENGTH = 57
/** How many pods may use a claim at once. */
const MAX_CONSUMERS = 256

/** It will not run, or not again. */
export const isPodDone = (pod: Pod): boolean => isPodTerminal(pod) || (pod.metadata?.deletionTimestamp !== undefined && !pod.spec?.nodeName)

/** For an entry that needs no claim; no name is empty. */
export const NONE = ''

/** The claim that an entry of the pod stands for: a name; NONE when it needs none; undefined when it is not known yet. */
export function claimNameOf(pod: Pod, entry: PodResourceClaim): string | undefined {
  if (entry.resourceClaimName !== undefined) return entry.resourceClaimName
  const status = pod.status?.resourceClaimStatuses?.find(({ name }) => name === entry.name)
  return status && (status.resourceClaimName ?? NONE)
}

export const claimNamesOf = (pod: Pod): readonly string[] => {
  const names = (pod.spec?.resourceClaims ?? [])
    .map((entry) => claimNameOf(pod, entry))
    .filter((name): name is string => name !== undefined && name !== NONE)
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName
  return extended === undefined ? names : [...names, extended]
}

export const isClaimOf = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.metadata?.ownerReferences?.some(({ uid, controller }) => controller && uid === pod.metadata?.uid) ?? false

export const isMadeFor = (claim: ResourceClaim, entry: PodResourceClaim): boolean =>
  claim.metadata?.annotations?.[POD_CLAIM_NAME] === entry.name

/** Long names are cut in proportion. */
function prefixOf(podName: string, entryName: string): string {
  const whole = `${podName}-${entryName}-`
  if (whole.length <= MAX_PREFIX_LENGTH) return whole
  const share = (text: string): string => text.slice(0, Math.floor((text.length * MAX_PREFIX_LENGTH) / whole.length))
  return `${share(podName)}-${share(entryName)}`
}

export function claimFrom(template: ResourceClaimTemplate, pod: Pod, entry: PodResourceClaim): ResourceClaim {
  const { labels, annotations } = template.spec.metadata ?? {}
  const { name, namespace, uid } = pod.metadata!
  return {
    metadata: {
      namespace: namespace!,
      generateName: prefixOf(name!, entry.name),
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: name!, uid: uid!, controller: true }],
      annotations: { ...annotations, [POD_CLAIM_NAME]: entry.name },
      ...(labels ? { labels } : {}),
    },
    spec: template.spec.spec,
  }
}

export const consumerOf = (pod: Pod): ResourceClaimConsumerReference => ({
  resource: 'pods',
  name: pod.metadata!.name!,
  uid: pod.metadata!.uid!,
})

const isReservedFor = ({ status }: ResourceClaim, pod: Pod): boolean =>
  status?.reservedFor?.some(({ uid }) => uid === pod.metadata?.uid) ?? false

/** A pod that was put on a node past the scheduler must still be noted at claims that are allocated. */
export const needsReservation = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.status?.allocation !== undefined && !isReservedFor(claim, pod) && (claim.status.reservedFor?.length ?? 0) < MAX_CONSUMERS

export const isPod = ({ apiGroup = '', resource }: ResourceClaimConsumerReference): boolean => apiGroup === '' && resource === 'pods'
