import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createConnection } from 'node:net'
import { after, before, test } from 'node:test'
import * as dns from 'dns-packet'
import type { Answer, Packet, RecordType } from 'dns-packet'
import { silentLog } from '../../base/log.ts'
import { createDnsZone } from '../dns-zone.ts'
import { createServiceTable } from '../service-table.ts'
import { createDnsForwarder } from './dns-forwarder.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'

type Decoded = Packet & {
  readonly rcode: string
  readonly flag_aa: boolean
  readonly flag_tc: boolean
  readonly flag_ra: boolean
  readonly flag_rd: boolean
}

let upstream: DnsServer
let server: DnsServer

/** The outside world is another server of the same make, whose zone is "test". */
before(async () => {
  const outside = createServiceTable()
  outside.serviceHandlers.added({ metadata: { name: 'www', namespace: 'example' }, spec: { clusterIP: '203.0.113.5' } })
  const never = async () => {
    throw new Error('nobody to ask')
  }
  upstream = await startDnsServer({
    address: '127.0.0.1',
    port: 0,
    zone: createDnsZone({ services: outside, domain: 'test' }),
    forward: never,
    log: silentLog,
  })
  const services = createServiceTable()
  services.serviceHandlers.added({ metadata: { name: 'web', namespace: 'shop' }, spec: { clusterIP: '10.96.0.7' } })
  const alias = (name: string, externalName: string) =>
    services.serviceHandlers.added({ metadata: { name, namespace: 'shop' }, spec: { type: 'ExternalName', externalName } })
  alias('out', 'www.example.svc.test')
  alias('in', 'web.shop.svc.cluster.local')
  alias('loop', 'loop.shop.svc.cluster.local')
  alias('lost', 'nowhere.invalid')
  services.serviceHandlers.added({ metadata: { name: 'many', namespace: 'shop' }, spec: { clusterIP: 'None' } })
  services.sliceHandlers.added({
    metadata: { name: 'many-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'many' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: Array.from({ length: 100 }, (_, i) => `10.0.0.${i}`) }],
  })
  const forward = createDnsForwarder([{ address: '127.0.0.1', port: upstream.port }], 500)
  server = await startDnsServer({ address: '127.0.0.1', port: 0, zone: createDnsZone({ services }), forward, log: silentLog })
})

after(async () => {
  await server.close()
  await upstream.close()
})

const encode = (type: RecordType, name: string, more: Packet = {}): Buffer =>
  Buffer.from(dns.encode({ type: 'query', id: 77, flags: dns.RECURSION_DESIRED, questions: [{ type, name }], ...more }))

const decode = (bytes: Buffer): Decoded => dns.decode(bytes) as Packet as Decoded

function sendUdp(bytes: Buffer): Promise<{ reply: Decoded; size: number }> {
  const socket = createSocket('udp4')
  return new Promise<{ reply: Decoded; size: number }>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('message', (message) => resolve({ reply: decode(message), size: message.length }))
    socket.send(bytes, server.port, '127.0.0.1')
  }).finally(() => socket.close())
}

/** Several messages in one connection. */
function sendTcp(messages: readonly Buffer[]): Promise<Decoded[]> {
  const socket = createConnection({ port: server.port, host: '127.0.0.1' })
  const replies: Decoded[] = []
  let heard = Buffer.alloc(0)
  return new Promise<Decoded[]>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('data', (bytes: Buffer) => {
      heard = Buffer.concat([heard, bytes])
      while (heard.length >= 2 && heard.length >= 2 + heard.readUInt16BE(0)) {
        const end = 2 + heard.readUInt16BE(0)
        replies.push(decode(heard.subarray(2, end)))
        heard = heard.subarray(end)
      }
      if (replies.length === messages.length) resolve(replies)
    })
    const framed = Buffer.concat(
      messages.map((message) => Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message])),
    )
    // In pieces that split lengths and messages.
    for (let i = 0; i < framed.length; i += 7) socket.write(framed.subarray(i, i + 7))
  }).finally(() => socket.destroy())
}

const ask = async (type: RecordType, name: string): Promise<string> => {
  const { reply } = await sendUdp(encode(type, name))
  assert.equal(reply.id, 77)
  return [reply.rcode, ...(reply.answers ?? []).map((answer) => `${answer.type} ${'data' in answer ? answer.data : ''}`)].join(' ')
}

