/** IP addresses and ranges as the rules need them. Text that is no address belongs to no family, and so never reaches the kernel. */
import ipaddr from 'ipaddr.js'

export type Family = 'ip' | 'ip6'

/** nft's name for the addresses of a family. */
export const addressType = (family: Family): string => (family === 'ip' ? 'ipv4_addr' : 'ipv6_addr')

/** The family of an address or a CIDR; undefined for anything else. */
export function familyOf(text: string): Family | undefined {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  if (slash >= 0 && !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return 'ip'
  return ipaddr.IPv6.isValid(address) && !address.includes('%') ? 'ip6' : undefined
}

/** CIDRs of one family, each written with its network address, without those that lie within another. */
export function disjointRanges(ranges: readonly string[], family: Family): readonly string[] {
  const parsed = ranges.map((range) => range.trim()).filter((range) => familyOf(range) === family && ipaddr.isValidCIDR(range))
  const networks = parsed.map((range) => {
    const [address, length] = ipaddr.parseCIDR(range)
    return { text: `${networkAddress(range, family)}/${length}`, address, length }
  })
  const kept: typeof networks = []
  for (const one of networks.toSorted((a, b) => a.length - b.length)) {
    if (!kept.some((wider) => one.address.match([wider.address, wider.length]))) kept.push(one)
  }
  return kept.map((one) => one.text)
}

/** The address of a pod CIDR that the node itself has on its bridge: the first after the network's own. */
export function gatewayOf(cidr: string): string {
  const [address, length] = ipaddr.parseCIDR(cidr)
  const bytes = (address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(cidr).toByteArray()
  bytes[bytes.length - 1]! |= 1
  return `${ipaddr.fromByteArray(bytes).toString()}/${length}`
}

const networkAddress = (range: string, family: Family): string =>
  (family === 'ip' ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(range).toString()
