/**
 * Service account tokens: what stands in them, and when they still count. Signing and the check of signatures are the HTTP
 * adapter's (http/tokens.ts); a token whose account, pod, node or secret is gone is worth nothing although its signature holds.
 */
import type { UserInfo } from '../../api/exchange.ts'
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
  /** The public keys (/openid/v1/jwks). */
  jwks(): { readonly keys: readonly Readonly<Record<string, string>>[] }
}

/** How far clocks may differ. */
const LEEWAY_S = 10

export function createServiceAccountTokens(clock: Clock, signer: TokenSigner, read: Reader): TokenAuthenticator {
  return {
    authenticate(token, audiences) {
      const claims = signer.verify(token)
      if (!claims) return undefined
      if (isLegacy(claims)) {
        // They name no audience: that of this server is meant.
        const implied = audiences.filter((audience) => signer.audiences.includes(audience))
        const user = implied.length > 0 ? legacyUser(token, claims, read) : undefined
        return user && { user, audiences: implied }
      }
      if (claims.iss !== signer.issuer) return undefined
      const now = clock.now() / 1000
      if (claims.exp + LEEWAY_S < now || claims.nbf - LEEWAY_S > now) return undefined
      const shared = audiences.filter((audience) => claims.aud.includes(audience))
      if (shared.length === 0) return undefined
      return isRevoked(claims['kubernetes.io'], read) ? undefined : { user: userOf(claims), audiences: shared }
    },
  }
}

function isRevoked(claim: KubernetesClaim | undefined, read: Reader): boolean {
  if (!claim?.namespace || !claim.serviceaccount) return true
  const { namespace, serviceaccount, pod, secret, node } = claim
  if (read.get('v1/ServiceAccount', namespace, serviceaccount.name)?.metadata?.uid !== serviceaccount.uid) return true
  if (pod && read.get('v1/Pod', namespace, pod.name)?.metadata?.uid !== pod.uid) return true
  if (secret && read.get('v1/Secret', namespace, secret.name)?.metadata?.uid !== secret.uid) return true
  // A node beside a pod is information; alone it is what the token is bound to.
  return Boolean(node && !pod && !secret && read.get('v1/Node', undefined, node.name)?.metadata?.uid !== node.uid)
}

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
