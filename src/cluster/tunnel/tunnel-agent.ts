/**
 * The agent's end of its tunnel (tunnels.ts): opened by the agent, as its node, and opened anew whenever it ends. For the server it makes
 * connections to the node itself and to pods that are on it, and to nothing else: a server that was broken into gets no road into the
 * network behind the node.
 */
import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { request } from 'node:https'
import { connect, isIP } from 'node:net'
import { pipeline, type Duplex } from 'node:stream'
import { sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { HttpTransportOptions } from '../../client/http/transport.ts'
import { TUNNEL_PATH } from '../join/join-objects.ts'
import { TUNNEL_PROTOCOL } from './protocol.ts'

export interface TunnelAgentOptions {
  readonly nodeName: string
  /** How the API is called, as the node; asked for at each attempt. */
  connection(): HttpTransportOptions
  /** Whether the address is the node's own or of a pod on it. */
  isOwn(address: string): boolean
}

const MAX_CONNECTIONS = 1000
const DIAL_MS = 5000
const RETRY_MS = 500
const MAX_RETRY_MS = 5000
/** The server pings more often: a connection over which nothing came for so long is dead. */
const SILENCE_MS = 45_000
const KEEP_ALIVE_MS = 15_000

/** Holds the tunnel until the signal aborts. */
export async function holdTunnel(runtime: Runtime, options: TunnelAgentOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = runtime
  let retryMs = RETRY_MS
  let toldError = ''
  while (!signal.aborted) {
    try {
      const socket = await open(options, signal)
      log.info('the tunnel to the server is open')
      retryMs = RETRY_MS
      toldError = ''
      await serve(socket, options, signal)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      if (!signal.aborted && text !== toldError) log.warn('the tunnel to the server is not open', { error: text })
      toldError = text
    }
    if (signal.aborted) return
    await sleep(clock, retryMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
  }
}

function open({ nodeName, connection }: TunnelAgentOptions, signal: AbortSignal): Promise<Duplex> {
  const { server, ca, cert, key, serverName } = connection()
  const url = new URL(server)
  return new Promise((resolve, reject) => {
    const asked = request({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port || 443,
      path: `${TUNNEL_PATH}${nodeName}`,
      headers: { connection: 'Upgrade', upgrade: TUNNEL_PROTOCOL, 'user-agent': 'kubelet' },
      agent: false,
      ca,
      cert,
      key,
      ...(serverName === undefined ? {} : { servername: serverName }),
    })
    const abort = (): void => void asked.destroy(new Error('the agent ends'))
    signal.addEventListener('abort', abort, { once: true })
    asked.once('close', () => signal.removeEventListener('abort', abort))
    asked.setTimeout(DIAL_MS, () => asked.destroy(new Error(`no answer from ${url.host}`)))
    asked.once('upgrade', (_answer, socket, head) => {
      signal.removeEventListener('abort', abort)
      if (signal.aborted) return void socket.destroy()
      if (head.length > 0) socket.unshift(head)
      socket.setTimeout(0)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      resolve(socket)
    })
    asked.once('response', (answer) => {
      answer.resume()
      reject(new Error(`the server answered with ${answer.statusCode}`))
    })
    asked.once('error', reject)
    asked.end()
  })
}

function serve(socket: Duplex, options: TunnelAgentOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const session: ServerHttp2Session = performServerHandshake(socket, {
      settings: { maxConcurrentStreams: MAX_CONNECTIONS, initialWindowSize: 1024 * 1024 },
    })
    const stop = (): void => {
      session.destroy()
      socket.destroy()
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    session.setTimeout(SILENCE_MS, () => session.destroy(new Error('the server has been silent')))
    session.on('stream', (stream, headers) => answer(stream, headers[':method'], headers[':authority'], options))
    session.once('error', reject)
    session.once('close', () => {
      signal.removeEventListener('abort', stop)
      socket.destroy()
      resolve()
    })
  })
}

function answer(stream: ServerHttp2Stream, method: unknown, authority: unknown, { isOwn }: TunnelAgentOptions): void {
  stream.on('error', () => stream.destroy())
  const refuse = (status: number, reason: string): void => {
    if (!stream.destroyed && !stream.headersSent) stream.respond({ ':status': status, reason }, { endStream: true })
  }
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(typeof authority === 'string' ? authority : '') ?? []
  const host = bracketed ?? plain ?? ''
  if (method !== 'CONNECT' || isIP(host) === 0 || !(Number(port) > 0 && Number(port) < 65_536)) return refuse(400, 'malformed address')
  if (!isOwn(host)) return refuse(403, 'the address is not of this node')
  const target = connect({ host, port: Number(port), noDelay: true })
  target.setTimeout(DIAL_MS, () => target.destroy(new Error('i/o timeout')))
  target.once('error', (error: NodeJS.ErrnoException) =>
    refuse(502, error.code === 'ECONNREFUSED' ? 'connect: connection refused' : error.message),
  )
  stream.once('close', () => target.destroy())
  target.once('connect', () => {
    target.setTimeout(0)
    stream.respond({ ':status': 200 })
    // Each direction ends by itself; a failure of one ends both.
    pipeline(stream, target, (error) => error && stream.destroy())
    pipeline(target, stream, (error) => error && target.destroy())
  })
}
