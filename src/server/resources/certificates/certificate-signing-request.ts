/** CertificateSigningRequests: who asks, for what, and what became of it. The request says who asked; the server fills that in. */
import type { CertificateSigningRequest } from '../../../api/generated/certificates/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, pathSegmentFaults } from '../../../api/names.ts'
import { parseCertificateRequest } from '../../../api/certificate-request.ts'
import { timestamp } from '../../../base/clock.ts'
import { DerError, fromBase64, pemBlocks } from '../../../base/der.ts'
import { defineResource } from '../../resource.ts'
import { nameColumn, ageColumn, text } from '../columns.ts'
import { humanDuration } from '../duration.ts'
import { isSemanticallyEqual, withField } from '../immutable.ts'
import {
  checkImmutable,
  checkOneOf,
  checkRequiredOneOf,
  duplicate,
  forbidden,
  invalid,
  required,
  tooLong,
  type FieldErrors,
} from '../rules.ts'
import type { Column } from '../../resource.ts'

const MIN_EXPIRATION_SECONDS = 600

function condition({ status }: CertificateSigningRequest): string {
  const has = (type: string): boolean => status?.conditions?.some((entry) => entry.type === type) ?? false
  const verdict = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'
  return `${verdict}${has('Failed') ? ',Failed' : ''}${status?.certificate ? ',Issued' : ''}`
}

/** What is wrong with a request; its signature is checked by who signs. */
function requestFault(base64: string): string | undefined {
  try {
    parseCertificateRequest(base64)
    return undefined
  } catch (error) {
    if (error instanceof DerError) return error.message
    throw error
  }
}

