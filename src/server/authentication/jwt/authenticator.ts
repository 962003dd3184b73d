/**
 * Tokens of identity providers (OpenID Connect Core 1.0): whose they are is decided by their issuer before anything else is looked at,
 * their signature by the provider's keys, who they stand for by what the configuration makes of their claims.
 */
import type { UserInfo } from '../../../api/exchange.ts'
import { formatTime } from '../../../api/time.ts'
import type { Clock } from '../../../base/clock.ts'
import type { TokenAnswer, TokenAuthenticator } from '../authenticator.ts'
import { checkClaimRules, checkUserRules, ClaimFault, textOf, textsOf, type Claims } from './claims.ts'
import type { ClaimSource, JwtIssuer } from './configuration.ts'
import type { Jwk, KeySet } from './key-set.ts'

/** Checks a signature with a key as JSON Web Key. False for keys and algorithms that do not fit together. */
export type VerifySignature = (jwk: Jwk, algorithm: string, content: string, signature: Uint8Array) => boolean

/** Those that are believed; `none` and shared secrets never. */
const ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'])
const MAX_TOKEN_LENGTH = 64 * 1024
/** How far `nbf` may be ahead (go-oidc). */
const NBF_LEEWAY_S = 5 * 60

interface Parsed {
  readonly algorithm: string
  readonly keyId: string
  readonly claims: Claims
  readonly content: string
  readonly signature: Uint8Array
}

