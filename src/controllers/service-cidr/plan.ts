/** Whether a network of cluster IPs may go. No I/O. */
import type { IPAddress, ServiceCIDR } from '../../api/generated/networking/v1.ts'
import { contains, parseNetwork } from './networks.ts'

/** On addresses that the API server has given out. */
const isAllocated = ({ metadata }: IPAddress): boolean => metadata?.labels?.['ipaddress.kubernetes.io/managed-by'] === 'ipallocator.k8s.io'

const cidrsOf = (cidr: ServiceCIDR) => (cidr.spec?.cidrs ?? []).map(parseNetwork)

/** The networks that hold an address or a network ("10.0.0.1", "10.0.0.0/24"). */
export function containing(text: string, all: Iterable<ServiceCIDR>): readonly ServiceCIDR[] {
  const wanted = parseNetwork(text)
  return [...all].filter((cidr) => cidrsOf(cidr).some((network) => contains(network, wanted)))
}

export function overlapping({ spec }: ServiceCIDR, all: Iterable<ServiceCIDR>): readonly ServiceCIDR[] {
  const own = (spec?.cidrs ?? []).map(parseNetwork)
  return [...all].filter((cidr) => cidrsOf(cidr).some((network) => own.some((mine) => contains(network, mine) || contains(mine, network))))
}

/** True when no address would be left outside every network. */
export function canGo(cidr: ServiceCIDR, all: readonly ServiceCIDR[], addresses: Iterable<IPAddress>): boolean {
  const others = all.filter((other) => other.metadata?.name !== cidr.metadata?.name)
  if ((cidr.spec?.cidrs ?? []).every((text) => containing(text, others).length > 0)) return true
  for (const address of addresses) {
    const name = address.metadata!.name!
    if (isAllocated(address) && containing(name, [cidr]).length > 0 && containing(name, others).length === 0) return false
  }
  return true
}
