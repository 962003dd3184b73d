/** Encryption with keys from the configuration (AES-CBC, AES-GCM, NaCl's secretbox), in the forms that upstream's server stores. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import type { KeyedConfiguration } from '../encryption-rules.ts'
import type { Provider } from './provider.ts'

const BLOCK_BYTES = 16
const NONCE_BYTES = 12
const BOX_NONCE_BYTES = 24
const TAG_BYTES = 16
const TOO_SHORT = 'the stored data was shorter than the required size'

const WAYS = {
  aesgcm: { name: 'AES', seal: sealGcm, open: openGcm },
  aescbc: { name: 'AES', seal: sealCbc, open: openCbc },
  secretbox: { name: 'secretbox', seal: sealBox, open: openBox },
} as const

export function createKeyed({ type, keys }: KeyedConfiguration): Provider {
  const prefix = `k8s:enc:${type}:v1:`
  const { name: way, seal, open } = WAYS[type]
  const marked = keys.map(({ name, secret }) => ({ mark: Buffer.from(`${prefix}${name}:`), secret }))
  const first = marked[0]!
  return {
    prefix,
    encrypt: (key, value) => Buffer.concat([first.mark, seal(first.secret, Buffer.from(key), value)]),
    decrypt(key, value) {
      let failure = new Error(`no matching key was found for the provided ${way} transformer`)
      for (const { mark, secret } of marked) {
        if (!startsWith(value, mark)) continue
        try {
          return open(secret, Buffer.from(key), value.subarray(mark.length))
        } catch (error) {
          failure = error instanceof Error ? error : new Error(String(error))
        }
      }
      throw failure
    },
    isCurrent: (value) => startsWith(value, first.mark),
  }
}

const startsWith = (value: Uint8Array, mark: Buffer): boolean => value.length >= mark.length && mark.equals(value.subarray(0, mark.length))

const algorithm = (secret: Uint8Array, mode: 'cbc' | 'gcm') => `aes-${secret.length * 8}-${mode}` as 'aes-256-gcm'

/** Nonce, cipher text, tag. The key's place in the store is authenticated: a value cannot be put under another key. */
export function sealGcm(secret: Uint8Array, place: Uint8Array, value: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(algorithm(secret, 'gcm'), secret, nonce)
  cipher.setAAD(place)
  return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()])
}

export function openGcm(secret: Uint8Array, place: Uint8Array, sealed: Uint8Array): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new Error(TOO_SHORT)
  const decipher = createDecipheriv(algorithm(secret, 'gcm'), secret, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(place)
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const begun = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES))
  try {
    return Buffer.concat([begun, decipher.final()])
  } catch (error) {
    throw new Error('cipher: message authentication failed', { cause: error })
  }
}

function sealCbc(secret: Uint8Array, _place: Uint8Array, value: Uint8Array): Buffer {
  const iv = randomBytes(BLOCK_BYTES)
  const cipher = createCipheriv(algorithm(secret, 'cbc'), secret, iv)
  return Buffer.concat([iv, cipher.update(value), cipher.final()])
}

function openCbc(secret: Uint8Array, _place: Uint8Array, sealed: Uint8Array): Buffer {
  if (sealed.length < BLOCK_BYTES) throw new Error(TOO_SHORT)
  if (sealed.length % BLOCK_BYTES !== 0) throw new Error('the stored data is not a multiple of the block size')
  const decipher = createDecipheriv(algorithm(secret, 'cbc'), secret, sealed.subarray(0, BLOCK_BYTES))
  const begun = decipher.update(sealed.subarray(BLOCK_BYTES))
  try {
    return Buffer.concat([begun, decipher.final()])
  } catch (error) {
    throw new Error('invalid padding on input', { cause: error })
  }
}

/** Nonce, tag, cipher text. */
function sealBox(secret: Uint8Array, _place: Uint8Array, value: Uint8Array): Buffer {
  const nonce = randomBytes(BOX_NONCE_BYTES)
  return Buffer.concat([nonce, xsalsa20poly1305(secret, nonce).encrypt(value)])
}

function openBox(secret: Uint8Array, _place: Uint8Array, sealed: Uint8Array): Buffer {
  if (sealed.length < BOX_NONCE_BYTES + TAG_BYTES) throw new Error(TOO_SHORT)
  try {
    return Buffer.from(xsalsa20poly1305(secret, sealed.subarray(0, BOX_NONCE_BYTES)).decrypt(sealed.subarray(BOX_NONCE_BYTES)))
  } catch (error) {
    throw new Error('output array was not large enough for encryption', { cause: error })
  }
}
