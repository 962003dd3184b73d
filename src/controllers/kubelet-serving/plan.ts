/**
 * Which requests of kubelets for serving certificates may be approved unseen. Upstream approves none: whoever holds a certificate for an
 * address can stand in for what listens there. So a node gets one for its own name and for addresses that its Node object tells, as long
 * as nobody else has these: no other node, no service, not the API server. Pure.
 */
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import type { Node } from '../../api/generated/core/v1.ts'
import { kubeletServingFault } from '../../api/certificate-request.ts'
import { factsOf, isJudged } from '../csr-approving/controller.ts'

export const SERVING_SIGNER = 'kubernetes.io/kubelet-serving'
const USER_PREFIX = 'system:node:'

/** Names and addresses that are never a node's own to have certified. */
export type IsReserved = (host: string) => boolean

/** One text for each address, however it was written. */
const canonical = (address: string): string => (address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address)

const textOf = (bytes: Uint8Array): string =>
  bytes.length === 4
    ? bytes.join('.')
    : canonical(Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16)).join(':'))

const addressesOf = ({ status }: Node): readonly string[] =>
  (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP').map(({ address }) => canonical(address))

/** The node that asks; undefined when the request is none of ours to judge. */
export function askingNode({ spec, status, ...request }: CertificateSigningRequest): string | undefined {
  const { signerName, username = '', groups = [] } = spec
  if (signerName !== SERVING_SIGNER || status?.certificate || isJudged({ ...request, spec, ...(status ? { status } : {}) }))
    return undefined
  return username.startsWith(USER_PREFIX) && groups.includes('system:nodes') ? username.slice(USER_PREFIX.length) : undefined
}

/** Why the request is not approved; undefined when it is. */
export function servingFault(
  request: CertificateSigningRequest,
  name: string,
  nodes: { readonly own: Node | undefined; readonly others: readonly Node[] },
  isReserved: IsReserved,
): string | undefined {
  const facts = factsOf(request)
  const fault = facts ? kubeletServingFault(facts, request.spec.usages ?? []) : 'the request cannot be read'
  if (!facts || fault !== undefined) return fault
  if (facts.commonName !== `${USER_PREFIX}${name}`) return 'it is for another node'
  if (!nodes.own) return `there is no node ${name}`
  const own = addressesOf(nodes.own)
  const others = new Set(nodes.others.flatMap(addressesOf))
  for (const host of [...facts.dnsNames, ...facts.ipAddresses.map(textOf)]) {
    if (host !== name && !own.includes(host)) return `${host} is not the node's`
    if (others.has(host) || isReserved(host)) return `${host} is not the node's alone`
  }
  return undefined
}
