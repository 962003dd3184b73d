/** The claims that stand for the generic ephemeral volumes of a pod (KEP-1698): one a volume, owned by the pod and gone with it. */
import type { PersistentVolumeClaim, Pod } from '../../api/generated/core/v1.ts'
import { controllerReference } from '../../client/object-reference.ts'
import { isControlledBy } from '../owner-references.ts'

export interface EphemeralPlan {
  readonly create: readonly { readonly volume: string; readonly claim: PersistentVolumeClaim }[]
  /** Volumes that cannot be served, and why. */
  readonly problems: readonly { readonly volume: string; readonly why: string }[]
}

export const hasEphemeralVolumes = ({ spec }: Pod): boolean => spec?.volumes?.some(({ ephemeral }) => ephemeral !== undefined) ?? false

export function planEphemeralClaims(pod: Pod, claimNamed: (name: string) => PersistentVolumeClaim | undefined): EphemeralPlan {
  const create: { volume: string; claim: PersistentVolumeClaim }[] = []
  const problems: { volume: string; why: string }[] = []
  const { namespace, name, deletionTimestamp } = pod.metadata!
  for (const { name: volume, ephemeral } of deletionTimestamp ? [] : (pod.spec?.volumes ?? [])) {
    const template = ephemeral?.volumeClaimTemplate
    if (!template) continue
    const claimName = `${name}-${volume}`
    const known = claimNamed(claimName)
    if (known) {
      const why = `PVC ${namespace}/${claimName} was not created for pod ${namespace}/${name} (pod is not owner)`
      if (!isControlledBy(known, pod)) problems.push({ volume, why })
      continue
    }
    const { labels, annotations } = template.metadata ?? {}
    const metadata = {
      namespace: namespace!,
      name: claimName,
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ownerReferences: [controllerReference('v1/Pod', pod)],
    }
    create.push({ volume, claim: { metadata, spec: template.spec } })
  }
  return { create, problems }
}
