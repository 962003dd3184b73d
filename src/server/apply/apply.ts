/**
 * An applied configuration merged into an object, with owners: checks, migration from client-side apply, conflicts in upstream's
 * words (k8s.io/apimachinery/pkg/util/managedfields/internal: fieldmanager, lastappliedmanager, skipnonapplied, conflict).
 */
import { has, isEmpty, difference, setOf, type FieldSet } from '../../api/apply/field-set.ts'
import { appliedFields } from '../../api/apply/fields-of.ts'
import { compare } from '../../api/apply/compare.ts'
import { OwnersError, ownerKey, readOwners, writeOwners, type Owner, type Owners } from '../../api/apply/managers.ts'
import { goJson, pathText } from '../../api/apply/path-element.ts'
import { applyConfiguration, type Applied, type Conflict, type Versions } from '../../api/apply/update-owners.ts'
import { typeFaults } from '../../api/apply/validate.ts'
import { ElementError } from '../../api/apply/value-kind.ts'
import { sortedKeys } from '../../api/json.ts'
import type { Json, KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/schema.ts'
import { ApiError, badRequest, failure } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { withMetadata, without } from '../metadata.ts'
import { afterUpdate, ownable, withoutManagedFields } from './track.ts'

export interface ApplyRequest {
  /** What is there, or what a new object begins as; in the version of the request. */
  readonly live: KubeObject
  readonly config: KubeObject
  readonly kind: string
  readonly manager: string
  readonly subresource: string
  readonly isForced: boolean
  readonly versions: Versions
  /** A new object of the kind, with nothing in it. */
  readonly empty: KubeObject
  readonly now: string
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
/** The manager whose applies follow client-side applies. */
const KUBECTL = 'kubectl'
const BEFORE_FIRST_APPLY = 'before-first-apply'
/** All annotations of an object together. */
const MAX_ANNOTATIONS_BYTES = 256 * 1024

/** The object after the apply, its managedFields included. Throws a Conflict with every field that another manager owns. */
export function applied(request: ApplyRequest): KubeObject {
  const { config, kind, versions, live, manager } = request
  checkConfig(config, kind, versions)
  const outcome = migrating(request)
  if (outcome.type === 'conflicts') throw conflictError(outcome.conflicts)
  const identity = identityOf(request)
  const key = ownerKey(identity)
  const isUnchanged = deepEqual(withoutManagedFields(live), withoutManagedFields(outcome.object))
  const owners = settled(outcome.owners, key, isUnchanged ? undefined : request.now)
  const object = withoutManagedFields(isUnchanged ? live : outcome.object)
  const managedFields = writeOwners(owners)
  const next = managedFields ? withMetadata(object, { ...object.metadata, managedFields }) : object
  return manager === KUBECTL ? withLastApplied(next, config) : next
}

const identityOf = ({ manager, subresource, versions }: ApplyRequest): Omit<Owner, 'fields' | 'time'> => ({
  manager,
  operation: 'Apply',
  apiVersion: versions.apiVersion,
  subresource,
})

/** The applier owns what may be owned; the time moves when the object did. */
function settled(owners: Owners, key: string, now: string | undefined): Owners {
  const owner = owners.get(key)
  if (!owner) return owners
  const fields = ownable(owner.fields)
  const left = new Map(owners)
  if (isEmpty(fields)) left.delete(key)
  else left.set(key, { ...owner, fields, time: now ?? owner.time })
  return left
}

const kindText = (apiVersion: string | undefined, kind: string | undefined): string => {
  const { group, version } = parseApiVersion(apiVersion ?? '')
  return `${group}/${version}, Kind=${kind ?? ''}`
}

function checkConfig(config: KubeObject, kind: string, versions: Versions): void {
  if (config.apiVersion !== versions.apiVersion || config.kind !== kind)
    throw badRequest(`invalid object type: ${kindText(config.apiVersion, config.kind)}`)
  if (Array.isArray(config.metadata?.managedFields)) throw badRequest('metadata.managedFields must be nil')
  const faults = typeFaults(config, versions.typeOf(versions.apiVersion))
  if (faults) throw unexpected(`failed to create typed patch object (${described(config)}): ${faults}`)
}

export const described = ({ apiVersion, kind, metadata }: KubeObject): string =>
  `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}; ${kindText(apiVersion, kind)}`

/** What upstream answers when it has no status for an error. */
export const unexpected = (message: string): ApiError =>
  new ApiError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })

