/**
 * DELETE of one object and of a collection: preconditions, graceful deletion, finalizers and propagation
 * (k8s.io/apiserver/pkg/registry/generic/registry/store.go Delete, registry/rest/delete.go BeforeDelete).
 */
import { timestamp } from '../base/clock.ts'
import type { ApiResponse } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { listKindOf } from '../api/schema.ts'
import { conflict, isApiError, modifiedConflict, notFound } from '../api/status.ts'
import { companionChanges } from './companions.ts'
import type { Call, Core, ResourceCall } from './core.ts'
import { settle, settleAll } from './custom-resources/conversion.ts'
import { parseListOptions, select } from './list-options.ts'
import { without, withMetadata } from './metadata.ts'
import { deleteOptions, isDryRun, type DeleteOptions } from './options.ts'
import { admitOnly, put, type Write } from './pipeline.ts'
import { get, readPage } from './read.ts'
import type { ServedResource, StoredKind } from './resource-registry.ts'
import { Computed, Revision, serialise } from './revision.ts'
import { isCollected, returnsDeleted } from './write-policy.ts'

/** A delete without a resourceVersion fits whatever there is; this often newer states are tried. */
const ATTEMPTS = 10
const ORPHAN = 'orphan'
const FOREGROUND = 'foregroundDeletion'

export interface Deleted {
  readonly revision: Revision
  /** False while it waits for finalizers or its grace period. */
  readonly isGone: boolean
}

export async function remove(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const options = deleteOptions(call)
  const { served, info } = call
  const { revision, isGone } = await deleteObject(core, call, served, info.namespace, info.name, options)
  const status = !isGone && options.orphanDependents === false ? 202 : 200
  return {
    type: 'object',
    status,
    stored: isGone && !returnsDeleted(served.stored) ? successStatus(served, revision) : await settle(() => revision.in(served.view)),
  }
}

function successStatus({ info }: ServedResource, revision: Revision): Computed {
  const { name, uid } = revision.object.metadata!
  const details = { name: name!, ...(info.group ? { group: info.group } : {}), kind: info.resource, uid: uid! }
  return new Computed({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details })
}

/** How many of a collection are on their way at once: what comes together the store makes durable together. */
const COLLECTION_WORKERS = 64

/** Deletes what matches, page by page; answers with the list of what it found. */
export async function removeCollection(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served, info, request } = call
  const options = deleteOptions(call)
  const listOptions = parseListOptions(request.query, false)
  const selection = select(served, info.namespace, '', listOptions)
  const page = await readPage(core, served, selection, listOptions)
  const left = page.items.values()
  const failures: unknown[] = []
  const work = async (): Promise<void> => {
    for (const { object } of left) {
      const { namespace = '', name } = object.metadata!
      try {
        await deleteObject(core, call, served, namespace, name!, options)
      } catch (error) {
        if (!isApiError(error, 'NotFound')) failures.push(error)
      }
      if (failures.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(COLLECTION_WORKERS, page.items.length) }, work))
  if (failures.length > 0) throw failures[0]
  const metadata = { resourceVersion: String(page.revision) }
  const items = await settleAll(page.items.map((item) => () => item.in(served.view)))
  return { type: 'list', status: 200, apiVersion: served.apiVersion, kind: listKindOf(served.info), metadata, items }
}

export async function deleteObject(
  core: Core,
  call: Call,
  served: ServedResource,
  namespace: string,
  name: string,
  options: DeleteOptions,
): Promise<Deleted> {
  const { stored } = served
  const { group, resource } = served.info
  const key = stored.isNamespaced ? `${namespace}/${name}` : name
  const dry = isDryRun(options)
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const old = await get(core, served, key, name, '')
    checkPreconditions(served, old, options)
    const write: Write = { call, served, subresource: '', operation: 'DELETE', namespace, name, old, isDryRun: dry, options }
    const plan = planDeletion(core, stored, old.object, options)
    if (plan.type === 'pending') return { revision: old, isGone: false }
    const undo = await admitOnly(core, write, undefined)
    const outcome = plan.type === 'gone' ? await erase(core, stored, old, dry) : await mark(core, stored, old, plan.object, dry)
    if (outcome) return plan.type === 'gone' && plan.object ? { ...outcome, revision: shownAs(outcome.revision, plan.object) } : outcome
    await undo()
    if (options.preconditions?.resourceVersion !== undefined) throw modifiedConflict(group, resource, name)
  }
  throw modifiedConflict(group, resource, name)
}

function shownAs({ key, revision }: Revision, object: KubeObject): Revision {
  const value = withMetadata(object, without(object.metadata!, 'resourceVersion'))
  return new Revision(key, revision, serialise(value), value)
}

