/**
 * PUT and PATCH: a new object is made from the current one, and stored if nothing came between. What was asked for without a
 * resourceVersion is made again from the newer object; what was asked for with one is a Conflict.
 */
import type { ApiResponse } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { conflict, invalid, modifiedConflict, notFound, plainFailure } from '../api/status.ts'
import { decodeBody } from './body.ts'
import type { Core, ResourceCall } from './core.ts'
import { createObject } from './create.ts'
import { settle } from './custom-resources/conversion.ts'
import { authorizeOrThrow } from './authorization/authorizer.ts'
import { deleteFinalized } from './delete.ts'
import { checkName, inNamespace, wipeSystemFields } from './metadata.ts'
import { isDryRun, writeOptions } from './options.ts'
import { store, type Write } from './pipeline.ts'
import { get } from './read.ts'
import type { StoredKind } from './resource-registry.ts'
import type { Revision } from './revision.ts'
import { createsOnUpdate, needsResourceVersion } from './write-policy.ts'

/** How often a write that needs no particular revision is tried against newer ones (upstream's patch: 5; more does not help). */
const ATTEMPTS = 5

export const keyIn = (namespaced: boolean, namespace: string, name: string): string => (namespaced ? `${namespace}/${name}` : name)

export async function update(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served, info } = call
  const { stored } = served
  const options = writeOptions('UpdateOptions', call.request.query)
  const body = decodeBody(call, { apiVersion: served.apiVersion, kind: served.info.kind, rules: served.rules })
  const object = inNamespace(served.toStored(body), stored.isNamespaced ? info.namespace : '')
  checkName(object, info.name)
  if (createsOnUpdate(stored) && info.subresource === '' && !stored.cache.get(keyIn(stored.isNamespaced, info.namespace, info.name))) {
    await core.caches.caughtUp(core.store.revision)
    if (!stored.cache.get(keyIn(stored.isNamespaced, info.namespace, info.name))) return createByUpdate(core, call, object)
  }
  const revision = await change(core, call, () => object, { options })
  return { type: 'object', status: 200, stored: await settle(() => revision.in(served.view)) }
}

async function createByUpdate(core: Core, call: ResourceCall, object: KubeObject): Promise<ApiResponse> {
  await authorizeOrThrow(core.authorizer, { ...call.info, user: call.user, verb: 'create' })
  const options = writeOptions('CreateOptions', call.request.query)
  const created = await createObject(core, call, wipeSystemFields(object), { options, isDryRun: isDryRun(options) })
  return { type: 'object', status: 201, stored: await settle(() => created.in(call.served.view)) }
}

export interface ChangeOptions {
  readonly options: KubeObject
  /** The new object is made from the old: then without a resourceVersion of its own it fits whatever there is. */
  readonly isFromOld?: boolean
  /** What `make` makes tells who owns its fields. */
  readonly isApplied?: true
  readonly admitted?: (next: KubeObject, old: KubeObject) => Write['admitted']
}

/** Replaces the object that the call names by what `make` makes of it, in the stored version. */
export async function change(
  core: Core,
  call: ResourceCall,
  make: (old: KubeObject) => KubeObject,
  changeOptions: ChangeOptions,
): Promise<Revision> {
  const { served, info } = call
  const { stored } = served
  const { group, resource } = served.info
  const key = keyIn(stored.isNamespaced, info.namespace, info.name)
  const dry = isDryRun(changeOptions.options)
  for (let attempt = 1; ; attempt++) {
    const old = await get(core, served, key, info.name, '')
    const next = await settle(() => make(current(served, old)))
    checkPreconditions(call, next, old, { isFromOld: changeOptions.isFromOld ?? false, isDry: dry })
    const write: Write = {
      call,
      served,
      subresource: info.subresource,
      operation: 'UPDATE',
      namespace: info.namespace,
      name: info.name,
      old,
      isDryRun: dry,
      options: changeOptions.options,
      ...(changeOptions.isApplied ? { isOwned: true } : {}),
      ...(changeOptions.admitted ? { admitted: changeOptions.admitted(next, await settle(() => current(served, old)))! } : {}),
    }
    const outcome = await store(core, write, next)
    if (outcome.type === 'stored') return deleteFinalized(core, call, old, outcome.revision, dry)
    if (!outcome.current) throw notFound(group, resource, info.name)
    const isConditional = changeOptions.isFromOld
      ? next.metadata?.resourceVersion !== old.object.metadata?.resourceVersion
      : Boolean(next.metadata?.resourceVersion)
    if (isConditional || attempt >= ATTEMPTS) throw modifiedConflict(group, resource, info.name)
  }
}

/** What is converted outside is changed in the version of the request, all else in the stored one. */
const current = ({ custom }: ResourceCall['served'], { object }: Revision): KubeObject =>
  custom?.isConvertedOutside ? custom.fromStored(object) : object

/** Where upstream keeps the kinds whose place is not their name (pkg/registry/core/rest). */
const REGISTRY: Readonly<Record<string, string>> = { services: 'services/specs', endpoints: 'services/endpoints', nodes: 'minions' }

/** The key by which upstream's storage, or a dry run in its place, names the object in its errors. */
export function registryKey({ group, resource, isCustom }: StoredKind, key: string, isDry: boolean): string {
  return `${isDry ? '' : '/registry'}/${isCustom ? `${group}/${resource}` : group === '' ? (REGISTRY[resource] ?? resource) : resource}/${key}`
}

interface Circumstances {
  readonly isFromOld: boolean
  readonly isDry: boolean
}

function checkPreconditions({ served, info }: ResourceCall, next: KubeObject, old: Revision, { isFromOld, isDry }: Circumstances): void {
  const { group, resource } = served.info
  const { uid, resourceVersion } = next.metadata ?? {}
  const before = old.object.metadata!
  if (!isFromOld && uid && uid !== before.uid) {
    const why = `StorageError: invalid object, Code: 4, Key: ${registryKey(served.stored, old.key, isDry)}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${before.uid}`
    throw conflict(group, resource, info.name, why)
  }
  if (!resourceVersion || resourceVersion === '0') {
    if (!needsResourceVersion(served.stored)) return
    throw invalid(group, resource, info.name, [
      { type: 'FieldValueInvalid', field: 'metadata.resourceVersion', detail: 'Invalid value: 0: must be specified for an update' },
    ])
  }
  if (!/^\d+$/.test(resourceVersion)) throw plainFailure(`strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`)
  if (resourceVersion !== before.resourceVersion) throw modifiedConflict(group, resource, info.name)
}
