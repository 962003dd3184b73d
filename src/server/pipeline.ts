/**
 * The way of a write, once the request is authenticated, authorised and decoded: default → mutating admission → prepare →
 * validate → validating admission → claim → commit → watch cache. One function a step, in the order of `store`. Creates, updates,
 * patches and the subresources that write all come through here; the direct transport and HTTPS alike.
 */
import type { KubeObject } from '../api/object.ts'
import { invalid, modifiedConflict, plainFailure, type FieldError } from '../api/status.ts'
import { assert } from '../base/assert.ts'
import type { Change } from '../store/store.ts'
import type { AdmissionAttributes, AdmissionOperation, AdmissionRounds } from './admission.ts'
import { isStatusAlone } from './apply/reset-fields.ts'
import { isSameObject, withManagedFields, withOwners, withReadableOwners } from './apply/write-owners.ts'
import { companionChanges } from './companions.ts'
import type { Call, Core } from './core.ts'
import { settle } from './custom-resources/conversion.ts'
import { deepEqual } from '../base/deep-equal.ts'
import { dedupOwners, keepSystemFields, without, withMetadata } from './metadata.ts'
import type { KindRules } from './kind-rules.ts'
import type { Claim, WriteContext } from './resource.ts'
import type { ServedResource, StoredKind } from './resource-registry.ts'
import { finalizerFaults, validateObjectMeta, validateObjectMetaUpdate } from './resources/object-meta.ts'
import { Revision, serialise } from './revision.ts'
import { keepsStatusOnCreate } from './write-policy.ts'

/** What one write is about; `old` is undefined for a create. */
export interface Write {
  readonly call: Call
  readonly served: ServedResource
  /** "" for the resource itself. */
  readonly subresource: string
  readonly operation: AdmissionOperation
  readonly namespace: string
  readonly name: string
  readonly old: Revision | undefined
  readonly isDryRun: boolean
  /** The decoded options, for admission. */
  readonly options: KubeObject
  /** The server itself changes the object (a binding): status and metadata are taken as they are, nothing is admitted. */
  readonly isInternal?: true
  /** The object tells who owns its fields after the write: it was applied, or its scale was. */
  readonly isOwned?: true
  /** A create whose object came with a resourceVersion: storage refuses it, so a dry run does not. */
  readonly isRevised?: true
  /** Admission sees these in place of the stored objects, for subresources of another kind (Binding, Scale). */
  readonly admitted?: { readonly object: KubeObject; readonly oldObject: KubeObject | undefined }
}

export type Outcome =
  | { readonly type: 'stored'; readonly revision: Revision; readonly isUnchanged?: true }
  /** Another write came between. */
  | { readonly type: 'conflict'; readonly current: KubeObject | undefined }

/** The largest value that is stored, etcd's default limit of a request. */
const MAX_VALUE_BYTES = 1.5 * 1024 * 1024

/** Takes a decoded object (in the stored version) all the way into the store. */
export async function store(core: Core, given: Write, decoded: KubeObject): Promise<Outcome> {
  const { old } = given
  const write = old ? { ...given, old: await settle(() => asServed(given.served, old)) } : given
  let next = applyDefaults(write, decoded)
  const unowned = next
  next = await settle(() => own(core, write, unowned))
  next = await admit(core, write, next)
  next = applyDefaults(write, next)
  next = prepare(core, write, next)
  validate(core, write, next)
  warn(write, next)
  const undo = await admitValidating(core, write, next)
  try {
    const claimed = claim(core, write, next)
    const { custom } = write.served
    next = custom ? await settle(() => custom.forStorage(claimed.object)) : claimed.object
    if (old && isSameObject(next, old.object) && !(await core.store.isStale?.(write.served.stored.prefix + old.key))) {
      claimed.claim?.release()
      return { type: 'stored', revision: old, isUnchanged: true }
    }
    const outcome = await commit(core, write, next).catch((error: unknown) => {
      claimed.claim?.release()
      throw error
    })
    if (outcome.type === 'stored' && !write.isDryRun) claimed.claim?.keep()
    else claimed.claim?.release()
    if (outcome.type === 'conflict') await undo()
    return outcome
  } catch (error) {
    await undo()
    throw error
  }
}

/** A custom resource is judged by the version that it was asked for in, a built-in one by the version that is stored. */
const rulesFor = ({ custom, rules, stored }: ServedResource): KindRules => (custom ? rules : stored.rules)

/** What is stored of a custom resource as its schema is now: it may have been stored under an older one. */
const asServed = ({ custom }: ServedResource, old: Revision): Revision =>
  custom ? old.as(custom.toStored(custom.fromStored(old.object))) : old

