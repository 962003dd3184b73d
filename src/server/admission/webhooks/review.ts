/**
 * AdmissionReview (admission.k8s.io/v1 and v1beta1): the question that a webhook is asked, and its answer, checked as upstream
 * checks it (admission/plugin/webhook/request).
 */
import type { Json, KubeObject } from '../../../api/object.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import type { Status } from '../../../api/generated/meta/v1.ts'
import { ApiError } from '../../../api/status.ts'
import type { AdmissionAttributes } from '../../admission.ts'

export type ReviewVersion = 'v1' | 'v1beta1'

export interface Question {
  readonly uid: string
  readonly version: ReviewVersion
  /** In the version that the webhook wants. */
  readonly resource: ResourceInfo
  readonly object: KubeObject | undefined
  readonly oldObject: KubeObject | undefined
}

export interface Verdict {
  readonly isAllowed: boolean
  readonly result: Status | undefined
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
  /** RFC 6902; undefined when nothing is to be changed. */
  readonly patch: Json | undefined
}

/** The first version that the webhook knows and we speak. */
export const reviewVersion = (versions: readonly string[]): ReviewVersion | undefined =>
  versions.find((version) => version === 'v1' || version === 'v1beta1')

const kindOf = (object: KubeObject | undefined, { group, version, kind }: ResourceInfo) => {
  // Subresources with a kind of their own (Scale, Eviction, PodExecOptions) are told by the object.
  if (!object?.kind || !object.apiVersion || object.kind === kind) return { group, version, kind }
  const slash = object.apiVersion.indexOf('/')
  return { group: slash < 0 ? '' : object.apiVersion.slice(0, slash), version: object.apiVersion.slice(slash + 1), kind: object.kind }
}

export function reviewOf(attributes: AdmissionAttributes, { uid, version, resource, object, oldObject }: Question): KubeObject {
  const { subresource, user, options, resource: asked } = attributes
  const named = ({ group, version: at, resource: name }: ResourceInfo) => ({ group, version: at, resource: name })
  return {
    kind: 'AdmissionReview',
    apiVersion: `admission.k8s.io/${version}`,
    request: {
      uid,
      kind: kindOf(object, resource),
      resource: named(resource),
      ...(subresource ? { subResource: subresource } : {}),
      requestKind: kindOf(attributes.object, asked),
      requestResource: named(asked),
      ...(subresource ? { requestSubResource: subresource } : {}),
      ...(attributes.name ? { name: attributes.name } : {}),
      ...(attributes.namespace ? { namespace: attributes.namespace } : {}),
      operation: attributes.operation,
      userInfo: {
        username: user.name,
        ...(user.uid ? { uid: user.uid } : {}),
        ...(user.groups.length > 0 ? { groups: user.groups } : {}),
        ...(user.extra ? { extra: user.extra } : {}),
      },
      object: object ?? null,
      oldObject: oldObject ?? null,
      dryRun: attributes.dryRun,
      options,
    },
  }
}

const textsOf = (value: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(recordOf(value) ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))

const VERSIONS: readonly unknown[] = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1']

/** What upstream cannot even decode; undefined when it is a review. */
export function undecodable(answer: unknown, { version }: Question): string | undefined {
  const { kind, apiVersion, response } = recordOf(answer) ?? {}
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') return undefined
  if (kind !== 'AdmissionReview' || !VERSIONS.includes(apiVersion))
    return `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`
  const told = apiVersion.replace(/^.*\//, '')
  if (told !== version) return `converting (${told}.AdmissionReview) to (${version}.AdmissionReview): unknown conversion`
  const { allowed, patch } = recordOf(response) ?? {}
  if (typeof allowed === 'string' || typeof allowed === 'number')
    return `json: cannot unmarshal ${typeof allowed} into Go struct field AdmissionResponse.response.allowed of type bool`
  const odd = typeof patch === 'string' ? patch.search(/[^A-Za-z0-9+/=\r\n]/) : -1
  return odd < 0 ? undefined : `illegal base64 data at input byte ${odd}`
}

/** Reads an answer; throws an Error that says what is wrong with it. */
export function readVerdict(answer: unknown, { uid, version }: Question, isMutating: boolean): Verdict {
  const review = recordOf(answer) ?? {}
  const response = recordOf(review['response'])
  if (!response) throw new Error('webhook response was absent')
  if (version === 'v1') {
    if (response['uid'] !== uid)
      throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response['uid'] ?? '')}`)
    const { apiVersion = '', kind = '' } = review as { readonly apiVersion?: Json; readonly kind?: Json }
    if (kind !== 'AdmissionReview' || apiVersion !== 'admission.k8s.io/v1')
      throw new Error(
        `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${JSON.stringify(apiVersion)}, Kind=${JSON.stringify(kind)}`,
      )
  }
  const { patch, patchType } = response
  const hasPatch = typeof patch === 'string' && patch !== ''
  if (!isMutating && hasPatch) throw new Error('validating webhook may not return response.patch')
  if (!isMutating && patchType !== undefined && version === 'v1') throw new Error('validating webhook may not return response.patchType')
  if (isMutating && version === 'v1') {
    if (hasPatch && patchType === undefined) throw new Error('webhook returned response.patch but not response.patchType')
    if (!hasPatch && patchType !== undefined) throw new Error('webhook returned response.patchType but not response.patch')
    if (patchType === '') throw new Error('webhook returned invalid response.patchType of ""')
  }
  const warnings = response['warnings']
  return {
    isAllowed: response['allowed'] === true,
    result: recordOf(response['status']),
    auditAnnotations: textsOf(response['auditAnnotations']),
    warnings: Array.isArray(warnings) ? warnings.filter((text) => typeof text === 'string' && text !== '') : [],
    patch: hasPatch ? patchOf(patch, version === 'v1' ? patchType : 'JSONPatch') : undefined,
  }
}

/** A fault of the patch, which is told without saying that the response as a whole is invalid. */
export class PatchFault extends Error {}

function patchOf(text: string, type: unknown): Json {
  const patch = decodePatch(text)
  if (!Array.isArray(patch)) {
    const given = patch === null ? 'null' : typeof patch === 'boolean' ? 'bool' : typeof patch
    throw new PatchFault(
      `received undecodable patch in webhook response: json: cannot unmarshal ${given} into Go value of type jsonpatch.Patch`,
    )
  }
  // Nothing to do can be told in any way.
  if (patch.length > 0 && type !== 'JSONPatch') throw new PatchFault(`unsupported patch type ${JSON.stringify(type)}`)
  return patch as Json
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined

/** Whether more brackets are opened than closed. */
const isCutShort = (text: string): boolean => {
  const letters = atob(text)
  return letters.replaceAll(/[^[{]/g, '').length > letters.replaceAll(/[^\]}]/g, '').length
}

function decodePatch(text: string): Json {
  try {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Json
  } catch (error) {
    const why = error instanceof SyntaxError && isCutShort(text) ? 'unexpected end of JSON input' : String((error as Error).message)
    throw new PatchFault(`received undecodable patch in webhook response: ${why}`, { cause: error })
  }
}

/** The error of a request that a webhook refused: the Status it gave, made whole. */
export function refusalOf(name: string, result: Status | undefined): ApiError {
  const deniedBy = `admission webhook ${JSON.stringify(name)} denied the request`
  const why = result?.message || result?.reason
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    ...result,
    status: 'Failure',
    message: why ? `${deniedBy}: ${why}` : `${deniedBy} without explanation`,
    code: Math.max(result?.code ?? 0, 400),
  })
}
