/** What makes the pods of a StatefulSet individuals: ordinal, name, and the claims that stay with them. */
import type { StatefulSet } from '../../api/generated/apps/v1.ts'
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, Volume } from '../../api/generated/core/v1.ts'
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { controllerReference } from '../../client/object-reference.ts'
import { REVISION_HASH_LABEL } from '../history/controller-revisions.ts'
import { controllerOf } from '../owner-references.ts'
import { podFromTemplate } from '../pods/pod-state.ts'

export const KIND = 'apps/v1/StatefulSet'
const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name'
const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index'

export const startOrdinalOf = (set: StatefulSet): number => set.spec?.ordinals?.start ?? 0

/** -1 when the name has none. */
export function ordinalOf(pod: Pod): number {
  const found = /-(\d+)$/.exec(pod.metadata?.name ?? '')
  return found ? Number(found[1]) : -1
}

/** The set's name in a pod's name. */
export const parentOf = (pod: Pod): string => (pod.metadata?.name ?? '').replace(/-\d+$/, '')

export const isInRange = (set: StatefulSet, ordinal: number): boolean => {
  const start = startOrdinalOf(set)
  return ordinal >= start && ordinal < start + (set.spec?.replicas ?? 1)
}

export const claimName = (set: StatefulSet, template: PersistentVolumeClaim, ordinal: number): string =>
  `${template.metadata?.name}-${set.metadata?.name}-${ordinal}`

const identityLabels = (name: string, ordinal: number) => ({ [POD_NAME_LABEL]: name, [POD_INDEX_LABEL]: String(ordinal) })

function volumesOf(set: StatefulSet, own: readonly Volume[], ordinal: number): readonly Volume[] {
  const templates = set.spec?.volumeClaimTemplates ?? []
  const claims = templates.map((template): Volume => ({
    name: template.metadata!.name!,
    persistentVolumeClaim: { claimName: claimName(set, template, ordinal) },
  }))
  return [...claims, ...own.filter((volume) => !claims.some((claim) => claim.name === volume.name))]
}

/** `revision` is the name of the ControllerRevision that `template` comes from. */
export function podFor(set: StatefulSet, template: PodTemplateSpec, revision: string, ordinal: number): Pod {
  const pod = podFromTemplate(template, set.metadata!.namespace!, controllerReference(KIND, set))
  const name = `${set.metadata!.name}-${ordinal}`
  const { generateName: _prefix, ...metadata } = pod.metadata!
  const volumes = volumesOf(set, pod.spec?.volumes ?? [], ordinal)
  return {
    ...pod,
    metadata: { ...metadata, name, labels: { ...metadata.labels, ...identityLabels(name, ordinal), [REVISION_HASH_LABEL]: revision } },
    spec: {
      ...pod.spec!,
      hostname: name,
      ...(set.spec?.serviceName ? { subdomain: set.spec.serviceName } : {}),
      ...(volumes.length > 0 ? { volumes } : {}),
    },
  }
}

/** The labels that a pod has lost; undefined when it has them. */
export function missingIdentity(pod: Pod): Readonly<Record<string, string>> | undefined {
  const wanted = identityLabels(pod.metadata!.name!, ordinalOf(pod))
  return pod.metadata?.labels?.[POD_NAME_LABEL] === wanted[POD_NAME_LABEL] ? undefined : wanted
}

export const claimsFor = (set: StatefulSet, ordinal: number): readonly PersistentVolumeClaim[] =>
  (set.spec?.volumeClaimTemplates ?? []).map((template) => ({
    ...template,
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      ...template.metadata,
      name: claimName(set, template, ordinal),
      namespace: set.metadata!.namespace!,
      labels: { ...template.metadata?.labels, ...set.spec?.selector.matchLabels },
    },
  }))

/** Who a claim goes with, by the set's retention policy (KEP-1847): nobody, the set, or a pod that is scaled away. */
export function claimOwners(set: StatefulSet, pod: Pod | undefined, claim: PersistentVolumeClaim): readonly OwnerReference[] {
  const owners = claim.metadata?.ownerReferences ?? []
  const isOurs = (owner: OwnerReference) => owner.uid === set.metadata?.uid || (owner.kind === 'Pod' && owner.name === pod?.metadata?.name)
  const others = owners.filter((owner) => !isOurs(owner))
  const controller = controllerOf(claim)
  if (controller && !isOurs(controller)) return others
  const { whenScaled = 'Retain', whenDeleted = 'Retain' } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {}
  const isScaledAway = pod !== undefined && !isInRange(set, ordinalOf(pod))
  if (whenScaled === 'Delete' && isScaledAway) return [...others, controllerReference('v1/Pod', pod)]
  if (whenDeleted === 'Delete') return [...others, controllerReference(KIND, set)]
  return others
}
