/**
 * The HTTPS side of the API server: sockets, TLS, limits and upgrades around `ApiServer.handle`. HTTP/1.1 and HTTP/2 on one port.
 */
import { randomUUID, X509Certificate } from 'node:crypto'
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureVersion } from 'node:tls'
import type { ApiResponse } from '../../api/exchange.ts'
import { isApiError, type ApiError } from '../../api/status.ts'
import type { Runtime } from '../../base/runtime.ts'
import { internalError, type ApiServer } from '../api-server.ts'
import type { Credentials } from '../authentication/authenticator.ts'
import { wantsAggregated } from '../discovery.ts'
import { MEDIA_TYPES, negotiate, notAcceptable, type Accepted } from '../negotiation.ts'
import { Computed } from '../revision.ts'
import { isProxyPath } from '../subresources/proxy.ts'
import { createCredentialsReader, type CredentialsReader } from './credentials.ts'
import { BlockTurns } from './list-writer.ts'
import { HttpRequest, readBody, type WireRequest, type WireResponse } from './request.ts'
import { commonHeaders, respond } from './respond.ts'
import { joinTunnel } from './tunnel.ts'
import { WatchWriter } from './watch-writer.ts'
import { acceptUpgrade } from '../../streaming/upgrade.ts'
import { serveOverWebSocket } from './websocket-read.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const { STATUS_CODES } = process.getBuiltinModule('node:http')

export interface HttpsServerOptions {
  readonly host?: string
  /** 0 takes a free one; a server that listens already gives its socket. */
  readonly port: number | Server
  /** PEM. */
  readonly key: string | Buffer
  readonly cert: string | Buffer
  /** PEM of the authorities whose client certificates tell who somebody is. */
  readonly clientCa?: string
  /** PEM of the authorities whose client certificates let a proxy tell who somebody is. */
  readonly frontProxyCa?: string
  /** Shown to who asks for one of the names ("*.example.com" among them); without names, for those of the certificate. */
  readonly byName?: readonly { readonly names: readonly string[]; readonly cert: string; readonly key: string }[]
  /** Default: TLS 1.2. */
  readonly minVersion?: SecureVersion
  /** As OpenSSL lists them. */
  readonly ciphers?: string
}

/** What may change while the server runs. */
export type HttpsKeys = Pick<HttpsServerOptions, 'key' | 'cert' | 'clientCa' | 'frontProxyCa' | 'byName'>

export interface HttpsServer {
  readonly port: number
  /** Takes other keys for connections from now on. Throws, and keeps the old ones, when they do not fit together. */
  setKeys(keys: HttpsKeys): void
  /** Stops taking connections, lets what is under way end for a moment, then closes all. */
  close(): Promise<void>
}

/** A header block may be this large: tokens and selectors are long, attacks longer. */
const MAX_HEADER_BYTES = 256 * 1024
/** How long a client may take over its headers, and over a whole request. */
const HEADERS_TIMEOUT_MS = 30_000
const REQUEST_TIMEOUT_MS = 60_000
/** Longer than the 90 s for which Go's clients keep an idle connection, so that they close it and not we under their hands. */
const KEEP_ALIVE_MS = 180_000
const HANDSHAKE_TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 20_000
/** What one HTTP/2 connection may have open (upstream's default). */
const MAX_STREAMS = 250
/** How long a connection that spoke no HTTP stays for its answer to be read. */
const MALFORMED_LINGER_MS = 500
/** How long close waits for answers under way. */
const CLOSE_GRACE_MS = 2000

const MAX_AUDIT_ID = 64

const JSON_ONLY: Accepted = { encoding: 'json' }
const HUMAN_AGENTS = /^(curl|Wget|Mozilla)\//

