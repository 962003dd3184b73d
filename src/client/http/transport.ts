/**
 * The transport over HTTPS: JSON, connections kept alive and shared, watches read line by line. A failure of the server is an
 * answer with its Status; a failure of the network rejects.
 */
import type { Agent, IncomingMessage, RequestOptions } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https'
import type { ApiRequest, ApiResponse, StoredObject, Transport, WatchEvent, WatchEventType } from '../../api/exchange.ts'
import type { ListMeta } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const http = process.getBuiltinModule('node:http')

export interface HttpTransportOptions {
  /** "https://127.0.0.1:6443"; a path is kept as a prefix. */
  readonly server: string
  /** PEM. Without it the system's authorities are trusted. */
  readonly ca?: string | undefined
  /** PEM of the client's certificate and key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** A bearer token, or what reads it anew for each request (tokens of service accounts change). */
  readonly token?: string | (() => string | Promise<string>) | undefined
  readonly serverName?: string | undefined
  readonly insecureSkipTlsVerify?: boolean | undefined
}

export interface HttpTransport {
  readonly transport: Transport
  /** Shows another certificate on connections from now on; those under way end with what they carry. */
  setClientPair(pair: { readonly cert?: string | undefined; readonly key?: string | undefined }): void
  /** Closes idle and open connections. */
  readonly close: () => void
}

const MAX_BODY_BYTES = 512 * 1024 * 1024
/** One object on a watch: servers refuse objects of more than a few MiB. */
const MAX_LINE_BYTES = 32 * 1024 * 1024
const IDLE_TIMEOUT_MS = 60_000
/** TCP keep-alive probes find peers that vanished while a watch is silent. */
const KEEP_ALIVE_MS = 30_000
/** Certificates change a few times a year. */
const MAX_FORMER = 4
const NEWLINE = 10

