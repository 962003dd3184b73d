/**
 * PATCH. JSON, merge and strategic merge patches: the current object in the version of the request, patched, decoded again as if it
 * had been sent whole. Server-side apply goes its own way (apply/apply-patch.ts).
 */
import type { ApiResponse } from '../api/exchange.ts'
import { conversionFault, DecodeError, strictDecodingMessage } from '../api/decode.ts'
import { applyJsonPatch } from '../api/json-patch.ts'
import { applyMergePatch } from '../api/merge-patch.ts'
import type { Json, KubeObject } from '../api/object.ts'
import { badRequest, failure, invalid, isApiError, type ApiError } from '../api/status.ts'
import { APPLY_PATCH, applyPatch } from './apply/apply-patch.ts'
import { fieldValidation, jsonKind, kindFault, rawBody, wrongKind, type ExpectedKind } from './body.ts'
import type { Core, ResourceCall } from './core.ts'
import { settle } from './custom-resources/conversion.ts'
import type { Decoded, KindRules } from './kind-rules.ts'
import { checkName, inNamespace } from './metadata.ts'
import { unsupportedMediaType } from './negotiation.ts'
import { writeOptions } from './options.ts'
import type { ServedResource } from './resource-registry.ts'
import { change } from './update.ts'

const JSON_PATCH = 'application/json-patch+json'
const MERGE_PATCH = 'application/merge-patch+json'
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json'

type Apply = (original: KubeObject) => KubeObject

export async function patch(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served } = call
  const isApply = contentTypeOf(call) === APPLY_PATCH
  const patcher = isApply ? undefined : patcherOf(call, served)
  const options = writeOptions('PatchOptions', call.request.query, isApply)
  if (!patcher) return applyPatch(core, call, options)
  const revision = await change(core, call, patcher, { options, isFromOld: true })
  return { type: 'object', status: 200, stored: await settle(() => revision.in(served.view)) }
}

