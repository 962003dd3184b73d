/** DER (ITU-T X.690), the encoding of certificates: read one element at a time, never past its end, and written. */

export interface DerElement {
  /** The identifier octet: class, constructed bit and number below 31. */
  readonly tag: number
  readonly content: Uint8Array
}

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Context-specific, with the number added: [0] is 0xa0 when constructed, 0x80 when not. */
  constructed: 0xa0,
  primitive: 0x80,
} as const

export class DerError extends Error {
  override readonly name = 'DerError'
}

/** The elements that follow one another in the bytes. */
export function derElements(bytes: Uint8Array): readonly DerElement[] {
  const elements: DerElement[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at++]!
    if ((tag & 0x1f) === 0x1f) throw new DerError('tags of several octets are not read')
    let length = bytes[at++] ?? -1
    if (length >= 0x80) {
      const octets = length & 0x7f
      if (octets === 0 || octets > 4) throw new DerError('indefinite or enormous length')
      length = 0
      for (let index = 0; index < octets; index++) length = length * 256 + (bytes[at++] ?? Number.NaN)
    }
    if (!(length >= 0 && at + length <= bytes.length)) throw new DerError('truncated')
    elements.push({ tag, content: bytes.subarray(at, at + length) })
    at += length
  }
  return elements
}

/** The elements inside one that must have this tag. */
export function derInside(element: DerElement | undefined, tag: number): readonly DerElement[] {
  if (element?.tag !== tag) throw new DerError(`expected tag ${tag}, found ${element?.tag ?? 'nothing'}`)
  return derElements(element.content)
}

/** The dotted form: "2.5.4.3". */
export function derOid({ tag, content }: DerElement): string {
  if (tag !== DER.oid || content.length === 0) throw new DerError('expected an object identifier')
  const numbers: number[] = []
  let value = 0
  for (const octet of content) {
    value = value * 128 + (octet & 0x7f)
    if (octet >= 0x80) continue
    if (numbers.length === 0) {
      const first = Math.min(Math.trunc(value / 40), 2)
      numbers.push(first, value - first * 40)
    } else numbers.push(value)
    value = 0
  }
  return numbers.join('.')
}

/** An element that holds these bytes, one after the other. */
export function derWrite(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, content) => sum + content.length, 0)
  const octets: number[] = []
  if (length >= 0x80) for (let rest = length; rest > 0; rest = Math.trunc(rest / 256)) octets.unshift(rest % 256)
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 + octets.length, ...octets]
  const element = new Uint8Array(head.length + length)
  element.set(head)
  let at = head.length
  for (const content of contents) {
    element.set(content, at)
    at += content.length
  }
  return element
}

/** Of the dotted form. */
export function derWriteOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets = [first * 40 + second, ...rest].flatMap((value) => {
    const groups = [value & 0x7f]
    for (let left = value >>> 7; left > 0; left >>>= 7) groups.unshift(0x80 | (left & 0x7f))
    return groups
  })
  return derWrite(DER.oid, Uint8Array.from(octets))
}

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----\s*([A-Za-z0-9+/=\s]*?)\s*-----END \1-----/g

export interface PemBlock {
  readonly type: string
  readonly bytes: Uint8Array
}

/** The PEM blocks of a text (RFC 7468), headers not read; what is no block is passed over. */
export function pemBlocks(text: string): readonly PemBlock[] {
  return Array.from(text.matchAll(PEM), ([, type = '', base64 = '']) => ({ type, bytes: fromBase64(base64.replaceAll(/\s/g, '')) })).filter(
    (block): block is PemBlock => block.bytes !== undefined,
  )
}

export const pemOf = ({ type, bytes }: PemBlock): string =>
  `-----BEGIN ${type}-----\n${bytes.toBase64().replaceAll(/(.{64})(?=.)/g, '$1\n')}\n-----END ${type}-----\n`

export function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
