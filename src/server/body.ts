/**
 * The body of a request: decoded by its content type, checked against the kind that the path is about, with unknown and duplicate
 * fields ignored, warned of or refused as the client asked (fieldValidation).
 */
import type { KubeObject } from '../api/object.ts'
import { parseApiVersion } from '../api/schema.ts'
import { builtInSchemas } from '../api/schema-table.ts'
import { badRequest, isApiError } from '../api/status.ts'
import type { KindRules } from './kind-rules.ts'
import type { Call } from './core.ts'
import { decodeBytes, type RawBody } from './decode-bytes.ts'
import { MEDIA_TYPES } from './negotiation.ts'

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict'

/** Other values are refused with the options (options.ts). */
export function fieldValidation(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation')
  return value === 'Ignore' || value === 'Strict' ? value : 'Warn'
}

export interface ExpectedKind {
  readonly apiVersion: string
  readonly kind: string
  readonly rules: KindRules
  /** Other apiVersions that are taken too: both versions of Eviction. */
  readonly alsoAccepts?: readonly string[]
}

/** The body as JSON with its apiVersion and kind filled in; undefined when the request has none. */
export function rawBody(call: Call, contentType = call.request.headers['content-type']): RawBody | undefined {
  const { body } = call.request
  if (!body) return undefined
  if ('object' in body) return { value: body.object, duplicates: [], text: () => JSON.stringify(body.object) }
  if (body.bytes.length === 0) return undefined
  return decodeBytes(body.bytes, contentType)
}

export function decodeBody(call: Call, expected: ExpectedKind): KubeObject {
  const { kind: expectedKind } = expected
  const unrecognized = (why: string) =>
    badRequest(`the object provided is unrecognized (must be of type ${expectedKind}): ${why} (${summary(call)})`)
  const raw = readObject(call, unrecognized)
  // Nothing at all is an object without fields, whatever it is written in.
  const value = raw.value === null ? {} : raw.value
  if (typeof value !== 'object' || Array.isArray(value)) {
    const type = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
    throw unrecognized(`${NO_KIND}json: cannot unmarshal ${jsonKind(value)} into Go value of type ${type}`)
  }
  const { apiVersion = expected.apiVersion, kind = expectedKind } = value as KubeObject
  for (const [field, given] of Object.entries({ apiVersion, kind })) {
    if (typeof given !== 'string' && given !== null)
      throw unrecognized(`${NO_KIND}json: cannot unmarshal ${jsonKind(given)} into Go struct field .${field} of type string`)
  }
  const named = { ...value, apiVersion: apiVersion || expected.apiVersion, kind: kind || expectedKind }
  const fault = kindFault(named, expected)
  if (fault) throw fault === 'malformed' ? unrecognized(`unexpected GroupVersion string: ${named.apiVersion}`) : fault
  return decodeValue(call, named, expected.rules, raw)
}

const NO_KIND = "couldn't get version/kind; json parse error: "

function readObject(call: Call, unrecognized: (why: string) => Error): RawBody {
  try {
    const raw = rawBody(call)
    if (raw) return raw
  } catch (error) {
    if (!isApiError(error, 'BadRequest')) throw error
    throw unrecognized(isJson(call) ? NO_KIND + error.message : error.message)
  }
  throw unrecognized(`${NO_KIND}unexpected end of JSON input`)
}

function isJson({ request }: Call): boolean {
  const type = request.headers['content-type']
  return !type || type.startsWith(MEDIA_TYPES.json)
}

/** Takes a JSON value apart by the rules of its kind; strict faults go where fieldValidation says. */
export function decodeValue(
  call: Call,
  value: KubeObject,
  rules: KindRules,
  found: Pick<RawBody, 'duplicates' | 'positions'> = { duplicates: [] },
): KubeObject {
  const validation = fieldValidation(call.request.query)
  const told = (why: string) => {
    const { version } = parseApiVersion(value.apiVersion ?? '')
    return badRequest(`${value.kind} in version ${JSON.stringify(version)} cannot be handled as a ${value.kind}: ${why}`)
  }
  const decoded = decodeOr(told, () => rules.decode(value, found.duplicates, found.positions))
  if (decoded.strict.length === 0 || validation === 'Ignore') return decoded.object
  if (validation === 'Strict') throw told(`strict decoding error: ${decoded.strict.join(', ')}`)
  call.warnings.push(...decoded.strict)
  return decoded.object
}

function decodeOr<T>(told: (why: string) => Error, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    throw told(error.message)
  }
}

/**
 * What is wrong with the kind that an object says it is: nothing of the scheme, a kind of it that is not this one, or the same kind
 * in another version. Custom resources have a scheme of their own each, which knows them alone.
 */
export function kindFault(object: KubeObject, expected: Omit<ExpectedKind, 'rules'>): Error | 'malformed' | undefined {
  const { apiVersion = '', kind = '' } = object
  const isVersion = apiVersion === expected.apiVersion || expected.alsoAccepts?.includes(apiVersion)
  if (isVersion && kind === expected.kind) return undefined
  if (apiVersion.split('/').length > 2) return 'malformed'
  const wanted = { ...parseApiVersion(expected.apiVersion), kind: expected.kind }
  const given = { ...parseApiVersion(apiVersion), kind }
  const refused = (why: string) =>
    badRequest(`${kind} in version ${JSON.stringify(given.version)} cannot be handled as a ${expected.kind}: ${why}`)
  if (builtInSchemas.schemaOfKind(wanted)) {
    if (!builtInSchemas.schemaOfKind(given)) return refused(notRegistered(apiVersion, kind))
    if (kind !== wanted.kind || given.group !== wanted.group) {
      const internal = `${wanted.group.split('.')[0] || 'core'}.${wanted.kind}`
      return refused(`converting (${given.version}.${kind}) to (${internal}): unknown conversion`)
    }
  }
  if (!isVersion)
    return badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expected.apiVersion})`)
  return refused(`converting (${given.version}.${kind}) to (${wanted.version}.${wanted.kind}): unknown conversion`)
}

const notRegistered = (apiVersion: string, kind: string): string =>
  `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`

/** A value's kind in the words of Go's decoder. */
export const jsonKind = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value)

const SUMMARY_LENGTH = 30

/** The beginning of a body: JSON objects as they are, anything else in hexadecimal. */
function summary({ request: { body } }: Call): string {
  if (!body || 'object' in body || body.bytes.length === 0) return '<empty>'
  const head = body.bytes.subarray(0, SUMMARY_LENGTH)
  const text = head[0] === OPENING_BRACE ? new TextDecoder().decode(head) : head.toHex()
  return body.bytes.length > SUMMARY_LENGTH ? `${text} ...` : text
}

const OPENING_BRACE = 0x7b
