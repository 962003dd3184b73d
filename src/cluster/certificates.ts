/** The cluster's certificates: one authority that signs the server's certificate and those of its clients. Keys are ECDSA P-256. */
import { createPrivateKey, generateKeyPair, randomBytes, X509Certificate, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import type { Clock } from '../base/clock.ts'
import { SigningFault } from '../controllers/csr-signing/controller.ts'
import {
  authorityKeyIdentifier,
  authorityOf,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  nameOf,
  publicKeyOf,
  readRequest,
  subjectAltNames,
  subjectKeyIdentifier,
  writeCertificate,
  writeRequest,
  type Extension,
} from './x509.ts'

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

/** Positive, unpredictable and 16 bytes long, as RFC 5280 wants serial numbers. */
function serialNumber(): Uint8Array {
  const bytes = new Uint8Array(randomBytes(16))
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes
}

const newKey = async (): Promise<KeyObject> => (await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })).privateKey
const pemOfKey = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

export async function createAuthority(clock: Clock, commonName: string): Promise<KeyPair> {
  const key = await newKey()
  const publicKey = publicKeyOf(key)
  const name = nameOf(commonName)
  const cert = writeCertificate(
    {
      serial: serialNumber(),
      subject: name,
      publicKey,
      notBeforeMs: clock.now() - BACKDATE_MS,
      notAfterMs: clock.now() + AUTHORITY_DAYS * DAY_MS,
      extensions: [
        basicConstraints(true),
        keyUsage([KEY_USAGES['digital signature'], KEY_USAGES['cert sign'], KEY_USAGES['crl sign']]),
        subjectKeyIdentifier(publicKey),
      ],
    },
    name,
    key,
  )
  return { cert, key: pemOfKey(key) }
}

export async function issueCertificate(clock: Clock, authority: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const issuer = authorityOf(authority.cert)
  const key = await newKey()
  const cert = writeCertificate(
    {
      serial: serialNumber(),
      subject: nameOf(request.commonName, request.organizations),
      publicKey: publicKeyOf(key),
      notBeforeMs: clock.now() - BACKDATE_MS,
      notAfterMs: clock.now() + LEAF_DAYS * DAY_MS,
      extensions: [
        basicConstraints(false),
        keyUsage([KEY_USAGES['digital signature']]),
        extendedKeyUsage([EXTENDED_USAGES[`${request.usage} auth`]!]),
        authorityKeyIdentifier(issuer),
        ...subjectAltNames(request.hosts ?? []),
      ],
    },
    issuer.name,
    createPrivateKey(authority.key),
  )
  return { cert, key: pemOfKey(key) }
}

/** A new key, and the request for a certificate of these names (PKCS#10), both PEM. */
export async function createCertificateRequest({
  commonName,
  organizations,
  hosts = [],
}: Omit<CertificateRequest, 'usage'>): Promise<{ readonly key: string; readonly request: string }> {
  const key = await newKey()
  return { key: pemOfKey(key), request: writeRequest(nameOf(commonName, organizations), key, subjectAltNames(hosts)) }
}

/** Lifetimes below this are kept to the second: what is dated back would be much of them. */
const SHORT_MS = 8 * 3_600_000

/**
 * Signs what a CertificateSigningRequest asks for (pkg/controller/certificates/authority): its names and key as they are, the usages
 * given, nothing else that it says. Throws a SigningFault when the request's own signature does not hold.
 */
export function signRequest(
  clock: Clock,
  authority: KeyPair,
  { der, usages, ttlMs }: { readonly der: Uint8Array; readonly usages: readonly string[]; readonly ttlMs: number },
): string {
  const request = readRequest(der)
  if (!request.isSigned) throw new SigningFault('unable to verify certificate request signature')
  const issuer = authorityOf(authority.cert)
  const lastMs = Date.parse(new X509Certificate(authority.cert).validTo)
  const nowMs = clock.now()
  const endMs = Math.min(nowMs + ttlMs - (ttlMs < SHORT_MS ? 0 : BACKDATE_MS), lastMs)
  if (endMs <= nowMs)
    throw new SigningFault(`refusing to sign a certificate that expired in the past: NotAfter=${new Date(lastMs).toISOString()}`)
  return writeCertificate(
    {
      serial: serialNumber(),
      subject: request.subject,
      publicKey: request.publicKey,
      notBeforeMs: nowMs - BACKDATE_MS,
      notAfterMs: endMs,
      extensions: [basicConstraints(false), ...usageExtensions(usages), authorityKeyIdentifier(issuer), ...request.names],
    },
    issuer.name,
    createPrivateKey(authority.key),
  )
}

/** Usages of the certificates API by the number of the bit that X.509 has for them. */
const KEY_USAGES = {
  signing: 0,
  'digital signature': 0,
  'content commitment': 1,
  'key encipherment': 2,
  'data encipherment': 3,
  'key agreement': 4,
  'cert sign': 5,
  'crl sign': 6,
  'encipher only': 7,
  'decipher only': 8,
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

function usageExtensions(usages: readonly string[]): readonly Extension[] {
  const bits = new Set<number>()
  const extended = new Set<string>()
  for (const usage of usages) {
    if (Object.hasOwn(KEY_USAGES, usage)) bits.add(KEY_USAGES[usage as keyof typeof KEY_USAGES])
    else if (Object.hasOwn(EXTENDED_USAGES, usage)) extended.add(EXTENDED_USAGES[usage]!)
    else throw new SigningFault(`unrecognized usage values: [${JSON.stringify(usage)}]`)
  }
  return [...(bits.size === 0 ? [] : [keyUsage([...bits])]), ...(extended.size === 0 ? [] : [extendedKeyUsage([...extended].toSorted())])]
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
