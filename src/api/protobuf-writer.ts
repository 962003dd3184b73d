/**
 * Writes protobuf from the last byte to the first, as upstream's generated code does: a message's length is known by the time it
 * is to be written, without a second pass.
 */
const encoder = new TextEncoder()

const FIRST_SIZE = 1024

export class ProtobufWriter {
  #bytes = new Uint8Array(FIRST_SIZE)
  /** Where the written part begins. */
  #start = FIRST_SIZE

  /** How much is written: the difference of two of these is a length. */
  get size(): number {
    return this.#bytes.length - this.#start
  }

  #reserve(count: number): number {
    if (this.#start < count) {
      const written = this.size
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, written + count))
      grown.set(this.#bytes.subarray(this.#start), grown.length - written)
      this.#bytes = grown
      this.#start = grown.length - written
    }
    this.#start -= count
    return this.#start
  }

  byte(value: number): void {
    // First: reserving may put another array in place of the one that is written to.
    const at = this.#reserve(1)
    this.#bytes[at] = value
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
  }

  /** A string's UTF-8 bytes. */
  text(value: string): void {
    const at = this.#reserve(value.length)
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index)
      if (code > 0x7f) {
        this.#start += value.length
        this.raw(encoder.encode(value))
        return
      }
      this.#bytes[at + index] = code
    }
  }

  /** Any integer of 64 bits; negative ones take ten bytes. */
  varint(value: number): void {
    if (value < 0 || value > Number.MAX_SAFE_INTEGER) {
      this.#bigVarint(BigInt.asUintN(64, BigInt(value)))
      return
    }
    let length = 1
    for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
    let at = this.#reserve(length)
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[at++] = (rest % 128) | 128
    this.#bytes[at] = rest
  }

  #bigVarint(value: bigint): void {
    const bytes: number[] = []
    let rest = value
    for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    bytes.push(Number(rest))
    this.raw(Uint8Array.from(bytes))
  }

  double(value: number): void {
    const at = this.#reserve(8)
    new DataView(this.#bytes.buffer).setFloat64(at, value, true)
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType)
  }

  /** Closes what was written since `size` was `before` as a length-delimited field. */
  delimit(field: number, before: number): void {
    this.varint(this.size - before)
    this.tag(field, 2)
  }

  finish(): Uint8Array {
    return this.#bytes.slice(this.#start)
  }
}
