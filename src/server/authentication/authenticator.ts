/**
 * Who is asking: by client certificate, by bearer token, or nobody. Signatures are checked by verifiers that the HTTP adapter
 * injects; here it is decided what a proof is worth.
 */
import type { UserInfo } from '../../api/exchange.ts'
import { failure, type ApiError } from '../../api/status.ts'

/** What came with a request, as the adapter has seen it. */
export interface Credentials {
  /** The subject of a client certificate that TLS has verified. */
  readonly certificate?: { readonly commonName: string; readonly organizations: readonly string[]; readonly fingerprint?: string }
  readonly bearerToken?: string
}

export interface TokenVerdict {
  readonly user: UserInfo
  /** The audiences that the token is for, of those asked about. */
  readonly audiences: readonly string[]
}

/** One kind of token. */
export interface TokenAuthenticator {
  /** The user, or undefined when the token is not of this kind or not valid. */
  authenticate(token: string, audiences: readonly string[]): TokenVerdict | undefined
}

export interface Authenticator {
  /** The user, or Unauthorized when a proof was given that proves nothing. */
  authenticate(credentials: Credentials): UserInfo
  /** For TokenReview. */
  reviewToken(token: string, audiences: readonly string[]): TokenVerdict | undefined
}

export const AUTHENTICATED = 'system:authenticated'
export const ANONYMOUS: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] }

/** The 401 of every failed authentication: no more than this is told. */
export const unauthorized = (): ApiError => failure('Unauthorized', 'Unauthorized')

export const withAuthenticated = (user: UserInfo): UserInfo =>
  user.groups.includes(AUTHENTICATED) ? user : { ...user, groups: [...user.groups, AUTHENTICATED] }

export function createAuthenticator(tokens: readonly TokenAuthenticator[], apiAudiences: readonly string[]): Authenticator {
  const reviewToken = (token: string, audiences: readonly string[]): TokenVerdict | undefined => {
    for (const authenticator of tokens) {
      const verdict = authenticator.authenticate(token, audiences.length > 0 ? audiences : apiAudiences)
      if (verdict) return { ...verdict, user: withAuthenticated(verdict.user) }
    }
    return undefined
  }
  return {
    authenticate({ certificate, bearerToken }) {
      if (certificate?.commonName) {
        const extra = certificate.fingerprint
          ? { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${certificate.fingerprint}`] }
          : undefined
        return withAuthenticated({ name: certificate.commonName, groups: certificate.organizations, ...(extra ? { extra } : {}) })
      }
      if (bearerToken === undefined) return ANONYMOUS
      const verdict = reviewToken(bearerToken, apiAudiences)
      if (!verdict) throw unauthorized()
      return verdict.user
    },
    reviewToken,
  }
}

/** Tokens that are known beforehand: bootstrap of parts, tests. */
export function createStaticTokens(users: ReadonlyMap<string, UserInfo>): TokenAuthenticator {
  return {
    authenticate(token, audiences) {
      const user = users.get(token)
      return user && { user, audiences }
    },
  }
}