function checkPreconditions({ stored }: ServedResource, old: Revision, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion, name } = old.object.metadata!
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    const why = `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`
    throw conflict(stored.group, stored.kind, name!, why)
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`
    throw conflict(stored.group, stored.kind, name!, why)
  }
}

type DeletionPlan =
  /** Nothing to do: a deletion is under way and is not shortened. */
  | { readonly type: 'pending' }
  | { readonly type: 'mark'; readonly object: KubeObject }
  /** `object`: how the answer shows it, where that is not as it was stored. */
  | { readonly type: 'gone'; readonly object?: KubeObject }

/** Decides what a delete does to the object as it is. */
export function planDeletion(
  { runtime }: Pick<Core, 'runtime'>,
  stored: StoredKind,
  object: KubeObject,
  options: DeleteOptions,
): DeletionPlan {
  if (isNamespace(stored)) return planNamespaceDeletion(timestamp(runtime.clock), object, options)
  const first = stored.definition.markForDeletion?.(object, timestamp(runtime.clock))
  if (first) return { type: 'mark', object: first }
  const requested = options.gracePeriodSeconds === undefined ? undefined : options.gracePeriodSeconds < 0 ? 1 : options.gracePeriodSeconds
  const graceful = planGrace(runtime.clock.now(), stored, object, requested)
  if (graceful === 'pending') return { type: 'pending' }
  const finalizers = isCollected(stored)
    ? propagationFinalizers(object, options, stored.definition.defaultPropagation)
    : (object.metadata?.finalizers ?? [])
  const metadata = { ...(graceful ?? object).metadata!, ...(finalizers.length > 0 ? { finalizers } : {}) }
  const marked = withMetadata(graceful ?? object, finalizers.length > 0 ? metadata : without(metadata, 'finalizers'))
  if (graceful) {
    const isOver = graceful.metadata?.deletionGracePeriodSeconds === 0 && finalizers.length === 0
    return isOver ? { type: 'gone', object: marked } : { type: 'mark', object: marked }
  }
  return finalizers.length > 0 ? { type: 'mark', object: markDeleting(timestamp(runtime.clock), marked) } : { type: 'gone' }
}

/** The object with its deletion time, when it is deleted gracefully; undefined when at once. */
function planGrace(
  nowMs: number,
  { definition }: StoredKind,
  object: KubeObject,
  requested: number | undefined,
): KubeObject | undefined | 'pending' {
  if (!definition.gracePeriodSeconds) return undefined
  const { deletionTimestamp, deletionGracePeriodSeconds, generation } = object.metadata!
  if (deletionTimestamp === undefined) {
    const seconds = definition.gracePeriodSeconds(object, requested)
    if (seconds === undefined) return undefined
    return withMetadata(object, {
      ...object.metadata,
      deletionTimestamp: secondsFrom(nowMs, seconds),
      deletionGracePeriodSeconds: seconds,
      ...(generation ? { generation: generation + 1 } : {}),
    })
  }
  if (!deletionGracePeriodSeconds) return undefined
  if (requested === undefined || requested >= deletionGracePeriodSeconds) return 'pending'
  // A grace period can only be shortened, and never into the past.
  const endMs = Date.parse(deletionTimestamp) + (requested - deletionGracePeriodSeconds) * 1000
  const isPast = endMs < nowMs
  return withMetadata(object, {
    ...object.metadata,
    deletionTimestamp: secondsFrom(isPast ? nowMs : endMs, 0),
    deletionGracePeriodSeconds: isPast && requested !== 0 ? 1 : requested,
  })
}

const secondsFrom = (nowMs: number, seconds: number): string => `${new Date(nowMs + seconds * 1000).toISOString().slice(0, 19)}Z`

function markDeleting(now: string, object: KubeObject): KubeObject {
  const { deletionTimestamp, generation } = object.metadata!
  return withMetadata(object, {
    ...object.metadata,
    deletionTimestamp: deletionTimestamp !== undefined && deletionTimestamp < now ? deletionTimestamp : now,
    deletionGracePeriodSeconds: 0,
    ...(deletionTimestamp === undefined && generation ? { generation: generation + 1 } : {}),
  })
}

/** Finalizers with those of the garbage collector as the options ask: explicit options, then the object's own, then the kind's. */
function propagationFinalizers(
  object: KubeObject,
  options: DeleteOptions,
  byDefault: 'Background' | 'Orphan' | undefined,
): readonly string[] {
  const finalizers = object.metadata?.finalizers ?? []
  const others = finalizers.filter((finalizer) => finalizer !== ORPHAN && finalizer !== FOREGROUND)
  const own = finalizers.find((finalizer) => finalizer === ORPHAN || finalizer === FOREGROUND)
  const wanted = explicitFinalizer(options)
  const chosen = wanted === undefined ? (own ?? (byDefault === 'Orphan' ? ORPHAN : null)) : wanted
  return chosen ? [...others, chosen] : others
}

/** Undefined when the options say nothing; null for background deletion. */
function explicitFinalizer({ orphanDependents, propagationPolicy }: DeleteOptions): string | null | undefined {
  if (orphanDependents !== undefined) return orphanDependents ? ORPHAN : null
  if (propagationPolicy === 'Orphan') return ORPHAN
  if (propagationPolicy === 'Foreground') return FOREGROUND
  return propagationPolicy === 'Background' ? null : undefined
}

const isNamespace = ({ group, resource }: StoredKind): boolean => group === '' && resource === 'namespaces'

/** A namespace first becomes Terminating; it goes when its own finalizers (spec.finalizers) are gone. */
function planNamespaceDeletion(now: string, object: KubeObject, options: DeleteOptions): DeletionPlan {
  const { metadata } = object
  if (metadata?.deletionTimestamp === undefined) {
    const finalizers = propagationFinalizers(object, options, undefined)
    const marked = { ...without(metadata!, 'finalizers'), ...(finalizers.length > 0 ? { finalizers } : {}), deletionTimestamp: now }
    return { type: 'mark', object: { ...object, metadata: marked, status: { ...object.status, phase: 'Terminating' } } }
  }
  if (object.spec?.finalizers?.length > 0) return { type: 'pending' }
  return metadata.finalizers?.length ? { type: 'mark', object: markDeleting(now, object) } : { type: 'gone' }
}

async function mark(core: Core, stored: StoredKind, old: Revision, object: KubeObject, isDry: boolean): Promise<Deleted | undefined> {
  const value = withMetadata(object, without(object.metadata!, 'resourceVersion'))
  const bytes = serialise(value)
  if (isDry) return { revision: new Revision(old.key, old.revision, bytes, value), isGone: false }
  const outcome = await put(core, stored, { key: old.key, bytes, value, expected: old.revision })
  return outcome.type === 'stored' ? { revision: outcome.revision, isGone: false } : undefined
}

/** Deletes the key; undefined when another write came between. The last state is told at the revision of the deletion. */
async function erase(core: Core, stored: StoredKind, old: Revision, isDry: boolean): Promise<Deleted | undefined> {
  if (isDry) return { revision: old, isGone: true }
  const beside = companionChanges(core, stored, old.object, undefined)
  const outcome = await core.store.commit([{ key: stored.prefix + old.key, value: undefined, expected: old.revision }, ...beside])
  if ('conflict' in outcome) {
    if (!outcome.current) throw notFound(stored.group, stored.resource, old.object.metadata!.name!)
    return undefined
  }
  await core.caches.caughtUp(outcome.revision)
  stored.definition.afterDelete?.(old.object)
  return { revision: old.at(outcome.revision), isGone: true }
}

/** Deletes what the server itself wants gone (the objects of a definition that goes): nobody is asked, finalizers hold. */
export async function deleteUnasked(core: Core, stored: StoredKind, key: string): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const old = stored.cache.get(key)
    if (!old || old.object.metadata?.deletionTimestamp !== undefined) return
    const plan = planDeletion(core, stored, old.object, {})
    if (plan.type === 'pending') return
    const done = plan.type === 'gone' ? await eraseOrLeave(core, stored, old) : await mark(core, stored, old, plan.object, false)
    if (done) return
    await core.caches.caughtUp(core.store.revision)
  }
}

/** After an update: an object that is being deleted and has lost its last finalizer goes. */
export async function deleteFinalized(core: Core, call: ResourceCall, before: Revision, now: Revision, isDry: boolean): Promise<Revision> {
  const { stored } = call.served
  const { deletionTimestamp, deletionGracePeriodSeconds } = before.object.metadata!
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds || now.object.metadata?.finalizers?.length) return now
  if (isNamespace(stored) && now.object.spec?.finalizers?.length) return now
  if (!isDry) await eraseOrLeave(core, stored, now)
  return now
}

/** Someone else may have deleted or changed it since: then it is theirs to finish. */
async function eraseOrLeave(core: Core, stored: StoredKind, now: Revision): Promise<Deleted | undefined> {
  try {
    return await erase(core, stored, now, false)
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
    return { revision: now, isGone: true }
  }
}
