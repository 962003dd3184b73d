/**
 * The body of a request: decoded by its content type, checked against the kind that the path is about, with unknown and duplicate
 * fields ignored, warned of or refused as the client asked (fieldValidation).
 */
import type { KubeObject } from '../api/object.ts'
import { parseApiVersion } from '../api/schema.ts'
import { badRequest, invalid } from '../api/status.ts'
import type { KindRules } from './kind-rules.ts'
import type { Call } from './core.ts'
import { decodeBytes, type RawBody } from './decode-bytes.ts'

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict'

export function fieldValidation(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation') || 'Warn'
  if (value === 'Ignore' || value === 'Warn' || value === 'Strict') return value
  const detail = `Unsupported value: ${JSON.stringify(value)}: supported values: "Ignore", "Warn", "Strict"`
  throw invalid('meta.k8s.io', 'CreateOptions', '', [{ type: 'FieldValueNotSupported', field: 'fieldValidation', detail }])
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
  const raw = rawBody(call)
  const { kind: expectedKind } = expected
  if (!raw)
    throw badRequest(`the object provided is unrecognized (must be of type ${expectedKind}): Object 'Kind' is missing in '' (<empty>)`)
  const { value } = raw
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${expectedKind}): couldn't get version/kind; json parse error: json: cannot unmarshal ${jsonKind(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (${summary(raw.text())})`,
    )
  }
  const { apiVersion = expected.apiVersion, kind = expectedKind } = value as KubeObject
  checkKind(String(apiVersion), String(kind), expected)
  return decodeValue(call, { ...value, apiVersion: String(apiVersion), kind: String(kind) }, expected.rules, raw)
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

function checkKind(apiVersion: string, kind: string, expected: ExpectedKind): void {
  if (apiVersion !== expected.apiVersion && !expected.alsoAccepts?.includes(apiVersion)) {
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expected.apiVersion})`)
  }
  if (kind === expected.kind) return
  const { version } = parseApiVersion(apiVersion)
  throw badRequest(
    `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${expected.kind}: converting (${version}.${kind}) to (${version}.${expected.kind}): unknown conversion`,
  )
}

const jsonKind = (value: unknown): string =>
  Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value

const SUMMARY_LENGTH = 30

const summary = (text: string): string => (text.length > SUMMARY_LENGTH ? `${text.slice(0, SUMMARY_LENGTH)} ...` : text)
