/**
 * The TLS flags of the API server: which versions and ciphers it takes, and certificates for names of one's own. Files are read before
 * anything starts, and anew with the server's other keys. The cluster's own certificate stays: all kubeconfigs trust its authority.
 */
import { readFileSync } from 'node:fs'
import { getCiphers, type SecureVersion } from 'node:tls'
import type { HttpsKeys, HttpsServerOptions } from '../server/http/server.ts'
import type { ApiServerSettings } from './api-server-flags.ts'
import type { KeyPair } from './certificates.ts'
import { messageOf } from './followed-file.ts'
import { UserError } from './user-error.ts'

interface PairOfFiles {
  readonly cert: string
  readonly key: string
}

export interface TlsSettings {
  readonly limits: Pick<HttpsServerOptions, 'minVersion' | 'ciphers'>
  /** The files as they are now. */
  keys(): Pick<HttpsKeys, 'byName'>
}

const VERSIONS: Readonly<Record<string, SecureVersion>> = {
  VersionTLS10: 'TLSv1',
  VersionTLS11: 'TLSv1.1',
  VersionTLS12: 'TLSv1.2',
  VersionTLS13: 'TLSv1.3',
}
/** Not to be chosen: Go's server takes these always. */
const TLS_13_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']

export function readTlsSettings(settings: ApiServerSettings): TlsSettings {
  const version = settings['tls-min-version']
  if (version !== undefined && !Object.hasOwn(VERSIONS, version)) throw new UserError(`unknown tls version ${JSON.stringify(version)}`)
  const suites = settings['tls-cipher-suites']
  const byName = (settings['tls-sni-cert-key'] ?? '').split('\n').filter(Boolean).map(namedPair)
  const keys = () => ({ byName: byName.map(({ names, files }) => ({ names, ...readPair(files) })) })
  try {
    keys()
  } catch (error) {
    throw new UserError(messageOf(error))
  }
  return {
    limits: {
      ...(version === undefined ? {} : { minVersion: VERSIONS[version]! }),
      ...(suites === undefined ? {} : { ciphers: [...TLS_13_SUITES, ...suites.split(',').map(cipherOf)].join(':') }),
    },
    keys,
  }
}

const readPair = ({ cert, key }: PairOfFiles): KeyPair => ({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })

/** "cert,key" or "cert,key:name,name". */
function namedPair(text: string): { readonly names: readonly string[]; readonly files: PairOfFiles } {
  const [files = '', names] = text.split(/:(.*)/s)
  const [cert, key, ...more] = files.split(',').map((path) => path.trim())
  if (!cert || !key || more.length > 0) throw new UserError('--tls-sni-cert-key: expected comma separated certificate and key file paths')
  if (names?.trim() === '') throw new UserError('--tls-sni-cert-key: empty names list is not allowed')
  return { names: names?.split(',').map((name) => name.trim()) ?? [], files: { cert, key } }
}

/** Go's names of cipher suites are those of IANA, OpenSSL has its own. */
function cipherOf(suite: string): string {
  if (TLS_13_SUITES.includes(suite)) return suite
  const name = suite
    .replace(/^TLS_(RSA_WITH_)?/, '')
    .replace(/_WITH_|_CBC_/g, '_')
    .replace(/AES_(\d)/, 'AES$1')
    .replace(/POLY1305_SHA256$/, 'POLY1305')
    .replaceAll('_', '-')
  if (!suite.startsWith('TLS_') || !getCiphers().includes(name.toLowerCase()))
    throw new UserError(`Cipher suite ${suite} not supported or doesn't exist`)
  return name
}
