/** Reads protobuf's wire format. What does not fit is a ProtobufError. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

const decoder = new TextDecoder()

/** Strings up to this length are read without the decoder, whose call costs more than they do. */
const SHORT = 24

export class ProtobufReader {
  readonly #bytes: Uint8Array
  position: number
  readonly end: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.position = start
    this.end = end
  }

  get isDone(): boolean {
    return this.position >= this.end
  }

  varint(): number {
    let value = 0
    let factor = 1
    for (let count = 0; count < 10; count++) {
      if (this.position >= this.end) throw new ProtobufError('unexpected EOF')
      const byte = this.#bytes[this.position++] ?? 0
      // The tenth byte marks a negative number, which a double cannot sum up.
      if (count === 7 && byte >= 128) return this.#bigVarint(this.position - 8)
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
    throw new ProtobufError('proto: integer overflow')
  }

  #bigVarint(start: number): number {
    let value = 0n
    this.position = start
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.position >= this.end) throw new ProtobufError('unexpected EOF')
      const byte = this.#bytes[this.position++] ?? 0
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(BigInt.asIntN(64, value))
    }
    throw new ProtobufError('proto: integer overflow')
  }

  double(): number {
    const at = this.position
    this.#advance(8)
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getFloat64(at, true)
  }

  #advance(count: number): void {
    this.position += count
    if (this.position > this.end) throw new ProtobufError('unexpected EOF')
  }

  /** A length-delimited field's content. */
  bytes(): Uint8Array {
    const length = this.varint()
    const start = this.position
    this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** The same as a reader of its own. */
  message(): ProtobufReader {
    const length = this.varint()
    const start = this.position
    this.#advance(length)
    return new ProtobufReader(this.#bytes, start, start + length)
  }

  text(): string {
    const length = this.varint()
    const start = this.position
    this.#advance(length)
    const end = start + length
    if (length <= SHORT) {
      let text = ''
      let index = start
      for (; index < end; index++) {
        const code = this.#bytes[index] ?? 0
        if (code > 0x7f) break
        text += String.fromCharCode(code)
      }
      if (index === end) return text
    }
    return decoder.decode(this.#bytes.subarray(start, end))
  }

  skip(wireType: number): void {
    switch (wireType) {
      case 0:
        this.varint()
        break
      case 1:
        this.#advance(8)
        break
      case 2:
        this.#advance(this.varint())
        break
      case 5:
        this.#advance(4)
        break
      default:
        throw new ProtobufError(`proto: illegal wireType ${wireType}`)
    }
  }
}