test("DNS server: the cluster's names, aliases, and what lies outside", async () => {
  assert.equal(await ask('A', 'web.shop.svc.cluster.local'), 'NOERROR A 10.96.0.7')
  assert.equal(await ask('AAAA', 'web.shop.svc.cluster.local'), 'NOERROR')
  assert.equal(await ask('A', 'none.shop.svc.cluster.local'), 'NXDOMAIN')
  assert.equal(await ask('A', 'www.example.svc.test'), 'NOERROR A 203.0.113.5')
  assert.equal(await ask('A', 'none.example.svc.test'), 'NXDOMAIN')
  assert.equal(await ask('CNAME', 'out.shop.svc.cluster.local'), 'NOERROR CNAME www.example.svc.test')
  assert.equal(await ask('A', 'out.shop.svc.cluster.local'), 'NOERROR CNAME www.example.svc.test A 203.0.113.5')
  assert.equal(await ask('A', 'in.shop.svc.cluster.local'), 'NOERROR CNAME web.shop.svc.cluster.local A 10.96.0.7')
  assert.equal(await ask('A', 'loop.shop.svc.cluster.local'), 'SERVFAIL')
  assert.equal(await ask('A', 'lost.shop.svc.cluster.local'), 'SERVFAIL CNAME nowhere.invalid')
  assert.equal(await ask('A', 'unknown.invalid'), 'SERVFAIL')
})

test('DNS server: flags, and the question as it was asked', async () => {
  const { reply } = await sendUdp(encode('A', 'wEb.shop.svc.cluster.local'))
  assert.deepEqual([reply.flag_aa, reply.flag_tc, reply.flag_ra, reply.flag_rd], [true, false, true, true])
  assert.equal(reply.questions![0]!.name, 'wEb.shop.svc.cluster.local')
  assert.equal(reply.answers![0]!.name, 'wEb.shop.svc.cluster.local')
  const negative = (await sendUdp(encode('A', 'none.shop.svc.cluster.local'))).reply
  assert.equal(negative.authorities![0]!.type, 'SOA')
})

test('DNS server: by UDP no more than the client takes, by TCP all', async () => {
  const name = 'many.shop.svc.cluster.local'
  const plain = await sendUdp(encode('A', name))
  assert.ok(plain.reply.flag_tc && plain.size <= 512 && plain.size > 480, `${plain.size} bytes`)
  const edns: Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 4096,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
  const large = await sendUdp(encode('A', name, { additionals: [edns] }))
  assert.ok(large.reply.flag_tc && large.size <= 1232 && large.size > 1200, `${large.size} bytes`)
  assert.equal(large.reply.additionals![0]!.type, 'OPT')
  const [all, next] = await sendTcp([encode('A', name), encode('A', 'www.example.svc.test')])
  assert.deepEqual([all!.answers!.length, all!.flag_tc, next!.answers!.length], [100, false, 1])
})

test('DNS server: no packet ends it', async () => {
  const query = encode('A', 'web.shop.svc.cluster.local')
  const socket = createSocket('udp4')
  for (let i = 0; i < query.length; i++) socket.send(query.subarray(0, i), server.port, '127.0.0.1')
  for (let i = 0; i < query.length; i++) socket.send(Buffer.from(query.with(i, 0xff)), server.port, '127.0.0.1')
  const pointerLoop = Buffer.from(query)
  pointerLoop.set([0xc0, 12], 12)
  socket.send(pointerLoop, server.port, '127.0.0.1')
  const answers = encode('A', 'x')
  answers[2]! |= 0x80
  socket.send(answers, server.port, '127.0.0.1')
  assert.equal((await sendUdp(encode('A', 'x', { flags: 2 << 11 }))).reply.rcode, 'NOTIMP')
  assert.equal((await sendUdp(Buffer.concat([query.subarray(0, 20), Buffer.alloc(3, 255)]))).reply.rcode, 'FORMERR')
  assert.equal((await sendUdp(encode('A', 'x', { questions: [{ type: 'A', name: 'x', class: 'CH' }] }))).reply.rcode, 'REFUSED')
  assert.equal(await ask('A', 'web.shop.svc.cluster.local'), 'NOERROR A 10.96.0.7')
  socket.close()
})
