/**
 * Answers that go on and on, over a WebSocket: a watch (one text message an event; Headlamp and other browser clients watch so) and
 * bytes such as logs (`binary.k8s.io`, or base64 as text). The client only listens.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { ApiResponse } from '../../api/exchange.ts'
import { refuse } from '../../streaming/upgrade.ts'
import { handshake, NORMAL_CLOSURE, requestedProtocols, unsupported } from '../../streaming/upgrade-websocket.ts'

/** What may wait for a slow client before the source is made to wait. */
const MAX_WAITING_BYTES = 256 * 1024
const BYTE_PROTOCOLS = ['binary.k8s.io', 'base64.binary.k8s.io', '']

export type Readable = Extract<ApiResponse, { type: 'watch' | 'raw' }>

/** Resolves when all is said, or the client has gone, or was refused for a protocol that we lack. */
export async function serveOverWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer, answer: Readable): Promise<void> {
  const theirs = requestedProtocols(request)
  // Upstream's watch speaks whatever single protocol it is asked for.
  const protocol = answer.type === 'watch' ? theirs[0]! : theirs.find((name) => BYTE_PROTOCOLS.includes(name))
  if (protocol === undefined) return refuse(socket, unsupported(theirs, BYTE_PROTOCOLS))
  const webSocket = await handshake(request, socket, head, protocol)
  if (!webSocket) return
  webSocket.on('error', () => webSocket.terminate())
  webSocket.resume()
  if (answer.type === 'watch') await sendEvents(webSocket, answer.events)
  else await sendBytes(webSocket, answer.body, protocol.startsWith('base64.'))
  webSocket.close(NORMAL_CLOSURE)
}

async function sendEvents(webSocket: WebSocket, events: Extract<Readable, { type: 'watch' }>['events']): Promise<void> {
  for await (const batch of events) {
    for (const { line } of batch) if (!(await sent(webSocket, line, false))) return
  }
}

async function sendBytes(webSocket: WebSocket, body: Extract<Readable, { type: 'raw' }>['body'], isBase64: boolean): Promise<void> {
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    const message = isBase64 ? Buffer.from(chunk).toString('base64') : chunk
    if (!(await sent(webSocket, message, !isBase64))) return
  }
}

/** Whether the client is still there. Waits only when much is under way. */
async function sent(webSocket: WebSocket, message: Uint8Array | string, binary: boolean): Promise<boolean> {
  if (webSocket.readyState !== webSocket.OPEN) return false
  if (webSocket.bufferedAmount < MAX_WAITING_BYTES) {
    webSocket.send(message, { binary })
    return true
  }
  return new Promise((resolve) => webSocket.send(message, { binary }, (error) => resolve(!error)))
}
