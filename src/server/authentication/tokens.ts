/**
 * Service account tokens: what stands in them, and when they still count. Signing and the check of signatures are the HTTP
 * adapter's (http/tokens.ts); a token whose account, pod, node or secret is gone is worth nothing although its signature holds.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import type { Clock } from '../../base/clock.ts'
import type { Reader } from '../resource.ts'
import type { TokenAuthenticator } from './authenticator.ts'
import { isLegacy, legacyUser } from './legacy-tokens.ts'
import type { LegacyTokenClaims } from './legacy-tokens.ts'

interface Reference {
  readonly name: string
  readonly uid: string
}

/** Upstream's private claims (pkg/serviceaccount/claims.go). */
export interface KubernetesClaim {
  readonly namespace: string
  readonly serviceaccount: Reference
  readonly pod?: Reference
  readonly secret?: Reference
  readonly node?: { readonly name: string; readonly uid?: string }
  readonly warnafter?: number
}

export interface TokenClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: readonly string[]
  readonly exp: number
  readonly iat: number
  readonly nbf: number
  readonly jti: string
  readonly 'kubernetes.io': KubernetesClaim
}

/** Signs and verifies at once, so that a request with a token never waits. */
export interface TokenSigner {
  readonly issuer: string
  /** What `aud` is when a request names none, and what this server accepts. */
  readonly audiences: readonly string[]
  sign(claims: TokenClaims | LegacyTokenClaims): string
  /** The claims when the signature holds, whatever they say. */
  verify(token: string): TokenClaims | LegacyTokenClaims | undefined
  /** Why the signature of a token does not hold that says it is this server's; undefined for all others. */
  signatureFault(token: string): string | undefined
  /** The public keys (/openid/v1/jwks). */
  jwks(): { readonly keys: readonly Readonly<Record<string, string>>[] }
}

/** How far clocks may differ (go-jose's DefaultLeeway). */
const LEEWAY_S = 60
const INVALIDATED = 'service account token has been invalidated'

export function createServiceAccountTokens(clock: Clock, signer: TokenSigner, read: Reader): TokenAuthenticator {
  return {
    authenticate(token, audiences) {
      const claims = signer.verify(token)
      if (!claims) {
        const error = signer.signatureFault(token)
        return error === undefined ? undefined : { error }
      }
      if (isLegacy(claims)) {
        // They name no audience: that of this server is meant.
        const implied = audiences.filter((audience) => signer.audiences.includes(audience))
        const user = implied.length > 0 ? legacyUser(token, claims, read) : undefined
        return user && { user, audiences: implied }
      }
      if (claims.iss !== signer.issuer) return undefined
      const shared = audiences.filter((audience) => claims.aud.includes(audience))
      if (shared.length === 0)
        return { error: `token audiences ${quoted(claims.aud)} is invalid for the target audiences ${quoted(audiences)}` }
      const error = timeFault(claims, clock.now() / 1000) ?? bindingFault(claims['kubernetes.io'], read, clock.now())
      return error === undefined ? { user: userOf(claims), audiences: shared } : { error }
    },
  }
}

const quoted = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(' ')}]`

function timeFault({ exp, nbf, iat }: TokenClaims, nowS: number): string | undefined {
  if (nbf - LEEWAY_S > nowS) return 'service account token is not valid yet'
  if (!(nowS - LEEWAY_S <= exp)) return 'service account token has expired'
  return iat - LEEWAY_S > nowS ? 'service account token is issued in the future' : undefined
}

/** Why the token is worth nothing although its signature holds: what it is bound to is gone, or another one of the same name. */
function bindingFault(claim: KubernetesClaim | undefined, read: Reader, nowMs: number): string | undefined {
  if (!claim?.namespace || !claim.serviceaccount) return INVALIDATED
  const { namespace, serviceaccount, pod, secret, node } = claim
  const account = read.get('v1/ServiceAccount', namespace, serviceaccount.name)
  if (!account) return `serviceaccounts ${JSON.stringify(serviceaccount.name)} not found`
  if (isGone(account, nowMs)) return `service account ${namespace}/${serviceaccount.name} has been deleted`
  if (account.metadata?.uid !== serviceaccount.uid)
    return `service account UID (${account.metadata?.uid}) does not match claim (${serviceaccount.uid})`
  if (secret) return boundFault('secret UID', 'service account secret', read.get('v1/Secret', namespace, secret.name), secret.uid, nowMs)
  if (pod) return boundFault('pod UID', 'service account pod', read.get('v1/Pod', namespace, pod.name), pod.uid, nowMs)
  // A node beside a pod is information; alone it is what the token is bound to.
  return node && boundFault('node UID', 'service account node', read.get('v1/Node', undefined, node.name), node.uid ?? '', nowMs)
}

function boundFault(what: string, claim: string, object: KubeObject | undefined, uid: string, nowMs: number): string | undefined {
  if (!object) return INVALIDATED
  if (object.metadata?.uid !== uid) return `${what} (${object.metadata?.uid}) does not match ${claim} ref claim (${uid})`
  return isGone(object, nowMs) ? INVALIDATED : undefined
}

/** It should have gone a while ago and only waits for finalizers. */
const isGone = ({ metadata }: KubeObject, nowMs: number): boolean =>
  metadata?.deletionTimestamp !== undefined && Date.parse(metadata.deletionTimestamp) < nowMs - LEEWAY_S * 1000

export const serviceAccountName = (namespace: string, name: string): string => `system:serviceaccount:${namespace}:${name}`

function userOf(claims: TokenClaims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io']
  const extra: Record<string, readonly string[]> = { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] }
  if (pod) {
    extra['authentication.kubernetes.io/pod-name'] = [pod.name]
    extra['authentication.kubernetes.io/pod-uid'] = [pod.uid]
  }
  if (node) {
    extra['authentication.kubernetes.io/node-name'] = [node.name]
    if (node.uid) extra['authentication.kubernetes.io/node-uid'] = [node.uid]
  }
  return {
    name: serviceAccountName(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
    extra,
  }
}
