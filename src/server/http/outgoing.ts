/**
 * The sockets behind `Outgoing`: connections are kept and reused, dialing is bounded in time, their number is bounded. Errors are
 * told in the words of Go's net package, which clients and people know from upstream.
 */
import { lookup } from 'node:dns/promises'
import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https'
import { isIP, Socket } from 'node:net'
import { Readable, pipeline, type Duplex } from 'node:stream'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import type { HeaderList } from '../../api/exchange.ts'
import type { Runtime } from '../../base/runtime.ts'
import { readableFrom, writableTo } from '../../streaming/web-streams.ts'
import type { Outgoing, OutgoingRequest, OutgoingResponse, OutgoingTls, UpgradeResult } from '../outgoing.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const http = process.getBuiltinModule('node:http')

/** How long dialing may take, TLS included (Go's default of these transports). */
const DIAL_TIMEOUT_MS = 30_000
/** A watch or a followed log holds one for as long as it lasts; whoever comes when all are taken waits. */
const MAX_CONNECTIONS_PER_HOST = 2000
const MAX_CONNECTIONS = 10_000
/** As many as may be asked for at once by a busy webhook: upstream multiplexes over HTTP/2 instead. */
const MAX_IDLE_PER_HOST = 250
/** Shorter than most servers keep an idle connection. */
const IDLE_TIMEOUT_MS = 30_000
const MAX_HEADER_BYTES = 256 * 1024
/** Of an upgraded connection: the kernel finds out after this that a peer has gone. */
const KEEP_ALIVE_MS = 30_000

const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** A connection to somewhere that is not dialed from here. */
export type Road = () => Promise<Duplex>

/** Knows ways to what this machine may not reach itself. */
export interface Egress {
  /** Undefined: the address is dialed directly. */
  roadTo(host: string, port: number): Promise<Road | undefined> | undefined
}

export interface HttpOutgoing extends Outgoing {
  /** `upgrade` for adapters: the socket itself. */
  dialUpgraded(asked: OutgoingRequest): Promise<Upgraded>
}

export function createOutgoing(runtime: Runtime, egress?: Egress): HttpOutgoing {
  const limits = {
    keepAlive: true,
    maxSockets: MAX_CONNECTIONS_PER_HOST,
    maxTotalSockets: MAX_CONNECTIONS,
    maxFreeSockets: MAX_IDLE_PER_HOST,
    timeout: IDLE_TIMEOUT_MS,
  }
  const plain = new http.Agent(limits)
  const secure = new HttpsAgent(limits)

  async function once(asked: OutgoingRequest): Promise<OutgoingResponse> {
    const road = await egress?.roadTo(asked.host, asked.port)
    return new Promise((resolve, reject) => {
      const request = begin(runtime, asked, road ?? (asked.tls ? secure : plain))
      request.once('response', (answer) => resolve(responseOf(answer)))
      request.on('error', (error) => reject(new DialError(asked, error, request.reusedSocket)))
      write(request, asked.body)
    })
  }

  async function dialUpgraded(asked: OutgoingRequest): Promise<Upgraded> {
    const road = await egress?.roadTo(asked.host, asked.port)
    return new Promise((resolve, reject) => {
      const request = begin(runtime, asked, road ?? false)
      request.once('upgrade', (answer, socket, head) => {
        if (head.length > 0) socket.unshift(head)
        resolve({ type: 'upgraded', headers: headersOf(answer), socket: tuned(socket) })
      })
      request.once('response', (answer) => resolve({ type: 'answered', response: responseOf(answer) }))
      request.on('error', (error) => reject(new DialError(asked, error, false)))
      write(request, asked.body)
    })
  }

  return {
    dialUpgraded,
    async send(asked) {
      try {
        return await once(asked)
      } catch (error) {
        // The server may close an idle connection in the moment in which we take it again.
        if (error instanceof DialError && error.isStale && REPEATABLE.has(asked.method) && !asked.body) return once(asked)
        throw error
      }
    },
    async upgrade(asked) {
      const result = await dialUpgraded(asked)
      if (result.type === 'answered') return result
      return {
        type: 'upgraded',
        headers: result.headers,
        connection: { readable: readableFrom(result.socket), writable: writableTo(result.socket) },
      }
    },
    async resolve(host) {
      try {
        return (await lookup(host, { all: true })).map(({ address }) => address)
      } catch (error) {
        throw new Error(`lookup ${host}: ${isNodeError(error) && error.code === 'ENOTFOUND' ? 'no such host' : String(error)}`, {
          cause: error,
        })
      }
    },
    close() {
      plain.destroy()
      secure.destroy()
    },
  }
}

function begin(runtime: Runtime, asked: OutgoingRequest, way: Agent | HttpsAgent | Road | false): ClientRequest {
  if (typeof way === 'function') return beginThrough(way, asked)
  const begun = asked.tls ? httpsRequest({ ...optionsOf(asked), agent: way }) : http.request({ ...optionsOf(asked), agent: way })
  boundDialing(runtime, begun, asked)
  return begun
}

