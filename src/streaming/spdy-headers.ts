/**
 * Header blocks of SPDY/3.1: name and value pairs, compressed by one zlib stream for a connection's whole life in each direction,
 * flushed after every block. Node's synchronous zlib keeps no state between calls, so:
 *
 * - what is written goes out as stored (uncompressed) deflate blocks, which need no state and refer to nothing before them;
 * - what is read is inflated with the last 32 KiB of all that came before as its dictionary, which is all that deflate may refer to.
 */
import { constants, inflateRawSync } from 'node:zlib'
import { spdyDictionary } from './spdy-dictionary.ts'

/** Names in lower case. A name that was given several times has its values joined by commas. */
export type SpdyHeaders = Readonly<Record<string, string>>

/** The most that one header block may hold when decompressed; those of Kubernetes have some hundred bytes. */
const MAX_HEADER_BLOCK_BYTES = 65_536
const MAX_HEADER_COUNT = 100
/** How far back deflate can refer. */
const DEFLATE_WINDOW_BYTES = 32_768
const ZLIB_HEADER_BYTES = 6
/** An empty stored block: brings a deflate stream to a byte boundary. */
const SYNC_FLUSH = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff])
const MAX_STORED_BLOCK_BYTES = 65_535

export class SpdyHeaderWriter {
  #isFirst = true

  write(headers: SpdyHeaders): Buffer {
    const raw = encodePairs(headers)
    if (raw.length > MAX_STORED_BLOCK_BYTES) throw new Error(`SPDY headers of ${raw.length} bytes are too large`)
    const storedHeader = Buffer.alloc(5)
    storedHeader.writeUInt16LE(raw.length, 1)
    storedHeader.writeUInt16LE(~raw.length & 0xffff, 3)
    const parts = [storedHeader, raw, SYNC_FLUSH]
    if (this.#isFirst) parts.unshift(zlibHeader())
    this.#isFirst = false
    return Buffer.concat(parts)
  }
}

export class SpdyHeaderReader {
  #isFirst = true
  #window = spdyDictionary

  /** Throws on anything malformed; the connection cannot be used after that, as its compression state is lost. */
  read(block: Buffer): SpdyHeaders {
    const deflated = this.#isFirst ? block.subarray(ZLIB_HEADER_BYTES) : block
    this.#isFirst = false
    const raw = inflateRawSync(deflated, {
      dictionary: this.#window,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: MAX_HEADER_BLOCK_BYTES,
    })
    this.#window = Buffer.concat([this.#window, raw]).subarray(-DEFLATE_WINDOW_BYTES)
    return decodePairs(raw)
  }
}

function encodePairs(headers: SpdyHeaders): Buffer {
  const entries = Object.entries(headers)
  const parts: Buffer[] = [uint32(entries.length)]
  for (const [name, value] of entries) {
    const nameBytes = Buffer.from(name.toLowerCase())
    const valueBytes = Buffer.from(value)
    parts.push(uint32(nameBytes.length), nameBytes, uint32(valueBytes.length), valueBytes)
  }
  return Buffer.concat(parts)
}

function decodePairs(raw: Buffer): SpdyHeaders {
  if (raw.length === 0) return {}
  let offset = 4
  const count = raw.readUInt32BE(0)
  if (count > MAX_HEADER_COUNT) throw new Error(`${count} SPDY headers are too many`)
  const text = (): string => {
    const end = offset + 4 + raw.readUInt32BE(offset)
    if (end > raw.length) throw new Error('a SPDY header is longer than its block')
    const value = raw.toString('utf8', offset + 4, end)
    offset = end
    return value
  }
  const headers: Record<string, string> = {}
  for (let i = 0; i < count; i++) {
    const name = text()
    // Several values of one name are parted by a zero byte.
    headers[name] = text().replaceAll('\0', ',')
  }
  return headers
}

/** CMF, FLG with the preset dictionary bit and a checksum, and the dictionary's id (RFC 1950). */
function zlibHeader(): Buffer {
  const deflateWith32KWindow = 0x78
  const presetDictionary = 0x20
  const check = 31 - ((deflateWith32KWindow * 256 + presetDictionary) % 31)
  return Buffer.concat([Buffer.from([deflateWith32KWindow, presetDictionary + check]), uint32(adler32(spdyDictionary))])
}

function adler32(bytes: Buffer): number {
  let a = 1
  let b = 0
  for (const byte of bytes) {
    a = (a + byte) % 65_521
    b = (b + a) % 65_521
  }
  return ((b << 16) | a) >>> 0
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
