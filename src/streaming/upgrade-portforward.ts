/**
 * Port-forward over SPDY: for each connection the client opens an error stream and a data stream that share a `requestID` header.
 * The same serves SPDY tunnelled in a WebSocket. A connection that fails is reset; the session and its other connections go on.
 */
import type { Duplex } from 'node:stream'
import type { RemoteStreams } from '../api/node-service.ts'
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts'
import { readableFrom, writableTo } from './web-streams.ts'

/** How long the second stream of a pair may take. */
const PAIR_MS = 30_000
/** How long a broken connection's error stream stays open for an explanation. */
const EXPLANATION_MS = 1_000

type Forward = Extract<RemoteStreams, { kind: 'portforward' }>
export type ForwardedConnection = Forward['connections'] extends AsyncIterable<infer T> ? T : never

interface HalfPair {
  data?: SpdyStream
  error?: SpdyStream
  readonly timer: NodeJS.Timeout
}

export function forwardOverSpdy(socket: Duplex, head: Buffer): Forward {
  const abort = new AbortController()
  const halfPairs = new Map<string, HalfPair>()
  let connections: ReadableStreamDefaultController<ForwardedConnection>

  const accept = (stream: SpdyStream): boolean => {
    const type = stream.headers['streamtype']
    if ((type !== 'data' && type !== 'error') || parsePort(stream.headers['port']) === undefined || !isWanted || abort.signal.aborted)
      return false
    const requestId = requestIdOf(stream, type)
    const pair: HalfPair = halfPairs.get(requestId) ?? { timer: setTimeout(() => giveUp(requestId), PAIR_MS) }
    halfPairs.set(requestId, pair)
    if (pair[type]) return false
    pair[type] = stream
    if (pair.data && pair.error) {
      clearTimeout(pair.timer)
      halfPairs.delete(requestId)
      connections.enqueue(forwardedConnection(pair.data, pair.error))
    }
    return true
  }
  const giveUp = (requestId: string) => {
    const pair = halfPairs.get(requestId)
    halfPairs.delete(requestId)
    pair?.data?.reset()
    pair?.error?.end(`(request=${requestId}) timed out waiting for streams`)
  }

  let isWanted = true
  const queue = new ReadableStream<ForwardedConnection>({
    start: (controller) => void (connections = controller),
    cancel() {
      isWanted = false
      connection.close()
    },
  })
  const connection = new SpdyConnection(socket, { role: 'server', head, accept })
  void connection.closed.then(() => {
    for (const { timer } of halfPairs.values()) clearTimeout(timer)
    abort.abort(new Error('the client has gone'))
    if (isWanted) connections.close()
  })
  return { kind: 'portforward', connections: queue, signal: abort.signal }
}

function forwardedConnection(data: SpdyStream, error: SpdyStream): ForwardedConnection {
  // The client waits for the end of the error stream before it lets go of a connection.
  data.once('finish', () => error.end())
  data.once('close', () => {
    if (!error.writableEnded) setTimeout(() => error.end(), EXPLANATION_MS).unref()
  })
  return {
    port: parsePort(data.headers['port'])!,
    data: { readable: readableFrom(data), writable: writableTo(data) },
    fail(message) {
      if (!error.writableEnded) error.end(message)
      data.destroy()
    },
  }
}

function parsePort(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** Clients of old gave no id: their error stream comes first and the data stream has the next odd number. */
function requestIdOf(stream: SpdyStream, type: 'data' | 'error'): string {
  return stream.headers['requestid'] ?? String(type === 'error' ? stream.streamId : stream.streamId - 2)
}
