/** One way to encrypt values, as the EncryptionConfiguration lists them. */
export interface Provider {
  /** What its values begin with; "" of plain text. */
  readonly prefix: string
  /** `key` is the place in the store, which goes into the encryption. The result begins with the prefix. */
  encrypt(key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array>
  decrypt(key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** Whether a value is encrypted as one written now would be. */
  isCurrent(value: Uint8Array): boolean
}

const ENCRYPTED = 'k8s:enc:'

export const hasPrefix = (value: Uint8Array, prefix: string): boolean => {
  if (value.length < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (value[i] !== prefix.charCodeAt(i)) return false
  return true
}

/** Plain text; what is encrypted is not its own, even if it cannot be told by whom. */
export const identity: Provider = {
  prefix: '',
  encrypt: (_key, value) => value,
  decrypt(_key, value) {
    if (hasPrefix(value, ENCRYPTED)) throw new Error('identity transformer tried to read encrypted data')
    return value
  },
  isCurrent: (value) => !hasPrefix(value, ENCRYPTED),
}
