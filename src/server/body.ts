/**
 * The body of a request: decoded by its content type, checked against the kind that the path is about, with unknown and duplicate
 * fields ignored, warned of or refused as the client asked (fieldValidation).
 */
import { strictDecodingMessage } from '../api/decode.ts'
import type { KubeObject } from '../api/object.ts'
import { parseApiVersion } from '../api/schema.ts'
import { builtInSchemas } from '../api/schema-table.ts'
import { badRequest, invalid, isApiError } from '../api/status.ts'
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
  if (typeof value !== 'object' || Array.isArray(value)) throw unrecognized(noKind(value))
  const isBuiltIn = isBuiltInKind(expected)
  // What upstream knows no type of is not completed.
  if (!isBuiltIn && !(value as KubeObject).kind && call.request.body && 'bytes' in call.request.body)
    throw unrecognized(`Object 'Kind' is missing in '${raw.text().trim()}'`)
  const { apiVersion = expected.apiVersion, kind = expectedKind } = value as KubeObject
  for (const [field, given] of Object.entries({ apiVersion, kind })) {
    if (typeof given !== 'string' && given !== null)
      throw unrecognized(`${NO_KIND}json: cannot unmarshal ${jsonKind(given)} into Go struct field .${field} of type string`)
  }
  const named = { ...value, apiVersion: apiVersion || expected.apiVersion, kind: kind || expectedKind }
  const fault = kindFault(named, expected)
  if (fault?.when === 'parsing') throw unrecognized(fault.why)
  if (fault?.when === 'converting' && !isBuiltIn) throw wrongKind(named, expected)
  if (fault) throw badRequest(fault.when === 'converting' ? `${cannotBe(named, expectedKind)}${fault.why}` : fault.why)
  const object = decodeValue(call, named, expected.rules, raw)
  call.trail?.request(object)
  return object
}

const NO_KIND = "couldn't get version/kind; json parse error: "

/** As `rawBody`; what cannot be read is refused in the words of upstream's codec, which looks for the kind first. */
export function rawObject(call: Call): RawBody | undefined {
  try {
    return rawBody(call)
  } catch (error) {
    if (!isApiError(error, 'BadRequest') || !isJson(call)) throw error
    throw badRequest(NO_KIND + error.message)
  }
}

/** A body that is no object has no kind. */
export const noKind = (value: unknown): string =>
  `${NO_KIND}json: cannot unmarshal ${jsonKind(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`

function readObject(call: Call, unrecognized: (why: string) => Error): RawBody {
  try {
    const raw = rawObject(call)
    if (raw) return raw
  } catch (error) {
    if (!isApiError(error, 'BadRequest')) throw error
    throw unrecognized(error.message)
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
  const told = (why: string) => badRequest(`${cannotBe(value, value.kind ?? '')}${why}`)
  const decoded = decodeOr(told, () => rules.decode(value, found.duplicates, found.positions))
  if (decoded.strict.length === 0 || validation === 'Ignore') return decoded.object
  if (validation === 'Strict') throw told(strictDecodingMessage(decoded.strict))
  call.warnings.push(...decoded.strict)
  return decoded.object
}

const cannotBe = ({ apiVersion = '', kind }: KubeObject, expected: string): string =>
  `${kind} in version ${JSON.stringify(parseApiVersion(apiVersion).version)} cannot be handled as a ${expected}: `

function decodeOr<T>(told: (why: string) => Error, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    throw told(error.message)
  }
}

export interface KindFault {
  /** Whether upstream finds it before it knows of any kind, in the conversion, or after that. */
  readonly when: 'parsing' | 'converting' | 'comparing'
  readonly why: string
}

/**
 * What is wrong with the kind that an object says it is: nothing of the scheme, a kind of it that is not this one, or the same kind
 * in another version. Custom resources have a scheme of their own each, which knows them alone.
 */
export function kindFault(object: KubeObject, expected: Omit<ExpectedKind, 'rules'>): KindFault | undefined {
  const { apiVersion = '', kind = '' } = object
  const isVersion = apiVersion === expected.apiVersion || expected.alsoAccepts?.includes(apiVersion)
  if (isVersion && kind === expected.kind) return undefined
  if (apiVersion.split('/').length > 2) return { when: 'parsing', why: `unexpected GroupVersion string: ${apiVersion}` }
  const wanted = { ...parseApiVersion(expected.apiVersion), kind: expected.kind }
  const given = { ...parseApiVersion(apiVersion), kind }
  const isBuiltIn = isBuiltInKind(expected)
  if (isBuiltIn && !builtInSchemas.schemaOfKind(given)) return { when: 'converting', why: notRegistered(apiVersion, kind) }
  if (kind !== wanted.kind || (isBuiltIn && given.group !== wanted.group)) {
    const target = isBuiltIn ? wanted.group.split('.')[0] || 'core' : wanted.version
    return { when: 'converting', why: `converting (${given.version}.${kind}) to (${target}.${wanted.kind}): unknown conversion` }
  }
  const why = `the API version in the data (${apiVersion}) does not match the expected API version (${expected.apiVersion})`
  return { when: 'comparing', why }
}

const isBuiltInKind = ({ apiVersion, kind }: Pick<ExpectedKind, 'apiVersion' | 'kind'>): boolean =>
  builtInSchemas.schemaOfKind({ ...parseApiVersion(apiVersion), kind }) !== undefined

/** A custom resource of another kind is one that is not valid. */
export function wrongKind({ kind = '', metadata }: KubeObject, expected: Pick<ExpectedKind, 'apiVersion' | 'kind'>): Error {
  const { group } = parseApiVersion(expected.apiVersion)
  const detail = `Invalid value: ${JSON.stringify(kind)}: must be ${expected.kind}`
  return invalid(group, kind, metadata?.name ?? '', [{ type: 'FieldValueInvalid', field: 'kind', detail }])
}

/** Of a kind that upstream's scheme does not hold. */
export const notRegistered = (apiVersion: string, kind: string): string =>
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
