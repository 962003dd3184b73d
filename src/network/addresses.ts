/** IP addresses and ranges as the rules need them. Text that is no address belongs to no family, and so never reaches the kernel. */
import ipaddr from 'ipaddr.js'
import { assert } from '../base/assert.ts'

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

/** Whether an address or a range is part of a range; of different families, and of what is no range, nothing is. */
export function isWithin(text: string, range: string): boolean {
  const family = familyOf(text)
  if (family === undefined || family !== familyOf(range) || !ipaddr.isValidCIDR(range)) return false
  const [address, length = ''] = text.split('/')
  const wider = ipaddr.parseCIDR(range)
  return ipaddr.parse(address!).match(wider) && (length === '' || Number(length) >= wider[1])
}

/** The n-th address of an IPv4 range, counted from its network address. */
export function addressIn(cidr: string, offset: number): string {
  const [network, length] = ipaddr.IPv4.parseCIDR(cidr)
  assert(offset < 2 ** (32 - length), `${cidr} has no place for number ${offset}`)
  const bytes = network.toByteArray()
  const value = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) + offset
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
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