/** The schema's defaults, then the kind's own. */
function applyDefaults({ served }: Write, object: KubeObject): KubeObject {
  const { definition } = served.stored
  const defaulted = rulesFor(served).defaults(object)
  return definition.setDefaults ? definition.setDefaults(defaulted) : defaulted
}

/** Who owns which field from now on. What admission adds is nobody's. */
const own = (core: Core, write: Write, object: KubeObject): KubeObject =>
  write.isInternal || write.isOwned ? object : withOwners(core, write, object)

function attributesOf(core: Core, write: Write, object: KubeObject | undefined, rounds?: AdmissionRounds): AdmissionAttributes {
  const { call, served, old } = write
  return {
    ...(rounds ? { rounds } : {}),
    operation: write.operation,
    resource: served.info,
    subresource: write.subresource || undefined,
    namespace: write.namespace || undefined,
    name: write.name,
    object: write.admitted ? write.admitted.object : object,
    oldObject: write.admitted ? write.admitted.oldObject : old?.object,
    options: write.options,
    user: call.user,
    dryRun: write.isDryRun,
    context: {
      runtime: core.runtime,
      metrics: core.metrics.admission,
      read: core.reader,
      write: core.writer,
      warn: (text) => void call.warnings.push(text),
      ...(call.trail ? { annotate: (key: string, value: string, level?: 'Request') => call.trail?.annotate(key, value, level) } : {}),
    },
  }
}

/** Mutating admission: each plugin sees what the one before made; at most two rounds. */
async function admit(core: Core, write: Write, object: KubeObject): Promise<KubeObject> {
  const warning = (text: string) => void write.call.warnings.push(text)
  const first = dedupOwners(object, warning)
  if (write.isInternal) return first
  let isWanted = false
  const state = new Map<string, unknown>()
  const once = await admitRound(core, write, first, { isSecond: false, wantSecond: () => (isWanted = true), state })
  const next = isWanted ? await admitRound(core, write, once, { isSecond: true, wantSecond: () => {}, state }) : once
  return withReadableOwners(first, next, warning)
}

async function admitRound(core: Core, write: Write, object: KubeObject, rounds: AdmissionRounds): Promise<KubeObject> {
  let next = object
  let attributes = attributesOf(core, write, next, rounds)
  const timer = core.metrics.admission.begin(core.runtime.clock, attributes.operation, 'admit')
  let isRefused = true
  try {
    for (const plugin of core.admission) {
      if (!plugin.admit || !plugin.handles(attributes)) continue
      timer.at(plugin.name)
      const made = plugin.admit(attributes)
      const admitted = made instanceof Promise ? await made : made
      if (!admitted || admitted === next || write.admitted) continue
      next = admitted
      attributes = attributesOf(core, write, next, rounds)
    }
    isRefused = false
  } finally {
    timer.end(isRefused)
  }
  return next
}

/** What a client may not set is as it was; generations count changes of what is wanted. */
function prepare(core: Core, write: Write, object: KubeObject): KubeObject {
  const { stored } = write.served
  const context = writeContext(core, write)
  if (!write.old) {
    const fresh = hasStatusEndpoint(write.served) && !keepsStatusOnCreate(stored) ? withFirstStatus(write.served, object) : object
    const prepared = stored.definition.prepareForCreate?.(fresh, context) ?? fresh
    return hasGeneration(stored, prepared) ? withMetadata(prepared, { ...prepared.metadata, generation: 1 }) : prepared
  }
  const old = write.old.object
  const parted = part(write, keepSystemFields(object, old), old)
  const prepared = write.isInternal ? parted : (stored.definition.prepareForUpdate?.(parted, old, context) ?? parted)
  // Being bound is no change of what is wanted of a pod, although it is written into the spec (KEP-5067).
  if (
    write.subresource === 'status' ||
    write.subresource === 'binding' ||
    !hasGeneration(stored, prepared) ||
    !isWantedChanged(stored, prepared, old)
  )
    return prepared
  return withMetadata(prepared, { ...prepared.metadata, generation: (old.metadata?.generation ?? 0) + 1 })
}

/** What a new object's status is, whatever came with it: as empty as upstream writes it. */
function withFirstStatus(served: ServedResource, object: KubeObject): KubeObject {
  const status: unknown = rulesFor(served).emptyObject?.().status
  return status === undefined ? without(object, 'status') : { ...object, status }
}

/** A write goes to one part of the object; the other stays. */
function part({ served, subresource, isInternal }: Write, next: KubeObject, old: KubeObject): KubeObject {
  if (isInternal) return next
  if (subresource === 'status') return statusOnly(served.stored, next, old)
  return WITHOUT_STATUS.has(subresource) && hasStatusEndpoint(served) ? keepStatus(next, old) : next
}

const WITHOUT_STATUS: ReadonlySet<string> = new Set(['', 'ephemeralcontainers', 'resize', 'finalize', 'scale'])

