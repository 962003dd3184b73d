/**
 * The cluster's DNS server: UDP and TCP on one address and port. Names of the cluster come from the zone, all others from the
 * machine's resolvers. No packet, however malformed, ends it.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import * as dns from 'dns-packet'
import type { Answer, Question } from 'dns-packet'
import type { Log } from '../../base/log.ts'
import type { DnsZone, Resolution } from '../dns-zone.ts'
import type { DnsForwarder } from './dns-forwarder.ts'
import { encodeFailure, encodeReply, readQuery, type Query, type Reply } from './dns-message.ts'

export interface DnsServerOptions {
  readonly address: string
  /** 0 for any that is free. */
  readonly port: number
  readonly zone: DnsZone
  readonly forward: DnsForwarder
  readonly log: Log
}

export interface DnsServer {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

/** Aliases followed within the cluster. */
const MAX_ALIASES = 8
const MAX_TCP_CONNECTIONS = 500
const TCP_IDLE_MS = 10_000
const MAX_TCP_MESSAGE = 65_535
/** Tries to find a port that is free for both protocols. */
const MAX_PORT_TRIES = 20

export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { udp, tcp, port } = await listen(options)
  const failed = (error: Error) => options.log.warn('DNS socket', { error })
  udp.on('error', failed)
  tcp.on('error', failed)
  let isClosed = false
  udp.on('message', async (bytes, from) => {
    const reply = await answer(bytes, 'udp', options)
    if (reply && !isClosed)
      udp.send(reply, from.port, from.address, (error) => error && options.log.debug('DNS answer not sent', { error }))
  })
  const connections = new Set<Socket>()
  tcp.maxConnections = MAX_TCP_CONNECTIONS
  tcp.on('connection', (socket) => {
    connections.add(socket)
    socket.on('close', () => connections.delete(socket))
    serveTcp(socket, options)
  })
  return {
    address: options.address,
    port,
    async close() {
      isClosed = true
      for (const socket of connections) socket.destroy()
      await Promise.all([new Promise<void>((resolve) => udp.close(resolve)), new Promise((resolve) => tcp.close(resolve))])
    },
  }
}

async function listen({ address, port }: DnsServerOptions): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let tries = 1; ; tries++) {
    const tcp = createServer()
    await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(port, address, resolve))
    const bound = (tcp.address() as AddressInfo).port
    const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    try {
      await new Promise<void>((resolve, reject) => udp.once('error', reject).bind(bound, address, resolve))
      udp.removeAllListeners('error')
      tcp.removeAllListeners('error')
      return { udp, tcp, port: bound }
    } catch (error) {
      udp.close()
      await new Promise((resolve) => tcp.close(resolve))
      if (port !== 0 || tries === MAX_PORT_TRIES) throw error
    }
  }
}

/** Messages with a length before each (RFC 7766); answered in order, and no more is read until those read are answered. */
function serveTcp(socket: Socket, options: DnsServerOptions): void {
  let heard = Buffer.alloc(0)
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', async (bytes: Buffer) => {
    socket.pause()
    heard = Buffer.concat([heard, bytes])
    while (heard.length >= 2 && heard.length >= 2 + heard.readUInt16BE(0)) {
      const end = 2 + heard.readUInt16BE(0)
      const reply = await answer(heard.subarray(2, end), 'tcp', options)
      if (!reply || !socket.writable) {
        socket.destroy()
        return
      }
      heard = heard.subarray(end)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(reply.length)
      socket.write(Buffer.concat([length, reply]))
    }
    socket.resume()
  })
}

/** Never rejects; undefined when there is nothing to answer. */
async function answer(bytes: Buffer, via: 'udp' | 'tcp', options: DnsServerOptions): Promise<Buffer | undefined> {
  const query = readQuery(bytes)
  if (!query || 'rcode' in query) return query && encodeFailure(query.id, query.rcode)
  const maxSize = via === 'udp' ? query.udpSize : MAX_TCP_MESSAGE
  try {
    const resolution = options.zone.resolve(query.question)
    if (resolution.kind === 'elsewhere') return await options.forward(bytes, via)
    return encodeReply(query, await followAliases(query, resolution, via, options), maxSize)
  } catch (error) {
    options.log.debug('cannot resolve a name', { name: query.question.name, error })
    return encodeReply(query, { ...EMPTY, rcode: 'SERVFAIL' }, maxSize)
  }
}

const EMPTY: Reply = { rcode: 'NOERROR', isAuthoritative: false, answers: [], authorities: [], additionals: [] }

async function followAliases(query: Query, first: Resolution, via: 'udp' | 'tcp', options: DnsServerOptions): Promise<Reply> {
  const answers: Answer[] = []
  let resolution = first
  for (let aliases = 0; resolution.kind === 'alias'; aliases++) {
    answers.push(...resolution.answers)
    if (query.question.type === 'CNAME') return { ...EMPTY, isAuthoritative: true, answers }
    if (aliases === MAX_ALIASES) return { ...EMPTY, rcode: 'SERVFAIL' }
    const next: Question = { ...query.question, name: resolution.target }
    resolution = options.zone.resolve(next)
    if (resolution.kind === 'elsewhere') return followElsewhere(next, answers, via, options)
  }
  if (resolution.kind === 'elsewhere') return { ...EMPTY, rcode: 'SERVFAIL' }
  const { exists, authorities, additionals } = resolution
  return {
    rcode: exists ? 'NOERROR' : 'NXDOMAIN',
    isAuthoritative: true,
    answers: [...answers, ...resolution.answers],
    authorities,
    additionals,
  }
}

/** What the alias points to is outside: its records follow the CNAME, as a recursive server gives them. */
async function followElsewhere(
  question: Question,
  aliases: readonly Answer[],
  via: 'udp' | 'tcp',
  { forward }: DnsServerOptions,
): Promise<Reply> {
  const asked = Buffer.from(dns.encode({ type: 'query', id: 0, flags: dns.RECURSION_DESIRED, questions: [question] }))
  const found = dns.decode(await forward(asked, via)) as dns.DecodedPacket & { readonly rcode?: string }
  const rcode = found.rcode === 'NOERROR' || found.rcode === 'NXDOMAIN' ? found.rcode : 'SERVFAIL'
  return { ...EMPTY, rcode, answers: [...aliases, ...(found.answers ?? [])] }
}
