/** How many pods their owners ask for in all: what a budget's percentages and `maxUnavailable` are relative to. */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { parseApiVersion } from '../../api/schema.ts'
import { isApiError, qualifiedResource } from '../../api/status.ts'
import type { Client } from '../../client/client.ts'
import type { Caches, ReconcileContext } from '../controller.ts'
import { controllerOf } from '../owner-references.ts'

export interface OwnersScale {
  readonly scale: number
  readonly hasUnmanaged: boolean
}

interface Owner {
  readonly uid: string
  readonly replicas: number
}

/** Rejects when the scale of an owner cannot be found out. */
export async function scaleOfOwners({ client, caches }: ReconcileContext, namespace: string, pods: readonly Pod[]): Promise<OwnersScale> {
  const replicas = new Map<string, number>()
  const seen = new Set<string>()
  let hasUnmanaged = false
  for (const pod of pods) {
    const reference = controllerOf(pod)
    if (!reference) hasUnmanaged = true
    if (!reference || seen.has(reference.uid)) continue
    seen.add(reference.uid)
    const owner = cachedOwner(caches, namespace, reference) ?? (await askedOwner(client, namespace, reference))
    if (!owner) throw new Error(`found no controllers for pod ${JSON.stringify(pod.metadata?.name)}`)
    replicas.set(owner.uid, owner.replicas)
  }
  return { scale: [...replicas.values()].reduce((sum, count) => sum + count, 0), hasUnmanaged }
}

function cachedOwner(caches: Caches, namespace: string, { apiVersion, kind, name, uid }: OwnerReference): Owner | undefined {
  const { group } = parseApiVersion(apiVersion)
  const key = `${namespace}/${name}`
  const found = cacheFor(caches, group, kind)?.get(key)
  if (!found || found.metadata?.uid !== uid) return undefined
  const upper = kind === 'ReplicaSet' ? controllerOf(found) : undefined
  if (upper?.kind === 'Deployment') {
    const deployment = caches.of('apps/v1/Deployment').get(`${namespace}/${upper.name}`)
    return deployment?.metadata?.uid === upper.uid ? { uid: upper.uid, replicas: deployment.spec?.replicas ?? 1 } : undefined
  }
  return { uid, replicas: found.spec?.replicas ?? 1 }
}

function cacheFor(caches: Caches, group: string, kind: string) {
  if (group === '' && kind === 'ReplicationController') return caches.of('v1/ReplicationController')
  if (group === 'apps' && kind === 'ReplicaSet') return caches.of('apps/v1/ReplicaSet')
  return group === 'apps' && kind === 'StatefulSet' ? caches.of('apps/v1/StatefulSet') : undefined
}

/** Any other kind tells by its scale subresource. */
async function askedOwner(client: Client, namespace: string, { apiVersion, kind, name, uid }: OwnerReference): Promise<Owner | undefined> {
  const kindName = `${apiVersion}/${kind}`
  const { group, resource, subresources } = await client.resourceOf(kindName)
  if (!subresources.some((subresource) => subresource.name === 'scale'))
    throw new Error(`${qualifiedResource(group, resource)} does not implement the scale subresource`)
  try {
    const scale = await client.get<string>(kindName, { namespace, name }, { subresource: 'scale' })
    return scale.metadata?.uid === uid ? { uid, replicas: scale['spec']?.replicas ?? 0 } : undefined
  } catch (error) {
    if (isApiError(error, 'NotFound')) return undefined
    throw error
  }
}