export function createJwtAuthenticator(
  clock: Clock,
  issuer: JwtIssuer,
  keys: KeySet,
  verify: VerifySignature,
  ownAudiences: readonly string[],
): TokenAuthenticator {
  const isSigned = (token: Parsed, candidates: readonly Jwk[]): boolean =>
    candidates
      .filter(({ kid, use }) => (token.keyId === '' || kid === token.keyId) && (use === undefined || use === 'sig'))
      .some((jwk) => verify(jwk, token.algorithm, token.content, token.signature))

  function judge(token: Parsed, audiences: readonly string[]): TokenAnswer {
    const fault = tokenFault(issuer, token.claims, clock.now() / 1000)
    if (fault !== undefined) return { error: `oidc: verify token: ${fault}` }
    try {
      const user = userOf(issuer, token.claims)
      // These tokens are for the provider's clients: as such they count for this server and no other audience.
      const shared = audiences.filter((audience) => ownAudiences.includes(audience))
      return audiences.length > 0 && shared.length === 0 ? undefined : { user, audiences: shared }
    } catch (error) {
      if (error instanceof ClaimFault) return { error: error.message }
      throw error
    }
  }

  return {
    authenticate(text, audiences) {
      const token = parseToken(text)
      if (!token || token.claims['iss'] !== issuer.url) return undefined
      if (!ALGORITHMS.has(token.algorithm))
        return { error: `oidc: verify token: oidc: id token signed with unsupported algorithm, got ${JSON.stringify(token.algorithm)}` }
      if (isSigned(token, keys.known())) return judge(token, audiences)
      return keys.refresh().then(
        (fresh) =>
          isSigned(token, fresh)
            ? judge(token, audiences)
            : { error: 'oidc: verify token: failed to verify signature: failed to verify id token signature' },
        (error: unknown) =>
          keys.known().length === 0
            ? { error: 'oidc: authenticator not initialized' }
            : {
                error: `oidc: verify token: failed to verify signature: fetching keys ${error instanceof Error ? error.message : String(error)}`,
              },
      )
    },
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function parseToken(text: string): Parsed | undefined {
  const [header = '', payload = '', signature = '', ...more] = text.length > MAX_TOKEN_LENGTH ? [] : text.split('.')
  if (header === '' || payload === '' || signature === '' || more.length > 0) return undefined
  try {
    const bytes = (part: string): Uint8Array => Uint8Array.fromBase64(part, { alphabet: 'base64url' })
    const head = JSON.parse(decoder.decode(bytes(header))) as {
      readonly alg?: unknown
      readonly kid?: unknown
      readonly crit?: unknown
    } | null
    const claims = JSON.parse(decoder.decode(bytes(payload))) as Claims | null
    if (typeof claims !== 'object' || claims === null || Array.isArray(claims) || typeof head?.alg !== 'string') return undefined
    // Extensions that must be understood are not (RFC 7515, 4.1.11).
    if (head.crit !== undefined) return undefined
    const keyId = typeof head.kid === 'string' ? head.kid : ''
    return { algorithm: head.alg, keyId, claims, content: `${header}.${payload}`, signature: bytes(signature) }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined
    throw error
  }
}

/** Why the token does not count now, or not here. */
function tokenFault({ audiences }: JwtIssuer, { aud, exp, nbf }: Claims, nowS: number): string | undefined {
  const given = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud : []
  if (!given.some((audience) => audiences.includes(audience as string))) {
    const wanted = audiences.length === 1 ? JSON.stringify(audiences[0]) : `in [${audiences.map((one) => JSON.stringify(one)).join(' ')}]`
    return `oidc: expected audience ${wanted} got [${given.map((one) => JSON.stringify(one)).join(' ')}]`
  }
  if (typeof exp !== 'number' || exp < nowS)
    return `oidc: token is expired (Token Expiry: ${typeof exp === 'number' ? formatTime(exp * 1000) : 'none'})`
  if (typeof nbf === 'number' && nbf > nowS + NBF_LEEWAY_S) return 'oidc: current time before the nbf (not before) time'
  return undefined
}

function userOf(issuer: JwtIssuer, claims: Claims): UserInfo {
  const name = nameOf(issuer.username, claims)
  const groups = groupsOf(issuer.groups, claims)
  const uid = uidOf(issuer.uid, claims)
  const extra = extraOf(issuer, claims)
  for (const [claim, value] of issuer.requiredClaims) checkRequired(claims, claim, value)
  checkClaimRules(issuer.claimRules, claims)
  const user: UserInfo = { name, groups, ...(uid === '' ? {} : { uid }), ...(Object.keys(extra).length > 0 ? { extra } : {}) }
  checkUserRules(issuer.userRules, user)
  return user
}

function nameOf(source: ClaimSource, claims: Claims): string {
  if (source.type === 'expression') {
    const name = textOf(source.expression, claims, 'username')
    if (name === '') throw new ClaimFault('oidc: empty username via CEL expression is not allowed')
    return name
  }
  const name = claims[source.claim]
  if (name === undefined) throw new ClaimFault(`oidc: parse username claims ${JSON.stringify(source.claim)}: claim not present`)
  if (typeof name !== 'string') throw new ClaimFault(`oidc: parse username claims ${JSON.stringify(source.claim)}: not a string`)
  if (source.claim === 'email' && claims['email_verified'] !== undefined && claims['email_verified'] !== true)
    throw new ClaimFault('oidc: email not verified')
  return source.prefix + name
}

function groupsOf(source: ClaimSource | undefined, claims: Claims): readonly string[] {
  if (!source) return []
  if (source.type === 'expression') return textsOf(source.expression, claims, 'group')
  const value = claims[source.claim]
  if (value === undefined) return []
  const groups = typeof value === 'string' ? [value] : value
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === 'string'))
    throw new ClaimFault(`oidc: parse groups claim ${JSON.stringify(source.claim)}: neither a string nor a list of strings`)
  return groups.map((group) => source.prefix + group)
}

function uidOf(source: ClaimSource | undefined, claims: Claims): string {
  if (!source) return ''
  if (source.type === 'expression') return textOf(source.expression, claims, 'uid')
  const value = claims[source.claim]
  if (typeof value === 'string') return value
  throw new ClaimFault(
    `oidc: parse uid claim ${JSON.stringify(source.claim)}: ${value === undefined ? 'claim not present' : 'not a string'}`,
  )
}

function extraOf({ extra: mappings }: JwtIssuer, claims: Claims): Readonly<Record<string, readonly string[]>> {
  const extra: Record<string, readonly string[]> = {}
  const id = claims['jti']
  if (typeof id === 'string' && id !== '') extra['authentication.kubernetes.io/credential-id'] = [`JTI=${id}`]
  for (const [key, expression] of mappings) {
    const values = textsOf(expression, claims, 'extra')
    if (values.length > 0) extra[key] = values
  }
  return extra
}

function checkRequired(claims: Claims, claim: string, wanted: string): void {
  const value = claims[claim]
  if (value === undefined) throw new ClaimFault(`oidc: required claim ${claim} not present in ID token`)
  if (typeof value !== 'string') throw new ClaimFault(`oidc: parse claim ${claim}: not a string`)
  if (value !== wanted) throw new ClaimFault(`oidc: required claim ${claim} value does not match. Got = ${value}, want = ${wanted}`)
}