export function createHttpTransport(options: HttpTransportOptions): HttpTransport {
  const url = new URL(options.server)
  const isTls = url.protocol === 'https:'
  const prefix = url.pathname.replace(/\/$/, '')
  const agentOptions = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, noDelay: true }
  const newAgent = (pair: Pick<HttpTransportOptions, 'cert' | 'key'>): Agent =>
    isTls
      ? new HttpsAgent({
          ...agentOptions,
          ca: options.ca,
          cert: pair.cert,
          key: pair.key,
          servername: options.serverName,
          rejectUnauthorized: !options.insecureSkipTlsVerify,
        })
      : new http.Agent(agentOptions)
  let agent = newAgent(options)
  /** Of certificates before: with connections that may still carry something. */
  const former = new Set<Agent>()
  const send = isTls ? httpsRequest : http.request

  async function open(request: ApiRequest, body: Uint8Array | undefined, isStream: boolean): Promise<IncomingMessage> {
    const token = typeof options.token === 'function' ? await options.token() : options.token
    const query = request.query.size > 0 ? `?${request.query.toString()}` : ''
    const headers: Record<string, string | number> = {}
    for (const [name, value] of Object.entries(request.headers)) if (value !== undefined) headers[name] = value
    if (token) headers['authorization'] = `Bearer ${token}`
    if (body) headers['content-length'] = body.byteLength
    const requestOptions: RequestOptions = {
      agent,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port || (isTls ? 443 : 80),
      method: request.method,
      path: `${prefix}${request.path}${query}`,
      headers,
      signal: request.signal,
    }
    return new Promise((resolve, reject) => {
      const outgoing = send(requestOptions, resolve)
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        // The server closed an idle connection just as it was taken up again: nothing was answered, a read may be repeated.
        if (request.method === 'GET' && outgoing.reusedSocket && error.code === 'ECONNRESET')
          open(request, body, isStream).then(resolve, reject)
        else reject(error)
      })
      if (!isStream) {
        outgoing.setTimeout(IDLE_TIMEOUT_MS, () =>
          outgoing.destroy(new Error(`no answer from ${url.host} within ${IDLE_TIMEOUT_MS / 1000} s`)),
        )
      }
      outgoing.end(body)
    })
  }

  const transport: Transport = async (request) => {
    const isWatch = isTrue(request.query.get('watch'))
    const isStream = isWatch || isTrue(request.query.get('follow'))
    const incoming = await open(request, bytesOf(request.body), isStream)
    const status = incoming.statusCode ?? 0
    if (isWatch && status === 200) return { type: 'watch', status, events: readWatch(incoming) }
    const contentType = incoming.headers['content-type'] ?? ''
    if (isStream && status === 200) return { type: 'raw', status, contentType, body: incoming }
    const bytes = await readAll(incoming)
    if (!contentType.startsWith('application/json')) return { type: 'raw', status, contentType, body: bytes }
    return answerOf(status, bytes)
  }

  return {
    transport,
    setClientPair(pair) {
      const before = agent
      agent = newAgent(pair)
      // Nobody takes its idle connections again; the others are closed when they become idle.
      before.maxFreeSockets = 0
      for (const sockets of Object.values(before.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
      former.add(before)
      if (former.size > MAX_FORMER) {
        const [oldest] = former
        oldest!.destroy()
        former.delete(oldest!)
      }
    },
    close() {
      for (const one of [...former, agent]) one.destroy()
    },
  }
}

const isTrue = (value: string | null): boolean => value === 'true' || value === '1'

function bytesOf(body: ApiRequest['body']): Uint8Array | undefined {
  if (!body) return undefined
  return 'bytes' in body ? body.bytes : Buffer.from(JSON.stringify(body.object))
}

async function readAll(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) {
      incoming.destroy()
      throw new Error(`the answer exceeds ${MAX_BODY_BYTES} bytes`)
    }
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

interface ParsedList extends KubeObject {
  readonly metadata: ListMeta
  readonly items: readonly KubeObject[] | null
}

function answerOf(status: number, bytes: Buffer): ApiResponse {
  const object = JSON.parse(bytes.toString('utf8')) as KubeObject
  const isList = status === 200 && object.kind?.endsWith('List') && object.apiVersion && 'items' in object
  if (!isList) return { type: 'object', status, stored: { object, bytes } }
  const { apiVersion, kind, metadata, items } = object as ParsedList
  const itemKind = kind!.slice(0, -'List'.length)
  // Items of lists do not say their kind on the wire; a watch's objects do. Callers shall not see the difference.
  const typed = (items ?? []).map((item) => storedOf(item.kind ? item : { kind: itemKind, apiVersion, ...item }))
  return { type: 'list', status: 200, apiVersion: apiVersion!, kind: kind!, metadata, items: typed }
}

function storedOf(object: KubeObject): StoredObject {
  let bytes: Uint8Array | undefined
  return {
    object,
    get bytes() {
      return (bytes ??= Buffer.from(JSON.stringify(object)))
    },
  }
}

/** One batch per chunk that arrived: what the server wrote together is handled together. */
async function* readWatch(incoming: IncomingMessage): AsyncGenerator<readonly WatchEvent[]> {
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    const events: WatchEvent[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = rest.length > 0 ? Buffer.concat([...rest, chunk.subarray(start, end)]) : chunk.subarray(start, end)
      rest = []
      restBytes = 0
      start = end + 1
      if (line.length > 0) events.push(watchEventOf(line))
    }
    if (start < chunk.length) {
      rest.push(chunk.subarray(start))
      restBytes += chunk.length - start
      if (restBytes > MAX_LINE_BYTES) throw new Error(`a watch event exceeds ${MAX_LINE_BYTES} bytes`)
    }
    if (events.length > 0) yield events
  }
}

function watchEventOf(bytes: Buffer): WatchEvent {
  const { type, object } = JSON.parse(bytes.toString('utf8')) as { type: WatchEventType; object: KubeObject }
  return {
    type,
    object,
    get line() {
      return Buffer.concat([bytes, Buffer.of(NEWLINE)])
    },
  }
}
