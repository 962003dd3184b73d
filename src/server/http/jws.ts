/** Signatures of JSON Web Tokens (RFC 7518) by keys as identity providers publish them, with node:crypto. */
import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto'
import type { VerifySignature } from '../authentication/jwt/authenticator.ts'
import type { Jwk } from '../authentication/jwt/key-set.ts'

/** By key set: what was read of a key stays right as long as the key lives. */
const read = new WeakMap<Jwk, KeyObject | 'unreadable'>()
const CURVES: Readonly<Record<string, string>> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }
/** Shorter keys can be broken. */
const MIN_RSA_BITS = 2048

export const verifySignature: VerifySignature = (jwk, algorithm, content, signature) => {
  const key = keyOf(jwk)
  // A key may say that it is for one algorithm alone.
  if (!key || (jwk['alg'] !== undefined && jwk['alg'] !== algorithm)) return false
  const hash = `sha${algorithm.slice(2)}`
  const bytes = Buffer.from(content)
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  switch (algorithm.slice(0, 2)) {
    case 'ES':
      return (
        type === 'ec' && details?.namedCurve === CURVES[algorithm] && verify(hash, bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
      )
    case 'RS':
      return isRsa(key) && verify(hash, bytes, key, signature)
    case 'PS': {
      const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      return isRsa(key) && verify(hash, bytes, { key, ...padding }, signature)
    }
    default:
      return false
  }
}

const isRsa = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean =>
  asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS

function keyOf(jwk: Jwk): KeyObject | undefined {
  let key = read.get(jwk)
  if (key === undefined) {
    key = parseKey(jwk)
    read.set(jwk, key)
  }
  return key === 'unreadable' ? undefined : key
}

function parseKey(jwk: Jwk): KeyObject | 'unreadable' {
  // A shared secret is no public key.
  if (jwk['kty'] !== 'RSA' && jwk['kty'] !== 'EC') return 'unreadable'
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch (error) {
    // Providers publish keys of kinds that we do not know: those sign nothing for us.
    if (error instanceof Error) return 'unreadable'
    throw error
  }
}