const hasStatusEndpoint = (served: ServedResource): boolean => served.subresources.has('status')

const hasGeneration = ({ definition, isCustom }: StoredKind, object: KubeObject): boolean =>
  isCustom || (definition.hasGeneration ?? object.spec !== undefined)

/** A status write changes the status and, for most built-in kinds, metadata; of a custom resource the status alone. */
const statusOnly = (stored: StoredKind, next: KubeObject, old: KubeObject): KubeObject => ({
  ...old,
  metadata: isStatusAlone(stored) ? withManagedFields(old, next.metadata?.managedFields).metadata! : next.metadata!,
  ...(next.status === undefined ? {} : { status: next.status }),
})

function keepStatus(next: KubeObject, old: KubeObject): KubeObject {
  if (old.status === undefined) return 'status' in next ? (without(next, 'status') as KubeObject) : next
  return { ...next, status: old.status }
}

function isWantedChanged({ isCustom }: StoredKind, next: KubeObject, old: KubeObject): boolean {
  // Kinds without a spec that count generations (webhook configurations, EndpointSlices) count all of their changes.
  if (!isCustom && (next.spec !== undefined || old.spec !== undefined)) return !deepEqual(next.spec, old.spec)
  return !deepEqual({ ...next, metadata: undefined, status: undefined }, { ...old, metadata: undefined, status: undefined })
}

export const writeContext = (core: Core, write: Pick<Write, 'call' | 'subresource' | 'isDryRun'>): WriteContext => ({
  runtime: core.runtime,
  user: write.call.user,
  subresource: write.subresource || undefined,
  dryRun: write.isDryRun,
  read: core.reader,
})

/** Definitions and API services are of libraries that Kubernetes shares with others. */
const isKubernetes = ({ isCustom, group }: StoredKind): boolean =>
  !isCustom && group !== 'apiextensions.k8s.io' && group !== 'apiregistration.k8s.io'

/** The shape that the schema gives, then the kind's own rules; the errors of both in one answer. */
function validate(core: Core, write: Write, object: KubeObject): void {
  const { stored } = write.served
  const { definition } = stored
  const old = write.old?.object
  const { nameFormat } = definition
  const meta = old
    ? validateObjectMetaUpdate(object.metadata, old.metadata)
    : validateObjectMeta(object.metadata, { namespaced: stored.isNamespaced, ...(nameFormat ? { nameFormat } : {}) })
  const shape = rulesFor(write.served).validate?.(object, old, write.subresource || undefined) ?? []
  // An update's metadata is looked at twice upstream, before its strategy and within: causes come twice, their text once.
  const errors: FieldError[] = [...meta, ...(old ? meta : []), ...(isKubernetes(stored) ? finalizerFaults(object.metadata) : []), ...shape]
  // The kind's own rules read the object as a whole one: they run when its shape is right.
  if (shape.length === 0) errors.push(...ownErrors(core, write, object, old))
  if (errors.length > 0) throw invalid(stored.group, stored.kind, object.metadata?.name ?? '', errors)
}

function ownErrors(
  { reader }: Core,
  { served, subresource, isInternal }: Write,
  next: KubeObject,
  old: KubeObject | undefined,
): readonly FieldError[] {
  const { definition } = served.stored
  const { apiVersion } = served
  // What the server itself changes (a binding, an eviction) the subresource's handler has checked.
  if (isInternal) return []
  if (!old) return [...(definition.validate?.(next) ?? []), ...(definition.validateCreate?.(next, apiVersion, reader) ?? [])]
  if (subresource === 'status') return definition.validateStatusUpdate?.(next, old, reader) ?? []
  return [...(definition.validate?.(next) ?? []), ...(definition.validateUpdate?.(next, old, subresource || undefined, apiVersion) ?? [])]
}

function warn({ call, served, subresource, old }: Write, object: KubeObject): void {
  if (subresource === '') call.warnings.push(...(served.stored.definition.warnings?.(object, old?.object) ?? []))
}

/** Validating admission. What it returns gives back what plugins took in advance, for a write that comes to nothing. */
async function admitValidating(core: Core, write: Write, object: KubeObject | undefined): Promise<() => Promise<void>> {
  const passed: (() => void | Promise<void>)[] = []
  const undo = async () => {
    for (const step of passed.toReversed()) await step()
    passed.length = 0
  }
  const attributes = attributesOf(core, write, object)
  const named = object ? { ...attributes, name: attributes.name || (object.metadata?.name ?? '') } : attributes
  const timer = write.isInternal ? undefined : core.metrics.admission.begin(core.runtime.clock, attributes.operation, 'validate')
  try {
    for (const plugin of core.admission) {
      if (!plugin.validate || !timer || !plugin.handles(named)) continue
      timer.at(plugin.name)
      const checked = plugin.validate(named)
      if (checked instanceof Promise) await checked
      if (plugin.undo) passed.push(() => plugin.undo!(named))
    }
    timer?.end(false)
  } catch (error) {
    timer?.end(true)
    await undo()
    throw error
  }
  return undo
}

