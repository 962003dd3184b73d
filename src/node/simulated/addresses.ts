/** Addresses for simulated pods, from the node's range: the lowest free one first; the first is the bridge's, as with CNI. */
import { assert } from '../../base/assert.ts'

export interface AddressPool {
  take(): string
  give(address: string): void
}

const toNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const toText = (value: number): string => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.')

/** Of an IPv4 range like "10.244.3.0/24". */
export function createAddressPool(cidr: string): AddressPool {
  const [base, prefix] = cidr.split('/')
  const size = 2 ** (32 - Number(prefix))
  assert(base !== undefined && Number.isInteger(size) && size >= 4, `no range of IPv4 addresses: "${cidr}"`)
  const first = toNumber(base) + 2
  const free: number[] = []
  let next = first
  return {
    take() {
      const value = free.pop() ?? next++
      if (value >= first - 2 + size - 1) {
        next--
        throw new Error(`no addresses are left in range ${cidr}`)
      }
      return toText(value)
    },
    give: (address) => free.push(toNumber(address)),
  }
}
