/**
 * The server's end of the tunnels: connections that agents opened to the API server and hold, through which the server reaches what it has
 * no way to itself. A tunnel is an upgraded connection that speaks HTTP/2 with the server as its client; each CONNECT is one connection
 * that the agent makes for the server (RFC 9113, 8.5). What goes through is TLS between the API server and the node as without a tunnel.
 *
 * A tunnel leads only to the node that holds it: it is opened as system:node:NAME at the path of that name, and is asked only for addresses
 * that are the node's, or of pods that are on it.
 */
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { duplexPair, type Duplex } from 'node:stream'
import { failure } from '../../api/status.ts'
import type { Runtime } from '../../base/runtime.ts'
import { nodeIdentity } from '../../server/authorization/node.ts'
import type { PathHandler } from '../../server/router.ts'
import { readableFrom, writableTo } from '../../streaming/web-streams.ts'
import { TUNNEL_PATH } from '../join/join-objects.ts'
import { TUNNEL_PROTOCOL } from './protocol.ts'

const MAX_TUNNELS = 5000
const PING_MS = 15_000
/** An answer to a ping, and to the request for a connection. */
const ANSWER_MS = 10_000
const WINDOW_BYTES = 1024 * 1024

export interface Tunnels {
  /** Answers agents that open a tunnel. */
  readonly path: PathHandler
  has(nodeName: string): boolean
  /** A connection that the node makes to the address; rejects when there is no tunnel, or the node cannot. */
  dial(nodeName: string, host: string, port: number): Promise<Duplex>
  close(): void
}

export function createTunnels(runtime: Runtime): Tunnels {
  const { clock, log } = runtime
  const tunnels = new Map<string, { readonly session: ClientHttp2Session; end(): void }>()

  function open(node: string): Duplex {
    const [ours, theirs] = duplexPair()
    const session = connectHttp2('http://node', {
      createConnection: () => ours,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
    })
    let cancelTimer = () => {}
    /** All of it at once: a session waits for what it has written, which nobody may read any more. */
    const end = (): void => {
      cancelTimer()
      session.destroy()
      ours.destroy()
      theirs.destroy()
      if (tunnels.get(node)?.session !== session) return
      tunnels.delete(node)
      log.info('a tunnel has ended', { node })
    }
    const ping = (): void => {
      cancelTimer = clock.setTimeout(end, ANSWER_MS)
      session.ping((error) => {
        cancelTimer()
        if (error) return end()
        cancelTimer = clock.setTimeout(ping, PING_MS)
      })
    }
    // One that comes anew stands for the one before, which may have died without a word.
    tunnels.get(node)?.end()
    tunnels.set(node, { session, end })
    log.info('a node holds a tunnel', { node })
    session.once('close', end)
    session.on('error', (error) => log.debug('a tunnel failed', { node, error: String(error) }))
    // The agent's side has ended, or what joins us to it has.
    for (const event of ['finish', 'close']) theirs.once(event, end)
    cancelTimer = clock.setTimeout(ping, PING_MS)
    return theirs
  }

  return {
    path(_core, { info, user, request }) {
      if (info.isResource || !info.path.startsWith(TUNNEL_PATH)) return undefined
      // Names of nodes need no escaping.
      const node = info.path.slice(TUNNEL_PATH.length)
      if (nodeIdentity(user) !== node || node === '')
        throw failure('Forbidden', `${user.name} may not hold the tunnel of node ${JSON.stringify(node)}`)
      if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== TUNNEL_PROTOCOL)
        throw failure('BadRequest', `a tunnel is opened by an upgrade to ${TUNNEL_PROTOCOL}`)
      if (tunnels.size >= MAX_TUNNELS && !tunnels.has(node)) throw failure('TooManyRequests', `${MAX_TUNNELS} tunnels are open already`)
      const end = open(node)
      return {
        type: 'tunnel',
        status: 101,
        fields: [
          ['connection', 'Upgrade'],
          ['upgrade', TUNNEL_PROTOCOL],
        ],
        connection: { readable: readableFrom(end), writable: writableTo(end) },
      }
    },
    has: (node) => tunnels.has(node),
    dial(node, host, port) {
      const session = tunnels.get(node)?.session
      const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
      if (!session || session.destroyed) return Promise.reject(new Error(`node ${node} holds no tunnel`))
      return new Promise((resolve, reject) => {
        const stream = session.request({ ':method': 'CONNECT', ':authority': authority })
        const cancel = clock.setTimeout(() => stream.destroy(new Error('i/o timeout')), ANSWER_MS)
        const fail = (error?: Error): void => {
          cancel()
          reject(new Error(`dial ${authority} through node ${node}: ${error?.message ?? 'the tunnel has ended'}`, { cause: error }))
        }
        stream.once('error', fail)
        stream.once('close', () => fail())
        stream.once('response', (headers) => {
          cancel()
          if (headers[':status'] === 200) return resolve(stream)
          stream.destroy()
          const reason = headers['reason']
          fail(new Error(typeof reason === 'string' ? reason : `refused with ${headers[':status']}`))
        })
      })
    },
    close() {
      for (const { end } of tunnels.values()) end()
    },
  }
}