export async function createHttpsServer(runtime: Runtime, api: ApiServer, options: HttpsServerOptions): Promise<HttpsServer> {
  const credentials = createCredentialsReader(options)
  const { minVersion = 'TLSv1.2', ciphers } = options
  const limits = { minVersion, ...(ciphers === undefined ? {} : { ciphers }) }
  const server = createSecureServer({
    allowHTTP1: true,
    ...secureContextOf(options),
    ...limits,
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: 1024 * 1024 },
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    noDelay: true,
  } as Parameters<typeof createSecureServer>[0])
  server.maxConnections = MAX_CONNECTIONS
  // Of several for a name the last one added counts.
  const addNames = (keys: HttpsKeys): void => {
    for (const { names, cert, key } of keys.byName ?? [])
      for (const name of names.length > 0 ? names : namesOf(cert))
        server.addContext(name, { ...secureContextOf({ ...keys, cert, key }), ...limits })
  }
  addNames(options)
  const sockets = new Set<Socket>()
  const watches = new WatchWriter()
  const blocks = new BlockTurns()
  let isClosing = false

  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // A client that resets its connection is no event for anyone but itself.
    socket.on('error', () => socket.destroy())
  })
  const handshakeFailed = api.metrics.counter('apiserver_tls_handshake_errors_total', 'Connections that ended before they were encrypted.')
  handshakeFailed('', 0)
  server.on('tlsClientError', (_error, socket) => {
    handshakeFailed('')
    socket.destroy()
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => refuseMalformed(runtime, error, socket))
  server.on('sessionError', (error) => runtime.log.debug('an HTTP/2 session ended badly', { error: String(error) }))

  server.on('request', (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) => {
    if (isClosing && request.httpVersionMajor === 1) response.setHeader('Connection', 'close')
    answer({ runtime, api, watches, blocks, credentials }, request, response).catch((error: unknown) => {
      runtime.log.error('an answer could not be written', { error: error instanceof Error ? error.stack : String(error) })
      response.destroy()
    })
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrade(api, request, socket, head, credentials).catch((error: unknown) => {
      runtime.log.warn('an upgraded connection failed', {
        path: request.url?.split('?', 1)[0],
        error: error instanceof Error ? error.message : String(error),
      })
      socket.destroy()
    })
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const listening = () => {
      server.off('error', reject)
      resolve()
    }
    if (typeof options.port === 'number') server.listen(options.port, options.host ?? '127.0.0.1', listening)
    else server.listen(options.port, listening)
  })

  return {
    port: (server.address() as AddressInfo).port,
    setKeys(keys) {
      server.setSecureContext({ ...secureContextOf(keys), ...limits })
      addNames(keys)
      credentials.setAuthorities(keys)
    },
    async close() {
      isClosing = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const cancel = runtime.clock.setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, CLOSE_GRACE_MS)
      for (const socket of sockets) if (isIdle(socket)) socket.destroy()
      await closed
      cancel()
    },
  }
}

