/** References to objects, as events and owner references hold them. */
import type { ObjectReference } from '../api/generated/core/v1.ts'
import type { OwnerReference } from '../api/generated/meta/v1.ts'
import type { KubeObject } from '../api/object.ts'
import { apiVersionOf, parseKindName } from '../api/schema.ts'
import type { KindName } from './client.ts'

/** The kind is passed, because objects of lists need not say theirs. */
export function referenceTo(kind: KindName, object: KubeObject): ObjectReference {
  const gvk = parseKindName(kind)
  const { name, namespace, uid, resourceVersion } = object.metadata ?? {}
  return {
    kind: gvk.kind,
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {}),
    ...(uid ? { uid } : {}),
    apiVersion: apiVersionOf(gvk),
    ...(resourceVersion ? { resourceVersion } : {}),
  }
}

/** The reference of the one controller that manages an object (metav1.NewControllerRef). */
export function controllerReference(kind: KindName, owner: KubeObject): OwnerReference {
  const gvk = parseKindName(kind)
  return {
    apiVersion: apiVersionOf(gvk),
    kind: gvk.kind,
    name: owner.metadata!.name!,
    uid: owner.metadata!.uid!,
    controller: true,
    blockOwnerDeletion: true,
  }
}