/** Admission of what is not stored as it is: deletes, connects, bindings. `take` gets what mutating admission made of the object. */
export async function admitOnly(
  core: Core,
  write: Write,
  object: KubeObject | undefined,
  take?: (admitted: KubeObject) => void,
): Promise<() => Promise<void>> {
  const { old } = write
  const shown = old ? { ...write, old: await settle(() => asServed(write.served, old)) } : write
  let admitted = object
  let attributes = attributesOf(core, shown, object)
  for (const plugin of core.admission) {
    if (!plugin.admit || !plugin.handles(attributes)) continue
    const made = await plugin.admit(attributes)
    if (!made || made === admitted || !take) continue
    admitted = made
    attributes = attributesOf(core, shown, admitted)
  }
  if (admitted) take?.(admitted)
  return admitValidating(core, shown, admitted)
}

function claim(core: Core, write: Write, next: KubeObject): { readonly object: KubeObject; readonly claim?: Claim } {
  const { definition } = write.served.stored
  if (!definition.claim || write.subresource === 'status') return { object: next }
  const claimed = definition.claim(next, write.old?.object, writeContext(core, write))
  if (claimed instanceof Error) throw claimed
  return claimed
}

/** Compares on the revision that was read, writes, and waits until the cache shows it. */
async function commit(core: Core, write: Write, object: KubeObject): Promise<Outcome> {
  const { stored } = write.served
  const { metadata } = object
  assert(metadata?.name, 'an object that is stored has a name')
  const key = stored.isNamespaced ? `${metadata.namespace}/${metadata.name}` : metadata.name
  const value = withMetadata(object, without(metadata, 'resourceVersion'))
  const bytes = serialise(value)
  if (bytes.length > MAX_VALUE_BYTES) {
    // Rather no owners than no object; an apply needs them.
    if (metadata.managedFields && !write.isOwned) return commit(core, write, withManagedFields(object, undefined))
    throw plainFailure('etcdserver: request is too large')
  }
  if (write.isDryRun) return dryRun(write, key, bytes, value)
  if (write.isRevised) throw plainFailure('resourceVersion should not be set on objects to be created')
  const beside = companionChanges(core, stored, write.old?.object, value)
  return put(core, stored, { key, bytes, value, expected: write.old?.revision ?? 0, beside })
}

function dryRun({ old, served }: Write, key: string, bytes: Uint8Array, value: KubeObject): Outcome {
  if (old) return { type: 'stored', revision: new Revision(key, old.revision, bytes, value) }
  const existing = served.stored.cache.get(key)
  if (existing) return { type: 'conflict', current: existing.object }
  return { type: 'stored', revision: new DryRunRevision(key, bytes, value) }
}

/** What a dry-run create answers: an object that was never stored has no resourceVersion. */
class DryRunRevision extends Revision {
  readonly #value: KubeObject
  constructor(key: string, bytes: Uint8Array, value: KubeObject) {
    super(key, 0, bytes)
    this.#value = value
  }
  override get object(): KubeObject {
    return this.#value
  }
  override get bytes(): Uint8Array {
    return serialise(this.#value)
  }
}

interface Put {
  readonly key: string
  readonly bytes: Uint8Array
  readonly value: KubeObject
  readonly expected: number
  readonly beside?: readonly Change[]
}

/** Writes a value, expecting the key at a revision (0: not there). */
export async function put(core: Core, stored: StoredKind, { key, bytes, value, expected, beside = [] }: Put): Promise<Outcome> {
  const own = stored.prefix + key
  // Of events there are more than of all else, and hardly one is ever read: they are kept as bytes alone.
  const isKept = stored.resource !== 'events'
  const outcome = await core.store.commit([{ key: own, value: bytes, expected, ...(isKept ? { decoded: value } : {}) }, ...beside])
  if ('conflict' in outcome) {
    // Somebody took what lives with the object.
    if (outcome.conflict !== own) throw modifiedConflict(stored.group, stored.resource, value.metadata?.name ?? '')
    const { current } = outcome
    const object = current && new Revision(key, current.modRevision, current.value, current.decoded as KubeObject | undefined).object
    return { type: 'conflict', current: object }
  }
  await core.caches.caughtUp(outcome.revision)
  const cached = stored.cache.get(key)
  const revision = isKept && cached?.revision === outcome.revision ? cached : new Revision(key, outcome.revision, bytes, value)
  return { type: 'stored', revision }
}
