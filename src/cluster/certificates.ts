/**
 * The cluster's certificates: one authority that signs the server's certificate and those of its clients. Keys are ECDSA P-256.
 * The X.509 library costs 100 ms to load, so it is loaded only when something has to be signed: a second start needs none of it.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { SigningFault } from '../controllers/csr-signing/controller.ts'

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface CertificateRequest {
  /** The user's name, for clients. */
  readonly commonName: string
  /** The user's groups, for clients. */
  readonly organizations?: readonly string[]
  readonly usage: 'client' | 'server'
  /** DNS names and addresses of a server. */
  readonly hosts?: readonly string[]
}

const DAY_MS = 24 * 3600 * 1000
const AUTHORITY_DAYS = 3650
const LEAF_DAYS = 365
/** A leaf with less than this left is renewed at start. */
const RENEW_BEFORE_MS = 60 * DAY_MS
/** Clocks differ: certificates are valid from a little before they are made. */
const BACKDATE_MS = 5 * 60 * 1000

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

async function loadX509() {
  await import('reflect-metadata')
  return import('@peculiar/x509')
}

/** Positive, unpredictable and 16 bytes long, as RFC 5280 wants serial numbers. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return Buffer.from(bytes).toString('hex')
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${der.replaceAll(/(.{64})/g, '$1\n').trimEnd()}\n-----END PRIVATE KEY-----\n`
}

const importKey = (pem: string): Promise<CryptoKey> =>
  crypto.subtle.importKey('pkcs8', Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'), algorithm, false, ['sign'])

const subjectOf = ({ commonName, organizations = [] }: Pick<CertificateRequest, 'commonName' | 'organizations'>) => [
  ...organizations.map((name) => ({ O: [name] })),
  { CN: [commonName] },
]

const hostOf = (host: string) => ({ type: isIP(host) ? ('ip' as const) : ('dns' as const), value: host })

export async function createAuthority(clock: Clock, commonName: string): Promise<KeyPair> {
  const x509 = await loadX509()
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(clock.now() - BACKDATE_MS),
    notAfter: new Date(clock.now() + AUTHORITY_DAYS * DAY_MS),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

export async function issueCertificate(clock: Clock, authority: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const x509 = await loadX509()
  const issuer = new x509.X509Certificate(authority.cert)
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const subject = subjectOf(request)
  const hosts = (request.hosts ?? []).map(hostOf)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: issuer.subject,
    notBefore: new Date(clock.now() - BACKDATE_MS),
    notAfter: new Date(clock.now() + LEAF_DAYS * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[request.usage === 'server' ? 'serverAuth' : 'clientAuth']]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...(hosts.length ? [new x509.SubjectAlternativeNameExtension(hosts)] : []),
    ],
  })
  return { cert: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

/** A new key, and the request for a certificate of these names (PKCS#10), both PEM. */
export async function createCertificateRequest({
  commonName,
  organizations = [],
  hosts = [],
}: Omit<CertificateRequest, 'usage'>): Promise<{ readonly key: string; readonly request: string }> {
  const x509 = await loadX509()
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subjectOf({ commonName, organizations }),
    keys,
    signingAlgorithm: algorithm,
    extensions: hosts.length ? [new x509.SubjectAlternativeNameExtension(hosts.map(hostOf))] : [],
  })
  return { key: await exportKey(keys.privateKey), request: `${request.toString('pem')}\n` }
}

const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17'
/** Lifetimes below this are kept to the second: what is dated back would be much of them. */
const SHORT_MS = 8 * 3_600_000

/**
 * Signs what a CertificateSigningRequest asks for (pkg/controller/certificates/authority): its names and key as they are, the usages
 * given, nothing else that it says. Throws a SigningFault when the request's own signature does not hold.
 */
export async function signRequest(
  clock: Clock,
  authority: KeyPair,
  { der, usages, ttlMs }: { readonly der: Uint8Array; readonly usages: readonly string[]; readonly ttlMs: number },
): Promise<string> {
  const x509 = await loadX509()
  const request = new x509.Pkcs10CertificateRequest(new Uint8Array(der))
  if (!(await request.verify().catch(() => false))) throw new SigningFault('unable to verify certificate request signature')
  const issuer = new x509.X509Certificate(authority.cert)
  const nowMs = clock.now()
  const endMs = Math.min(nowMs + ttlMs - (ttlMs < SHORT_MS ? 0 : BACKDATE_MS), issuer.notAfter.getTime())
  if (endMs <= nowMs)
    throw new SigningFault(`refusing to sign a certificate that expired in the past: NotAfter=${issuer.notAfter.toISOString()}`)
  const names = request.extensions.find(({ type }) => type === SUBJECT_ALTERNATIVE_NAME)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: request.subjectName,
    issuer: issuer.subject,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(endMs),
    publicKey: request.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      ...usageExtensions(x509, usages),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...(names ? [names] : []),
    ],
  })
  return `${certificate.toString('pem')}\n`
}

type X509 = Awaited<ReturnType<typeof loadX509>>

/** Usages of the certificates API by the names that X.509 has for them. */
const KEY_USAGES = {
  signing: 'digitalSignature',
  'digital signature': 'digitalSignature',
  'content commitment': 'nonRepudiation',
  'key encipherment': 'keyEncipherment',
  'key agreement': 'keyAgreement',
  'data encipherment': 'dataEncipherment',
  'cert sign': 'keyCertSign',
  'crl sign': 'cRLSign',
  'encipher only': 'encipherOnly',
  'decipher only': 'decipherOnly',
} as const

const EXTENDED_USAGES: Readonly<Record<string, string>> = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
}

function usageExtensions(x509: X509, usages: readonly string[]) {
  let flags = 0
  const extended = new Set<string>()
  for (const usage of usages) {
    if (Object.hasOwn(KEY_USAGES, usage)) flags |= x509.KeyUsageFlags[KEY_USAGES[usage as keyof typeof KEY_USAGES]]
    else if (Object.hasOwn(EXTENDED_USAGES, usage)) extended.add(EXTENDED_USAGES[usage]!)
    else throw new SigningFault(`unrecognized usage values: [${JSON.stringify(usage)}]`)
  }
  return [
    ...(flags === 0 ? [] : [new x509.KeyUsagesExtension(flags, true)]),
    ...(extended.size === 0 ? [] : [new x509.ExtendedKeyUsageExtension([...extended].toSorted())]),
  ]
}

/** False when the certificate ends soon, was signed by another authority, is of another key, or lacks one of the hosts. */
export function isStillGood(
  clock: Clock,
  pair: KeyPair,
  authority: Pick<KeyPair, 'cert'>,
  hosts: readonly string[] = [],
  renewBeforeMs = RENEW_BEFORE_MS,
): boolean {
  const certificate = new X509Certificate(pair.cert)
  const isCurrent = Date.parse(certificate.validTo) - clock.now() > renewBeforeMs
  const isOurs = certificate.verify(new X509Certificate(authority.cert).publicKey)
  const isItsKey = certificate.checkPrivateKey(createPrivateKey(pair.key))
  return (
    isCurrent &&
    isOurs &&
    isItsKey &&
    hosts.every((host) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined)
  )
}
