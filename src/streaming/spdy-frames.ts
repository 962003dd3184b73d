/**
 * The frames of SPDY/3.1 on the wire. Data goes through piece by piece as it arrives, however large its frame says it is; only
 * control frames are gathered whole, up to a limit.
 */
export const FrameType = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 } as const

/** Status codes of RST_STREAM. */
export const ResetCode = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const

const VERSION_3 = 0x8003
const HEADER_BYTES = 8
const FLAG_FIN = 0x01
/** Control frames carry header blocks at most; the largest of Kubernetes has some hundred bytes. */
const MAX_CONTROL_FRAME_BYTES = 65_536

export interface FrameHandler {
  /** A piece of a stream's data; `isLast` when the sender will send no more on this stream. */
  data(streamId: number, piece: Buffer, isLast: boolean): void
  control(type: number, isLast: boolean, body: Buffer): void
}

export class FrameParser {
  readonly #handler: FrameHandler
  #header = Buffer.alloc(HEADER_BYTES)
  #headerLength = 0
  /** Bytes of the current frame's body that have not come yet; the header has come when this is not undefined. */
  #missing: number | undefined
  #body: Buffer[] = []

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  /** Throws when what comes is not SPDY/3.1. */
  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length || this.#missing === 0) {
      if (this.#missing === undefined) {
        offset += this.#takeHeader(chunk, offset)
        continue
      }
      const piece = chunk.subarray(offset, offset + this.#missing)
      offset += piece.length
      this.#takeBody(piece)
    }
  }

  #takeHeader(chunk: Buffer, offset: number): number {
    const taken = chunk.copy(this.#header, this.#headerLength, offset)
    this.#headerLength += taken
    if (this.#headerLength < HEADER_BYTES) return taken
    this.#headerLength = 0
    this.#missing = this.#header.readUIntBE(5, 3)
    if (this.#isControl) {
      if (this.#header.readUInt16BE(0) !== VERSION_3) throw new Error('not a frame of SPDY/3.1')
      if (this.#missing > MAX_CONTROL_FRAME_BYTES) throw new Error(`a SPDY control frame of ${this.#missing} bytes is too large`)
    }
    return taken
  }

  #takeBody(piece: Buffer): void {
    this.#missing = this.#missing! - piece.length
    const isComplete = this.#missing === 0
    const isLast = isComplete && (this.#header[4]! & FLAG_FIN) !== 0
    if (isComplete) this.#missing = undefined
    if (!this.#isControl) {
      this.#handler.data(this.#header.readUInt32BE(0), piece, isLast)
      return
    }
    this.#body.push(piece)
    if (!isComplete) return
    const body = this.#body.length === 1 ? piece : Buffer.concat(this.#body)
    this.#body = []
    this.#handler.control(this.#header.readUInt16BE(2), isLast, body)
  }

  get #isControl(): boolean {
    return (this.#header[0]! & 0x80) !== 0
  }
}

export function dataHeader(streamId: number, length: number, isLast: boolean): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt32BE(streamId, 0)
  header.writeUInt32BE(length, 4)
  header[4] = isLast ? FLAG_FIN : 0
  return header
}

export function controlFrame(type: number, ...body: readonly (number | Buffer)[]): Buffer {
  const parts = body.map((part) => {
    if (typeof part !== 'number') return part
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(part)
    return bytes
  })
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(VERSION_3, 0)
  header.writeUInt16BE(type, 2)
  header.writeUIntBE(
    parts.reduce((sum, part) => sum + part.length, 0),
    5,
    3,
  )
  return Buffer.concat([header, ...parts])
}
