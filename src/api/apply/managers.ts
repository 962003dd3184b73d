/**
 * Who owns which fields of an object, as a value: read from metadata.managedFields and written back to it
 * (k8s.io/apimachinery/pkg/util/managedfields/internal/managedfields.go). Sets that nobody changed stay the objects they were.
 */
import type { ManagedFieldsEntry } from '../generated/meta/v1.ts'
import { NONE, type FieldSet } from './field-set.ts'
import { FieldsError, readFields } from './path-element.ts'

export type Operation = 'Apply' | 'Update'

export interface Owner {
  readonly manager: string
  readonly operation: Operation
  readonly apiVersion: string
  /** "" for the object itself. */
  readonly subresource: string
  readonly time: string | undefined
  readonly fields: FieldSet
}

/** By what tells owners apart: see ownerKey. */
export type Owners = ReadonlyMap<string, Owner>

export const NOBODY: Owners = new Map()

type Identity = Pick<Owner, 'manager' | 'operation' | 'apiVersion' | 'subresource'>

/** One manager applies once, whatever the version; its updates in each version are an owner of their own. The text is upstream's. */
export function ownerKey({ manager, operation, apiVersion, subresource }: Identity): string {
  return JSON.stringify({
    ...(manager ? { manager } : {}),
    operation,
    ...(operation === 'Update' ? { apiVersion } : {}),
    ...(subresource ? { subresource } : {}),
  })
}

/** Entries that cannot be read: the message is upstream's. */
export class OwnersError extends Error {
  override readonly name = 'OwnersError'
}

/**
 * The owners that entries tell of. `isOwn`: they were written by this server, and their fields are canonical. Throws an OwnersError.
 */
export function readOwners(entries: readonly ManagedFieldsEntry[] | undefined, isOwn: boolean): Owners {
  if (!entries || entries.length === 0) return NOBODY
  const owners = new Map<string, Owner>()
  for (const [index, entry] of entries.entries()) {
    const { manager = '', operation, apiVersion = '', time, fieldsType = '', fieldsV1, subresource = '' } = entry
    if (operation !== 'Apply' && operation !== 'Update') throw new OwnersError('operation must be `Apply` or `Update`')
    if (apiVersion === '') throw new OwnersError('apiVersion must not be empty')
    if (fieldsType === '') throw new OwnersError(`missing fieldsType in managed fields entry ${index}`)
    if (fieldsType !== 'FieldsV1')
      throw new OwnersError(`invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${index}`)
    const fields = fieldsV1 === undefined ? NONE : isOwn ? (fieldsV1 as FieldSet) : readSet(fieldsV1)
    const owner: Owner = { manager, operation, apiVersion, subresource, time, fields }
    owners.set(ownerKey(owner), owner)
  }
  return owners
}

function readSet(fields: unknown): FieldSet {
  try {
    return readFields(fields)
  } catch (error) {
    if (error instanceof FieldsError) throw new OwnersError(error.message, { cause: error })
    throw error
  }
}

/** The entries, appliers first, then by time. Undefined when nobody owns anything. */
export function writeOwners(owners: Owners): readonly ManagedFieldsEntry[] | undefined {
  if (owners.size === 0) return undefined
  const entries = [...owners.values()].map(entryOf)
  return entries.length === 1 ? entries : entries.toSorted(byOperationAndTime)
}

const entryOf = ({ manager, operation, apiVersion, subresource, time, fields }: Owner): ManagedFieldsEntry => ({
  ...(manager ? { manager } : {}),
  operation,
  apiVersion,
  ...(time ? { time } : {}),
  fieldsType: 'FieldsV1',
  fieldsV1: fields,
  ...(subresource ? { subresource } : {}),
})

const order = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1)

const byOperationAndTime = (a: ManagedFieldsEntry, b: ManagedFieldsEntry): number =>
  order(a.operation!, b.operation!) ||
  order(a.time ?? '', b.time ?? '') ||
  order(a.manager ?? '', b.manager ?? '') ||
  order(a.apiVersion!, b.apiVersion!) ||
  order(a.subresource ?? '', b.subresource ?? '')
