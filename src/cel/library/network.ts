/** Kubernetes' IP, CIDR and URL libraries. */
import ipaddr from 'ipaddr.js'
import { enclosing, one, parsing, parsingTwice, rewriting } from '../cost.ts'
import { overload, type Overload } from '../function.ts'
import { type CelMap, EntryMap, EvaluationError, Opaque } from '../values.ts'

/** IPv6 as RFC 5952 writes it, which is what Go's netip prints. */
const canonical = (address: ipaddr.IPv4 | ipaddr.IPv6): string =>
  address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()

class Address extends Opaque {
  readonly typeName = 'net.IP'
  readonly address: ipaddr.IPv4 | ipaddr.IPv6
  constructor(address: ipaddr.IPv4 | ipaddr.IPv6) {
    super()
    this.address = address
  }
  get text(): string {
    return canonical(this.address)
  }
  override equals(other: Opaque): boolean {
    return other instanceof Address && other.text === this.text
  }
  override get size(): number {
    return this.bytes.length
  }
  get bytes(): readonly number[] {
    return this.address.toByteArray()
  }
}

class Prefix extends Opaque {
  readonly typeName = 'net.CIDR'
  readonly ip: Address
  readonly bits: number
  constructor(ip: Address, bits: number) {
    super()
    this.ip = ip
    this.bits = bits
  }
  override get size(): number {
    return Math.ceil(this.bits / 8)
  }
  override equals(other: Opaque): boolean {
    return other instanceof Prefix && other.bits === this.bits && other.ip.equals(this.ip)
  }
  contains({ bytes }: Address): boolean {
    const own = this.ip.bytes
    if (own.length !== bytes.length) return false
    return own.every((byte, i) => {
      const shift = Math.max(0, Math.min(8, 8 * (i + 1) - this.bits))
      return byte >> shift === bytes[i]! >> shift
    })
  }
  masked(): Prefix {
    const bytes = this.ip.bytes.map((byte, i) => {
      const shift = Math.max(0, Math.min(8, 8 * (i + 1) - this.bits))
      return (byte >> shift) << shift
    })
    return new Prefix(new Address(ipaddr.fromByteArray(bytes)), this.bits)
  }
}

function parseAddress(text: string): Address {
  const isIPv4 = ipaddr.IPv4.isValidFourPartDecimal(text) && !/(?:^|\.)0\d/.test(text)
  if (!isIPv4 && !(text.includes(':') && ipaddr.IPv6.isValid(text))) {
    const quoted = JSON.stringify(text)
    throw new EvaluationError(`IP Address ${quoted} parse error during conversion from string: ParseAddr(${quoted}): ${addressFault(text)}`)
  }
  if (text.includes('%')) throw new EvaluationError(`IP address ${JSON.stringify(text)} with zone value is not allowed`)
  const address = ipaddr.parse(text)
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
    throw new EvaluationError(`IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`)
  }
  return new Address(address)
}

/** What Go's netip finds wrong first; of IPv6 it is told in fewer words. */
function addressFault(text: string): string {
  if (!/^[^.:%]*\./.test(text)) return /^[^.:]*%/.test(text) ? 'missing IPv6 address' : 'unable to parse IP'
  let at = 0
  for (const [index, field] of text.split('.').entries()) {
    const odd = field.search(/\D/)
    const digits = odd < 0 ? field : field.slice(0, odd)
    if (/^0\d/.test(digits)) return 'IPv4 field has octet with leading zero'
    if (Number(digits) > 255) return 'IPv4 field has value >255'
    if (odd >= 0) return `unexpected character (at ${JSON.stringify(text.slice(at + odd))})`
    if (field === '') return `IPv4 field must have at least one digit (at ${JSON.stringify(text.slice(at === text.length ? at - 1 : at))})`
    if (index === 4) return 'IPv4 address too long'
    at += field.length + 1
  }
  return 'IPv4 address too short'
}

