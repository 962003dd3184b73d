/**
 * The keys and certificates of a cluster on disk: made when missing, renewed (at the start, and looked at while the server runs) when they
 * end soon or when the machine's addresses changed, else only read.
 */
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { createAuthority, issueCertificate, isStillGood, type CertificateRequest, type KeyPair } from './certificates.ts'
import { writeFileAtomically } from './data-directory.ts'
import { FRONT_PROXY_CLIENT, KUBELET_CLIENT } from './identities.ts'

export interface Pki {
  readonly authority: KeyPair
  readonly server: KeyPair
  /** A client in the group system:masters. */
  readonly admin: KeyPair
  /** PEM of the ECDSA key that signs service account tokens. */
  readonly serviceAccountKey: string
}

function readPair(directory: string, name: string): KeyPair | undefined {
  const cert = join(directory, `${name}.crt`)
  const key = join(directory, `${name}.key`)
  return existsSync(cert) && existsSync(key) ? { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } : undefined
}

function writePair(directory: string, name: string, pair: KeyPair): KeyPair {
  writeFileAtomically(join(directory, `${name}.key`), pair.key, 0o600)
  writeFileAtomically(join(directory, `${name}.crt`), pair.cert, 0o644)
  return pair
}

export const newServiceAccountKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

const ADMIN: CertificateRequest = { commonName: 'kubernetes-admin', organizations: ['system:masters'], usage: 'client' }

/** The certificate of this name in the directory: the one that is there while it is good, else a new one. */
async function ensureLeaf(
  clock: Clock,
  directory: string,
  authority: KeyPair,
  name: string,
  request: CertificateRequest,
): Promise<KeyPair> {
  const kept = readPair(directory, name)
  if (kept && isStillGood(clock, kept, authority, request.hosts)) return kept
  return writePair(directory, name, await issueCertificate(clock, authority, request))
}

/** `hosts` are the names and addresses by which clients reach the server. */
export async function ensurePki(clock: Clock, directory: string, hosts: readonly string[]): Promise<Pki> {
  const authority = readPair(directory, 'ca') ?? writePair(directory, 'ca', await createAuthority(clock, 'kubernetes'))
  const leaf = (name: string, request: CertificateRequest) => ensureLeaf(clock, directory, authority, name, request)
  const server = await leaf('server', { commonName: 'kube-apiserver', usage: 'server', hosts })
  const admin = await leaf('admin', ADMIN)
  const keyFile = join(directory, 'service-account.key')
  if (!existsSync(keyFile)) writeFileAtomically(keyFile, newServiceAccountKey(), 0o600)
  return { authority, server, admin, serviceAccountKey: readFileSync(keyFile, 'utf8') }
}

const nodeIdentity = (nodeName: string) => ({ commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] })

/** As which a node calls the API. */
export const nodeClientRequest = (nodeName: string): CertificateRequest => ({ ...nodeIdentity(nodeName), usage: 'client' })

/** By which a node's own API is known. */
export const nodeServerRequest = (nodeName: string, address: string): CertificateRequest => ({
  ...nodeIdentity(nodeName),
  usage: 'server',
  hosts: [nodeName, address],
})

/** The certificate and the key of one file, as upstream's kubelet keeps them: they are replaced in one step. */
export const readPemFile = (path: string): KeyPair | undefined => (existsSync(path) ? pairOfPem(readFileSync(path, 'utf8')) : undefined)

export function pairOfPem(text: string): KeyPair | undefined {
  const key = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^-]+-----END \1-----\n?/.exec(text)?.[0]
  return key === undefined ? undefined : { cert: text.replace(key, ''), key }
}

export const writePemFile = (path: string, { cert, key }: KeyPair): void => writeFileAtomically(path, cert + key, 0o600)

/** Makes the file unless it is there and good; its owner renews it by itself. Resolves with whether it was made. */
export async function ensurePemFile(clock: Clock, path: string, { authority }: Pki, request: CertificateRequest): Promise<boolean> {
  const kept = readPemFile(path)
  if (kept && isStillGood(clock, kept, authority, request.hosts, 0)) return false
  writePemFile(path, await issueCertificate(clock, authority, request))
  return true
}

/** As which the API server calls the nodes. */
export const ensureKubeletClient = (clock: Clock, directory: string, { authority }: Pki): Promise<KeyPair> =>
  ensureLeaf(clock, directory, authority, 'kubelet-client', { commonName: KUBELET_CLIENT, usage: 'client' })

/** As which the service proxies of nodes do. */
export const ensureProxyClient = (clock: Clock, directory: string, { authority }: Pki): Promise<KeyPair> =>
  ensureLeaf(clock, directory, authority, 'kube-proxy', { commonName: 'system:kube-proxy', usage: 'client' })

/** A pair that is read anew for each connection. */
export const livePair = (current: () => KeyPair, ca?: string) => ({
  ...(ca === undefined ? {} : { ca }),
  get cert() {
    return current().cert
  },
  get key() {
    return current().key
  },
})

export interface FrontProxy {
  /** PEM of an authority that vouches for nobody but us: aggregated servers believe who shows its certificate about users. */
  readonly authorityCert: string
  readonly client: KeyPair
}

/** As which the API server calls aggregated API servers. */
export async function ensureFrontProxy(clock: Clock, directory: string): Promise<FrontProxy> {
  const name = 'front-proxy-ca'
  const authority = readPair(directory, name) ?? writePair(directory, name, await createAuthority(clock, name))
  const client = await ensureLeaf(clock, directory, authority, 'front-proxy-client', { commonName: FRONT_PROXY_CLIENT, usage: 'client' })
  return { authorityCert: authority.cert, client }
}

/** The same for a cluster that keeps nothing on disk. */
export async function temporaryPki(clock: Clock, hosts: readonly string[], given?: KeyPair): Promise<Pki> {
  const authority = given ?? (await createAuthority(clock, 'kubernetes'))
  return {
    authority,
    server: await issueCertificate(clock, authority, { commonName: 'kube-apiserver', usage: 'server', hosts }),
    admin: await issueCertificate(clock, authority, ADMIN),
    serviceAccountKey: newServiceAccountKey(),
  }
}

/** The names every API server certificate carries, and those given. */
export const serverHosts = (more: readonly string[]): readonly string[] => [
  ...new Set([
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
    'localhost',
    '127.0.0.1',
    ...more,
  ]),
]
