/**
 * Certificates and requests for them, written (RFC 5280, RFC 2986): just what a cluster's authority says. Keys and signatures are
 * node:crypto's. A library that knows all of X.509 costs a start 0.1 s and the process 10 MB.
 */
import { createHash, createPublicKey, sign, verify, constants, type KeyObject } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { DER, DerError, derElements, derInside, derOid, derWrite, derWriteOid, pemBlocks, pemOf, type DerElement } from '../base/der.ts'

export interface Extension {
  readonly oid: string
  readonly isCritical?: boolean
  /** DER. */
  readonly value: Uint8Array
}

/** What stands in a certificate beside its issuer; DER where bytes. */
export interface CertificateFacts {
  readonly serial: Uint8Array
  readonly subject: Uint8Array
  readonly publicKey: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly extensions: readonly Extension[]
}

const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  extensionRequest: '1.2.840.113549.1.9.14',
  rsaPss: '1.2.840.113549.1.1.10',
} as const

/** Algorithms by which requests are signed: their hash, undefined where the key implies it. */
const SIGNATURES: Readonly<Record<string, string | undefined>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': undefined,
}
const PSS_HASHES: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

const NULL = Uint8Array.of(5, 0)
const sequence = (...contents: readonly Uint8Array[]): Uint8Array => derWrite(DER.sequence, ...contents)
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const whole = ({ tag, content }: DerElement): Uint8Array => derWrite(tag, content)

/** Organizations first, as Go writes them. */
export const nameOf = (commonName: string, organizations: readonly string[] = []): Uint8Array =>
  sequence(
    ...[...organizations.map((value) => [OID.organization, value] as const), [OID.commonName, commonName] as const].map(([oid, value]) =>
      derWrite(DER.set, sequence(derWriteOid(oid), derWrite(DER.utf8String, text(value)))),
    ),
  )

/** Its subjectPublicKeyInfo. */
export const publicKeyOf = (key: KeyObject): Uint8Array => new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }))

