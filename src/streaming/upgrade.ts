/**
 * Turns a connection into the streams of exec, attach or port-forward: kubectl asks by WebSocket first and falls back to SPDY.
 * Here the protocol is told apart and refusals are written; upgrade-websocket.ts and upgrade-spdy.ts do the rest.
 */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { StreamUse } from '../api/exchange.ts'
import type { RemoteStreams } from '../api/node-service.ts'
import { acceptSpdy } from './upgrade-spdy.ts'
import { acceptWebSocket } from './upgrade-websocket.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** A peer that has gone without a word is found out by the kernel after this. */
const KEEP_ALIVE_MS = 30_000

/** Why an upgrade is not made, as HTTP says it. */
export interface Refusal {
  readonly code: number
  readonly message: string
  readonly headers?: Readonly<Record<string, string>>
}

export const isRefusal = (value: RemoteStreams | Refusal | undefined): value is Refusal => value !== undefined && 'code' in value

/**
 * Resolves with the streams when the client has opened those that `use` asks for; undefined when the upgrade was refused (the
 * refusal is written) or the client went away before that.
 */
export async function acceptUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  use: StreamUse,
): Promise<RemoteStreams | undefined> {
  if (socket instanceof Socket) {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.setTimeout(0)
  }
  const result = await accept(request, socket, head, use)
  if (!isRefusal(result)) return result
  refuse(socket, result)
  return undefined
}

function accept(request: IncomingMessage, socket: Duplex, head: Buffer, use: StreamUse): Promise<RemoteStreams | Refusal | undefined> {
  const upgrade = request.headers.upgrade?.toLowerCase() ?? ''
  if (upgrade === 'websocket') return acceptWebSocket(request, socket, head, use)
  if (upgrade.includes('spdy/3.1')) return acceptSpdy(request, socket, head, use)
  return Promise.resolve({ code: 400, message: 'Upgrade request required' })
}

/** Writes why there is no upgrade, and hangs up. */
export function refuse(socket: Duplex, { code, message, headers }: Refusal): void {
  const body = Buffer.from(`${message}\n`)
  const lines = [
    `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}`,
    'Content-Type: text/plain; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${body.length}`,
    'Connection: close',
    ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`),
  ]
  // The client may have gone already; there is nobody to tell then.
  socket.on('error', () => socket.destroy())
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]))
}
