/** serviceaccounts/token: a token for an account, bound to a pod, a secret or a node when asked (pkg/registry/core/serviceaccount/storage/token.go). */
import type { FieldSet } from '../../api/apply/field-set.ts'
import { timestamp } from '../../base/clock.ts'
import { uuid } from '../../base/random.ts'
import type { ApiResponse } from '../../api/exchange.ts'
import type { TokenRequestSpec } from '../../api/generated/authentication/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { badRequest, conflict, failure, invalid, notFound, type FieldError } from '../../api/status.ts'
import { serviceAccountName, type KubernetesClaim } from '../authentication/tokens.ts'
import type { Core, ResourceCall } from '../core.ts'
import { withDefaults } from '../resources/immutable.ts'
import { isDryRun, writeOptions } from '../options.ts'
import { admitOnly } from '../pipeline.ts'
import { Computed } from '../revision.ts'
import { applyTypeOf } from '../apply/versions.ts'
import { managedFieldsAfter } from '../apply/track.ts'
import { managerOf } from '../apply/manager-name.ts'
import { withManagedFields } from '../apply/write-owners.ts'
import { rulesOf } from '../builtin-rules.ts'
import { checkVerb, decodeAs } from './verbs.ts'

const TOKEN_REQUEST = { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' } as const

const DEFAULT_SECONDS = 3600
const MIN_SECONDS = 600
const MAX_SECONDS = 2 ** 32
/** A pod's token of this length is what old clients get that do not renew it: it warns then, and lives a year (WarnOnlyBoundTokenExpirationSeconds). */
const WARN_ONLY_SECONDS = 3607
const EXTENDED_SECONDS = 365 * 24 * 3600

interface ObjectReference {
  readonly kind?: string
  readonly apiVersion?: string
  readonly name?: string
  readonly uid?: string
}

export async function requestToken(core: Core, call: ResourceCall): Promise<ApiResponse> {
  checkVerb(call)
  const { info, served } = call
  const { tokens, runtime, reader } = core
  if (!tokens) throw failure('NotFound', 'the server could not find the requested resource')
  const options = writeOptions('CreateOptions', call.request.query)
  const decoded = decodeAs(call, TOKEN_REQUEST)
  const asked: KubeObject = {
    ...decoded,
    spec: withDefaults((decoded.spec ?? {}) as TokenRequestSpec, { expirationSeconds: DEFAULT_SECONDS }),
  }
  const request = withOwner(asked, managerOf(call, options), timestamp(runtime.clock))
  await core.caches.caughtUp(core.store.revision)
  const account = reader.get('v1/ServiceAccount', info.namespace, info.name)
  if (!account) throw notFound('', 'serviceaccounts', info.name)
  const uid = account.metadata!.uid!
  checkMetadata(request, info.namespace, info.name, uid)
  const audiences: readonly string[] = request.spec?.audiences?.length ? request.spec.audiences : tokens.audiences
  const seconds = request.spec?.expirationSeconds as number
  checkSeconds(seconds)
  const boundObjectRef = request.spec?.boundObjectRef as ObjectReference | undefined
  const filled = {
    ...request,
    metadata: { ...request.metadata, name: info.name, namespace: info.namespace, uid, creationTimestamp: isoSeconds(runtime.clock.now()) },
    spec: { ...request.spec, audiences, expirationSeconds: seconds, ...(boundObjectRef ? { boundObjectRef } : {}) },
  }
  await admitOnly(
    core,
    {
      call,
      served,
      subresource: 'token',
      operation: 'CREATE',
      namespace: info.namespace,
      name: info.name,
      old: undefined,
      isDryRun: isDryRun(options),
      options,
    },
    filled,
  )
  const binding = boundObjectRef ? bindingOf(core, call, boundObjectRef) : {}
  const nowMs = runtime.clock.now()
  const iat = Math.floor(nowMs / 1000)
  const isExtended =
    binding.pod !== undefined && seconds === WARN_ONLY_SECONDS && audiences.every((audience) => tokens.audiences.includes(audience))
  const token = tokens.sign({
    aud: audiences,
    exp: iat + (isExtended ? EXTENDED_SECONDS : seconds),
    iat,
    iss: tokens.issuer,
    jti: uuid(runtime.random),
    'kubernetes.io': {
      namespace: info.namespace,
      ...binding,
      serviceaccount: { name: info.name, uid },
      ...(isExtended ? { warnafter: iat + seconds } : {}),
    },
    nbf: iat,
    sub: serviceAccountName(info.namespace, info.name),
  })
  const status = { token, expirationTimestamp: isoSeconds(nowMs + seconds * 1000) }
  return { type: 'object', status: 201, stored: new Computed({ ...filled, status }) }
}

/** A request has one version, and nobody wrote before. */
function withOwner(request: KubeObject, manager: string, now: string): KubeObject {
  const rules = rulesOf(TOKEN_REQUEST)
  const live = rules.emptyObject!()
  const versions = {
    apiVersion: live.apiVersion!,
    convert: (object: KubeObject) => object,
    typeOf: () => applyTypeOf(rules),
    writable: (fields: FieldSet) => fields,
  }
  const isNew = { isNew: true, isSchemaFluid: false }
  return withManagedFields(request, managedFieldsAfter({ live, next: request, manager, subresource: 'token', versions, now, ...isNew }))
}

const isoSeconds = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

function checkMetadata({ metadata = {} }: KubeObject, namespace: string, name: string, uid: string): void {
  const fault = (field: string, value: string, detail: string) =>
    invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, name, [
      { type: 'FieldValueInvalid', field, detail: `Invalid value: ${JSON.stringify(value)}: ${detail}` },
    ])
  if (metadata.name && metadata.name !== name)
    throw fault('metadata.name', metadata.name, 'must match the service account name if specified')
  if (metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  if (metadata.uid && metadata.uid !== uid) {
    const why = `the UID in the token request (${metadata.uid}) does not match the UID of the service account (${uid})`
    throw conflict(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, name, why)
  }
}

function checkSeconds(seconds: number): void {
  const errors: FieldError[] = []
  const fault = (detail: string) =>
    errors.push({ type: 'FieldValueInvalid', field: 'spec.expirationSeconds', detail: `Invalid value: ${seconds}: ${detail}` })
  if (seconds < MIN_SECONDS) fault('may not specify a duration less than 10 minutes')
  if (seconds > MAX_SECONDS) fault('may not specify a duration larger than 2^32 seconds')
  if (errors.length > 0) throw invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, '', errors)
}

