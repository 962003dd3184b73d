/** How values are encrypted at rest, as the configuration says and the ciphers do. */
export interface NamedKey {
  readonly name: string
  readonly secret: Uint8Array
}

export interface KeyedConfiguration {
  readonly type: 'aescbc' | 'aesgcm' | 'secretbox'
  /** The first is written with; each can read what is marked with its name. */
  readonly keys: readonly NamedKey[]
}

/** A key service outside (KMS v2). */
export interface KmsConfiguration {
  readonly type: 'kms'
  readonly name: string
  /** "unix:///path/to.sock" */
  readonly endpoint: string
  readonly timeoutMs: number
}

export type ProviderConfiguration = KeyedConfiguration | KmsConfiguration | { readonly type: 'identity' }

export interface EncryptionRule {
  /** "secrets", "deployments.apps", "*.apps", "*." (the core group) or "*.*". */
  readonly resources: readonly string[]
  /** The first writes; each of them reads what it wrote. */
  readonly providers: readonly ProviderConfiguration[]
}
