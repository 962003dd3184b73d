/** Answers onto the wire. Objects and lists are written as the bytes that the cache already has. */
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import type { ApiResponse, HeaderList, StoredObject } from '../../api/exchange.ts'
import { hasProtobuf } from '../../api/protobuf-layout.ts'
import { MEDIA_TYPES, type Accepted } from '../negotiation.ts'
import { encodeAs } from './encodings.ts'
import {
  jsonText,
  piecesText,
  protobufText,
  writeBlocks,
  writeCompressed,
  type BlockTurns,
  type ListAnswer,
  type ListText,
} from './list-writer.ts'
import type { WireRequest, WireResponse } from './request.ts'
import { drained, writeEvents, type WatchWriter } from './watch-writer.ts'

/** Smaller answers are not worth compressing (upstream's bound). */
const GZIP_BYTES = 128 * 1024

const compress = promisify(gzip)
const GZIP_HEADERS = { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' }

type Headers = Record<string, string | number | readonly string[]>

/** Headers that every answer has. */
export function commonHeaders(
  auditId: string,
  answer: { readonly headers?: Readonly<Record<string, string>>; readonly warnings?: readonly string[] },
): Headers {
  const headers: Headers = { 'Audit-Id': auditId, 'Cache-Control': 'no-cache, private', ...answer.headers }
  if (answer.warnings && answer.warnings.length > 0) headers.Warning = answer.warnings.slice(0, MAX_WARNINGS).map(warning)
  return headers
}

const MAX_WARNINGS = 100
/** RFC 7234 warn-text is a quoted string; control characters would end the header. */
const warning = (text: string): string =>
  `299 - "${text
    .replace(/[\\"]/g, '\\$&')
    .replace(/[^\x20-\x7e]/g, ' ')
    .slice(0, 1024)}"`

export interface Exchange {
  readonly request: WireRequest
  readonly response: WireResponse
  readonly accepted: Accepted
  readonly auditId: string
  /** Of the server: writes all its watches, and whose block of a list is next. */
  readonly watches: WatchWriter
  readonly blocks: BlockTurns
}

export async function respond(exchange: Exchange, answer: ApiResponse): Promise<void> {
  const headers = commonHeaders(exchange.auditId, answer)
  switch (answer.type) {
    case 'object':
      return sendObject(exchange, answer.status, answer.stored, headers)
    case 'list':
      return sendList(exchange, answer, headers)
    case 'watch':
      return sendWatch(exchange, answer, headers)
    case 'raw':
      return sendRaw(exchange, answer, headers)
    case 'proxied':
      return sendProxied(exchange, answer, headers)
    case 'tunnel':
      await answer.connection.writable.abort()
      return sendUpgradeRequired(exchange, headers)
    case 'upgrade':
      return sendUpgradeRequired(exchange, headers)
  }
}

function sendUpgradeRequired(exchange: Exchange, headers: Headers): Promise<void> {
  const message = 'Upgrade request required'
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason: 'BadRequest', code: 400 }
  return send(exchange, 400, MEDIA_TYPES.json, Buffer.from(JSON.stringify(status)), headers)
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function sendObject(exchange: Exchange, status: number, stored: StoredObject, headers: Headers): Promise<void> | void {
  const { encoding, isPretty, as } = exchange.accepted
  // Who asked for another shape of the object is refused in plain JSON.
  const isRefusal = as !== undefined && status >= 400
  if (stored.pieces && encoding !== 'yaml' && !isPretty) return sendText(exchange, MEDIA_TYPES.json, piecesText(stored.pieces()), headers)
  if ((encoding === 'json' && !isPretty) || isRefusal) return send(exchange, status, MEDIA_TYPES.json, asBuffer(stored.bytes), headers)
  const { contentType, bytes } = encodeAs(encoding, isPretty ?? false, stored.object)
  return send(exchange, status, contentType, bytes, headers)
}

type WatchAnswer = Extract<ApiResponse, { type: 'watch' }>

async function sendList(exchange: Exchange, answer: ListAnswer, headers: Headers): Promise<void> {
  const { apiVersion, kind, metadata, items } = answer
  const { isPretty } = exchange.accepted
  const isProtobuf = exchange.accepted.encoding === 'protobuf' && hasProtobuf(apiVersion, kind)
  const encoding = exchange.accepted.encoding === 'protobuf' && !isProtobuf ? 'json' : exchange.accepted.encoding
  if (encoding === 'yaml' || (encoding === 'json' && isPretty)) {
    const list = { kind, apiVersion, metadata, items: items.map(({ object }) => object) }
    const { contentType, bytes } = encodeAs(encoding, isPretty ?? false, list)
    return send(exchange, 200, contentType, bytes, headers)
  }
  return sendText(exchange, MEDIA_TYPES[encoding], isProtobuf ? await protobufText(answer) : jsonText(answer), headers)
}

/** Whole with its length when it is short, else block by block. */
async function sendText(exchange: Exchange, contentType: string, { sizeBytes, blocks }: ListText, headers: Headers): Promise<void> {
  const first = blocks.next().value!
  if (first.isLast) return send(exchange, 200, contentType, first.bytes, headers)
  const { response } = exchange
  if (response.destroyed) return
  const isZipped = isCompressed(exchange, GZIP_BYTES)
  // Told its length, the response hands each block on as it is, and not as the middle of a chunk, which would be another copy.
  const body: Headers = isZipped ? GZIP_HEADERS : sizeBytes === undefined ? {} : { 'Content-Length': sizeBytes }
  writeHead(response, 200, { ...headers, 'Content-Type': contentType, ...body })
  return (isZipped ? writeCompressed : writeBlocks)(exchange.blocks, response, first, blocks)
}

const isCompressed = ({ request }: Exchange, size: number): boolean =>
  size >= GZIP_BYTES && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))

