/**
 * Who manages what: a controller owns the objects that name it as their controller, adopts orphans that its selector matches and
 * lets go of those that it no longer matches (upstream's ControllerRefManager).
 */
import type { LabelMatcher } from '../api/selectors.ts'
import type { KubeObject } from '../api/object.ts'
import { isApiError } from '../api/status.ts'
import type { OwnerReference } from '../api/generated/meta/v1.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'
import type { IndexFunction, ObjectCache } from '../client/object-cache.ts'
import { controllerReference } from '../client/object-reference.ts'

export const controllerOf = (object: KubeObject): OwnerReference | undefined =>
  object.metadata?.ownerReferences?.find((owner) => owner.controller)

export const isControlledBy = (object: KubeObject, owner: KubeObject): boolean => controllerOf(object)?.uid === owner.metadata?.uid

/** The index that finds a controller's objects and, by namespace, the orphans that it may adopt. */
export const CONTROLLER_INDEX = 'controller'
const orphansOf = (namespace: string | undefined): string => `orphans/${namespace}`
export const byControllerOrOrphan: IndexFunction<KubeObject> = (object) =>
  controllerOf(object)?.uid ?? orphansOf(object.metadata?.namespace)

/** What an owner controls and what it might adopt. The cache must have the index CONTROLLER_INDEX. */
export const ownedAndOrphans = <T>(cache: ObjectCache<T>, owner: KubeObject): readonly T[] => [
  ...cache.byIndex(CONTROLLER_INDEX, owner.metadata!.uid!),
  ...cache.byIndex(CONTROLLER_INDEX, orphansOf(owner.metadata!.namespace)),
]

export interface ClaimOptions<K extends KindName, O extends KindName> {
  readonly kind: K
  readonly objects: readonly ObjectOf<K>[]
  readonly ownerKind: O
  readonly owner: KubeObject
  readonly matches: LabelMatcher
  /** Objects that must not be adopted although they match (pods that have ended). */
  readonly canAdopt?: (object: ObjectOf<K>) => boolean
}

/** Adopts and releases, and returns what the owner has afterwards. Rejects after the first failure that is not a race lost. */
export async function claim<K extends KindName, O extends KindName>(
  client: Client,
  options: ClaimOptions<K, O>,
): Promise<readonly ObjectOf<K>[]> {
  const { kind, objects, ownerKind, owner, matches, canAdopt } = options
  const isOwnerGoing = owner.metadata?.deletionTimestamp !== undefined
  const claimed: ObjectOf<K>[] = []
  let isOwnerChecked = false
  for (const object of objects) {
    const { labels = {}, deletionTimestamp } = (object as KubeObject).metadata ?? {}
    const controller = controllerOf(object)
    if (controller) {
      if (controller.uid !== owner.metadata?.uid) continue
      if (matches(labels)) claimed.push(object)
      else if (!isOwnerGoing) await release(client, kind, object, owner)
      continue
    }
    if (isOwnerGoing || deletionTimestamp || !matches(labels) || canAdopt?.(object) === false) continue
    // The owner may have been deleted and made anew since the cache saw it: then the orphan is not its child.
    if (!isOwnerChecked) await assertOwnerLives(client, ownerKind, owner)
    isOwnerChecked = true
    const adopted = await adopt(client, kind, object as KubeObject, controllerReference(ownerKind, owner))
    if (adopted) claimed.push(adopted)
  }
  return claimed
}

async function assertOwnerLives(client: Client, kind: KindName, owner: KubeObject): Promise<void> {
  const { namespace, name, uid } = owner.metadata!
  const fresh = (await client.get(kind, { namespace, name: name! })) as KubeObject
  if (fresh.metadata?.uid !== uid)
    throw new Error(`original ${kind} ${namespace}/${name} is gone: got uid ${fresh.metadata?.uid}, wanted ${uid}`)
  if (fresh.metadata?.deletionTimestamp)
    throw new Error(`${namespace}/${name} has just been deleted at ${fresh.metadata.deletionTimestamp}`)
}

async function adopt<K extends KindName>(
  client: Client,
  kind: K,
  object: KubeObject,
  reference: OwnerReference,
): Promise<ObjectOf<K> | undefined> {
  const { namespace, name, uid } = object.metadata!
  try {
    return await client.patch(kind, { namespace, name: name! }, 'strategic', { metadata: { ownerReferences: [reference], uid } })
  } catch (error) {
    if (isApiError(error, 'NotFound')) return undefined
    throw error
  }
}

async function release(client: Client, kind: KindName, object: KubeObject, owner: KubeObject): Promise<void> {
  const { namespace, name, uid } = object.metadata!
  const patch = { metadata: { ownerReferences: [{ $patch: 'delete', uid: owner.metadata!.uid }], uid } }
  try {
    await client.patch(kind, { namespace, name: name! }, 'strategic', patch)
  } catch (error) {
    // Gone, or already without the reference (the server then finds the patch invalid): both are what was wanted.
    if (!isApiError(error, 'NotFound', 'Invalid')) throw error
  }
}