/** A connection of its own, which is not kept: it costs no round trip to make another. The road bounds how long it takes. */
function beginThrough(road: Road, asked: OutgoingRequest): ClientRequest {
  const { host, tls, ...rest } = asked
  return http.request({
    ...optionsOf({ host, ...rest }),
    createConnection(_options, done) {
      const connecting = async (): Promise<void> => {
        try {
          const stream = await road()
          // Without a host the certificate would be held against "localhost".
          done(null, tls ? connectTls({ ...tlsOptionsOf(host, tls), host, socket: stream }) : stream)
        } catch (error) {
          done(error instanceof Error ? error : new Error(String(error)), new Socket())
        }
      }
      void connecting()
      return undefined
    },
  })
}

export type Upgraded =
  | { readonly type: 'upgraded'; readonly headers: HeaderList; readonly socket: Duplex }
  | Extract<UpgradeResult, { type: 'answered' }>

function optionsOf({ host, port, tls, method, path, headers, signal }: OutgoingRequest): RequestOptions {
  const fields: Record<string, string | string[]> = {}
  for (const [name, value] of headers) {
    const before = fields[name]
    fields[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return {
    host,
    port,
    method,
    path,
    headers: fields,
    setHost: fields.host === undefined,
    signal,
    maxHeaderSize: MAX_HEADER_BYTES,
    ...(tls ? tlsOptionsOf(host, tls) : {}),
  }
}

const tlsOptionsOf = (host: string, tls: OutgoingTls): ConnectionOptions => ({
  // An address is no server name (RFC 6066); "" sends none.
  servername: isIP(tls.serverName ?? host) ? '' : (tls.serverName ?? host),
  rejectUnauthorized: !tls.isUnverified,
  // Whatever certificate is named is trusted, as Go has it: an intermediate one, or the server's own.
  ...(tls.ca === undefined ? {} : { ca: tls.ca, allowPartialTrustChain: true }),
  ...(tls.cert === undefined ? {} : { cert: tls.cert, key: tls.key }),
})

function boundDialing(runtime: Runtime, request: ClientRequest, { tls }: OutgoingRequest): void {
  request.once('socket', (socket: Socket) => {
    if (!socket.connecting && request.reusedSocket) return
    const cancel = runtime.clock.setTimeout(
      () => void request.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })),
      DIAL_TIMEOUT_MS,
    )
    socket.once(tls ? 'secureConnect' : 'connect', cancel)
    request.once('close', cancel)
  })
}

function write(request: ClientRequest, body: OutgoingRequest['body']): void {
  if (body === undefined) return void request.end()
  // Node says neither of itself for methods that rarely have a body.
  if (body instanceof Uint8Array) {
    request.setHeader('content-length', body.length)
    return void request.end(body)
  }
  if (!request.hasHeader('content-length')) request.setHeader('transfer-encoding', 'chunked')
  // A body that breaks destroys the request, which then reports the error.
  pipeline(Readable.from(body), request, () => undefined)
}

function headersOf({ rawHeaders }: IncomingMessage): HeaderList {
  const list: [string, string][] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) list.push([rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!])
  return list
}

const responseOf = (answer: IncomingMessage): OutgoingResponse => ({
  status: answer.statusCode ?? 0,
  headers: headersOf(answer),
  body: answer,
})

function tuned(socket: Duplex): Duplex {
  if (socket instanceof Socket) {
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
  }
  return socket
}

const isNodeError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
}

const UNKNOWN_AUTHORITY = 'certificate signed by unknown authority'
const UNTRUSTED: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: 'certificate has expired or is not yet valid',
}

/** Why a request came to nothing, as Go tells it. */
class DialError extends Error {
  override readonly name = 'DialError'
  /** A kept connection was closed under our hands before anything was answered. */
  readonly isStale: boolean

  constructor(asked: OutgoingRequest, cause: NodeJS.ErrnoException, isReused: boolean) {
    super(describe(asked, cause), { cause })
    this.isStale = isReused && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE')
  }
}

function describe({ host, port, tls }: OutgoingRequest, error: NodeJS.ErrnoException): string {
  const code = error.code ?? ''
  const reason = REASONS[code]
  if (reason) return `dial tcp ${isIP(host) === 6 ? `[${host}]` : host}:${port}: ${reason}`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `dial tcp: lookup ${host}: no such host`
  if (code === 'ECONNRESET') return error.message === 'socket hang up' ? 'EOF' : 'read: connection reset by peer'
  if (code in UNTRUSTED) return `tls: failed to verify certificate: x509: ${UNTRUSTED[code]}`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `tls: failed to verify certificate: x509: certificate is not valid for ${tls?.serverName ?? host}`
  if (error.name === 'AbortError') return 'context canceled'
  return error.message
}
