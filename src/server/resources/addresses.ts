/** IP addresses and networks in text, checked without the platform. IPv4 as numbers, IPv6 as 128-bit integers. */

/** The number of an IPv4 address; undefined when it is none, or has leading zeros. */
export function parseIPv4(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    value = value * 256 + Number(part)
  }
  return value
}

export const formatIPv4 = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')

/** The integer of an IPv6 address, with an IPv4 tail too; undefined when it is none. */
export function parseIPv6(text: string): bigint | undefined {
  let source = text
  const tail = source.slice(source.lastIndexOf(':') + 1)
  if (tail.includes('.')) {
    const v4 = parseIPv4(tail)
    if (v4 === undefined) return undefined
    source = `${source.slice(0, -tail.length)}${Math.floor(v4 / 65536).toString(16)}:${(v4 % 65536).toString(16)}`
  }
  const halves = source.split('::')
  if (halves.length > 2) return undefined
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')))
  const [head = [], rest = []] = groups
  const missing = 8 - head.length - rest.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...head, ...Array.from({ length: halves.length === 2 ? missing : 0 }, () => '0'), ...rest]
  if (all.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return all.reduce((value, group) => value * 65536n + BigInt(`0x${group}`), 0n)
}

export type IPFamily = 'IPv4' | 'IPv6'

export const familyOfIP = (text: string): IPFamily | undefined =>
  parseIPv4(text) !== undefined ? 'IPv4' : text.includes(':') && parseIPv6(text) !== undefined ? 'IPv6' : undefined

export const isIP = (text: string): boolean => familyOfIP(text) !== undefined

/** What is wrong with an IP address, in upstream's words; undefined when nothing is. */
export function ipProblem(text: string): string | undefined {
  const family = familyOfIP(text)
  if (family === undefined) {
    return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) < 256)
      ? 'must not have leading 0s'
      : 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
  }
  if (family === 'IPv6' && (parseIPv6(text) ?? 0n) >> 32n === 0xffffn) return 'must not be an IPv4-mapped IPv6 address'
  return undefined
}

/** What is wrong with a network in CIDR notation. */
export function cidrProblem(text: string): string | undefined {
  const slash = text.indexOf('/')
  const address = text.slice(0, slash)
  const bits = text.slice(slash + 1)
  const family = slash < 0 ? undefined : familyOfIP(address)
  const width = family === 'IPv4' ? 32 : 128
  if (family === undefined || !/^\d{1,3}$/.test(bits) || Number(bits) > width)
    return 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'
  if (bits !== String(Number(bits))) return 'must not have leading 0s in IP or prefix length'
  const value = family === 'IPv4' ? BigInt(parseIPv4(address) ?? 0) : (parseIPv6(address) ?? 0n)
  if (family === 'IPv6' && value >> 32n === 0xffffn) return 'must not have an IPv4-mapped IPv6 address'
  return value & ((1n << BigInt(width - Number(bits))) - 1n) ? 'must not have bits set beyond the prefix length' : undefined
}

export interface IPv4Network {
  readonly first: number
  readonly size: number
  readonly text: string
}

export function parseIPv4Network(text: string): IPv4Network | undefined {
  const [address = '', bits = ''] = text.split('/')
  const value = parseIPv4(address)
  if (value === undefined || cidrProblem(text) !== undefined) return undefined
  return { first: value, size: 2 ** (32 - Number(bits)), text }
}

/** Whether an address lies in a network, both of the same family. */
export function isInNetwork(address: string, network: string): boolean {
  const [base = '', bits = ''] = network.split('/')
  const family = familyOfIP(base)
  if (family === undefined || familyOfIP(address) !== family) return false
  const valueOf = (text: string): bigint => (family === 'IPv4' ? BigInt(parseIPv4(text) ?? 0) : (parseIPv6(text) ?? 0n))
  const shift = BigInt((family === 'IPv4' ? 32 : 128) - Number(bits))
  return valueOf(address) >> shift === valueOf(base) >> shift
}

/** IPv6 in the form of RFC 5952: small letters, no leading zeros, the first longest run of zero groups left out. */
export function formatIPv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  let run = { at: 0, length: 1 }
  for (let at = 0; at < 8; at++) {
    let length = 0
    while (groups[at + length] === '0') length++
    if (length > run.length) run = { at, length }
  }
  if (run.length < 2) return groups.join(':')
  return `${groups.slice(0, run.at).join(':')}::${groups.slice(run.at + run.length).join(':')}`
}

const canonicalIPv6 = (text: string): string | undefined => (familyOfIP(text) === 'IPv6' ? formatIPv6(parseIPv6(text) ?? 0n) : undefined)

/** Where nothing but the form of RFC 5952 is taken. */
export function canonicalProblem(text: string): string | undefined {
  const canonical = canonicalIPv6(text)
  return canonical === undefined || canonical === text ? undefined : `must be in canonical form (${JSON.stringify(canonical)})`
}

/** An address with the length of its network's prefix, "10.9.8.7/24": of an interface, so bits after the prefix belong to it. */
export function interfaceAddressFaults(text: string): readonly string[] {
  const [address = '', bits = '', ...rest] = text.split('/')
  const plain = address.includes(':') ? address : address.replaceAll(/\b0+(?=\d)/g, '')
  const family = familyOfIP(plain)
  if (family === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 'IPv4' ? 32 : 128))
    return ['must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)']
  const value = family === 'IPv6' ? (parseIPv6(plain) ?? 0n) : 0n
  const isMapped = value >> 32n === 0xffffn
  const shown = isMapped ? formatIPv4(Number(value & 0xffffffffn)) : family === 'IPv6' ? formatIPv6(value) : plain
  const canonical = `${shown}/${isMapped && Number(bits) > 32 ? Number(bits) - 96 : Number(bits)}`
  return canonical === text ? [] : [`must be in canonical form (${JSON.stringify(canonical)})`]
}

/** What is told of an address that is right, but not written as it should be. */
export function ipWarnings(path: string, text: string): readonly string[] {
  const canonical = canonicalIPv6(text)
  if (canonical === undefined || canonical === text) return []
  return [`${path}: IPv6 address ${JSON.stringify(text)} should be in RFC 5952 canonical format (${JSON.stringify(canonical)})`]
}

export function cidrWarnings(path: string, text: string): readonly string[] {
  const [address = '', bits = ''] = text.split('/')
  const canonical = canonicalIPv6(address)
  if (canonical === undefined || canonical === address) return []
  return [
    `${path}: IPv6 CIDR value ${JSON.stringify(text)} should be in RFC 5952 canonical format (${JSON.stringify(`${canonical}/${bits}`)})`,
  ]
}
