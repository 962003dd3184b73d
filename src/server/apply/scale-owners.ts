/**
 * Owners of a scale: of the whole object only its replicas are seen, as `spec.replicas` of a Scale; what became of them is told to
 * the object again (k8s.io/apimachinery/pkg/util/managedfields/scalehandler.go).
 */
import { difference, has, isEmpty, setOf, type FieldPath } from '../../api/apply/field-set.ts'
import { ownerKey, readOwners, writeOwners, type Owner } from '../../api/apply/managers.ts'
import type { ManagedFieldsEntry } from '../../api/generated/meta/v1.ts'

type Entries = readonly ManagedFieldsEntry[] | undefined

const SCALE_VERSION = 'autoscaling/v1'
const REPLICAS_OF_SCALE: FieldPath = ['f:spec', 'f:replicas']

/** Where a version of the object has its replicas: undefined when it has no scale, null when there is no such version. */
export type ReplicasPath = (apiVersion: string) => FieldPath | undefined | null

/** Who owns the replicas, as owners of a Scale. */
export function ownersOfScale(entries: Entries, replicasPath: ReplicasPath): Entries {
  const owners = new Map<string, Owner>()
  for (const [key, owner] of readOwners(entries, true)) {
    const path = replicasPath(owner.apiVersion)
    if (path && has(owner.fields, path)) owners.set(key, { ...owner, apiVersion: SCALE_VERSION, fields: setOf(REPLICAS_OF_SCALE) })
  }
  return writeOwners(owners)
}

/** The object's owners, once its scale has those given. */
export function ownersAfterScale(entries: Entries, scaleEntries: Entries, apiVersion: string, replicasPath: ReplicasPath): Entries {
  const scaling = new Map(readOwners(scaleEntries, true))
  const before = readOwners(entries, true)
  const owners = new Map<string, Owner>()
  for (const [key, owner] of before) {
    const path = replicasPath(owner.apiVersion)
    if (path === null) continue
    if (!path || !has(owner.fields, path) || scaling.delete(key)) {
      owners.set(key, owner)
      continue
    }
    const fields = difference(owner.fields, setOf(path))
    if (!isEmpty(fields)) owners.set(key, { ...owner, fields })
  }
  const path = replicasPath(apiVersion)
  for (const [key, owner] of scaling) {
    if (!path || !has(owner.fields, REPLICAS_OF_SCALE)) continue
    // Upstream looks for the time among those of the object's owners, where one who has just come has none.
    const next = { ...owner, apiVersion, time: before.get(key)?.time, fields: setOf(path) }
    owners.set(ownerKey(next), next)
  }
  return writeOwners(owners)
}
