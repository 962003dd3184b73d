/**
 * PATCH. JSON, merge and strategic merge patches: the current object in the version of the request, patched, decoded again as if it
 * had been sent whole. Server-side apply goes its own way (apply/apply-patch.ts).
 */
import type { ApiResponse } from '../api/exchange.ts'
import { applyJsonPatch } from '../api/json-patch.ts'
import { applyMergePatch } from '../api/merge-patch.ts'
import type { Json, KubeObject } from '../api/object.ts'
import { badRequest, failure, invalid, type ApiError } from '../api/status.ts'
import { APPLY_PATCH, applyPatch } from './apply/apply-patch.ts'
import { fieldValidation, rawBody } from './body.ts'
import type { Core, ResourceCall } from './core.ts'
import { settle } from './custom-resources/conversion.ts'
import type { KindRules } from './kind-rules.ts'
import { inNamespace } from './metadata.ts'
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

/** What to do with a current object; throws at once on a patch that cannot be read. */
function patcherOf(call: ResourceCall, served: ServedResource): Apply {
  const apply = rawPatcher(call, served.rules)
  const { stored, view } = served
  const { info } = call
  return (old) => {
    const original = view.convert ? view.convert(old) : old
    const patched = apply(original)
    if (patched === original) return served.custom ? served.toStored(original) : old
    const object = decodePatched(call, patched, original, served.rules)
    checkName(object, info.name)
    return served.toStored(inNamespace(object, stored.isNamespaced ? info.namespace : ''))
  }
}

/** The patch alone, for objects that are not stored (a Scale). */
export function rawPatcher(call: ResourceCall, rules: Pick<KindRules, 'strategicMerge'>): Apply {
  const contentType = contentTypeOf(call)
  const isStrategic = contentType === STRATEGIC_PATCH && rules.strategicMerge !== undefined
  if (contentType !== JSON_PATCH && contentType !== MERGE_PATCH && !isStrategic) throw unsupported(call, rules)
  const { value, duplicates } = readPatch(call)
  if (duplicates.length > 0) tellDuplicates(call, duplicates)
  if (contentType === JSON_PATCH) return (original) => applyJsonPatch(original, value)
  if (contentType === MERGE_PATCH) return (original) => applyMergePatch(original, value)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest('error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}')
  return (original) => rules.strategicMerge!(original, value)
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

function readPatch(call: ResourceCall): { readonly value: Json; readonly duplicates: readonly string[] } {
  const raw = rawBody(call, 'application/json')
  if (!raw) throw badRequest('error decoding patch: unexpected end of JSON input')
  return raw as { readonly value: Json; readonly duplicates: readonly string[] }
}

function tellDuplicates(call: ResourceCall, duplicates: readonly string[]): void {
  const validation = fieldValidation(call.request.query)
  const faults = duplicates.map((path) => `duplicate field ${JSON.stringify(path)}`)
  if (validation === 'Warn') call.warnings.push(...faults)
  if (validation === 'Strict') throw badRequest(`strict decoding error: ${faults.join(', ')}`)
}

function decodePatched(call: ResourceCall, patched: KubeObject, original: KubeObject, rules: KindRules): KubeObject {
  const named = { ...patched, apiVersion: original.apiVersion!, kind: original.kind! }
  const validation = fieldValidation(call.request.query)
  let decoded
  try {
    decoded = rules.decode(named)
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    throw badPatch(patched, error.message)
  }
  if (decoded.strict.length > 0 && validation === 'Strict') throw badPatch(patched, `strict decoding error: ${decoded.strict.join(', ')}`)
  if (validation === 'Warn') call.warnings.push(...decoded.strict)
  return decoded.object
}

const badPatch = (patched: KubeObject, why: string): ApiError =>
  invalid('', '', '', [
    { type: 'FieldValueInvalid', field: 'patch', detail: `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: ${why}` },
  ])

function checkName(object: KubeObject, name: string): void {
  const own = object.metadata?.name ?? ''
  if (own === '') throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
  if (own !== name) throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`)
}