/** Writes a whole body; compresses a large one for those who take it. */
async function send(exchange: Exchange, status: number, contentType: string, body: Buffer, headers: Headers): Promise<void> {
  const { response } = exchange
  headers['Content-Type'] = contentType
  let bytes = body
  if (isCompressed(exchange, body.length)) {
    bytes = await compress(body, { level: constants.Z_BEST_SPEED })
    Object.assign(headers, GZIP_HEADERS)
  }
  headers['Content-Length'] = bytes.length
  if (response.destroyed || response.writableEnded) return
  writeHead(response, status, headers)
  response.end(bytes)
}

/** The two responses agree on this call but not on its type. */
function writeHead(response: WireResponse, status: number, headers: Headers): void {
  ;(response as { writeHead(status: number, headers: Headers): unknown }).writeHead(status, headers)
}

async function sendRaw(exchange: Exchange, answer: Extract<ApiResponse, { type: 'raw' }>, headers: Headers): Promise<void> {
  if (answer.body instanceof Uint8Array) return send(exchange, answer.status, answer.contentType, asBuffer(answer.body), headers)
  const { response } = exchange
  writeHead(response, answer.status, { ...headers, 'Content-Type': answer.contentType })
  flushHeaders(response)
  for await (const chunk of answer.body) if (!(await write(response, asBuffer(chunk)))) return
  response.end()
}

/** The program's own fields beside those that every answer has. When it breaks off, so does the answer: the client must see it. */
async function sendProxied({ response }: Exchange, answer: Extract<ApiResponse, { type: 'proxied' }>, headers: Headers): Promise<void> {
  try {
    writeHead(response, answer.status, withFields(headers, answer.fields))
    flushHeaders(response)
    for await (const chunk of answer.body) if (!(await write(response, asBuffer(chunk)))) return
    response.end()
  } catch {
    response.destroy()
  }
}

/** Fields of the same name stand beside each other. */
function withFields(headers: Headers, fields: HeaderList): Headers {
  const all: Record<string, string[]> = {}
  for (const [name, value] of Object.entries(headers)) all[name.toLowerCase()] = Array.isArray(value) ? [...value] : [String(value)]
  for (const [name, value] of fields) (all[name] ??= []).push(value)
  return Object.fromEntries(Object.entries(all).map(([name, values]) => [name, values.length === 1 ? values[0]! : values]))
}

function flushHeaders(response: WireResponse): void {
  ;(response as { flushHeaders(): void }).flushHeaders()
}

/** Resolves when more may be written; false when the client has gone. */
async function write(response: WireResponse, bytes: Buffer): Promise<boolean> {
  if (response.destroyed || response.writableEnded) return false
  if ((response as { write(bytes: Buffer): boolean }).write(bytes)) return true
  await drained(response)
  return !response.destroyed
}

function sendWatch({ response, accepted, watches }: Exchange, answer: WatchAnswer, headers: Headers): Promise<void> {
  // A client waits for the headers before it believes in the watch: they go before any event.
  const isProtobuf = accepted.encoding === 'protobuf'
  writeHead(response, 200, { ...headers, 'Content-Type': isProtobuf ? `${MEDIA_TYPES.protobuf};stream=watch` : MEDIA_TYPES.json })
  flushHeaders(response)
  const exchange = { response, isProtobuf }
  return answer.queue ? watches.serve(exchange, answer.queue) : writeEvents(exchange, answer.events)
}
