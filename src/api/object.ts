/**
 * What every Kubernetes object is: immutable plain JSON. A change makes a new object that shares what did not change, so that
 * the watch cache, the informers and the serialised bytes can all share one.
 */
import type { ObjectMeta } from './generated/meta/v1.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }

/** Any object of the API: a built-in kind or a custom resource. */
export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: ObjectMeta
  // oxlint-disable-next-line typescript/no-explicit-any -- fields of an unknown kind are whatever its schema says
  readonly [field: string]: any
}

/** Where an object lives within its kind. `namespace` is undefined for cluster-scoped kinds. */
export interface ObjectKey {
  readonly namespace?: string | undefined
  readonly name: string
}

/** "namespace/name", or "name" for cluster-scoped kinds: the key that work queues and caches use. */
export const keyOf = (object: { readonly metadata?: ObjectMeta }): string =>
  object.metadata?.namespace ? `${object.metadata.namespace}/${object.metadata.name}` : (object.metadata?.name ?? '')

/** The inverse of keyOf. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf('/')
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}
