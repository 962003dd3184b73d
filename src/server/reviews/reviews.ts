/**
 * The kinds that are questions: created, answered at once and never stored. Access reviews ask the authorizer, token reviews and
 * self reviews the authenticator.
 */
import type { ApiResponse, UserInfo } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import { timestamp } from '../../base/clock.ts'
import { badRequest } from '../../api/status.ts'
import { withOwners } from '../apply/write-owners.ts'
import { decodeBody } from '../body.ts'
import type { Core, ResourceCall } from '../core.ts'
import { writeOptions } from '../options.ts'
import { Computed } from '../revision.ts'
import { localAccessReview, selfAccessReview, subjectAccessReview } from './access-review.ts'

type Answer = (core: Core, call: ResourceCall, review: KubeObject) => KubeObject | Promise<KubeObject>

const ANSWERS: Readonly<Record<string, Answer>> = {
  SelfSubjectAccessReview: selfAccessReview,
  SubjectAccessReview: subjectAccessReview,
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
  const options = writeOptions('CreateOptions', call.request.query)
  const owned = withOwners(core, { call, served, subresource: '', old: undefined, options }, body)
  await core.caches.caughtUp(core.store.revision)
  const answer = await ANSWERS[served.info.kind]!(core, call, owned)
  return { type: 'object', status: 201, stored: new Computed({ ...answer, apiVersion: served.apiVersion, kind: served.info.kind }) }
}

function rulesReview({ authorizer }: Core, { user }: ResourceCall, review: KubeObject): KubeObject {
  const namespace: string = review.spec?.namespace ?? ''
  if (namespace === '') throw badRequest('no namespace on request')
  const { resourceRules, nonResourceRules, incomplete } = authorizer.rulesFor(user, namespace)
  const status = { resourceRules, nonResourceRules, incomplete: incomplete !== undefined }
  // The question is not repeated.
  return { ...review, spec: {}, status: incomplete === undefined ? status : { ...status, evaluationError: incomplete } }
}

async function tokenReview({ authenticator }: Core, _call: ResourceCall, review: KubeObject): Promise<KubeObject> {
  const { token = '', audiences = [] } = (review.spec ?? {}) as { readonly token?: string; readonly audiences?: readonly string[] }
  if (token === '') throw badRequest('token is required for TokenReview in authentication')
  const verdict = await authenticator.reviewToken(token, audiences)
  if ('error' in verdict) return { ...review, status: { user: {}, error: verdict.error } }
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
