/**
 * managedFields on every write that is no apply: who writes owns what the write changes, and those who owned it before lose it
 * (k8s.io/apimachinery/pkg/util/managedfields/internal). Runs on what the client asked for, before admission: what plugins add is
 * nobody's.
 */
import { difference, isEmpty, isEqual, setOf, union, type FieldSet } from '../../api/apply/field-set.ts'
import { NOBODY, OwnersError, ownerKey, readOwners, writeOwners, type Owner, type Owners } from '../../api/apply/managers.ts'
import { ownersAfterUpdate, reconciled, type Versions } from '../../api/apply/update-owners.ts'
import { shapeOf } from '../../api/apply/shape.ts'
import { ElementError } from '../../api/apply/value-kind.ts'
import type { ManagedFieldsEntry } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { without, withMetadata } from '../metadata.ts'
import { shared } from './shared-fields.ts'

/** Managers that update; beyond this many the oldest become one (upstream's DefaultMaxUpdateManagers). */
const MAX_UPDATERS = 10
const ANCIENT = 'ancient-changes'

/** Nobody owns what says which object it is, and what the server alone writes. */
const UNOWNED = setOf(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'].map(
    (name) => ['f:metadata', `f:${name}`],
  ),
)

export const ownable = (fields: FieldSet): FieldSet => difference(fields, UNOWNED)

export interface Update {
  /** What is there, or what a new object begins as; in the version of the request, as `next` is. */
  readonly live: KubeObject
  readonly next: KubeObject
  readonly isNew: boolean
  readonly manager: string
  readonly subresource: string
  readonly versions: Versions
  /** The schema may have changed since the owners were written. */
  readonly isSchemaFluid: boolean
  readonly now: string
  /** What is known of the fields of new objects, by their shapes. */
  readonly shapes?: Shapes
}

/** The fields of new objects of one kind in one version, by shape. */
export type Shapes = Map<string, FieldSet>

const SHAPES_LIMIT = 1000

type Entries = readonly ManagedFieldsEntry[] | undefined

/** The managedFields of the object that an update makes. */
export function managedFieldsAfter(update: Update): Entries {
  if (update.isNew && update.next.metadata?.managedFields === undefined) return managedFieldsOfNew(update)
  const { live, next, isNew, subresource } = update
  const entries = next.metadata?.managedFields
  const before = live.metadata?.managedFields
  // What a subresource is sent says nothing of who owns what.
  const isKept = subresource !== '' || entries === undefined || entries === before || deepEqual(entries, before)
  const owners = isKept && !isReset(entries, subresource) ? own(before) : given(entries, before)
  if (owners.size === 0 && !isNew) return undefined
  const after = afterUpdate(update, owners)
  return after === owners && isKept ? before : writeOwners(after)
}

/** Most new objects are like others before them, whose fields are known. */
function managedFieldsOfNew(update: Update): Entries {
  const { live, next, manager, subresource, versions, now, shapes = new Map() } = update
  const identity = identityOf(manager, subresource, versions)
  try {
    const shape = shapeOf(next, versions.typeOf(versions.apiVersion))
    let fields = shapes.get(shape)
    if (!fields) {
      const { changed } = ownersAfterUpdate(live, next, NOBODY, versions)
      fields = shared(ownable(versions.writable(changed)))
      if (shapes.size >= SHAPES_LIMIT) shapes.clear()
      shapes.set(shape, fields)
    }
    return isEmpty(fields) ? undefined : writeOwners(new Map([['', { ...identity, time: now, fields }]]))
  } catch (error) {
    if (error instanceof ElementError) return undefined
    throw error
  }
}

const identityOf = (manager: string, subresource: string, { apiVersion }: Versions) =>
  ({ manager: manager || 'unknown', operation: 'Update', apiVersion, subresource }) as const

const isReset = (entries: Entries, subresource: string): boolean =>
  subresource === '' && entries !== undefined && (entries.length === 0 || (entries.length === 1 && isBare(entries[0]!)))

const isBare = (entry: ManagedFieldsEntry): boolean => Object.values(entry).every((value) => value === '' || value === undefined)

