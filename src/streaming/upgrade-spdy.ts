/**
 * exec, attach and port-forward over SPDY/3.1, as kubelets serve them: each stream of the protocol carries one of stdin, stdout,
 * stderr, error, resize (named by its `streamType` header), or, for port-forward, the data or the errors of one connection.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { StreamUse } from '../api/exchange.ts'
import type { RemoteStreams } from '../api/node-service.ts'
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts'
import { forwardOverSpdy } from './upgrade-portforward.ts'
import { execStreams } from './exec-streams.ts'
import { outcomeBytes } from './upgrade-status.ts'
import type { Refusal } from './upgrade.ts'

/** What we speak, the best first. */
const COMMAND_PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const
const FORWARD_PROTOCOLS = ['portforward.k8s.io'] as const
/** How long the client may take to open the streams that it asked for. */
const STREAM_CREATION_MS = 30_000
/** How long the client may take to hang up after it was told how the command ended. */
const LINGER_MS = 10_000

type CommandUse = Extract<StreamUse, { kind: 'exec' | 'attach' }>
type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize'

export async function acceptSpdy(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  use: StreamUse,
): Promise<RemoteStreams | Refusal | undefined> {
  const protocol = negotiate(request, use.kind === 'portforward' ? FORWARD_PROTOCOLS : COMMAND_PROTOCOLS)
  if (typeof protocol !== 'string') return protocol
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  )
  if (use.kind === 'portforward') return forwardOverSpdy(socket, head)
  return commandOverSpdy(socket, head, use, protocol)
}

/** The first protocol of the client's that we speak too, or upstream's refusal. */
function negotiate(request: IncomingMessage, ours: readonly string[]): string | Refusal {
  const header = request.headers['x-stream-protocol-version']
  if (header === undefined) {
    const count = Object.keys(request.headers).length
    return { code: 400, message: `unable to upgrade: header X-Stream-Protocol-Version does not exist in request with ${count} headers` }
  }
  const theirs = String(header)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const protocol = theirs.find((name) => ours.includes(name))
  if (protocol) return protocol
  return {
    code: 403,
    message: `unable to upgrade: unable to negotiate protocol: client supports [${theirs.join(' ')}], server accepts [${ours.join(' ')}]`,
    headers: { 'X-Accepted-Stream-Protocol-Versions': ours.join(', ') },
  }
}

async function commandOverSpdy(socket: Duplex, head: Buffer, use: CommandUse, protocol: string): Promise<RemoteStreams | undefined> {
  const wanted = wantedStreams(use, protocol)
  const opened = new Map<StreamType, SpdyStream>()
  let allOpened: (value: true) => void = () => {}
  const ready = new Promise<true>((resolve) => (allOpened = resolve))
  const connection = new SpdyConnection(socket, {
    role: 'server',
    head,
    accept: (stream) => {
      const type = stream.headers['streamtype'] as StreamType
      if (!wanted.has(type) || opened.has(type)) return false
      opened.set(type, stream)
      if (opened.size === wanted.size) allOpened(true)
      return true
    },
  })
  const timer = setTimeout(() => connection.destroy(), STREAM_CREATION_MS)
  const isReady = await Promise.race([ready, connection.closed])
  clearTimeout(timer)
  if (!isReady) return undefined

  const abort = new AbortController()
  void connection.closed.then(() => abort.abort(new Error('the client has gone')))
  const [error, stdin, stdout, stderr, resize] = (['error', 'stdin', 'stdout', 'stderr', 'resize'] as const).map((type) => opened.get(type))
  return {
    kind: use.kind,
    streams: execStreams({ stdin, stdout, stderr, resize }, abort.signal),
    finish(outcome) {
      stdout?.end()
      stderr?.end()
      error?.end(outcomeBytes(use.kind, outcome, protocol === COMMAND_PROTOCOLS[0]))
      // The client hangs up when it has read all; hanging up first could cut off what is still on its way to it.
      const linger = setTimeout(() => connection.close(), LINGER_MS)
      void connection.closed.then(() => clearTimeout(linger))
    },
  }
}

function wantedStreams(use: CommandUse, protocol: string): Set<StreamType> {
  const wanted = new Set<StreamType>(['error'])
  if (use.stdin) wanted.add('stdin')
  if (use.stdout) wanted.add('stdout')
  // A terminal has one output.
  if (use.stderr && !use.tty) wanted.add('stderr')
  if (use.tty && (protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io')) wanted.add('resize')
  return wanted
}
