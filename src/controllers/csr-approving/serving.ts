/**
 * Approves the serving certificates of nodes whose addresses are known. Upstream leaves that to whoever runs the cluster, for only they know
 * which address is whose: a node on the server's machine is told its address by the server. All other requests wait for a person.
 */
import { kubeletServingFault } from '../../api/certificate-request.ts'
import { keyOf } from '../../api/object.ts'
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { watch, type Controller } from '../controller.ts'
import { approve, factsOf, isJudged } from './controller.ts'

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'
const SIGNER = 'kubernetes.io/kubelet-serving'

/** By name; IPv4. */
export type NodeAddresses = ReadonlyMap<string, string>

/** Whether the node asks for itself, and for its own name and address. */
export function isOwnServing(request: CertificateSigningRequest, addresses: NodeAddresses): boolean {
  const { signerName, usages = [], username = '' } = request.spec
  if (request.status?.certificate || isJudged(request) || signerName !== SIGNER) return false
  const facts = factsOf(request)
  const name = username.replace(/^system:node:/, '')
  const address = addresses.get(name)
  if (!facts || address === undefined || username === name || facts.commonName !== username) return false
  return (
    kubeletServingFault(facts, usages) === undefined &&
    facts.dnsNames.every((host) => host === name) &&
    facts.ipAddresses.every((bytes) => bytes.join('.') === address)
  )
}

export const createServingApprover = (addresses: NodeAddresses): Controller => ({
  name: 'csr-serving-approving',
  reads: [KIND],
  writes: [`${KIND}/approval`],
  watches: [watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object)))],
  async reconcile(key, { client, caches }) {
    const request = caches.of(KIND).get(key)
    if (request && isOwnServing(request, addresses)) await approve(client, request, 'The names are those of the node that asks.')
  },
})
