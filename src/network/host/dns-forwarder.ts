/**
 * Asks the machine's own resolvers what is not of the cluster. Messages pass as they came, but for their id, which is drawn anew
 * (as the source port is, one socket a question), so that nobody can guess what to forge.
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { createConnection, isIP } from 'node:net'

export interface DnsForwarder {
  /** The bytes of a query to the bytes of its answer; rejects when no resolver answers. */
  (query: Buffer, via: 'udp' | 'tcp'): Promise<Buffer>
}

export interface Resolver {
  readonly address: string
  readonly port: number
}

/** Questions under way at once. */
const MAX_UNDER_WAY = 1000
const TIMEOUT_MS = 2000

/** The nameservers of a resolv.conf, at most three, as the C library reads it. */
export function systemResolvers(path = '/etc/resolv.conf'): readonly Resolver[] {
  const addresses = [...readFileSync(path, 'utf8').matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1]!)
  return addresses
    .filter((address) => isIP(address))
    .slice(0, 3)
    .map((address) => ({ address, port: 53 }))
}

export function createDnsForwarder(resolvers: readonly Resolver[], timeoutMs = TIMEOUT_MS): DnsForwarder {
  let underWay = 0
  return async (query, via) => {
    if (resolvers.length === 0) throw new Error('this machine has no nameserver')
    if (underWay >= MAX_UNDER_WAY) throw new Error(`${underWay} questions are under way`)
    underWay++
    try {
      const id = randomInt(65_536)
      const asked = Buffer.from(query)
      asked.writeUInt16BE(id, 0)
      const answer = await firstAnswer(resolvers, (resolver) => (via === 'tcp' ? askByTcp : askByUdp)(resolver, asked, timeoutMs))
      answer.writeUInt16BE(query.readUInt16BE(0), 0)
      return answer
    } finally {
      underWay--
    }
  }
}

/** One after another, in the order of resolv.conf. */
async function firstAnswer(resolvers: readonly Resolver[], ask: (resolver: Resolver) => Promise<Buffer>): Promise<Buffer> {
  const failures: unknown[] = []
  for (const resolver of resolvers) {
    try {
      return await ask(resolver)
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, 'no nameserver answers')
}

/** The same question, and the id that was drawn: else it is not the answer. */
const answers = (asked: Buffer, bytes: Buffer): boolean =>
  bytes.length >= 12 && bytes.readUInt16BE(0) === asked.readUInt16BE(0) && (bytes[2]! & 0x80) !== 0

function askByUdp({ address, port }: Resolver, asked: Buffer, timeoutMs: number): Promise<Buffer> {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4')
  const answer = new Promise<Buffer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the nameserver ${address} does not answer`)), timeoutMs)
    socket.on('close', () => clearTimeout(timer))
    socket.on('error', reject)
    socket.on('message', (bytes) => answers(asked, bytes) && resolve(bytes))
    // Connected: the kernel drops what comes from elsewhere, and a refusal is heard.
    socket.connect(port, address, () => socket.send(asked))
  })
  return answer.finally(() => socket.close())
}

function askByTcp({ address, port }: Resolver, asked: Buffer, timeoutMs: number): Promise<Buffer> {
  const socket = createConnection({ host: address, port, timeout: timeoutMs })
  const answer = new Promise<Buffer>((resolve, reject) => {
    let heard = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`the nameserver ${address} closed the connection`)))
    socket.on('timeout', () => reject(new Error(`the nameserver ${address} does not answer`)))
    socket.on('data', (bytes: Buffer) => {
      heard = Buffer.concat([heard, bytes])
      const length = heard.length < 2 ? Infinity : heard.readUInt16BE(0)
      const message = heard.subarray(2, 2 + length)
      if (message.length === length && answers(asked, message)) resolve(Buffer.from(message))
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(asked.length)
    socket.end(Buffer.concat([length, asked]))
  })
  return answer.finally(() => socket.destroy())
}
