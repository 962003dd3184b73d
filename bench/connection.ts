/**
 * One HTTPS connection that asks one thing at a time and looks at the answers no more than it must: so that on a machine of few
 * cores the load costs much less than the server it measures. HTTP/1.1, keep-alive, content-length and chunked bodies.
 */
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Endpoint } from '../upstream/endpoint.ts'

export interface Answer {
  readonly status: number
  readonly bodyBytes: number
  /** The body, when it was asked for. */
  readonly body: string | undefined
}

export interface RequestOptions {
  readonly keepBody?: boolean
  /** Default: application/json. */
  readonly contentType?: string
  /** Takes gzip; such a body is counted as it came. */
  readonly isCompressed?: boolean
}

export interface Connection {
  request(method: string, path: string, body?: string, options?: RequestOptions): Promise<Answer>
  /**
   * Reads an endless answer; `onBytes` gets each piece of the body, which is good until it returns. Resolves with the status when its headers are there; `onEnd` is
   * called when the server ends it all the same.
   */
  stream(path: string, onBytes: (bytes: Buffer) => void, onEnd: () => void): Promise<number>
  close(): void
}

const CRLF2 = Buffer.from('\r\n\r\n')

interface Pending {
  readonly keepBody: boolean
  readonly onBytes: ((bytes: Buffer) => void) | undefined
  onHeaders(status: number): void
  onEnd(answer: Answer): void
  onError(error: Error): void
}

/** Takes the bytes of answers apart as they come. */
class AnswerParser {
  #rest: Buffer = Buffer.alloc(0)
  #state: 'headers' | 'body' | 'chunk-size' | 'chunk' = 'headers'
  #left = 0
  #status = 0
  #bytes = 0
  #kept: Buffer[] = []

  feed(data: Buffer, pending: Pending): void {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, data]) : data
    for (;;) {
      if (this.#state === 'headers') {
        const end = bytes.indexOf(CRLF2)
        if (end < 0) break
        const hasBody = this.#readHeaders(bytes.toString('latin1', 0, end))
        bytes = bytes.subarray(end + 4)
        pending.onHeaders(this.#status)
        if (!hasBody) return this.#finish(bytes, pending)
      } else if (this.#state === 'chunk-size') {
        const end = bytes.indexOf('\r\n')
        if (end < 0) break
        this.#left = Number.parseInt(bytes.toString('latin1', 0, end), 16)
        bytes = bytes.subarray(end + 2)
        if (this.#left === 0) {
          if (bytes.length < 2) {
            bytes = Buffer.concat([Buffer.from('0\r\n'), bytes])
            break
          }
          return this.#finish(bytes.subarray(2), pending)
        }
        this.#left += 2
        this.#state = 'chunk'
      } else {
        if (bytes.length === 0) break
        const isChunk = this.#state === 'chunk'
        const piece = bytes.subarray(0, Math.min(this.#left, bytes.length))
        // The two bytes that end a chunk are not of the body.
        const content = isChunk ? piece.subarray(0, Math.max(0, Math.min(piece.length, this.#left - 2))) : piece
        this.#bytes += content.length
        if (pending.keepBody) this.#kept.push(Buffer.from(content))
        if (content.length > 0) pending.onBytes?.(content)
        this.#left -= piece.length
        bytes = bytes.subarray(piece.length)
        if (this.#left > 0) break
        if (!isChunk) return this.#finish(bytes, pending)
        this.#state = 'chunk-size'
      }
    }
    this.#rest = kept(bytes)
  }

  /** False when no body follows. */
  #readHeaders(text: string): boolean {
    this.#status = Number(text.slice(9, 12))
    this.#bytes = 0
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)
    const isChunked = /\r\ntransfer-encoding: *chunked/i.test(text)
    this.#state = isChunked ? 'chunk-size' : 'body'
    this.#left = isChunked ? 0 : Number(length?.[1] ?? 0)
    return isChunked || this.#left > 0
  }

  #finish(rest: Buffer, pending: Pending): void {
    this.#rest = kept(rest)
    this.#state = 'headers'
    const body = pending.keepBody ? Buffer.concat(this.#kept).toString() : undefined
    this.#kept = []
    pending.onEnd({ status: this.#status, bodyBytes: this.#bytes, body })
  }
}

const NOTHING = Buffer.alloc(0)
/** What is read lies in the buffer that the next read uses. */
const kept = (bytes: Buffer): Buffer => (bytes.length === 0 ? NOTHING : Buffer.from(bytes))

/** One buffer for what all connections read: making one for each read would cost more than the reading. */
const READ_BYTES = 64 * 1024
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

export async function openConnection(endpoint: Endpoint): Promise<Connection> {
  const { host, port, ca, cert, key, token } = endpoint
  const parser = new AnswerParser()
  let pending: Pending | undefined
  const onread = {
    buffer: readBuffer,
    callback(size: number, buffer: Uint8Array) {
      if (pending) parser.feed(Buffer.from(buffer.buffer, buffer.byteOffset, size), pending)
      return true
    },
  }
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const options = { host, port, ca, ALPNProtocols: ['http/1.1'], onread, ...(cert && key ? { cert, key } : {}) }
    const opened = connect(options as ConnectionOptions, () => resolve(opened))
    opened.once('error', reject)
  })
  socket.setNoDelay(true)
  const headers = `Host: ${host}:${port}\r\nAccept: application/json\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}`
  const fail = (error: Error) => {
    const failed = pending
    pending = undefined
    failed?.onError(error)
  }
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the server closed the connection')))

  function send(method: string, path: string, body: string | undefined, extra: string, next: Pending): void {
    pending = next
    const content = body === undefined ? '\r\n' : `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    socket.write(`${method} ${path} HTTP/1.1\r\n${headers}${extra}${content}`)
  }

  return {
    request: (method, path, body, { keepBody = false, contentType = 'application/json', isCompressed = false } = {}) =>
      new Promise((resolve, reject) => {
        const extra = `${body === undefined ? '' : `Content-Type: ${contentType}\r\n`}${isCompressed ? 'Accept-Encoding: gzip\r\n' : ''}`
        send(method, path, body, extra, {
          keepBody,
          onBytes: undefined,
          onHeaders: () => undefined,
          onEnd(answer) {
            pending = undefined
            resolve(answer)
          },
          onError: reject,
        })
      }),
    stream: (path, onBytes, onEnd) =>
      new Promise((resolve, reject) => {
        const onError = (error: Error) => {
          reject(error)
          onEnd()
        }
        send('GET', path, undefined, '', { keepBody: false, onBytes, onHeaders: resolve, onEnd, onError })
      }),
    close() {
      pending = undefined
      socket.destroy()
    },
  }
}
