import assert from 'node:assert/strict'
import { createServer as createPlainServer, type Server } from 'node:http'
import { createServer, type Server as SecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Node } from '../../api/generated/core/v1.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { systemClock } from '../../base/system.ts'
import { createClient } from '../../client/create-client.ts'
import type { Informer } from '../../client/informer.ts'
import { createOutgoing } from '../../server/http/outgoing.ts'
import { createHttpsServer } from '../../server/http/server.ts'
import { resourcesWith } from '../../server/resources/index.ts'
import { createServiceAllocator } from '../../server/resources/core/service-allocator.ts'
import { ADMIN, startServer } from '../../server/server.test-support.ts'
import { createAuthority, issueCertificate, type KeyPair } from '../certificates.ts'
import { ensureJoinObjects } from '../join/join-objects.ts'
import { createEgress, type EgressMode } from './egress.ts'
import { holdTunnel } from './tunnel-agent.ts'
import { createTunnels } from './tunnels.ts'

const runtime = { clock: systemClock, random: seededRandom(1), log: silentLog }
const signal = new AbortController().signal
const HOST = '127.0.0.1'
const authority = await createAuthority(systemClock, 'test')
const facts = { id: '01234567', podCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16', dnsAddress: '10.96.0.10' }
const clientOf = (name: string): Promise<KeyPair> =>
  issueCertificate(systemClock, authority, { commonName: `system:node:${name}`, organizations: ['system:nodes'], usage: 'client' })

async function listen(t: TestContext, server: Server | SecureServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** An API server that takes tunnels, and what is reached through them. */
async function start(t: TestContext, mode: EgressMode = 'tunnel') {
  const tunnels = createTunnels(runtime)
  const resources = resourcesWith(createServiceAllocator({ cidr: facts.serviceCidr, random: runtime.random }))
  const { server: api } = await startServer(t, { paths: [tunnels.path], resources })
  await ensureJoinObjects(createClient(api.transport(ADMIN)), { server: 'https://x:6443', ca: authority.cert, facts })
  const own = await issueCertificate(systemClock, authority, { commonName: 'server', usage: 'server', hosts: [HOST] })
  const https = await createHttpsServer(runtime, api, { port: 0, ...own, clientCa: authority.cert })
  const egress = createEgress(runtime, mode, tunnels)
  const node: Node = {
    metadata: { name: 'a' },
    spec: { podCIDRs: ['127.0.1.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: HOST }] },
  }
  egress.follow({ addHandlers: ({ added }: { added(node: Node): void }) => (added(node), () => {}) } as unknown as Informer<Node>)
  const outgoing = createOutgoing(runtime, egress)
  const holders: { readonly stop: AbortController; readonly ended: Promise<void> }[] = []
  t.after(async () => {
    for (const { stop } of holders) stop.abort()
    await Promise.all(holders.map(({ ended }) => ended))
    tunnels.close()
    outgoing.close()
    await https.close()
  })
  const dialed: string[] = []
  async function hold(pair: KeyPair, nodeName = 'a'): Promise<AbortController> {
    const stop = new AbortController()
    const connection = () => ({ server: `https://${HOST}:${https.port}`, ca: authority.cert, ...pair })
    const isOwn = (address: string) => (dialed.push(address), address.startsWith('127.0.'))
    holders.push({ stop, ended: holdTunnel(runtime, { nodeName, connection, isOwn }, stop.signal) })
    return stop
  }
  async function until(isMet: () => boolean): Promise<void> {
    for (let i = 0; i < 500 && !isMet(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.ok(isMet())
  }
  return { tunnels, outgoing, hold, until, own, dialed }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('requests, bodies and upgrades go through the tunnel, TLS from end to end', async (t) => {
  const { tunnels, outgoing, hold, until, own, dialed } = await start(t)
  const secure = await listen(
    t,
    createServer({ ...own }, (request, response) => void request.pipe(response.writeHead(200, { 'x-path': request.url }))),
  )
  const plainServer = createPlainServer((_request, response) => void response.end('plain'))
  plainServer.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  const plain = await listen(t, plainServer)
  await hold(await clientOf('a'))
  await until(() => tunnels.has('a'))
  const large = 'x'.repeat(3_000_000)
  const ask = { host: HOST, method: 'POST', path: '/p', headers: [], signal } as const
  const answer = await outgoing.send({ ...ask, port: secure, tls: { ca: authority.cert }, body: Buffer.from(large) })
  assert.deepEqual([answer.status, (await textOf(answer.body)) === large], [200, true])
  assert.equal(await textOf((await outgoing.send({ ...ask, method: 'GET', port: plain })).body), 'plain')
  const upgrade = {
    ...ask,
    method: 'GET',
    port: plain,
    headers: [
      ['connection', 'Upgrade'],
      ['upgrade', 'echo'],
    ],
  } as const
  const upgraded = await outgoing.upgrade(upgrade)
  assert.ok(upgraded.type === 'upgraded')
  const writer = upgraded.connection.writable.getWriter()
  await writer.write(Buffer.from('hello'))
  const { value } = await upgraded.connection.readable.getReader().read()
  assert.equal(Buffer.from(value!).toString(), 'hello')
  await writer.abort()
  assert.equal(new Set(dialed).size, 1)
  // A certificate of somebody else is found out at our end.
  const other = await createAuthority(systemClock, 'other')
  await assert.rejects(outgoing.send({ ...ask, port: secure, tls: { ca: other.cert } }), /unknown authority/)
})

test('a tunnel is its node’s alone, and leads to the node alone', async (t) => {
  const { tunnels, outgoing, hold, until } = await start(t)
  await hold(await clientOf('b'), 'a')
  await hold(await issueCertificate(systemClock, authority, { commonName: 'a', usage: 'client' }), 'a')
  await hold(await clientOf('c'), 'c')
  await until(() => tunnels.has('c'))
  assert.equal(tunnels.has('a'), false)
  await assert.rejects(tunnels.dial('c', '10.1.1.1', 80), /the address is not of this node/)
  await assert.rejects(tunnels.dial('c', 'localhost', 80), /malformed address/)
  await assert.rejects(tunnels.dial('a', HOST, 80), /holds no tunnel/)
  await hold(await clientOf('a'))
  await until(() => tunnels.has('a'))
  const gone = createPlainServer()
  const port = await listen(t, gone)
  gone.close()
  const refused = outgoing.send({ host: HOST, port, method: 'GET', path: '/', headers: [], signal })
  await assert.rejects(refused, /through node a: connect: connection refused/)
})

test('a tunnel that breaks is opened anew; one that ends is gone', async (t) => {
  const { tunnels, hold, until } = await start(t)
  const stop = await hold(await clientOf('a'))
  await until(() => tunnels.has('a'))
  tunnels.close()
  await until(() => !tunnels.has('a'))
  await until(() => tunnels.has('a'))
  stop.abort()
  await until(() => !tunnels.has('a'))
})

test('what can be reached is dialed directly', async (t) => {
  const { tunnels, outgoing, hold, until, dialed } = await start(t, 'auto')
  const port = await listen(
    t,
    createPlainServer((_request, response) => void response.end('direct')),
  )
  await hold(await clientOf('a'))
  await until(() => tunnels.has('a'))
  const answer = await outgoing.send({ host: HOST, port, method: 'GET', path: '/', headers: [], signal })
  assert.equal(await textOf(answer.body), 'direct')
  assert.deepEqual(dialed, [])
})
