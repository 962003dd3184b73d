/**
 * What a PKCS#10 certificate request asks for (RFC 2986), and which requests the signers of Kubernetes take
 * (pkg/apis/certificates/helpers.go). Signatures are not checked here: whoever signs does that.
 */
import { DER, DerError, derElements, derInside, derOid, fromBase64, pemBlocks, type DerElement } from '../base/der.ts'

export interface CertificateRequestFacts {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly Uint8Array[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
  readonly der: Uint8Array
}

const COMMON_NAME = '2.5.4.3'
const ORGANIZATION = '2.5.4.10'
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17'
const BMP_STRING = 0x1e

/** `base64` as spec.request has it: of a PEM block. Throws a DerError that says what is wrong. */
export function parseCertificateRequest(base64: string): CertificateRequestFacts {
  const [block] = pemBlocks(new TextDecoder().decode(fromBase64(base64)))
  if (block?.type !== 'CERTIFICATE REQUEST') throw new DerError('PEM block type must be CERTIFICATE REQUEST')
  const outer = derElements(block.bytes)
  if (outer.length !== 1) throw new DerError('x509: trailing data')
  const [info] = derInside(outer[0], DER.sequence)
  const [, subject, , attributes] = derInside(info, DER.sequence)
  const names = namesOf(subject)
  return {
    commonName: names.findLast(([oid]) => oid === COMMON_NAME)?.[1] ?? '',
    organizations: names.filter(([oid]) => oid === ORGANIZATION).map(([, value]) => value),
    ...alternativeNames(attributes),
    der: block.bytes,
  }
}

/** The attributes of a distinguished name in their order. */
function namesOf(subject: DerElement | undefined): readonly (readonly [oid: string, value: string])[] {
  return derInside(subject, DER.sequence).flatMap((set) =>
    derInside(set, DER.set).map((attribute) => {
      const [oid, value] = derInside(attribute, DER.sequence)
      return [derOid(oid!), value ? textOf(value) : ''] as const
    }),
  )
}

const textOf = ({ tag, content }: DerElement): string => new TextDecoder(tag === BMP_STRING ? 'utf-16be' : 'utf-8').decode(content)

type AlternativeNames = Pick<CertificateRequestFacts, 'dnsNames' | 'ipAddresses' | 'emailAddresses' | 'uris'>

function alternativeNames(attributes: DerElement | undefined): AlternativeNames {
  const names = attributes ? derInside(attributes, DER.constructed).flatMap(generalNames) : []
  const texts = (number: number): readonly string[] => names.filter(({ tag }) => tag === DER.primitive + number).map(textOf)
  return {
    emailAddresses: texts(1),
    dnsNames: texts(2),
    uris: texts(6),
    ipAddresses: names.filter(({ tag }) => tag === DER.primitive + 7).map(({ content }) => content),
  }
}

function generalNames(attribute: DerElement): readonly DerElement[] {
  const [oid, values] = derInside(attribute, DER.sequence)
  if (derOid(oid!) !== EXTENSION_REQUEST) return []
  const extensions = derInside(values, DER.set).flatMap((list) => derInside(list, DER.sequence))
  return extensions.flatMap((extension) => {
    const parts = derInside(extension, DER.sequence)
    if (derOid(parts[0]!) !== SUBJECT_ALTERNATIVE_NAME) return []
    return derInside(derInside(parts.at(-1), DER.octetString)[0], DER.sequence)
  })
}

const KUBELET_GROUP = 'system:nodes'
const KUBELET_PREFIX = 'system:node:'

const isSameSet = (usages: readonly string[], wanted: readonly string[]): boolean =>
  new Set(usages).size === wanted.length && wanted.every((usage) => usages.includes(usage))

/** The usages with and without that of RSA keys. */
function usagesFault(usages: readonly string[], purpose: string): string | undefined {
  const all = ['digital signature', 'key encipherment', purpose]
  if (isSameSet(usages, all) || isSameSet(usages, ['digital signature', purpose])) return undefined
  return `usages did not match [${all.toSorted().join(' ')}]`
}

const isOfNodes = ({ organizations }: CertificateRequestFacts): boolean => organizations.length === 1 && organizations[0] === KUBELET_GROUP

/** Why this is no request for a kubelet's client certificate. */
export function kubeletClientFault(request: CertificateRequestFacts, usages: readonly string[]): string | undefined {
  if (!isOfNodes(request)) return 'subject organization is not system:nodes'
  if (request.dnsNames.length > 0) return 'DNS subjectAltNames are not allowed'
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed'
  if (request.ipAddresses.length > 0) return 'IP subjectAltNames are not allowed'
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed'
  if (!request.commonName.startsWith(KUBELET_PREFIX)) return 'subject common name does not begin with system:node:'
  return usagesFault(usages, 'client auth')
}

/** Why this is no request for a kubelet's serving certificate. */
export function kubeletServingFault(request: CertificateRequestFacts, usages: readonly string[]): string | undefined {
  if (!isOfNodes(request)) return 'subject organization is not system:nodes'
  if (request.dnsNames.length === 0 && request.ipAddresses.length === 0) return 'DNS or IP subjectAltName is required'
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed'
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed'
  const fault = usagesFault(usages, 'server auth')
  if (fault !== undefined) return fault
  return request.commonName.startsWith(KUBELET_PREFIX) ? undefined : 'subject common name does not begin with system:node:'
}
