/**
 * What every write does with metadata: the fields that only the server sets, the match with the request's path, and the rules
 * that hold for all kinds (k8s.io/apiserver/pkg/registry/rest, apimachinery/pkg/api/validation/objectmeta.go).
 */
import { timestamp } from '../base/clock.ts'
import { nameSuffix, uuid } from '../base/random.ts'
import type { Runtime } from '../base/runtime.ts'
import type { ObjectMeta, OwnerReference } from '../api/generated/meta/v1.ts'
import type { KubeObject } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import { deepEqual } from '../base/deep-equal.ts'

const GENERATED_BASE_LENGTH = 58

export const withMetadata = (object: KubeObject, metadata: ObjectMeta): KubeObject => ({ ...object, metadata })

/** The object in the namespace of the request ("" for cluster-scoped); throws when it says another. */
export function inNamespace(object: KubeObject, namespace: string): KubeObject {
  const own = object.metadata?.namespace ?? ''
  if (own === namespace) return object
  if (own === '') return withMetadata(object, { ...object.metadata, namespace })
  if (namespace === '') return withMetadata(object, without(object.metadata!, 'namespace'))
  throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
}

/** The object that a request sends must be the one that its path names. */
export function checkName(object: KubeObject, name: string): void {
  const own = object.metadata?.name ?? ''
  if (own === '') throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
  if (own !== name) throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`)
}

export function without<T extends object, K extends keyof T>(value: T, ...keys: readonly K[]): Omit<T, K> {
  const copy = { ...value }
  for (const key of keys) delete copy[key]
  return copy
}

/** Drops what a client may not set on a create. */
export function wipeSystemFields(object: KubeObject): KubeObject {
  const metadata = without(
    object.metadata ?? {},
    'creationTimestamp',
    'uid',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'selfLink',
    'resourceVersion',
  )
  return withMetadata(object, metadata)
}

export function fillSystemFields(runtime: Runtime, object: KubeObject): KubeObject {
  const { metadata } = object
  const name = metadata?.name || (metadata?.generateName ? generateName(runtime, metadata.generateName) : undefined)
  return withMetadata(object, {
    ...(name === undefined ? {} : { name }),
    ...without(metadata ?? {}, 'name'),
    uid: uuid(runtime.random),
    creationTimestamp: timestamp(runtime.clock),
  })
}

const generateName = (runtime: Runtime, base: string): string => `${base.slice(0, GENERATED_BASE_LENGTH)}${nameSuffix(runtime.random)}`

/** The metadata of an update: what the server owns stays as it was. */
export function keepSystemFields(next: KubeObject, old: KubeObject): KubeObject {
  const before = old.metadata!
  const given = next.metadata ?? {}
  const metadata: ObjectMeta = {
    ...without(given, 'creationTimestamp', 'generation'),
    resourceVersion: before.resourceVersion!,
    uid: given.uid || before.uid!,
    creationTimestamp: before.creationTimestamp!,
    ...(before.generation === undefined ? {} : { generation: before.generation }),
    ...(before.deletionTimestamp === undefined ? {} : { deletionTimestamp: before.deletionTimestamp }),
    ...(before.deletionGracePeriodSeconds === undefined || given.deletionGracePeriodSeconds !== undefined
      ? {}
      : { deletionGracePeriodSeconds: before.deletionGracePeriodSeconds }),
  }
  return withMetadata(next, metadata)
}

const DUPLICATE_OWNERS =
  '.metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: '

/** Each owner once; says so when there were more. */
export function dedupOwners(object: KubeObject, warn: (text: string) => void): KubeObject {
  const references = object.metadata?.ownerReferences ?? []
  if (references.length < 2) return object
  const kept: OwnerReference[] = []
  const duplicates: string[] = []
  for (const reference of references) {
    if (kept.some((other) => deepEqual(other, reference))) duplicates.push(reference.uid)
    else kept.push(reference)
  }
  if (duplicates.length === 0) return object
  warn(DUPLICATE_OWNERS + duplicates.join(', '))
  return withMetadata(object, { ...object.metadata, ownerReferences: kept })
}