function parsePrefix(text: string): Prefix {
  const [address = '', bits] = text.split(/\/(?=[^/]*$)/)
  const failed = 'network address parse error during conversion from string: '
  if (bits === undefined) throw new EvaluationError(`${failed}${failed}netip.ParsePrefix(${JSON.stringify(text)}): no '/'`)
  const isNumber = /^(?:0|[1-9]\d{0,2})$/.test(bits)
  if (!isNumber)
    throw new EvaluationError(`${failed}${failed}netip.ParsePrefix(${JSON.stringify(text)}): bad bits after slash: ${JSON.stringify(bits)}`)
  const ip = parseAddress(address)
  if (Number(bits) > ip.bytes.length * 8) {
    throw new EvaluationError(`${failed}${failed}netip.ParsePrefix(${JSON.stringify(text)}): prefix length out of range`)
  }
  return new Prefix(ip, Number(bits))
}

export function parses<T>(parse: (text: string) => T): (text: string) => boolean {
  return (text) => {
    try {
      parse(text)
      return true
    } catch (error) {
      if (error instanceof EvaluationError) return false
      throw error
    }
  }
}

const first = (ip: Address): number => ip.bytes[0]!
const isZero = (ip: Address): boolean => ip.bytes.every((byte) => byte === 0)
const isIPv4 = (ip: Address): boolean => ip.bytes.length === 4
const isLoopback = (ip: Address): boolean => (isIPv4(ip) ? first(ip) === 127 : ip.text === '::1')
const isLinkLocalMulticast = (ip: Address): boolean =>
  isIPv4(ip) ? ip.text.startsWith('224.0.0.') : first(ip) === 0xff && (ip.bytes[1]! & 0x0f) === 2
const isLinkLocalUnicast = (ip: Address): boolean =>
  isIPv4(ip) ? ip.text.startsWith('169.254.') : first(ip) === 0xfe && (ip.bytes[1]! & 0xc0) === 0x80
const isMulticast = (ip: Address): boolean => (isIPv4(ip) ? first(ip) >= 224 && first(ip) < 240 : first(ip) === 0xff)
const isGlobalUnicast = (ip: Address): boolean =>
  ip.text !== '255.255.255.255' && !isZero(ip) && !isLoopback(ip) && !isMulticast(ip) && !isLinkLocalUnicast(ip)

const containsPrefix = (prefix: Prefix, other: Prefix): boolean => prefix.bits <= other.bits && prefix.contains(other.ip)

const question = (id: string, test: (ip: Address) => boolean): readonly Overload[] => [overload(id, 'net.IP.() bool', test, one)]

export const addresses: Readonly<Record<string, readonly Overload[]>> = {
  ip: [
    overload('string_to_ip', '(string) net.IP', parseAddress, parsing),
    overload('cidr_ip', 'net.CIDR.() net.IP', ({ ip }: Prefix) => ip, one),
  ],
  isIP: [overload('is_ip', '(string) bool', parses(parseAddress), parsing)],
  'ip.isCanonical': [overload('ip_is_canonical', '(string) bool', (text: string) => parseAddress(text).text === text, parsingTwice)],
  family: [overload('ip_family', 'net.IP.() int', (ip: Address) => (isIPv4(ip) ? 4n : 6n), one)],
  isUnspecified: question('ip_is_unspecified', isZero),
  isLoopback: question('ip_is_loopback', isLoopback),
  isLinkLocalMulticast: question('ip_is_link_local_multicast', isLinkLocalMulticast),
  isLinkLocalUnicast: question('ip_is_link_local_unicast', isLinkLocalUnicast),
  isGlobalUnicast: question('ip_is_global_unicast', isGlobalUnicast),
  cidr: [overload('string_to_cidr', '(string) net.CIDR', parsePrefix, parsing)],
  isCIDR: [overload('is_cidr', '(string) bool', parses(parsePrefix), parsing)],
  containsIP: [
    overload(
      'cidr_contains_ip_string',
      'net.CIDR.(string) bool',
      (prefix: Prefix, text: string) => prefix.contains(parseAddress(text)),
      enclosing(true, false),
    ),
    overload(
      'cidr_contains_ip_ip',
      'net.CIDR.(net.IP) bool',
      (prefix: Prefix, ip: Address) => prefix.contains(ip),
      enclosing(false, false),
    ),
  ],
  containsCIDR: [
    overload(
      'cidr_contains_cidr_string',
      'net.CIDR.(string) bool',
      (prefix: Prefix, text: string) => containsPrefix(prefix, parsePrefix(text)),
      enclosing(true, true),
    ),
    overload('cidr_contains_cidr', 'net.CIDR.(net.CIDR) bool', containsPrefix, enclosing(false, true)),
  ],
  prefixLength: [overload('cidr_prefix_length', 'net.CIDR.() int', ({ bits }: Prefix) => BigInt(bits), one)],
  masked: [overload('cidr_masked', 'net.CIDR.() net.CIDR', (prefix: Prefix) => prefix.masked(), one)],
  string: [
    overload('ip_to_string', '(net.IP) string', ({ text }: Address) => text),
    overload('cidr_to_string', '(net.CIDR) string', ({ ip, bits }: Prefix) => `${ip.text}/${bits}`),
  ],
}

