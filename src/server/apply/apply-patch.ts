/** PATCH with application/apply-patch+yaml: server-side apply (KEP-555), which creates what is not there. */
import { timestamp } from '../../base/clock.ts'
import type { ApiResponse } from '../../api/exchange.ts'
import { JsonSyntaxError, parseJson, type ParsedJson } from '../../api/json.ts'
import type { KubeObject } from '../../api/object.ts'
import { badRequest, conflict, isApiError, notFound } from '../../api/status.ts'
import { authorizeOrThrow } from '../authorization/authorizer.ts'
import { fieldValidation, rawBody } from '../body.ts'
import type { Core, ResourceCall } from '../core.ts'
import { createObject } from '../create.ts'
import { settle } from '../custom-resources/conversion.ts'
import { checkName, inNamespace } from '../metadata.ts'
import { isDryRun } from '../options.ts'
import { change, keyIn } from '../update.ts'
import { applied, described, unexpected } from './apply.ts'
import { shown, versionsOf } from './versions.ts'
import { emptyOf } from './write-owners.ts'

export const APPLY_PATCH = 'application/apply-patch+yaml'

/** Another write may come between, either way; this often it is tried again. */
const ATTEMPTS = 5

export interface Configuration {
  readonly config: KubeObject
  /** Fields that the text gives twice, in the words of go-yaml. */
  readonly duplicates: readonly string[]
}

/** The body of an apply. YAML, and so also JSON. */
export function readConfiguration(call: ResourceCall): Configuration {
  const raw = readBody(call)
  const { value = null, duplicates = [] } = raw ?? {}
  call.trail?.requestPatch(value)
  if (value === null) return { config: {}, duplicates }
  if (typeof value !== 'object' || Array.isArray(value)) {
    const what = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
    throw badRequest(
      `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${what} into Go value of type map[string]interface {}`,
    )
  }
  return { config: value, duplicates }
}

function readBody(call: ResourceCall) {
  try {
    // Most clients write JSON, which is YAML too, and read in a tenth of the time.
    const { body } = call.request
    const json = body && 'bytes' in body && body.bytes[0] === OPENING_BRACE ? wholeJson(body.bytes) : undefined
    return json ?? rawBody(call, 'application/yaml')
  } catch (error) {
    if (!isApiError(error, 'BadRequest')) throw error
    throw badRequest(`error decoding YAML: error converting YAML to JSON: ${error.message}`)
  }
}

const OPENING_BRACE = 0x7b

/** The value of a text that is JSON without faults; others are for the reader of YAML, in whose words they are told. */
function wholeJson(bytes: Uint8Array): Pick<ParsedJson, 'value' | 'duplicates'> | undefined {
  try {
    const parsed = parseJson(bytes)
    return parsed.duplicates.length === 0 ? parsed : undefined
  } catch (error) {
    if (error instanceof JsonSyntaxError) return undefined
    throw error
  }
}

/** Tells of fields that were given twice, as fieldValidation asks; after the apply, whose own errors come first. */
export function tellDuplicates(call: ResourceCall, { duplicates }: Configuration): void {
  if (duplicates.length === 0) return
  const validation = fieldValidation(call.request.query)
  if (validation === 'Warn') call.warnings.push(...duplicates)
  if (validation !== 'Strict') return
  throw badRequest(`error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  ${duplicates.join('\n  ')}`)
}

export async function applyPatch(core: Core, call: ResourceCall, options: KubeObject): Promise<ApiResponse> {
  const { served, info } = call
  const configuration = readConfiguration(call)
  const make = (live: KubeObject | undefined): KubeObject => {
    const object = applyTo(core, call, configuration.config, options, live)
    tellDuplicates(call, configuration)
    checkName(object, info.name)
    return served.toStored(inNamespace(object, served.stored.isNamespaced ? info.namespace : ''))
  }
  for (let attempt = 1; ; attempt++) {
    try {
      if (await isThere(core, call)) {
        const revision = await change(core, call, (old) => make(shown(served, old)), { options, isFromOld: true, isApplied: true })
        return { type: 'object', status: 200, stored: await settle(() => revision.in(served.view)) }
      }
      return await createApplied(core, call, make(undefined), options)
    } catch (error) {
      const isOvertaken = isApiError(error, 'AlreadyExists') || (isApiError(error, 'NotFound') && info.subresource === '')
      if (!isOvertaken || attempt >= ATTEMPTS || (await isThere(core, call)) === isApiError(error, 'NotFound')) throw error
    }
  }
}

async function isThere(core: Core, { served, info }: ResourceCall): Promise<boolean> {
  const { cache, isNamespaced } = served.stored
  const key = keyIn(isNamespaced, info.namespace, info.name)
  if (cache.get(key)) return true
  await core.caches.caughtUp(core.store.revision)
  return cache.get(key) !== undefined
}

async function createApplied(core: Core, call: ResourceCall, object: KubeObject, options: KubeObject): Promise<ApiResponse> {
  const { served, info } = call
  const { group, resource } = served.info
  if (info.subresource !== '') throw notFound(group, resource, info.name)
  const uid = object.metadata?.uid
  if (uid) {
    const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`
    throw conflict(group, resource, info.name, why)
  }
  await authorizeOrThrow(core.authorizer, { ...info, user: call.user, verb: 'create' })
  const creating = { ...options, kind: 'CreateOptions' }
  const stored = await createObject(core, call, object, { options: creating, isDryRun: isDryRun(options), isApplied: true })
  return { type: 'object', status: 201, stored: await settle(() => stored.in(served.view)) }
}

/** The object of the request's version with the configuration applied to it, decoded as if it had been sent whole. */
function applyTo(core: Core, call: ResourceCall, config: KubeObject, options: KubeObject, live: KubeObject | undefined): KubeObject {
  const { served, info } = call
  const { apiVersion } = served
  const { kind } = served.info
  const empty = emptyOf(served)
  const object = applied({
    live: live ?? empty,
    config,
    kind,
    manager: options.fieldManager as string,
    subresource: info.subresource,
    isForced: options.force === true,
    versions: versionsOf(core.registry, served, info.subresource),
    empty,
    now: timestamp(core.runtime.clock),
  })
  try {
    return served.rules.decode(object).object
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    throw unexpected(`failed to convert new object (${described(object)}) to proper version (${apiVersion}): ${error.message}`)
  }
}
