/**
 * Tokens that Secrets of the type kubernetes.io/service-account-token hold: they name no end and no audience, and count as long as
 * the Secret holds them and the account is there (upstream's pkg/serviceaccount/legacy.go).
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { Reader } from '../resource.ts'

export const LEGACY_ISSUER = 'kubernetes/serviceaccount'
const PREFIX = 'kubernetes.io/serviceaccount/'
/** On a Secret whose token nobody has used for long: it no longer counts. */
const INVALID_SINCE = 'kubernetes.io/legacy-token-invalid-since'

export interface LegacyTokenClaims {
  readonly iss: typeof LEGACY_ISSUER
  readonly sub: string
  readonly [name: `${typeof PREFIX}${string}`]: string
}

export interface LegacyTokenSubject {
  readonly namespace: string
  readonly secretName: string
  readonly accountName: string
  readonly accountUid: string
}

export const legacyClaims = ({ namespace, secretName, accountName, accountUid }: LegacyTokenSubject): LegacyTokenClaims => ({
  iss: LEGACY_ISSUER,
  [`${PREFIX}namespace`]: namespace,
  [`${PREFIX}secret.name`]: secretName,
  [`${PREFIX}service-account.name`]: accountName,
  [`${PREFIX}service-account.uid`]: accountUid,
  sub: `system:serviceaccount:${namespace}:${accountName}`,
})

export const isLegacy = (claims: { readonly iss: string }): claims is LegacyTokenClaims => claims.iss === LEGACY_ISSUER

/** Undefined when the token no longer counts. */
export function legacyUser(token: string, claims: LegacyTokenClaims, read: Reader): UserInfo | undefined {
  const [namespace, secretName, accountName, uid] = ['namespace', 'secret.name', 'service-account.name', 'service-account.uid'].map(
    (name) => claims[`${PREFIX}${name}`],
  )
  if (!namespace || !secretName || !accountName || !uid) return undefined
  if (claims.sub !== `system:serviceaccount:${namespace}:${accountName}`) return undefined
  const secret = read.get('v1/Secret', namespace, secretName)
  if (!secret || secret.metadata?.deletionTimestamp || secret.data?.['token'] !== btoa(token)) return undefined
  if (secret.metadata?.labels?.[INVALID_SINCE]) return undefined
  const account = read.get('v1/ServiceAccount', namespace, accountName)
  if (account?.metadata?.uid !== uid || account.metadata.deletionTimestamp) return undefined
  return { name: claims.sub, uid, groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`] }
}