export const contentTypeOf = ({ request }: ResourceCall): string => (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim()

/** What to do with a current object. */
function patcherOf(call: ResourceCall, served: ServedResource): Apply {
  const { stored, view, rules, apiVersion } = served
  const { info } = call
  const apply = patcher(call, { apiVersion, kind: served.info.kind, rules })
  return (old) => {
    const original = view.convert ? view.convert(old) : old
    const object = apply(original)
    if (object === original) return old
    checkName(object, info.name)
    return served.toStored(inNamespace(object, stored.isNamespaced ? info.namespace : ''))
  }
}

/** A patch that was read: what it makes of an object, how a fault shows what was made, and the faults of its own text. */
interface Patch {
  readonly apply: Apply
  readonly shown: (patched: KubeObject) => string
  readonly strict: readonly string[]
}

/**
 * Makes an object of the kind into the patched one, decoded as if it had been sent whole. A content type that is not taken is
 * refused at once; the patch is read when there is an object, as upstream does.
 */
export function patcher(call: ResourceCall, expected: ExpectedKind): Apply {
  const contentType = contentTypeOf(call)
  const { rules } = expected
  const isStrategic = contentType === STRATEGIC_PATCH && rules.strategicMerge !== undefined
  if (contentType !== JSON_PATCH && contentType !== MERGE_PATCH && !isStrategic) throw unsupported(call, rules)
  let read: Patch | undefined
  return (original) => {
    read ??= readPatch(call, contentType, rules)
    const patched = read.apply(original)
    if (patched === original && read.strict.length === 0) return original
    if (call.served.custom && patched.kind !== expected.kind && expected.rules === call.served.rules) throw wrongKind(patched, expected)
    const fault = isStrategic || call.served.custom ? undefined : patchedKindFault(patched, expected)
    if (fault !== undefined) throw badPatch(read.shown(patched), fault)
    const named = { ...patched, apiVersion: expected.apiVersion, kind: expected.kind }
    const decoded = decodePatched(named, rules, (fault) =>
      badPatch(read!.shown(patched), isStrategic ? conversionFault(fault) : fault.message),
    )
    const strict = [...read.strict, ...decoded.strict]
    const validation = fieldValidation(call.request.query)
    if (strict.length > 0 && validation === 'Strict') throw badPatch(read.shown(patched), strictDecodingMessage(strict))
    if (validation === 'Warn') call.warnings.push(...strict)
    return decoded.object
  }
}

function patchedKindFault(patched: KubeObject, expected: ExpectedKind): string | undefined {
  if (!patched.kind) return `Object 'Kind' is missing in '${JSON.stringify(patched)}'`
  return kindFault(patched, expected)?.why
}

function readPatch(call: ResourceCall, contentType: string, rules: Pick<KindRules, 'strategicMerge'>): Patch {
  const { value, duplicates } = patchBody(call, contentType)
  call.trail?.requestPatch(value)
  const twice = duplicates.map((path) => `duplicate field ${JSON.stringify(path)}`)
  if (contentType === JSON_PATCH) {
    const operations = value ?? []
    if (!Array.isArray(operations))
      throw badRequest(`error decoding patch: json: cannot unmarshal ${jsonKind(value)} into Go value of type []handlers.jsonPatchOp`)
    const faults = [...twice, ...unknownInOperations(operations)].map((fault) => `json patch ${fault}`)
    return { apply: (original) => applyJsonPatch(original, operations), shown: JSON.stringify, strict: faults }
  }
  // Upstream takes null for an object without fields, except where it is merged.
  if (value !== null && (typeof value !== 'object' || Array.isArray(value)))
    throw badRequest(`${prefixOf(contentType)}json: cannot unmarshal ${jsonKind(value)} into Go value of type map[string]interface {}`)
  if (contentType === MERGE_PATCH) return { apply: (original) => applyMergePatch(original, value), shown: JSON.stringify, strict: twice }
  const patch = value ?? {}
  return { apply: (original) => rules.strategicMerge!(original, patch), shown: () => goText(patch), strict: twice }
}

const prefixOf = (contentType: string): string => (contentType === STRATEGIC_PATCH ? '' : 'error decoding patch: ')

const OPERATION_FIELDS: ReadonlySet<string> = new Set(['op', 'path', 'from', 'value'])

function unknownInOperations(operations: readonly Json[]): readonly string[] {
  return operations.flatMap((operation: Json, index) =>
    Object.keys(operation ?? {})
      .filter((key) => !OPERATION_FIELDS.has(key))
      .map((key) => `unknown field "[${index}].${key}"`),
  )
}

/** A value as Go prints one: map[a:1 b:[x y]]. */
function goText(value: Json | undefined): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return `[${value.map((item: Json) => goText(item)).join(' ')}]`
  if (typeof value !== 'object') return String(value)
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `map[${fields.map(([key, item]) => `${key}:${goText(item)}`).join(' ')}]`
}

/** Built-in kinds have their content types checked before anything looks at them: upstream's HTTP library answers. */
const unsupported = ({ served }: ResourceCall, rules: Pick<KindRules, 'strategicMerge'>): ApiError =>
  served.custom ? unsupportedMediaType(supported(rules)) : failure('UnsupportedMediaType', '415: Unsupported Media Type', { details: {} })

const supported = (rules: Pick<KindRules, 'strategicMerge'>): readonly string[] => [
  JSON_PATCH,
  MERGE_PATCH,
  ...(rules.strategicMerge ? [STRATEGIC_PATCH] : []),
  APPLY_PATCH,
]

function patchBody(call: ResourceCall, contentType: string): { readonly value: Json; readonly duplicates: readonly string[] } {
  try {
    const raw = rawBody(call, 'application/json')
    if (raw) return raw as { readonly value: Json; readonly duplicates: readonly string[] }
  } catch (error) {
    if (!isApiError(error, 'BadRequest')) throw error
    throw badRequest(prefixOf(contentType) + error.message)
  }
  throw badRequest(`${prefixOf(contentType)}unexpected end of JSON input`)
}

function decodePatched(named: KubeObject, rules: KindRules, told: (fault: DecodeError) => Error): Decoded {
  try {
    return rules.decode(named)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    throw told(error)
  }
}

const badPatch = (shown: string, why: string): ApiError =>
  invalid('', '', '', [{ type: 'FieldValueInvalid', field: 'patch', detail: `Invalid value: ${JSON.stringify(shown)}: ${why}` }])