/** What the token is bound to: it is worth nothing once that is gone. */
function bindingOf({ reader }: Core, { info }: ResourceCall, reference: ObjectReference): Partial<KubernetesClaim> {
  const { kind = '', apiVersion = 'v1', name = '' } = reference
  const missing = (resource: string) => notFound('', resource, name)
  const checked = (found: { readonly metadata?: { readonly uid?: string } }) => {
    const uid = found.metadata!.uid!
    if (!reference.uid || reference.uid === uid) return { name, uid }
    const why = `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`
    throw conflict('', kind, name, why)
  }
  if (apiVersion === 'v1' && kind === 'Pod') {
    const pod = reader.get('v1/Pod', info.namespace, name)
    if (!pod) throw missing('pods')
    if (pod.spec?.serviceAccountName !== info.name)
      throw badRequest(
        `cannot bind token for serviceaccount ${JSON.stringify(info.name)} to pod running with different serviceaccount name.`,
      )
    const nodeName = pod.spec?.nodeName
    const nodeUid = nodeName && reader.get('v1/Node', undefined, nodeName)?.metadata?.uid
    return { ...(nodeName ? { node: { name: nodeName, ...(nodeUid ? { uid: nodeUid } : {}) } } : {}), pod: checked(pod) }
  }
  if (apiVersion === 'v1' && kind === 'Secret') {
    const secret = reader.get('v1/Secret', info.namespace, name)
    if (!secret) throw missing('secrets')
    return { secret: checked(secret) }
  }
  if (apiVersion === 'v1' && kind === 'Node') {
    const node = reader.get('v1/Node', undefined, name)
    if (!node) throw missing('nodes')
    return { node: checked(node) }
  }
  throw badRequest(`cannot bind token to object of type ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`)
}
