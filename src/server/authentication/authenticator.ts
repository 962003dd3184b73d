/**
 * Who is asking: told by a front proxy, by client certificate, by bearer token, or nobody. Signatures of connections are checked by
 * the HTTP adapter; here it is decided what a proof is worth, in upstream's order (pkg/kubeapiserver/authenticator/config.go): the first
 * proof that holds counts, and only when none does is a bad one held against the caller.
 */
import type { ApiRequest, UserInfo } from '../../api/exchange.ts'
import { failure, type ApiError } from '../../api/status.ts'
import { frontProxyUser, type FrontProxyHeaders } from './front-proxy.ts'

/** A client certificate that TLS has verified. */
export interface ClientCertificate {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly uid?: string
  /** SHA-256 of the whole, in hex. */
  readonly fingerprint?: string
}

/** What came with a connection and a request, as the adapter has seen it. */
export interface Credentials {
  /** Signed by an authority that vouches for users. */
  readonly certificate?: ClientCertificate
  /** The common name of a certificate whose authority vouches for front proxies. */
  readonly proxyName?: string
  /** A certificate was shown that no known authority has signed. */
  readonly hasBadCertificate?: true
  readonly bearerToken?: string
}

export interface TokenVerdict {
  readonly user: UserInfo
  /** The audiences that the token is for, of those asked about. */
  readonly audiences: readonly string[]
}

/** Why a token of the right kind does not count: told to those who may review tokens, and to nobody else. */
export interface TokenFailure {
  readonly error: string
}

export type TokenAnswer = TokenVerdict | TokenFailure | undefined

/** One kind of token. */
export interface TokenAuthenticator {
  /** Undefined when the token is not of this kind. A promise where another program is asked; never rejects. */
  authenticate(token: string, audiences: readonly string[]): TokenAnswer | Promise<TokenAnswer>
}

/** Whether requests without any proof are let in as the anonymous. */
export interface AnonymousAccess {
  readonly isEnabled: boolean
  /** Absent: everywhere. */
  readonly paths?: readonly string[]
}

export interface Authenticator {
  /** The user, or Unauthorized when a proof was given that proves nothing. */
  authenticate(credentials: Credentials, request: Pick<ApiRequest, 'path' | 'headers' | 'headerLines'>): UserInfo | Promise<UserInfo>
  /** For TokenReview. */
  reviewToken(token: string, audiences: readonly string[]): Promise<TokenVerdict | TokenFailure>
}

export interface AuthenticatorOptions {
  readonly tokens: readonly TokenAuthenticator[]
  /** Those of this server, for questions that name none. */
  readonly audiences: readonly string[]
  /** Absent: nobody is believed about others. */
  readonly frontProxy?: FrontProxyHeaders
  /** Asked at each request: configuration may change. */
  readonly anonymous?: () => AnonymousAccess
}

export const AUTHENTICATED = 'system:authenticated'
const UNAUTHENTICATED = 'system:unauthenticated'
export const ANONYMOUS: UserInfo = { name: 'system:anonymous', groups: [UNAUTHENTICATED] }
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

/** The 401 of every failed authentication: no more than this is told. */
export const unauthorized = (): ApiError => failure('Unauthorized', 'Unauthorized')

/** Who has proved a name belongs to everybody who has, unless the proof says otherwise. */
export const withAuthenticated = (user: UserInfo): UserInfo =>
  user.name === ANONYMOUS.name || user.groups.includes(AUTHENTICATED) || user.groups.includes(UNAUTHENTICATED)
    ? user
    : { ...user, groups: [...user.groups, AUTHENTICATED] }

const ALWAYS: AnonymousAccess = { isEnabled: true }

export function createAuthenticator({ tokens, audiences, frontProxy, anonymous = () => ALWAYS }: AuthenticatorOptions): Authenticator {
  /** Asks the kinds of tokens from `from` on; failures of those before are remembered. */
  const ask = (
    token: string,
    asked: readonly string[],
    from: number,
    errors: readonly string[],
  ): TokenReviewed | Promise<TokenReviewed> => {
    let failures = errors
    for (let index = from; index < tokens.length; index++) {
      const answer = tokens[index]!.authenticate(token, asked)
      if (answer instanceof Promise) {
        const before = failures
        return answer.then((settled) => decided(settled) ?? ask(token, asked, index + 1, withFailure(before, settled)))
      }
      const verdict = decided(answer)
      if (verdict) return verdict
      failures = withFailure(failures, answer)
    }
    return { error: failures.length === 0 ? INVALID : `[${[INVALID, ...failures].join(', ')}]` }
  }
  const orNobody = (path: string, { hasBadCertificate }: Credentials): UserInfo => {
    const { isEnabled, paths } = anonymous()
    if (hasBadCertificate || !isEnabled || (paths && !paths.includes(path))) throw unauthorized()
    return ANONYMOUS
  }
  return {
    authenticate(credentials, request) {
      const { proxyName, certificate, bearerToken } = credentials
      const told = frontProxy && proxyName !== undefined ? frontProxyUser(frontProxy, proxyName, request) : undefined
      if (told) return withAuthenticated(told)
      if (certificate?.commonName) return withAuthenticated(certificateUser(certificate))
      if (bearerToken === undefined) return orNobody(request.path, credentials)
      const answer = ask(bearerToken, audiences, 0, [])
      return answer instanceof Promise ? answer.then(userOf) : userOf(answer)
    },
    reviewToken: async (token, asked) => ask(token, asked.length > 0 ? asked : audiences, 0, []),
  }
}

const INVALID = 'invalid bearer token'

type TokenReviewed = TokenVerdict | TokenFailure

const decided = (answer: TokenAnswer): TokenVerdict | undefined =>
  answer && 'user' in answer ? { ...answer, user: withAuthenticated(answer.user) } : undefined

const withFailure = (failures: readonly string[], answer: TokenAnswer): readonly string[] =>
  answer && 'error' in answer ? [...failures, answer.error] : failures

function userOf(answer: TokenReviewed): UserInfo {
  if ('error' in answer) throw unauthorized()
  return answer.user
}

const certificateUser = ({ commonName, organizations, uid, fingerprint }: ClientCertificate): UserInfo => ({
  name: commonName,
  groups: organizations,
  ...(uid ? { uid } : {}),
  ...(fingerprint ? { extra: { [CREDENTIAL_ID]: [`X509SHA256=${fingerprint}`] } } : {}),
})
