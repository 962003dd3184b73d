/**
 * One connection of HTTP/2 (RFC 9113) that only reads endless answers, many at a time, as the informers of client-go share one. It does no
 * more than that takes: node:http2 would cost a load more than it costs the server to serve it.
 */
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { Connection } from './connection.ts'

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const
const END_STREAM = 1
const ACKNOWLEDGED = 1
const END_HEADERS = 4
const PADDED = 8
const HEAD_BYTES = 9
const MAX_WINDOW = 2 ** 31 - 1
const FIRST_WINDOW = 65_535
/** The connection's window is opened again when so much has come. */
const RENEW_BYTES = 2 ** 29
const READ_BYTES = 64 * 1024

interface Stream {
  onBytes(bytes: Buffer): void
  onStatus(status: number): void
  onEnd(): void
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, HEAD_BYTES)
  return bytes
}

const numberOf = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function setting(name: number, value: number): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUInt16BE(name)
  bytes.writeUInt32BE(value, 2)
  return bytes
}

/** No table of headers, no pushes, streams that never wait for their window. */
const SETTINGS = Buffer.concat([setting(1, 0), setting(2, 0), setting(4, MAX_WINDOW)])

/** A string of HPACK (RFC 7541, 5.2) as it stands. */
function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const length = [127]
  let left = bytes.length - 127
  for (; left >= 128; left >>>= 7) length.push(0x80 | (left & 0x7f))
  return Buffer.concat([Buffer.from([...length, left]), bytes])
}

/** GET over https with names from the static table of HPACK: authority 1, path 4, accept 19, authorization 23. */
const headersOf = (authority: string, path: string, token: string | undefined): Buffer =>
  Buffer.concat([
    Buffer.of(0x82, 0x87, 0x01),
    hpackString(authority),
    Buffer.of(0x04),
    hpackString(path),
    Buffer.of(0x0f, 19 - 15),
    hpackString('application/json'),
    ...(token === undefined ? [] : [Buffer.of(0x0f, 23 - 15), hpackString(`Bearer ${token}`)]),
  ])

/** 200 is the only status that has to be known: field 8 of the static table, after changes of the table's size. */
function statusOf(block: Buffer): number {
  let at = 0
  while ((block[at]! & 0xe0) === 0x20) at++
  return block[at] === 0x88 ? 200 : 0
}

type OnData = (stream: number, bytes: Buffer, isEnd: boolean) => void
type OnFrame = (type: number, flags: number, stream: number, payload: Buffer) => void

/** Takes frames apart as they come: contents of answers at once, all others when they are whole. */
class FrameParser {
  readonly #head = Buffer.alloc(HEAD_BYTES)
  #headBytes = 0
  #left = 0
  #gathered: Buffer[] = []
  readonly #onData: OnData
  readonly #onFrame: OnFrame

  constructor(onData: OnData, onFrame: OnFrame) {
    this.#onData = onData
    this.#onFrame = onFrame
  }

  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#headBytes < HEAD_BYTES) {
        const taken = bytes.copy(this.#head, this.#headBytes, at, at + HEAD_BYTES - this.#headBytes)
        at += taken
        this.#headBytes += taken
        if (this.#headBytes < HEAD_BYTES) return
        this.#left = this.#head.readUIntBE(0, 3)
        if (this.#left > 0) continue
      }
      const piece = bytes.subarray(at, at + this.#left)
      at += piece.length
      this.#left -= piece.length
      this.#take(piece)
    }
  }

  #take(piece: Buffer): void {
    const [type, flags, stream] = [this.#head[3]!, this.#head[4]!, this.#head.readUInt32BE(5) & MAX_WINDOW]
    const isWhole = this.#left === 0
    if (isWhole) this.#headBytes = 0
    if (type === FRAME.data) {
      if (flags & PADDED) throw new Error('padding is not read')
      return this.#onData(stream, piece, isWhole && (flags & END_STREAM) !== 0)
    }
    // What is read lies in the buffer that the next read uses.
    this.#gathered.push(Buffer.from(piece))
    if (!isWhole) return
    const payload = Buffer.concat(this.#gathered)
    this.#gathered = []
    this.#onFrame(type, flags, stream, payload)
  }
}

export type Multiplexed = Pick<Connection, 'stream' | 'close'>

export async function openMultiplexed({ host, port, ca, cert, key, token }: Endpoint): Promise<Multiplexed> {
  const streams = new Map<number, Stream>()
  let next = 1
  let unacknowledged = 0
  const end = (id: number): void => {
    const stream = streams.get(id)
    streams.delete(id)
    stream?.onEnd()
  }
  const parser = new FrameParser(
    (id, bytes, isEnd) => {
      if (bytes.length > 0) streams.get(id)?.onBytes(bytes)
      unacknowledged += bytes.length
      if (unacknowledged > RENEW_BYTES) {
        socket.write(frame(FRAME.windowUpdate, 0, 0, numberOf(unacknowledged)))
        unacknowledged = 0
      }
      if (isEnd) end(id)
    },
    (type, flags, id, payload) => {
      if (type === FRAME.headers) {
        streams.get(id)?.onStatus(statusOf(payload))
        if (flags & END_STREAM) end(id)
      } else if (type === FRAME.reset) end(id)
      else if (type === FRAME.goAway) socket.destroy(new Error('the server sends the connection away'))
      else if (type === FRAME.settings && !(flags & ACKNOWLEDGED)) socket.write(frame(FRAME.settings, ACKNOWLEDGED, 0, Buffer.alloc(0)))
      else if (type === FRAME.ping && !(flags & ACKNOWLEDGED)) socket.write(frame(FRAME.ping, ACKNOWLEDGED, 0, payload))
    },
  )
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback(size: number, buffer: Uint8Array) {
      parser.feed(Buffer.from(buffer.buffer, buffer.byteOffset, size))
      return true
    },
  }
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const options = { host, port, ca, ALPNProtocols: ['h2'], onread, ...(cert && key ? { cert, key } : {}) }
    const opened = connect(options as ConnectionOptions, () => resolve(opened))
    opened.once('error', reject)
  })
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  socket.on('close', () => [...streams.keys()].forEach(end))
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(FRAME.settings, 0, 0, SETTINGS),
      frame(FRAME.windowUpdate, 0, 0, numberOf(MAX_WINDOW - FIRST_WINDOW)),
    ]),
  )
  return {
    stream: (path, onBytes, onEnd) =>
      new Promise((resolve) => {
        const id = next
        next += 2
        streams.set(id, { onBytes, onStatus: resolve, onEnd: () => (resolve(0), onEnd()) })
        socket.write(frame(FRAME.headers, END_STREAM | END_HEADERS, id, headersOf(`${host}:${port}`, path, token)))
      }),
    close() {
      streams.clear()
      socket.destroy()
    },
  }
}
