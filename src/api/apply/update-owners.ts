/**
 * What a write does to the owners of fields, and what an applied configuration does to an object (structured-merge-diff's merge
 * package, KEP-555). Pure: objects, owners and a configuration in, an object and owners out.
 */
import type { Json, KubeObject } from '../object.ts'
import { compare, type Comparison } from './compare.ts'
import { difference, intersection, isEmpty, paths, union, type FieldPath, type FieldSet } from './field-set.ts'
import { appliedFields, withNamedFields } from './fields-of.ts'
import type { Owner, Owners } from './managers.ts'
import { merge } from './merge.ts'
import { reconcile } from './reconcile.ts'
import { remove } from './remove.ts'
import type { ApplyType } from './schema.ts'

/** The versions that a kind has: owners tell their fields in the version that they wrote. */
export interface Versions {
  readonly apiVersion: string
  /** The object in another version; undefined when there is no such version (any more). */
  convert(object: KubeObject, apiVersion: string): KubeObject | undefined
  typeOf(apiVersion: string): ApplyType
  /** The part of a set that a write through this endpoint can change, and so own. */
  writable(fields: FieldSet): FieldSet
}

export interface Conflict {
  readonly owner: Owner
  readonly path: FieldPath
}

export type Applied =
  | {
      readonly type: 'applied'
      readonly object: KubeObject
      readonly owners: Owners
    }
  | { readonly type: 'conflicts'; readonly conflicts: readonly Conflict[] }

const json = (object: KubeObject): Json => object

/** The owners after a write by none of them, and the fields that the write changed: they are the writer's. */
export function ownersAfterUpdate(
  live: KubeObject,
  next: KubeObject,
  owners: Owners,
  versions: Versions,
): { readonly owners: Owners; readonly changed: FieldSet } {
  const differences = differencesOf(live, next, versions)
  const { added, modified } = differences(versions.apiVersion)!
  const left = new Map<string, Owner>()
  for (const [key, owner] of owners) {
    const kept = keep(owner, differences(owner.apiVersion))
    if (kept) left.set(key, kept)
  }
  return { owners: left, changed: union(modified, added) }
}

/** An owner without the fields that another has changed or removed; undefined when it has none left. */
function keep(owner: Owner, comparison: Comparison | undefined): Owner | undefined {
  if (!comparison) return undefined
  const { fields } = owner
  const kept = difference(difference(fields, takenFrom(fields, comparison)), comparison.removed)
  if (isEmpty(kept)) return undefined
  return kept === fields ? owner : { ...owner, fields: kept }
}

const takenFrom = (fields: FieldSet, { modified, added }: Comparison): FieldSet => intersection(fields, union(modified, added))

/** How two objects differ, in each version that is asked for; without what this endpoint cannot change. */
function differencesOf(live: KubeObject, next: KubeObject, versions: Versions): (apiVersion: string) => Comparison | undefined {
  const known = new Map<string, Comparison | undefined>()
  return (apiVersion) => {
    if (known.has(apiVersion)) return known.get(apiVersion)
    const old = versions.convert(live, apiVersion)
    const changed = versions.convert(next, apiVersion)
    const found = old && changed && writable(compare(json(old), json(changed), versions.typeOf(apiVersion)), versions)
    known.set(apiVersion, found)
    return found
  }
}

const writable = ({ added, modified, removed }: Comparison, versions: Versions): Comparison => ({
  added: versions.writable(added),
  modified: versions.writable(modified),
  removed: versions.writable(removed),
})

/** Sets that were written under another schema, as this one reads them. */
export function reconciled(owners: Owners, versions: Versions): Owners {
  let made: Map<string, Owner> | undefined
  for (const [key, owner] of owners) {
    const fields = reconcile(owner.fields, versions.typeOf(owner.apiVersion))
    if (fields !== owner.fields) (made ??= new Map(owners)).set(key, { ...owner, fields })
  }
  return made ?? owners
}

export interface Application {
  readonly live: KubeObject
  readonly config: KubeObject
  readonly owners: Owners
  /** Who applies; `fields` and `time` of what it applied last do not matter here. */
  readonly key: string
  readonly applier: Omit<Owner, 'fields' | 'time'>
  readonly isForced: boolean
}

/**
 * Merges a configuration into an object: what it says becomes the applier's; what the applier said last and now does not goes, unless
 * another owns it. A field that another owns with another value is a conflict, unless forced.
 */
