/**
 * The kinds that are questions: created, answered at once and never stored. Access reviews ask the authorizer, token reviews and
 * self reviews the authenticator.
 */
import type { ApiResponse, UserInfo } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import { timestamp } from '../../base/clock.ts'
import { badRequest, invalid, type FieldError } from '../../api/status.ts'
import { MASTERS, type Attributes } from '../authorization/authorizer.ts'
import { decodeBody } from '../body.ts'
import type { Core, ResourceCall } from '../core.ts'
import { Computed } from '../revision.ts'

type Answer = (core: Core, call: ResourceCall, review: KubeObject) => KubeObject

const ANSWERS: Readonly<Record<string, Answer>> = {
  SelfSubjectAccessReview: (core, { user }, review) => accessReview(core, review, user, 'SelfSubjectAccessReview'),
  SubjectAccessReview: (core, _call, review) => accessReview(core, review, subjectOf(review, 'SubjectAccessReview'), 'SubjectAccessReview'),
  LocalSubjectAccessReview: localAccessReview,
  SelfSubjectRulesReview: rulesReview,
  TokenReview: tokenReview,
  SelfSubjectReview: selfReview,
}

export const isReview = (group: string, kind: string): boolean =>
  (group === 'authentication.k8s.io' || group === 'authorization.k8s.io') && Object.hasOwn(ANSWERS, kind)

export async function answerReview(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served } = call
  const body = decodeBody(call, { apiVersion: served.apiVersion, kind: served.info.kind, rules: served.rules })
  await core.caches.caughtUp(core.store.revision)
  const answer = ANSWERS[served.info.kind]!(core, call, body)
  return { type: 'object', status: 201, stored: new Computed({ ...answer, apiVersion: served.apiVersion, kind: served.info.kind }) }
}

interface AccessSpec {
  readonly resourceAttributes?: Partial<Record<'namespace' | 'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'name', string>>
  readonly nonResourceAttributes?: { readonly path?: string; readonly verb?: string }
}

function accessReview({ authorizer }: Core, review: KubeObject, user: UserInfo, kind: string): KubeObject {
  const attributes = attributesOf(review, user, kind)
  const verdict = user.groups.includes(MASTERS) ? { isAllowed: true, reason: '' } : authorizer.authorize(attributes)
  return { ...review, status: { allowed: verdict.isAllowed, ...(verdict.reason ? { reason: verdict.reason } : {}) } }
}

function attributesOf(review: KubeObject, user: UserInfo, kind: string): Attributes {
  const { resourceAttributes, nonResourceAttributes } = (review.spec ?? {}) as AccessSpec
  if ((resourceAttributes === undefined) === (nonResourceAttributes === undefined)) {
    const detail =
      resourceAttributes === undefined
        ? 'Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified'
        : `Invalid value: ${JSON.stringify(nonResourceAttributes)}: cannot be specified in combination with resourceAttributes`
    const field = resourceAttributes === undefined ? 'spec.resourceAttributes' : 'spec.nonResourceAttributes'
    throw invalid('authorization.k8s.io', kind, '', [{ type: 'FieldValueInvalid', field, detail }])
  }
  if (nonResourceAttributes)
    return { ...NOTHING, user, isResource: false, verb: nonResourceAttributes.verb ?? '', path: nonResourceAttributes.path ?? '' }
  return { ...NOTHING, ...resourceAttributes, user, isResource: true }
}

const NOTHING = { verb: '', path: '', group: '', version: '', resource: '', subresource: '', namespace: '', name: '' }

function subjectOf({ spec = {} }: KubeObject, kind: string): UserInfo {
  if (!spec.user && !spec.groups?.length) {
    const detail = 'Invalid value: "": at least one of user or group must be specified'
    throw invalid('authorization.k8s.io', kind, '', [{ type: 'FieldValueInvalid', field: 'spec.user', detail }])
  }
  return {
    name: spec.user ?? '',
    groups: spec.groups ?? [],
    ...(spec.uid ? { uid: spec.uid } : {}),
    ...(spec.extra ? { extra: spec.extra } : {}),
  }
}

function localAccessReview(core: Core, { info }: ResourceCall, review: KubeObject): KubeObject {
  const { resourceAttributes, nonResourceAttributes } = (review.spec ?? {}) as AccessSpec
  if (nonResourceAttributes) {
    const errors: FieldError[] = [
      {
        type: 'FieldValueInvalid',
        field: 'spec.nonResourceAttributes',
        detail: `Invalid value: ${JSON.stringify(nonResourceAttributes)}: disallowed on this kind of request`,
      },
    ]
    throw invalid('authorization.k8s.io', 'LocalSubjectAccessReview', '', errors)
  }
  if (resourceAttributes && resourceAttributes.namespace !== info.namespace)
    throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${info.namespace}`)
  return accessReview(core, review, subjectOf(review, 'LocalSubjectAccessReview'), 'LocalSubjectAccessReview')
}

function rulesReview({ authorizer }: Core, { user }: ResourceCall, review: KubeObject): KubeObject {
  const namespace: string = review.spec?.namespace ?? ''
  if (namespace === '') throw badRequest('no namespace on request')
  const { resourceRules, nonResourceRules } = authorizer.rulesFor(user, namespace)
  return { ...review, status: { resourceRules, nonResourceRules, incomplete: false } }
}

function tokenReview({ authenticator }: Core, _call: ResourceCall, review: KubeObject): KubeObject {
  const { token = '', audiences = [] } = (review.spec ?? {}) as { readonly token?: string; readonly audiences?: readonly string[] }
  if (token === '') throw badRequest('token is required for TokenReview in authentication')
  const verdict = authenticator.reviewToken(token, audiences)
  if (!verdict) return { ...review, status: { user: {}, error: '[invalid bearer token, unknown]' } }
  const told = audiences.length > 0 || verdict.audiences.length > 0
  return { ...review, status: { authenticated: true, user: userInfo(verdict.user), ...(told ? { audiences: verdict.audiences } : {}) } }
}

function selfReview({ runtime }: Core, { user }: ResourceCall, review: KubeObject): KubeObject {
  return { ...review, metadata: { creationTimestamp: timestamp(runtime.clock) }, status: { userInfo: userInfo(user) } }
}

const userInfo = ({ name, uid, groups, extra }: UserInfo) => ({
  username: name,
  ...(uid ? { uid } : {}),
  groups,
  ...(extra ? { extra } : {}),
})
