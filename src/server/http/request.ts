/**
 * A request off the wire in the terms of the core. What costs and is rarely used (the abort signal) is made when asked for: a
 * plain GET makes none of it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { ApiRequest } from '../../api/exchange.ts'
import { badRequest, failure } from '../../api/status.ts'

export type WireRequest = IncomingMessage | Http2ServerRequest
export type WireResponse = ServerResponse | Http2ServerResponse

/** The largest body that is taken (upstream's MaxRequestBodyBytes). */
export const MAX_BODY_BYTES = 3 * 1024 * 1024
/** A body that is too large is read up to here and thrown away: a client that still writes would not see the answer. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

export class HttpRequest implements ApiRequest {
  readonly method: ApiRequest['method']
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body?: { readonly bytes: Uint8Array }
  readonly bodyStream?: AsyncIterable<Uint8Array>
  readonly auditId: string
  readonly #request: WireRequest
  readonly #onGone: (callback: () => void) => void
  #abort: AbortController | undefined

  /** `body`: the bytes, or the request itself where its body is passed on unread. */
  constructor(request: WireRequest, body: Uint8Array | WireRequest | undefined, auditId: string, onGone: (callback: () => void) => void) {
    const url = request.url ?? '/'
    const mark = url.indexOf('?')
    this.method = request.method as ApiRequest['method']
    this.path = decodePath(mark < 0 ? url : url.slice(0, mark))
    this.query = mark < 0 ? NO_QUERY : new URLSearchParams(url.slice(mark + 1))
    this.headers = request.headers as Readonly<Record<string, string | undefined>>
    if (body instanceof Uint8Array) this.body = { bytes: body }
    else if (body) this.bodyStream = body
    this.auditId = auditId
    this.#request = request
    this.#onGone = onGone
  }

  get headerLines(): Readonly<Record<string, readonly string[]>> {
    const lines: Record<string, string[]> = {}
    const { rawHeaders } = this.#request
    for (let index = 0; index < rawHeaders.length; index += 2) (lines[rawHeaders[index]!.toLowerCase()] ??= []).push(rawHeaders[index + 1]!)
    return lines
  }

  get target(): string {
    return this.#request.url ?? '/'
  }

  get remoteAddress(): string | undefined {
    return this.#request.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '')
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController()
      this.#abort = abort
      this.#onGone(() => abort.abort())
    }
    return this.#abort.signal
  }
}

/** Shared by all requests without a query; nobody writes to a request's query. */
const NO_QUERY = new URLSearchParams()

function decodePath(path: string): string {
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch (error) {
    throw badRequest(`the path cannot be decoded: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const EMPTY = new Uint8Array(0)

/** The whole body; rejects with 413 once it is too large, without reading on. */
export async function readBody(request: WireRequest): Promise<Uint8Array> {
  const declared = Number(request.headers['content-length'] ?? -1)
  if (declared > MAX_DISCARDED_BYTES) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_DISCARDED_BYTES) throw tooLarge()
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
    else chunks.length = 0
  }
  if (size > MAX_BODY_BYTES) throw tooLarge()
  return chunks.length === 0 ? EMPTY : chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

const tooLarge = () => failure('RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY_BYTES}`)
