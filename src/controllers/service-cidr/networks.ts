/** Networks of both families as numbers, to ask what lies within what. */
export interface IpNetwork {
  readonly bits: 32 | 128
  readonly address: bigint
  readonly prefix: number
}

function parseV4(text: string): bigint {
  const parts = text.split('.').map(Number)
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255))
    throw new Error(`not an address: ${text}`)
  return parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n)
}

function parseV6(text: string): bigint {
  // "::ffff:1.2.3.4" ends in an IPv4 address.
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const low = dotted ? parseV4(dotted[2]!) : 0n
  const plain = dotted ? `${dotted[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}` : text
  const [head = '', tail] = plain.split('::')
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const front = words(head)
  const back = tail === undefined ? [] : words(tail)
  const all = [...front, ...Array<string>(tail === undefined ? 0 : 8 - front.length - back.length).fill('0'), ...back]
  if (all.length !== 8) throw new Error(`not an address: ${text}`)
  return all.reduce((sum, word) => (sum << 16n) + BigInt(`0x${word}`), 0n)
}

/** Of an address or a network; throws on what is neither (the API server has refused it). */
export function parseNetwork(text: string): IpNetwork {
  const [address = '', length] = text.split('/')
  const bits = address.includes(':') ? 128 : 32
  return { bits, address: bits === 32 ? parseV4(address) : parseV6(address), prefix: length === undefined ? bits : Number(length) }
}

/** Whether the outer network holds the whole inner one. */
export function contains(outer: IpNetwork, inner: IpNetwork): boolean {
  if (outer.bits !== inner.bits || outer.prefix > inner.prefix) return false
  const shift = BigInt(outer.bits - outer.prefix)
  return outer.address >> shift === inner.address >> shift
}
