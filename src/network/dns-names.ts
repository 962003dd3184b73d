/** Addresses as names: 4.3.2.1.in-addr.arpa and its IPv6 kin (RFC 1035 3.5, RFC 3596 2.5). */
import ipaddr from 'ipaddr.js'
import { familyOf } from './addresses.ts'

/** The address that a reverse name stands for; undefined for other names and for parts of addresses. */
export function addressOfReverseName(name: string): string | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const address = name.slice(0, -'.in-addr.arpa'.length).split('.').toReversed().join('.')
    return familyOf(address) === 'ip' ? address : undefined
  }
  if (!name.endsWith('.ip6.arpa')) return undefined
  const digits = name.slice(0, -'.ip6.arpa'.length).split('.').toReversed()
  if (digits.length !== 32 || !digits.every((digit) => /^[0-9a-f]$/.test(digit))) return undefined
  const address = digits.join('').match(/.{4}/g)!.join(':')
  return ipaddr.IPv6.parse(address).toString()
}