/** What a client says of owners, when it is right; a client that knows nothing of them loses nothing. */
function given(entries: Entries, before: Entries): Owners {
  if (isReset(entries, '')) return NOBODY
  try {
    const owners = readOwners(entries, false)
    return owners.size > 0 ? owners : own(before)
  } catch (error) {
    if (!(error instanceof OwnersError)) throw error
    return own(before)
  }
}

/** Owners that this server has written; whatever else may be stored tells of nobody. */
function own(entries: Entries): Owners {
  try {
    return readOwners(entries, true)
  } catch (error) {
    if (!(error instanceof OwnersError)) throw error
    return NOBODY
  }
}

/** The owners after a write; the same value when nothing changed hands. */
export function afterUpdate(
  { live, next, manager, subresource, versions, isSchemaFluid, now }: Omit<Update, 'isNew' | 'shapes'>,
  owners: Owners,
): Owners {
  const before = isSchemaFluid ? reconciled(owners, versions) : owners
  const found = compared(withoutManagedFields(live), withoutManagedFields(next), before, versions)
  if (!found) return NOBODY
  const changed = ownable(versions.writable(found.changed))
  const identity = identityOf(manager, subresource, versions)
  if (isEmpty(changed)) return isUntouched(found.owners, owners) ? owners : found.owners
  const key = ownerKey(identity)
  const previous = found.owners.get(key)
  const fields = shared(previous ? union(changed, previous.fields) : changed)
  return capped(new Map(found.owners).set(key, { ...identity, time: now, fields }))
}

const isUntouched = (after: Owners, before: Owners): boolean =>
  after === before || (after.size === before.size && [...after].every(([key, owner]) => before.get(key) === owner))

/** Undefined for objects that cannot be taken apart (items without their keys): they get no owners, as validation will refuse them. */
function compared(
  live: KubeObject,
  next: KubeObject,
  owners: Owners,
  versions: Versions,
): ReturnType<typeof ownersAfterUpdate> | undefined {
  try {
    return ownersAfterUpdate(live, next, owners, versions)
  } catch (error) {
    if (error instanceof ElementError) return undefined
    throw error
  }
}

export const withoutManagedFields = (object: KubeObject): KubeObject =>
  object.metadata?.managedFields ? withMetadata(object, without(object.metadata, 'managedFields')) : object

/** The oldest updates of a version become one, until there are few enough. */
function capped(owners: Owners): Owners {
  const updaters = [...owners].filter(([, { operation }]) => operation === 'Update')
  if (updaters.length <= MAX_UPDATERS) return owners
  const left = new Map(owners)
  const oldest = updaters.toSorted(([a, { time: at = '' }], [b, { time: other = '' }]) => order(at, other) || order(a, b))
  const firsts = new Map<string, string>()
  let count = updaters.length
  for (const [key, owner] of oldest) {
    if (count <= MAX_UPDATERS) break
    const { apiVersion } = owner
    const first = firsts.get(apiVersion)
    if (first === undefined) {
      firsts.set(apiVersion, key)
      continue
    }
    const identity: Omit<Owner, 'time' | 'fields'> = { manager: ANCIENT, operation: 'Update', apiVersion, subresource: '' }
    const bucket = ownerKey(identity)
    const merged = left.get(bucket) ?? left.get(first)!
    if (!left.has(bucket)) left.delete(first)
    left.delete(key)
    left.set(bucket, { ...identity, time: owner.time, fields: union(owner.fields, merged.fields) })
    count--
  }
  return left
}

const order = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1)

/** Whether two lists of entries tell the same but for the times. */
export function isSameButForTimes(a: Entries, b: Entries): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined || a.length !== b.length) return false
  return a.every((entry, index) => {
    const other = b[index]!
    const { fieldsV1, time: _, ...rest } = entry
    const { fieldsV1: otherFields, time: __, ...otherRest } = other
    return deepEqual(rest, otherRest) && isEqual(fieldsV1 ?? {}, otherFields ?? {})
  })
}
