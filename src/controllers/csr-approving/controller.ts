/**
 * Approves the requests of kubelets for their client certificates, when whoever asks may (pkg/controller/certificates/approver): a node
 * for itself by `selfnodeclient`, a bootstrap token for any node by `nodeclient`.
 */
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { kubeletClientFault, parseCertificateRequest, type CertificateRequestFacts } from '../../api/certificate-request.ts'
import { keyOf } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { DerError } from '../../base/der.ts'
import type { Client } from '../../client/client.ts'
import { watch, type Controller } from '../controller.ts'

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'
const KUBELET_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet'
/** Leave may be given later. */
const RETRY_MS = 30_000

interface Way {
  readonly subresource: string
  readonly message: string
}

const SELF: Way = {
  subresource: 'selfnodeclient',
  message: 'Auto approving self kubelet client certificate after SubjectAccessReview.',
}
const ANY: Way = { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' }

export const isJudged = ({ status }: CertificateSigningRequest): boolean =>
  status?.conditions?.some(({ type }) => type === 'Approved' || type === 'Denied') ?? false

/** What PKCS#10 says; undefined where it says nothing. */
export function factsOf({ spec }: CertificateSigningRequest): CertificateRequestFacts | undefined {
  try {
    return parseCertificateRequest(spec.request)
  } catch (error) {
    if (error instanceof DerError) return undefined
    throw error
  }
}

/** By which rights the request may be approved. */
export function waysToApprove(request: CertificateSigningRequest): readonly Way[] {
  const { signerName, usages = [], username } = request.spec
  if (request.status?.certificate || isJudged(request) || signerName !== KUBELET_SIGNER) return []
  const facts = factsOf(request)
  if (!facts || kubeletClientFault(facts, usages) !== undefined) return []
  return username === facts.commonName ? [SELF, ANY] : [ANY]
}

export const csrApprovingController: Controller = {
  name: 'csr-approving',
  component: 'certificate-controller',
  reads: [KIND],
  writes: [`${KIND}/approval`, 'authorization.k8s.io/v1/SubjectAccessReview'],
  watches: [watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object)))],
  async reconcile(key, { client, caches }) {
    const request = caches.of(KIND).get(key)
    const ways = request ? waysToApprove(request) : []
    if (!request || ways.length === 0) return
    for (const way of ways) {
      if (!(await isAllowed(client, request, way))) continue
      return approve(client, request, way.message)
    }
    return { afterMs: RETRY_MS }
  },
}

/** One that has gone meanwhile needs nothing. */
export async function approve(client: Client, request: CertificateSigningRequest, message: string): Promise<void> {
  const approved = { type: 'Approved', status: 'True', reason: 'AutoApproved', message }
  const conditions = [...(request.status?.conditions ?? []), approved]
  try {
    await client.update(KIND, { ...request, status: { ...request.status, conditions } }, { subresource: 'approval' })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

async function isAllowed(client: Client, { spec }: CertificateSigningRequest, { subresource }: Way): Promise<boolean> {
  const { username = '', uid, groups = [], extra } = spec
  const review = await client.create('authorization.k8s.io/v1/SubjectAccessReview', {
    spec: {
      user: username,
      groups,
      ...(uid ? { uid } : {}),
      ...(extra ? { extra } : {}),
      resourceAttributes: {
        group: 'certificates.k8s.io',
        resource: 'certificatesigningrequests',
        verb: 'create',
        subresource,
        version: '*',
      },
    },
  })
  return review.status?.allowed ?? false
}
