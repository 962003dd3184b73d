/** POST to a collection: names, and one more try with another name when a generated one is taken. */
import type { ApiResponse } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { alreadyExists, ApiError, failure, qualifiedResource, type StatusReason } from '../api/status.ts'
import { decodeBody } from './body.ts'
import type { Core, ResourceCall } from './core.ts'
import { settle } from './custom-resources/conversion.ts'
import { fillSystemFields, inNamespace, wipeSystemFields } from './metadata.ts'
import { isDryRun, writeOptions } from './options.ts'
import { store, type Write } from './pipeline.ts'
import type { Revision } from './revision.ts'

/** Upstream's bound: with it a million names of one prefix still find a free one. */
const NAME_ATTEMPTS = 8

export async function create(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served, info } = call
  const options = writeOptions('CreateOptions', call.request.query)
  const body = decodeBody(call, { apiVersion: served.apiVersion, kind: served.info.kind, rules: served.rules })
  const object = inNamespace(wipeSystemFields(served.toStored(body)), served.stored.isNamespaced ? info.namespace : '')
  const isRevised = /[1-9]/.test(body.metadata?.resourceVersion ?? '')
  const stored = await createObject(core, call, object, { options, isDryRun: isDryRun(options), ...(isRevised ? { isRevised } : {}) })
  return { type: 'object', status: 201, stored: await settle(() => stored.in(served.view)) }
}

export interface CreateOptions {
  readonly options: KubeObject
  readonly isDryRun: boolean
  /** The object tells who owns its fields: it was applied. */
  readonly isApplied?: true
  /** The client gave a resourceVersion. */
  readonly isRevised?: true
}

/** Creates an object that is already in the stored version and in its namespace. */
export async function createObject(
  core: Core,
  call: ResourceCall,
  object: KubeObject,
  { options, isDryRun: dry, isApplied, isRevised }: CreateOptions,
): Promise<Revision> {
  const { served } = call
  const { group, resource } = served.info
  const refusal = served.stored.definition.refuseCreate?.(object.metadata?.name ?? '')
  if (refusal) throw refusal
  const isNamed = Boolean(object.metadata?.name) || !object.metadata?.generateName
  // A namespace is admitted as if it were in itself.
  const namespace = group === '' && resource === 'namespaces' ? (object.metadata?.name ?? '') : (object.metadata?.namespace ?? '')
  for (let attempt = 1; ; attempt++) {
    const filled = fillSystemFields(core.runtime, object)
    const write: Write = {
      call,
      served,
      subresource: '',
      operation: 'CREATE',
      namespace,
      name: object.metadata?.name ?? '',
      old: undefined,
      isDryRun: dry,
      options,
      ...(isApplied ? { isOwned: true } : {}),
      ...(isRevised ? { isRevised } : {}),
    }
    const outcome = await store(core, write, filled)
    if (outcome.type === 'stored') return outcome.revision
    if (!isNamed && attempt < NAME_ATTEMPTS) continue
    const name = filled.metadata?.name ?? ''
    throw taken(group, resource, name, isNamed, outcome.current)
  }
}

function taken(group: string, resource: string, name: string, isNamed: boolean, current: KubeObject | undefined): ApiError {
  if (!isNamed) {
    const reason: StatusReason = 'AlreadyExists'
    const text = `${qualifiedResource(group, resource)} "${name}" already exists, the server was not able to generate a unique name for the object`
    return failure(reason, text, { details: { name, ...(group ? { group } : {}), kind: resource, retryAfterSeconds: 1 } })
  }
  const error = alreadyExists(group, resource, name)
  if (current?.metadata?.deletionTimestamp === undefined) return error
  return new ApiError({ ...error.status, message: `object is being deleted: ${error.status.message}` })
}