/** Two digits of the year until 2049, four from then on. */
function timeOf(ms: number): Uint8Array {
  const digits = `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return digits < '2050' ? derWrite(DER.utcTime, text(digits.slice(2))) : derWrite(DER.generalizedTime, text(digits))
}

/** The first bits are those of the first octet's upper end; trailing zeros are not written. */
function bitsOf(numbers: readonly number[]): Uint8Array {
  const highest = Math.max(...numbers)
  const octets = new Uint8Array(Math.floor(highest / 8) + 1)
  for (const number of numbers) octets[number >> 3]! |= 0x80 >> (number & 7)
  return derWrite(DER.bitString, Uint8Array.of(7 - (highest & 7)), octets)
}

const keyIdentifier = (publicKey: Uint8Array): Uint8Array => {
  const [, bits] = derInside(derElements(publicKey)[0], DER.sequence)
  return new Uint8Array(createHash('sha1').update(bits!.content.subarray(1)).digest())
}

export const basicConstraints = (isAuthority: boolean): Extension => ({
  oid: OID.basicConstraints,
  isCritical: true,
  value: isAuthority ? sequence(derWrite(DER.boolean, Uint8Array.of(0xff))) : sequence(),
})

/** Numbers of bits, as RFC 5280 4.2.1.3 counts them. */
export const keyUsage = (bits: readonly number[]): Extension => ({ oid: OID.keyUsage, isCritical: true, value: bitsOf(bits) })

export const extendedKeyUsage = (oids: readonly string[]): Extension => ({
  oid: OID.extendedKeyUsage,
  value: sequence(...oids.map(derWriteOid)),
})

export const subjectKeyIdentifier = (publicKey: Uint8Array): Extension => ({
  oid: OID.subjectKeyIdentifier,
  value: derWrite(DER.octetString, keyIdentifier(publicKey)),
})

export const authorityKeyIdentifier = ({ publicKey }: Pick<Authority, 'publicKey'>): Extension => ({
  oid: OID.authorityKeyIdentifier,
  value: sequence(derWrite(DER.primitive, keyIdentifier(publicKey))),
})

/** DNS names and addresses; none, no extension. */
export const subjectAltNames = (hosts: readonly string[]): readonly Extension[] =>
  hosts.length === 0
    ? []
    : [
        {
          oid: OID.subjectAltName,
          value: sequence(
            ...hosts.map((host) =>
              ipaddr.isValid(host)
                ? derWrite(DER.primitive + 7, Uint8Array.from(ipaddr.parse(host).toByteArray()))
                : derWrite(DER.primitive + 2, text(host)),
            ),
          ),
        },
      ]

const extensionsOf = (extensions: readonly Extension[]): Uint8Array =>
  sequence(
    ...extensions.map(({ oid, isCritical, value }) =>
      sequence(derWriteOid(oid), ...(isCritical ? [derWrite(DER.boolean, Uint8Array.of(0xff))] : []), derWrite(DER.octetString, value)),
    ),
  )

/** The algorithm by which this key signs, as certificates name it. */
const algorithmOf = (key: KeyObject): Uint8Array =>
  key.asymmetricKeyType === 'rsa'
    ? sequence(derWriteOid('1.2.840.113549.1.1.11'), NULL)
    : key.asymmetricKeyType === 'ed25519'
      ? sequence(derWriteOid('1.3.101.112'))
      : sequence(derWriteOid('1.2.840.10045.4.3.2'))

function signed(type: string, facts: Uint8Array, key: KeyObject): string {
  const signature = sign(key.asymmetricKeyType === 'ed25519' ? undefined : 'sha256', facts, key)
  return pemOf({ type, bytes: sequence(facts, algorithmOf(key), derWrite(DER.bitString, Uint8Array.of(0), signature)) })
}

export interface Authority {
  /** Its subject, DER. */
  readonly name: Uint8Array
  readonly publicKey: Uint8Array
}

/** A certificate in PEM, signed by the authority's key. */
export function writeCertificate(facts: CertificateFacts, issuer: Uint8Array, key: KeyObject): string {
  const version = derWrite(DER.constructed, derWrite(DER.integer, Uint8Array.of(2)))
  const extensions = derWrite(DER.constructed + 3, extensionsOf(facts.extensions))
  const validity = sequence(timeOf(facts.notBeforeMs), timeOf(facts.notAfterMs))
  const serial = derWrite(DER.integer, facts.serial)
  const body = sequence(version, serial, algorithmOf(key), issuer, validity, facts.subject, facts.publicKey, extensions)
  return signed('CERTIFICATE', body, key)
}

/** A request in PEM for a certificate of this name, signed by the key that it is for. */
export function writeRequest(name: Uint8Array, key: KeyObject, extensions: readonly Extension[]): string {
  const attributes =
    extensions.length === 0 ? [] : [sequence(derWriteOid(OID.extensionRequest), derWrite(DER.set, extensionsOf(extensions)))]
  const facts = sequence(derWrite(DER.integer, Uint8Array.of(0)), name, publicKeyOf(key), derWrite(DER.constructed, ...attributes))
  return signed('CERTIFICATE REQUEST', facts, key)
}

const firstBlock = (pem: string, type: string): Uint8Array => {
  const block = pemBlocks(pem).find((one) => one.type === type)
  if (!block) throw new DerError(`no ${type} in the PEM text`)
  return block.bytes
}

/** Who issues by this certificate (PEM). */
export function authorityOf(pem: string): Authority {
  const [body] = derInside(derElements(firstBlock(pem, 'CERTIFICATE'))[0], DER.sequence)
  const parts = derInside(body, DER.sequence)
  // Version 1 has no version.
  const at = parts[0]?.tag === DER.constructed ? 5 : 4
  return { name: whole(parts[at]!), publicKey: whole(parts[at + 1]!) }
}

/** Whether a request (DER) is signed by the key that it is for, and what it asks for as it stands there. */
export function readRequest(der: Uint8Array): Pick<CertificateFacts, 'subject' | 'publicKey'> & {
  readonly isSigned: boolean
  /** The alternative names. */
  readonly names: readonly Extension[]
} {
  const [body, algorithm, signature] = derInside(derElements(der)[0], DER.sequence)
  const [, subject, key, attributes] = derInside(body, DER.sequence)
  if (!subject || !key || signature?.tag !== DER.bitString) throw new DerError('no certificate request')
  const publicKey = whole(key)
  const names = (attributes ? derInside(attributes, DER.constructed) : []).flatMap(requestedExtensions)
  return {
    subject: whole(subject),
    publicKey,
    isSigned: isSignedBy(publicKey, whole(body!), algorithm, signature.content.subarray(1)),
    names: names.filter(({ oid }) => oid === OID.subjectAltName).slice(0, 1),
  }
}

function requestedExtensions(attribute: DerElement): readonly Extension[] {
  const [type, values] = derInside(attribute, DER.sequence)
  if (!type || derOid(type) !== OID.extensionRequest) return []
  return derInside(values, DER.set)
    .flatMap((list) => derInside(list, DER.sequence))
    .map((extension) => {
      const parts = derInside(extension, DER.sequence)
      const isCritical = parts.length === 3 && parts[1]!.content[0] !== 0
      return { oid: derOid(parts[0]!), isCritical, value: parts.at(-1)!.content }
    })
}

function isSignedBy(publicKey: Uint8Array, facts: Uint8Array, algorithm: DerElement | undefined, signature: Uint8Array): boolean {
  const [type, parameters] = derInside(algorithm, DER.sequence)
  const oid = type ? derOid(type) : ''
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    if (oid === OID.rsaPss) {
      const hash = derInside(
        derInside(parameters, DER.sequence).find(({ tag }) => tag === DER.constructed),
        DER.constructed,
      )[0]
      const name = PSS_HASHES[derOid(derInside(hash, DER.sequence)[0]!)]
      return name !== undefined && verify(name, facts, { key, padding: constants.RSA_PKCS1_PSS_PADDING }, signature)
    }
    return Object.hasOwn(SIGNATURES, oid) && verify(SIGNATURES[oid], facts, key, signature)
  } catch {
    // A key or an algorithm that OpenSSL does not take.
    return false
  }
}