/** What is no HTTP is told so, as Go's server tells it; what the client still sends is read for a moment, or it would not see the answer. */
function refuseMalformed(runtime: Runtime, error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`)
  socket.resume()
  const cancel = runtime.clock.setTimeout(() => socket.destroy(), MALFORMED_LINGER_MS)
  socket.once('close', cancel)
}

/** Node keeps the response under way on the socket of an HTTP/1.1 connection. */
const isIdle = (socket: Socket): boolean => {
  const { _httpMessage } = socket as Socket & { _httpMessage?: unknown }
  return !_httpMessage
}

/** Documents with forms of their own choose among them where they are made; so do programs behind a proxy. */
const isAcceptable = ({ headers, url = '' }: WireRequest): boolean =>
  SERVER_PATH.test(url) ||
  negotiate(headers.accept) !== undefined ||
  isProxyPath(url) ||
  url.startsWith('/openapi') ||
  RESOURCE_PATH.test(url) ||
  (/^\/apis?\/?(\?|$)/.test(url) && wantsAggregated(headers.accept))

/** What has one form alone, whatever is asked for, or chooses itself. */
const SERVER_PATH = /^\/(?:debug|metrics|statusz|flagz|healthz|livez|readyz|openid|\.well-known)(?:[/?]|$)/

/** The router knows what a resource can be shown as. */
const RESOURCE_PATH = /^\/(?:api\/[^/?]+|apis\/[^/?]+\/[^/?]+)\/[^/?]/

/** Without authorities nobody's certificate counts: an empty list, or the platform's would. */
const secureContextOf = ({ key, cert, clientCa, frontProxyCa }: HttpsKeys) => ({
  key,
  cert,
  ca: [clientCa, frontProxyCa].filter((pem) => pem !== undefined),
})

/** The DNS names of a certificate. */
const namesOf = (cert: string): readonly string[] =>
  Array.from((new X509Certificate(cert).subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g), ([, name]) => name!)

interface Serving {
  readonly credentials: CredentialsReader
  readonly runtime: Runtime
  readonly api: ApiServer
  readonly watches: WatchWriter
  readonly blocks: BlockTurns
}

async function answer(
  { runtime, api, watches, blocks, credentials: reader }: Serving,
  request: WireRequest,
  response: WireResponse,
): Promise<void> {
  const auditId = auditIdOf(request)
  const onGone = (callback: () => void) => void response.once('close', callback)
  const accepted = negotiate(request.headers.accept) ?? JSON_ONLY
  const shown = HUMAN_AGENTS.test(request.headers['user-agent'] ?? '') ? { ...accepted, isPretty: true } : accepted
  const exchange = { request, response, accepted: shown, auditId, watches, blocks }
  let asked: { readonly request: HttpRequest; readonly credentials: Credentials; readonly isPassedOn: boolean }
  try {
    const credentials = reader.of(request)
    if (!isAcceptable(request)) throw notAcceptable()
    const hasBody = request.method !== 'GET' && request.method !== 'HEAD' && request.headers['content-length'] !== '0'
    const body = !hasBody ? undefined : isProxyPath(request.url ?? '') ? request : await readBody(request)
    asked = { request: new HttpRequest(request, body, auditId, onGone), credentials, isPassedOn: body === request }
  } catch (error) {
    if (request.destroyed && !request.complete) return
    // What is left of the body is not read: the connection cannot be used again.
    if (!request.complete && request.httpVersionMajor === 1) response.setHeader('Connection', 'close')
    return respond(exchange, failed(runtime, error))
  }
  await api.handle(asked.request, asked.credentials, (result) => {
    // A body that was passed on, or refused to be, may still be on its way.
    if (asked.isPassedOn && !request.complete && request.httpVersionMajor === 1) response.setHeader('Connection', 'close')
    return respond(exchange, result)
  })
}

function failed(runtime: Runtime, error: unknown): ApiResponse {
  if (!isApiError(error)) runtime.log.error('a request could not be read', { error: error instanceof Error ? error.stack : String(error) })
  const status: ApiError = isApiError(error) ? error : internalError(error)
  return { type: 'object', status: status.code, stored: new Computed({ ...status.status }) }
}

/** A client may name its request itself. */
function auditIdOf({ headers }: WireRequest): string {
  const given = headers['audit-id']
  return typeof given === 'string' && given.length <= MAX_AUDIT_ID ? given : randomUUID()
}

async function upgrade(api: ApiServer, request: IncomingMessage, socket: Duplex, head: Buffer, reader: CredentialsReader): Promise<void> {
  socket.on('error', () => socket.destroy())
  const credentials = reader.of(request)
  const onGone = (callback: () => void) => void socket.once('close', callback)
  const asked = new HttpRequest(request, undefined, auditIdOf(request), onGone)
  await api.handle(asked, withProtocolToken(request, credentials), (result) => switchOver(request, socket, head, asked.auditId, result))
}

async function switchOver(request: IncomingMessage, socket: Duplex, head: Buffer, auditId: string, result: ApiResponse): Promise<void> {
  if (request.headers.upgrade?.toLowerCase() === 'websocket' && (result.type === 'watch' || result.type === 'raw')) {
    return serveOverWebSocket(request, socket, head, result)
  }
  if (result.type === 'tunnel' || result.type === 'proxied') return joinTunnel(socket, head, result)
  if (result.type !== 'upgrade') return refuse(socket, auditId, result)
  const streams = await acceptUpgrade(request, socket, head, result.use)
  if (streams) await result.serve(streams)
}

const TOKEN_PROTOCOL = 'base64url.bearer.authorization.k8s.io.'

/** Browsers cannot set headers on a WebSocket: they send the token as a subprotocol (upstream's websocket token authenticator). */
function withProtocolToken(request: IncomingMessage, credentials: Credentials): Credentials {
  if (credentials.bearerToken !== undefined) return credentials
  const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim())
  const encoded = protocols.find((text) => text.startsWith(TOKEN_PROTOCOL))
  if (encoded === undefined) return credentials
  request.headers['sec-websocket-protocol'] = protocols.filter((text) => text !== encoded).join(', ')
  return { ...credentials, bearerToken: Buffer.from(encoded.slice(TOKEN_PROTOCOL.length), 'base64url').toString() }
}

/** An answer to an upgrade request that is not upgraded, written by hand: the socket is already out of the HTTP server. */
function refuse(socket: Duplex, auditId: string, result: ApiResponse): void {
  const status = result.type === 'object' ? result.status : 400
  const object =
    result.type === 'object'
      ? result.stored.object
      : { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'unable to upgrade', reason: 'BadRequest', code: 400 }
  const body = Buffer.from(JSON.stringify(object))
  const headers = {
    ...commonHeaders(auditId, result),
    'Content-Type': MEDIA_TYPES.json,
    'Content-Length': body.length,
    Connection: 'close',
  }
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name}: ${String(one)}`),
  )
  socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n`), body]))
}