/** What was signed: certificates alone, one at least. */
function certificateFault(base64: string | undefined): string | undefined {
  if (!base64) return undefined
  const blocks = pemBlocks(new TextDecoder().decode(fromBase64(base64)))
  const foreign = blocks.find(({ type }) => type !== 'CERTIFICATE')
  if (foreign) return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(foreign.type)}`
  return blocks.length === 0 ? 'must contain at least one CERTIFICATE PEM block' : undefined
}

/** What a certificate may be for, in the order in which upstream lists it. */
const USAGES: readonly string[] = (
  'any,cert sign,client auth,code signing,content commitment,crl sign,data encipherment,decipher only,digital signature,' +
  'email protection,encipher only,ipsec end system,ipsec tunnel,ipsec user,key agreement,key encipherment,microsoft sgc,' +
  'netscape sgc,ocsp signing,s/mime,server auth,signing,timestamping'
).split(',')

/** Conditions that are there or not, and never false. */
const TRUE_ONLY: ReadonlySet<string> = new Set(['Approved', 'Denied', 'Failed'])

function conditionFaults(next: CertificateSigningRequest, old: CertificateSigningRequest): FieldErrors {
  const errors: FieldErrors = []
  const seen = new Set<string>()
  if (isSemanticallyEqual(next.status?.conditions, old.status?.conditions)) return errors
  for (const [index, { type, status }] of (next.status?.conditions ?? []).entries()) {
    const path = `status.conditions[${index}]`
    if (type === '') errors.push(required(`${path}.type`))
    checkRequiredOneOf(errors, `${path}.status`, status, TRUE_ONLY.has(type) ? ['True'] : ['False', 'True', 'Unknown'])
    if (seen.has(type)) errors.push(duplicate(`${path}.type`, type))
    seen.add(type)
  }
  return errors
}

const DOMAIN_LIMIT = 253
/** A DNS label, a dot and a DNS subdomain. */
const PATH_LIMIT = 63 + 1 + 253

/** "example.com/signer-name": a domain of two labels or more, and a path of DNS subdomains. */
function checkSignerName(errors: FieldErrors, signer: string): void {
  const field = 'spec.signerName'
  if (!signer) return void errors.push(required(field))
  const [domain = '', path, ...more] = signer.split('/')
  if (path === undefined || more.length > 0) {
    return void errors.push(invalid(field, signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'"))
  }
  if (domain.length > DOMAIN_LIMIT) errors.push(tooLong(field, DOMAIN_LIMIT))
  const labels = domain.split('.')
  checkLabels(errors, domain, labels, dns1123LabelFaults)
  if (labels.length < 2) errors.push(invalid(field, domain, 'should be a domain with at least two segments separated by dots'))
  checkLabels(errors, path, path.split('.'), dns1123SubdomainFaults)
  if (signer.length > DOMAIN_LIMIT + 1 + PATH_LIMIT) errors.push(tooLong(field, DOMAIN_LIMIT + 1 + PATH_LIMIT))
}

/** The faults of the first bad label alone: those of the others would read the same. */
function checkLabels(errors: FieldErrors, whole: string, labels: readonly string[], faultsOf: (label: string) => readonly string[]): void {
  for (const label of labels) {
    const faults = faultsOf(label)
    for (const fault of faults) errors.push(invalid('spec.signerName', whole, `validating label ${JSON.stringify(label)}: ${fault}`))
    if (faults.length > 0) return
  }
}

type Conditions = NonNullable<CertificateSigningRequest['status']>['conditions']

/** The times that a client left out: now, or when the condition got its status before. */
const withTimes = (conditions: Conditions, before: Conditions, now: string): Conditions =>
  conditions?.map((condition) => ({
    ...condition,
    lastUpdateTime: condition.lastUpdateTime ?? now,
    lastTransitionTime:
      condition.lastTransitionTime ??
      before?.find(({ type, status }) => type === condition.type && status === condition.status)?.lastTransitionTime ??
      now,
  }))

/** Verdicts are given at /approval alone, and nobody takes one back. */
function updateFaults(next: CertificateSigningRequest, old: CertificateSigningRequest, subresource?: string): FieldErrors {
  const errors = conditionFaults(next, old)
  checkImmutable(errors, 'spec', next.spec, old.spec)
  const has = (request: CertificateSigningRequest, type: string): boolean =>
    request.status?.conditions?.some((entry) => entry.type === type) ?? false
  if (has(next, 'Approved') && has(next, 'Denied'))
    errors.push(invalid('status.conditions', 'Denied', 'Approved and Denied conditions are mutually exclusive'))
  for (const type of ['Approved', 'Denied', 'Failed']) {
    if (has(old, type) && !has(next, type))
      errors.push(forbidden('status.conditions', `updates may not remove a condition of type "${type}"`))
    else if (subresource !== 'approval' && type !== 'Failed' && has(next, type) && !has(old, type)) {
      errors.push(forbidden('status.conditions', `updates may not add a condition of type "${type}"`))
    }
  }
  if (!isSemanticallyEqual(next.status?.certificate, old.status?.certificate) && old.status?.certificate) {
    errors.push(forbidden('status.certificate', 'updates may not modify existing certificate content'))
  } else {
    const fault = certificateFault(next.status?.certificate)
    if (fault) errors.push(invalid('status.certificate', '<certificate data>', fault))
  }
  return errors
}

export const certificateSigningRequests = defineResource({
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  nameFormat: pathSegmentFaults,
  hasGeneration: false,
  columns: [
    nameColumn as Column<CertificateSigningRequest>,
    ageColumn as Column<CertificateSigningRequest>,
    text('SignerName', ({ spec }: CertificateSigningRequest) => spec?.signerName || '<none>'),
    text('Requestor', ({ spec }: CertificateSigningRequest) => spec?.username ?? ''),
    text('RequestedDuration', ({ spec }: CertificateSigningRequest) =>
      spec?.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
    ),
    text('Condition', condition),
  ],
  fieldSelectors: { 'spec.signerName': ({ spec }) => spec?.signerName ?? '' },
  prepareForCreate(request, { user }) {
    const extra = Object.keys(user.extra ?? {}).length > 0 ? { extra: user.extra } : {}
    const { username: _username, uid: _uid, groups: _groups, extra: _extra, ...asked } = request.spec ?? { request: '', signerName: '' }
    return {
      ...request,
      spec: { ...asked, username: user.name, ...(user.uid ? { uid: user.uid } : {}), groups: user.groups, ...extra },
      status: {},
    }
  },
  prepareForUpdate(next, old, { subresource, runtime }) {
    if (!subresource) return withField(next, 'spec', old.spec)
    // Each endpoint writes its own part: approval the verdict, status the certificate.
    const conditions = withTimes(next.status?.conditions, old.status?.conditions, timestamp(runtime.clock))
    const { conditions: _replaced, ...rest } = (subresource === 'approval' ? old.status : next.status) ?? {}
    return withField(withField(next, 'spec', old.spec), 'status', conditions ? { ...rest, conditions } : rest)
  },
  validate({ spec }) {
    const errors: FieldErrors = []
    const fault = requestFault(spec?.request ?? '')
    if (fault !== undefined) errors.push(invalid('spec.request', spec?.request, fault))
    if (!spec?.usages?.length) errors.push(required('spec.usages'))
    spec?.usages?.forEach((usage, i) => checkOneOf(errors, `spec.usages[${i}]`, usage, USAGES))
    const seen = new Set<string>()
    spec?.usages?.forEach((usage, i) => {
      if (seen.has(usage)) errors.push(duplicate(`spec.usages[${i}]`, usage))
      seen.add(usage)
    })
    const signer = spec?.signerName ?? ''
    if (signer === 'kubernetes.io/legacy-unknown')
      errors.push(invalid('spec.signerName', signer, 'the legacy signerName is not allowed via this API version'))
    else checkSignerName(errors, signer)
    const seconds = spec?.expirationSeconds
    if (seconds !== undefined && seconds < MIN_EXPIRATION_SECONDS)
      errors.push(invalid('spec.expirationSeconds', seconds, 'may not specify a duration less than 600 seconds (10 minutes)'))
    return errors
  },
  validateUpdate: updateFaults,
  validateStatusUpdate: (next, old) => updateFaults(next, old, 'status'),
})