export function applyConfiguration({ live, config, owners, key, applier, isForced }: Application, versions: Versions): Applied {
  const { apiVersion } = versions
  const type = versions.typeOf(apiVersion)
  const before = reconciled(owners, versions)
  const merged = merge(json(live), json(config), type) as unknown as KubeObject
  const said = appliedFields(json(config), type)
  const last = before.get(key)
  const self: Owner = { ...applier, time: last?.time, fields: versions.writable(said) }
  const claimed = new Map(before).set(key, self)
  const object = last && takesBack(last, self) ? prune(merged, claimed, last, versions) : merged
  return settle(live, object, claimed, key, isForced, versions)
}

/** Whether something was applied last time and is not now; in another version nobody can tell without looking. */
const takesBack = (last: Owner, now: Owner): boolean =>
  last.apiVersion === now.apiVersion ? !isEmpty(difference(last.fields, now.fields)) : !isEmpty(last.fields)

/** Takes what changed from those who owned it. */
function settle(live: KubeObject, object: KubeObject, owners: Owners, key: string, isForced: boolean, versions: Versions): Applied {
  const differences = differencesOf(live, object, versions)
  const conflicts: Conflict[] = []
  const left = new Map<string, Owner>()
  for (const [other, owner] of owners) {
    if (other === key) {
      if (!isEmpty(owner.fields)) left.set(other, owner)
      continue
    }
    const comparison = differences(owner.apiVersion)
    if (!comparison) continue
    for (const path of paths(takenFrom(owner.fields, comparison))) conflicts.push({ owner, path })
    const kept = keep(owner, comparison)
    if (kept) left.set(other, kept)
  }
  if (conflicts.length > 0 && !isForced) return { type: 'conflicts', conflicts }
  return { type: 'applied', object, owners: left }
}

/** Removes what the applier applied last time and not now, and nobody else owns. */
function prune(merged: KubeObject, owners: Owners, last: Owner, versions: Versions): KubeObject {
  const version = last.apiVersion
  const converted = versions.convert(merged, version)
  if (!converted) return merged
  const type = versions.typeOf(version)
  const lastFields = withNamedFields(last.fields, type)
  const without = remove(json(converted), lastFields, type) as unknown as KubeObject
  const owned = addBackOwned(converted, without, version, owners, versions)
  const pruned = addBackDangling(owned.merged, owned.pruned, lastFields, version, versions)
  return versions.convert(pruned, versions.apiVersion) ?? merged
}

interface Pruning {
  readonly merged: KubeObject
  readonly pruned: KubeObject
}

/** Puts back what others own; in the version that was pruned first, so that conversions find what they need. */
function addBackOwned(merged: KubeObject, pruned: KubeObject, version: string, owners: Owners, versions: Versions): Pruning {
  const owned = new Map<string, FieldSet>()
  for (const { apiVersion, fields } of owners.values()) owned.set(apiVersion, union(owned.get(apiVersion) ?? {}, fields))
  const order = [...owned.keys()].toSorted((a, b) => Number(b === version) - Number(a === version))
  let state: Pruning = { merged, pruned }
  for (const apiVersion of order) {
    const [whole, rest] = [versions.convert(state.merged, apiVersion), versions.convert(state.pruned, apiVersion)]
    if (!whole || !rest) continue
    const type = versions.typeOf(apiVersion)
    const kept = union(fieldsWithNames(rest, type), withNamedFields(owned.get(apiVersion)!, type))
    state = { merged: whole, pruned: remove(json(whole), difference(fieldsWithNames(whole, type), kept), type) as unknown as KubeObject }
  }
  return state
}

/** Puts back what the applier never owned: fields of nobody, or of those who update. */
function addBackDangling(merged: KubeObject, pruned: KubeObject, lastFields: FieldSet, version: string, versions: Versions): KubeObject {
  const [whole, rest] = [versions.convert(merged, version), versions.convert(pruned, version)]
  if (!whole || !rest) return merged
  const type = versions.typeOf(version)
  const gone = difference(fieldsWithNames(whole, type), fieldsWithNames(rest, type))
  return remove(json(whole), intersection(gone, lastFields), type) as unknown as KubeObject
}

const fieldsWithNames = (object: KubeObject, type: ApplyType): FieldSet => withNamedFields(appliedFields(json(object), type), type)
