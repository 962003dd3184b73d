/**
 * Numbered channels over one WebSocket (`channel.k8s.io` and its successors), each a Duplex. A channel that nobody reads makes the
 * whole socket wait once READ_AHEAD_BYTES of it are there: the protocol has no other way to slow one channel down.
 */
import { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'

const READ_AHEAD_BYTES = 256 * 1024
const CLOSE_SIGNAL = 255
const DIGIT_ZERO = 0x30

export interface ChannelOptions {
  /** Text messages: the channel as a digit, then the data in base64. */
  readonly isBase64: boolean
  /** Whether the message [255, N] closes channel N (v5). */
  readonly hasCloseSignal: boolean
}

export class ChannelSocket {
  /** Aborts when the socket has closed. */
  readonly signal: AbortSignal
  readonly #socket: WebSocket
  readonly #options: ChannelOptions
  readonly #channels = new Map<number, Duplex>()
  readonly #full = new Set<number>()

  constructor(socket: WebSocket, options: ChannelOptions) {
    this.#socket = socket
    this.#options = options
    const abort = new AbortController()
    this.signal = abort.signal
    socket.on('message', (data) => this.#receive(asBuffer(data)))
    // A broken socket closes right after this.
    socket.on('error', () => socket.terminate())
    socket.once('close', () => {
      abort.abort(new Error('the client has gone'))
      for (const channel of this.#channels.values()) channel.destroy()
    })
    // It comes paused, so that no message is lost; what is sent to a channel is only read after it was opened, in this same turn.
    socket.resume()
  }

  /** What comes on channels that are not open is dropped. */
  open(number: number): Duplex {
    const channel = new Duplex({
      highWaterMark: READ_AHEAD_BYTES,
      read: () => this.#resume(number),
      write: (chunk: Buffer, _encoding, done) => this.#socket.send(this.#encode(number, chunk), (error) => done(error ?? null)),
      destroy: (error, done) => {
        this.#channels.delete(number)
        this.#resume(number)
        done(error)
      },
    })
    // Whoever uses the channel is told by the stream it made of it.
    channel.on('error', () => channel.destroy())
    this.#channels.set(number, channel)
    return channel
  }

  close(code: number): void {
    this.#socket.close(code)
    // The answer to the close must be read even when a channel was full.
    this.#socket.resume()
  }

  #encode(number: number, chunk: Buffer): Buffer | string {
    if (this.#options.isBase64) return String.fromCharCode(DIGIT_ZERO + number) + chunk.toString('base64')
    const message = Buffer.allocUnsafe(chunk.length + 1)
    message[0] = number
    message.set(chunk, 1)
    return message
  }

  #receive(message: Buffer): void {
    const first = message[0]
    if (first === undefined) return
    if (this.#options.hasCloseSignal && first === CLOSE_SIGNAL) {
      if (message.length !== 2) return this.#socket.close(1002, 'a channel must follow the close signal')
      this.#channels.get(message[1]!)?.push(null)
      return
    }
    const number = this.#options.isBase64 ? first - DIGIT_ZERO : first
    const channel = this.#channels.get(number)
    if (!channel || channel.readableEnded || message.length === 1) return
    const data = this.#options.isBase64 ? Buffer.from(message.toString('latin1', 1), 'base64') : message.subarray(1)
    if (channel.push(data)) return
    this.#full.add(number)
    this.#socket.pause()
  }

  #resume(number: number): void {
    if (this.#full.delete(number) && this.#full.size === 0) this.#socket.resume()
  }
}

function asBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
