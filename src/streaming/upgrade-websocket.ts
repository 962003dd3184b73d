/**
 * exec, attach and port-forward over WebSocket. Every message starts with the number of its channel (stdin 0, stdout 1, stderr 2,
 * error 3, resize 4; for port-forward two a port: data, error); in v5 a message [255, N] closes channel N. kubectl port-forward
 * instead tunnels SPDY/3.1 in the messages.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws'
import type { StreamUse } from '../api/exchange.ts'
import type { RemoteStreams } from '../api/node-service.ts'
import { readableFrom, writableTo } from './web-streams.ts'
import { forwardOverSpdy, type ForwardedConnection } from './upgrade-portforward.ts'
import { execStreams } from './exec-streams.ts'
import { outcomeBytes } from './upgrade-status.ts'
import type { Refusal } from './upgrade.ts'
import { ChannelSocket } from './websocket-channels.ts'

const COMMAND_PROTOCOLS = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
  '',
]
const TUNNEL_PROTOCOL = 'SPDY/3.1+portforward.k8s.io'
const FORWARD_PROTOCOLS = [TUNNEL_PROTOCOL, 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io', '']
/** The largest message taken, as upstream's library does. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024
export const NORMAL_CLOSURE = 1000

const Channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const

type CommandUse = Extract<StreamUse, { kind: 'exec' | 'attach' }>

export async function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  use: StreamUse,
): Promise<RemoteStreams | Refusal | undefined> {
  const ours = use.kind === 'portforward' ? FORWARD_PROTOCOLS : COMMAND_PROTOCOLS
  const theirs = requestedProtocols(request)
  const protocol = theirs.find((name) => ours.includes(name))
  if (protocol === undefined) return unsupported(theirs, ours)
  const webSocket = await handshake(request, socket, head, protocol)
  if (!webSocket) return undefined
  if (protocol === TUNNEL_PROTOCOL) return forwardOverSpdy(createWebSocketStream(webSocket), Buffer.alloc(0))
  const channels = new ChannelSocket(webSocket, { isBase64: protocol.includes('base64'), hasCloseSignal: protocol.startsWith('v5.') })
  if (use.kind === 'portforward') return forwardOverChannels(channels, use.ports)
  return commandOverChannels(channels, use, protocol)
}

/** In the client's order; one empty name when it asks for none. */
export const requestedProtocols = (request: IncomingMessage): readonly string[] =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())

export const unsupported = (theirs: readonly string[], ours: readonly string[]): Refusal => ({
  code: 403,
  message: `requested protocol(s) are not supported: [${theirs.join(' ')}]; supports [${ours.join(' ').trim()}]`,
})

/** Undefined when the request was no proper WebSocket handshake; the answer has been written then. */
export function handshake(request: IncomingMessage, socket: Duplex, head: Buffer, protocol: string): Promise<WebSocket | undefined> {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
  })
  // The library refuses names like "SPDY/3.1+portforward.k8s.io" as no proper tokens, so it is not shown them: we answer ourselves.
  delete request.headers['sec-websocket-protocol']
  if (protocol !== '') server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`))
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined))
    server.handleUpgrade(request, socket, head, (webSocket) => {
      // Until somebody listens: messages may have come with the request. Reading a channel or the tunnel goes on from here.
      webSocket.pause()
      resolve(webSocket)
    })
  })
}

function commandOverChannels(channels: ChannelSocket, use: CommandUse, protocol: string): RemoteStreams {
  const error = channels.open(Channel.error)
  const stdin = use.stdin ? channels.open(Channel.stdin) : undefined
  const stdout = use.stdout ? channels.open(Channel.stdout) : undefined
  const stderr = use.stderr && !use.tty ? channels.open(Channel.stderr) : undefined
  const resize = use.tty ? channels.open(Channel.resize) : undefined
  // An empty message on the first channel tells the client that the connection stands.
  ;(stdout ?? stderr ?? error).write(Buffer.alloc(0))
  const hasStatus = protocol.startsWith('v4.') || protocol.startsWith('v5.')
  return {
    kind: use.kind,
    streams: execStreams({ stdin, stdout, stderr, resize }, channels.signal),
    finish(outcome) {
      stdout?.end()
      stderr?.end()
      // Channels wait for the socket one by one: the last word may only be said when the outputs have been sent.
      const outputs = [stdout, stderr].filter((channel) => channel !== undefined)
      void Promise.all(outputs.map(finished)).then(() => {
        error.end(outcomeBytes(use.kind, outcome, hasStatus), () => channels.close(NORMAL_CLOSURE))
      })
    },
  }
}

/** One connection a port, for the whole life of the socket; each channel starts with its port, two bytes, the low one first. */
function forwardOverChannels(channels: ChannelSocket, ports: readonly number[]): RemoteStreams {
  let openCount = ports.length
  const connections = ports.map((port, index): ForwardedConnection => {
    const data = channels.open(index * 2)
    const error = channels.open(index * 2 + 1)
    const portBytes = Buffer.alloc(2)
    portBytes.writeUInt16LE(port)
    data.write(portBytes)
    error.write(portBytes)
    data.once('close', () => {
      if (--openCount === 0) channels.close(NORMAL_CLOSURE)
    })
    data.once('finish', () => data.destroy())
    return {
      port,
      data: { readable: readableFrom(data), writable: writableTo(data) },
      fail(message) {
        if (!error.writableEnded) error.end(message, () => data.destroy())
      },
    }
  })
  async function* all(): AsyncGenerator<ForwardedConnection> {
    yield* connections
  }
  return { kind: 'portforward', connections: all(), signal: channels.signal }
}

function finished(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableFinished || stream.destroyed) return resolve()
    stream.once('finish', resolve)
    stream.once('close', resolve)
  })
}
