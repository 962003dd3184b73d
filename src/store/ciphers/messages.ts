/** The few protobuf messages of a key service and of what is stored: fields of bytes (maps among them, entry by entry) and of small numbers. */
export type Message = ReadonlyMap<number, readonly (Uint8Array | number)[]>

const VARINT = 0
const BYTES = 2

export function writeMessage(fields: readonly (readonly [field: number, value: Uint8Array | number])[]): Buffer {
  const parts: Uint8Array[] = []
  for (const [field, value] of fields) {
    if (typeof value === 'number') parts.push(varint((field << 3) | VARINT), varint(value))
    else parts.push(varint((field << 3) | BYTES), varint(value.length), value)
  }
  return Buffer.concat(parts)
}

/** Throws on what is no message of such fields. */
export function readMessage(bytes: Uint8Array): Message {
  const fields = new Map<number, (Uint8Array | number)[]>()
  let at = 0
  const number = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new Error('proto: cannot parse invalid wire-format data')
  }
  while (at < bytes.length) {
    const tag = number()
    const field = tag >>> 3
    let value: Uint8Array | number
    if ((tag & 7) === VARINT) value = number()
    else {
      const length = number()
      if ((tag & 7) !== BYTES || at + length > bytes.length) throw new Error('proto: cannot parse invalid wire-format data')
      value = bytes.subarray(at, at + length)
      at += length
    }
    const known = fields.get(field)
    if (known) known.push(value)
    else fields.set(field, [value])
  }
  return fields
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}