/** The parts of a URL as they were written: RFC 3986, appendix B. */
const URL_PARTS = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/

class Url extends Opaque {
  readonly typeName = 'kubernetes.URL'
  readonly text: string
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly query: string
  constructor(text: string) {
    super()
    const found = URL_PARTS.exec(text)
    const isAbsolute = text.startsWith('/') || found?.[1] !== undefined
    const hasControl = Array.from(text).some((letter) => letter < ' ' || letter === '\x7f')
    if (!found || !isAbsolute || hasControl || /%(?![0-9a-fA-F]{2})/.test(found[3] ?? '')) {
      throw new EvaluationError(`URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`)
    }
    this.text = text
    this.scheme = (found[1] ?? '').toLowerCase()
    this.host = (found[2] ?? '').replace(/^.*@/, '')
    this.path = found[3] ?? ''
    this.query = found[4] ?? ''
    if (/\s/.test(this.host) || !/^(?:\[[^\]]*\]|[^:]*)(?::\d*)?$/.test(this.host)) {
      throw new EvaluationError(`URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid host`)
    }
  }
  override equals(other: Opaque): boolean {
    return other instanceof Url && other.text === this.text
  }
}

const port = ({ host }: Url): string => /:(\d*)$/.exec(host)?.[1] ?? ''
const hostname = ({ host }: Url): string => host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
const escapedPath = ({ path }: Url): string => path.replaceAll(/[^!-~]|["<>\\^`{|}]/gu, (letter) => encodeURIComponent(letter))

function query(url: Url): CelMap {
  const values = Map.groupBy(new URLSearchParams(url.query), ([key]) => key)
  return new EntryMap(Array.from(values, ([key, pairs]) => [key, pairs.map(([, value]) => value)]))
}

const makeUrl = (text: string): Url => new Url(text)

export const urls: Readonly<Record<string, readonly Overload[]>> = {
  url: [overload('string_to_url', '(string) kubernetes.URL', makeUrl, rewriting)],
  isURL: [overload('is_url_string', '(string) bool', parses(makeUrl))],
  getScheme: [overload('url_get_scheme', 'kubernetes.URL.() string', ({ scheme }: Url) => scheme, one)],
  getHost: [overload('url_get_host', 'kubernetes.URL.() string', ({ host }: Url) => host, one)],
  getHostname: [overload('url_get_hostname', 'kubernetes.URL.() string', hostname, one)],
  getPort: [overload('url_get_port', 'kubernetes.URL.() string', port, one)],
  getEscapedPath: [overload('url_get_escaped_path', 'kubernetes.URL.() string', escapedPath, one)],
  getQuery: [overload('url_get_query', 'kubernetes.URL.() map(string, list(string))', query, one)],
}
