/**
 * Who may approve, sign and attest for which signer of certificates, by the verbs `approve`, `sign` and `attest` on the virtual resource
 * `signers`; and that nobody gets a certificate of system:masters by asking (KEP-1513, KEP-3257).
 */
import { DerError } from '../../base/der.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { parseCertificateRequest } from '../../api/certificate-request.ts'
import type { KubeObject } from '../../api/object.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { MASTERS, type Authorizer } from '../authorization/authorizer.ts'

const GROUP = 'certificates.k8s.io'
const API_CLIENT = 'kubernetes.io/kube-apiserver-client'

const isOn = ({ resource }: AdmissionAttributes, plural: string): boolean => resource.group === GROUP && resource.resource === plural
const isOnRequest = (attributes: AdmissionAttributes): boolean => isOn(attributes, 'certificatesigningrequests')

const conditionsOf = (object: KubeObject | undefined): unknown => object?.status?.conditions ?? []
const signerOf = (object: KubeObject | undefined): string => (object?.spec?.signerName as string | undefined) ?? ''

/** By the signer's full name, or by "domain/*" for all of a domain. */
async function mayUseSigner(authorizer: Authorizer, { user }: AdmissionAttributes, verb: string, signer: string): Promise<boolean> {
  if (user.groups.includes(MASTERS)) return true
  const attributes = {
    user,
    verb,
    isResource: true,
    path: '',
    group: GROUP,
    version: '*',
    resource: 'signers',
    subresource: '',
    namespace: '',
  }
  for (const name of [signer, `${signer.split('/', 1)[0]}/*`]) {
    if ((await authorizer.authorize({ ...attributes, name })).isAllowed) return true
  }
  return false
}

export function certificatePlugins(authorizer: Authorizer): Readonly<Record<'approval' | 'signing' | 'attesting', AdmissionPlugin>> {
  const check = async (attributes: AdmissionAttributes, verb: string, signer: string, refusal: string): Promise<void> => {
    if (!(await mayUseSigner(authorizer, attributes, verb, signer)))
      throw admissionDenied(attributes, `user not permitted to ${refusal} signerName ${JSON.stringify(signer)}`)
  }
  return {
    approval: {
      name: 'CertificateApproval',
      handles: (attributes) => attributes.operation === 'UPDATE' && attributes.subresource === 'approval' && isOnRequest(attributes),
      validate: (attributes) => check(attributes, 'approve', signerOf(attributes.oldObject), 'approve requests with'),
    },
    signing: {
      name: 'CertificateSigning',
      handles: (attributes) => attributes.operation === 'UPDATE' && attributes.subresource === 'status' && isOnRequest(attributes),
      validate(attributes) {
        const { object, oldObject } = attributes
        const isUnchanged =
          object?.status?.certificate === oldObject?.status?.certificate && deepEqual(conditionsOf(object), conditionsOf(oldObject))
        return isUnchanged ? undefined : check(attributes, 'sign', signerOf(oldObject), 'sign requests with')
      },
    },
    attesting: {
      name: 'ClusterTrustBundleAttest',
      handles: (attributes) =>
        (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') && isOn(attributes, 'clustertrustbundles'),
      validate(attributes) {
        const { object, oldObject } = attributes
        const signer = signerOf(object)
        // Changes of owners and finalizers attest nothing.
        if (signer === '' || (oldObject && deepEqual(object?.spec, oldObject.spec))) return undefined
        return check(attributes, 'attest', signer, 'attest for')
      },
    },
  }
}

export const certificateSubjectRestriction: AdmissionPlugin = {
  name: 'CertificateSubjectRestriction',
  handles: (attributes) => attributes.operation === 'CREATE' && attributes.subresource === undefined && isOnRequest(attributes),
  validate(attributes) {
    const { spec } = attributes.object as CertificateSigningRequest
    if (spec?.signerName !== API_CLIENT) return
    if (organizationsOf(attributes, spec.request).includes(MASTERS))
      throw admissionDenied(attributes, `use of ${API_CLIENT} signer with ${MASTERS} group is not allowed`)
  },
}

function organizationsOf(attributes: AdmissionAttributes, request: string): readonly string[] {
  try {
    return parseCertificateRequest(request).organizations
  } catch (error) {
    if (error instanceof DerError) throw admissionDenied(attributes, `failed to parse CSR: ${error.message}`)
    throw error
  }
}
