/**
 * Signing and checking service account tokens with node:crypto, at once: a request with a token never waits for its signature.
 * RS256 or ES256 by the kind of key.
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { LEGACY_ISSUER, type LegacyTokenClaims } from '../authentication/legacy-tokens.ts'
import type { TokenClaims, TokenSigner } from '../authentication/tokens.ts'

type Claims = TokenClaims | LegacyTokenClaims

export interface TokenSignerOptions {
  readonly issuer: string
  /** Default: the issuer. */
  readonly audiences?: readonly string[]
  /** PEM of the private key, RSA or EC P-256. */
  readonly privateKey: string | Buffer
  /** PEM of older public keys whose tokens still count. */
  readonly publicKeys?: readonly (string | Buffer)[]
}

interface VerificationKey {
  readonly key: KeyObject
  readonly id: string
  readonly algorithm: Algorithm
}

type Algorithm = 'RS256' | 'ES256'

/** Tokens come with every request of a client: those whose signature held are remembered, at most this many. */
const REMEMBERED = 10_000
const ALGORITHMS: ReadonlySet<unknown> = new Set(['ES256', 'RS256'])
const MAX_TOKEN_LENGTH = 16 * 1024

export function createTokenSigner(options: TokenSignerOptions): TokenSigner {
  const privateKey = createPrivateKey(options.privateKey)
  const own = verificationKey(createPublicKey(privateKey))
  const keys = [own, ...(options.publicKeys ?? []).map((pem) => verificationKey(createPublicKey(pem)))]
  const header = encode({ alg: own.algorithm, kid: own.id })
  const remembered = new Map<string, Claims>()
  return {
    issuer: options.issuer,
    audiences: options.audiences ?? [options.issuer],
    sign(claims) {
      const content = `${header}.${encode(claims)}`
      return `${content}.${sign('sha256', Buffer.from(content), signing(privateKey)).toString('base64url')}`
    },
    verify(token) {
      const known = remembered.get(token)
      if (known) return known
      const claims = check(token, keys)
      if (!claims) return undefined
      if (remembered.size >= REMEMBERED) remembered.delete(remembered.keys().next().value!)
      remembered.set(token, claims)
      return claims
    },
    signatureFault(token) {
      const { issuer, key } = parts(token, keys) ?? {}
      if (issuer !== options.issuer && issuer !== LEGACY_ISSUER) return undefined
      return key ? 'go-jose/go-jose: error in cryptographic primitive' : 'invalid signature, no keys found'
    },
    jwks: () => ({
      keys: keys.map(({ key, id, algorithm }) => ({
        use: 'sig',
        kid: id,
        alg: algorithm,
        ...(key.export({ format: 'jwk' }) as Record<string, string>),
      })),
    }),
  }
}

/** How tokens are known without being kept: equal ones have equal digests, and others are not to be found. */
export const tokenDigest = (token: string): string => createHash('sha256').update(token).digest('base64')

/** JWS signs with the raw form of an EC signature, not with DER. */
const signing = (key: KeyObject) => (key.asymmetricKeyType === 'ec' ? { key, dsaEncoding: 'ieee-p1363' as const } : { key })

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function verificationKey(key: KeyObject): VerificationKey {
  const id = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
  return { key, id, algorithm: key.asymmetricKeyType === 'ec' ? 'ES256' : 'RS256' }
}

interface TokenParts {
  readonly content: string
  readonly signature: string
  readonly claims: Claims
  readonly issuer: unknown
  /** Absent when none of that name is known. */
  readonly key: VerificationKey | undefined
}

/** Undefined for what is no token of an algorithm that is taken. */
function parts(token: string, keys: readonly VerificationKey[]): TokenParts | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined
  const [header = '', payload = '', signature = '', ...more] = token.split('.')
  if (more.length > 0 || payload === '' || signature === '') return undefined
  const head: { readonly alg?: unknown; readonly kid?: unknown } | undefined = parse(header)
  const claims = parse(payload) as Claims | undefined
  if (!claims || !ALGORITHMS.has(head?.alg)) return undefined
  // The algorithm is the key's, never what the token says: a token may not choose how it is checked.
  const key = keys.find(({ id, algorithm }) => id === head?.kid && algorithm === head?.alg)
  return { content: `${header}.${payload}`, signature, claims, issuer: claims.iss, key }
}

function check(token: string, keys: readonly VerificationKey[]): Claims | undefined {
  const { content, signature, claims, key } = parts(token, keys) ?? {}
  if (!content || !signature || !key) return undefined
  return verify('sha256', Buffer.from(content), signing(key.key), Buffer.from(signature, 'base64url')) ? claims : undefined
}

function parse(part: string): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof value === 'object' && value !== null ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