/**
 * Applies; conflicts with what the same configuration did by client-side apply are none. To opt out of it, a client names another
 * manager.
 */
function migrating(request: ApplyRequest): Applied {
  const outcome = applyOnce(request, request.isForced)
  if (outcome.type !== 'conflicts' || request.manager !== KUBECTL) return outcome
  const allowed = lastAppliedFields(request)
  if (!allowed) return outcome
  const all = setOf(...outcome.conflicts.map(({ path }) => path))
  if (isEmpty(difference(all, allowed))) return applyOnce(request, true)
  return { type: 'conflicts', conflicts: outcome.conflicts.filter(({ path }) => !has(allowed, path)) }
}

function applyOnce(request: ApplyRequest, isForced: boolean): Applied {
  const { live, config, versions } = request
  const owners = ownersOf(request)
  const applier = identityOf(request)
  try {
    return applyConfiguration({ live: withoutManagedFields(live), config, owners, key: ownerKey(applier), applier, isForced }, versions)
  } catch (error) {
    if (error instanceof ElementError) throw unexpected(`failed to create typed live object (${described(live)}): ${error.message}`)
    throw error
  }
}

/** Of an object that nobody has tracked so far, all that is there belongs to one manager. */
function ownersOf({ live, versions, subresource, now, empty }: ApplyRequest): Owners {
  let owners: Owners
  try {
    owners = readOwners(live.metadata?.managedFields, true)
  } catch (error) {
    if (error instanceof OwnersError) throw unexpected(`failed to decode managed fields: ${error.message}`)
    throw error
  }
  if (owners.size > 0) return owners
  return afterUpdate({ live: empty, next: live, manager: BEFORE_FIRST_APPLY, subresource, versions, isSchemaFluid: false, now }, owners)
}

/** What client-side apply set and nobody has changed since. Undefined when there is no trace of it that can be read. */
function lastAppliedFields({ live, versions }: ApplyRequest): FieldSet | undefined {
  const text = live.metadata?.annotations?.[LAST_APPLIED]
  const config = text ? parsed(text) : undefined
  const type = versions.typeOf(versions.apiVersion)
  if (config?.apiVersion !== versions.apiVersion || typeFaults(config, type)) return undefined
  if (typeFaults(live, type)) return undefined
  const { added, modified, removed } = compare(config, live, type)
  return difference(difference(difference(appliedFields(config, type), modified), added), removed)
}

function parsed(text: string): KubeObject | undefined {
  try {
    const value = JSON.parse(text) as Json
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Where client-side apply has left its annotation, it is told what was applied last. */
function withLastApplied(object: KubeObject, config: KubeObject): KubeObject {
  const annotations = object.metadata?.annotations
  if (!annotations?.[LAST_APPLIED]) return object
  const { [LAST_APPLIED]: _, ...own } = config.metadata?.annotations ?? {}
  const bare = config.metadata
    ? withMetadata(config, { ...without(config.metadata, 'annotations'), ...(Object.keys(own).length > 0 ? { annotations: own } : {}) })
    : config
  const next = { ...annotations, [LAST_APPLIED]: `${goJson(sortedKeys(bare))}\n` }
  const size = Object.entries(next).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  return withMetadata(object, {
    ...object.metadata,
    annotations: size > MAX_ANNOTATIONS_BYTES ? without(annotations, LAST_APPLIED) : next,
  })
}

function ownerText({ manager, subresource, operation, apiVersion }: Owner): string {
  const name = `${JSON.stringify(manager)}${subresource ? ` with subresource ${JSON.stringify(subresource)}` : ''}`
  return operation === 'Update' ? `${name} using ${apiVersion}` : name
}

export function conflictError(conflicts: readonly Conflict[]): ApiError {
  const causes = conflicts.map(({ owner, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${ownerText(owner)}`,
    field: pathText(path),
  }))
  return failure('Conflict', conflictText(conflicts), { details: { causes } })
}

function conflictText(conflicts: readonly Conflict[]): string {
  const [first] = conflicts
  if (first && conflicts.length === 1)
    return `Apply failed with 1 conflict: conflict with ${ownerText(first.owner)}: ${pathText(first.path)}`
  const byOwner = Map.groupBy(conflicts, ({ owner }) => ownerKey(owner))
  const lines = [...byOwner]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, own]) => [`conflicts with ${ownerText(own[0]!.owner)}:`, ...own.map(({ path }) => `- ${pathText(path)}`)])
  return `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`
}
