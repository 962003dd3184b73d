import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Agent, request as sendSecurely } from 'node:https'
import { createServer as createNetServer, type AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { WebSocket, WebSocketServer } from 'ws'
import type { UserInfo } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import { isServedByDefault, resources as infos } from '../../api/resources.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { systemClock } from '../../base/system.ts'
import { createAuthority, issueCertificate, type KeyPair } from '../../cluster/certificates.ts'
import { createMemoryStore } from '../../store/memory.ts'
import { createApiServer } from '../api-server.ts'
import { createStaticTokens } from '../authentication/static-tokens.ts'
import { createOutgoing } from './outgoing.ts'
import { createHttpsServer, type HttpsServer } from './server.ts'
import { tokenDigest } from './tokens.ts'

const runtime = { clock: systemClock, random: seededRandom(1), log: silentLog }
const users = new Map<string, UserInfo>([
  ['admin-token', { name: 'admin', groups: ['system:masters'] }],
  ['alice-token', { name: 'alice', groups: [] }],
])
const ADMIN: UserInfo = { name: 'admin', groups: ['system:masters'] }
const POD = '/api/v1/namespaces/default/pods/web/proxy'
const SERVICE = '/api/v1/namespaces/default/services'

const stop = new AbortController()
const agent = new Agent({ keepAlive: true, rejectUnauthorized: false })
const outgoing = createOutgoing(runtime)
let api: ReturnType<typeof createApiServer>
let server: HttpsServer
let backend: Server
let pair: KeyPair
let closedPort = 0
let running: Promise<void>

/** What the backend does, by path; any other path is echoed. */
const pages: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
  '/page': (_request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<a HREF="/x?y">x</a><a href=z>z</a>'),
  '/zipped': (_request, response) =>
    response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Encoding': 'gzip' }).end(gzipSync('<img src="/logo">')),
  '/moved': (_request, response) => response.writeHead(302, { Location: '/there' }).end(),
  '/cookies': (_request, response) =>
    response.writeHead(201, { 'Set-Cookie': ['a=1', 'b=2'], 'Access-Control-Allow-Origin': '*', 'Content-Type': 'text/plain' }).end('set'),
  '/early': (_request, response) => response.writeHead(200, { 'Content-Type': 'text/plain' }).end('enough'),
  '/broken': (_request, response) => {
    response.writeHead(200, { 'Content-Length': '100' }).write('half')
    setImmediate(() => response.destroy())
  },
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  let size = 0
  request.on('data', (chunk: Buffer) => (size += chunk.length))
  request.on('end', () => {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, size }))
  })
}

async function create(url: string, object: unknown, status?: unknown): Promise<void> {
  const call = async (method: 'POST' | 'PUT', path: string, body: object) => {
    const answer = await api.transport(ADMIN)({
      method,
      path,
      query: new URLSearchParams(),
      headers: {},
      body: { object: body as KubeObject },
      signal: stop.signal,
    })
    assert.ok(answer.type === 'object' && answer.status < 300, JSON.stringify(answer.type === 'object' && answer.stored.object))
    return answer.stored.object
  }
  const made = await call('POST', url, object as object)
  if (status) await call('PUT', `${url}/${made.metadata!.name}/status`, { ...made, status })
}

before(async () => {
  const authority = await createAuthority(runtime.clock, 'test')
  pair = await issueCertificate(runtime.clock, authority, { commonName: 'localhost', usage: 'server', hosts: ['localhost', '127.0.0.1'] })
  backend = createServer((request, response) => (pages[request.url ?? ''] ?? echo)(request, response))
  const sockets = new WebSocketServer({ noServer: true })
  backend.on('upgrade', (request, socket, head) => {
    if (request.url !== '/socket') return socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope')
    sockets.handleUpgrade(request, socket, head, (ws) => ws.on('message', (data) => ws.send(`echo ${data}`)))
  })
  backend.listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const free = createNetServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  closedPort = (free.address() as AddressInfo).port
  free.close()
  api = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [],
    admission: [],
    nodeConnector: () => undefined,
    tokenAuthenticators: [createStaticTokens(users, tokenDigest, [])],
    roads: { outgoing, allowsLoopback: true },
  })
  running = api.run(stop.signal)
  await api.started
  server = await createHttpsServer(runtime, api, { port: 0, ...pair, clientCa: authority.cert })
  const { port } = backend.address() as AddressInfo
  const pods = '/api/v1/namespaces/default/pods'
  const containers = [{ name: 'c', image: 'i', ports: [{ containerPort: port }] }]
  await create('/api/v1/namespaces', { metadata: { name: 'default' } })
  await create(pods, { metadata: { name: 'web' }, spec: { containers } }, { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] })
  await create(
    pods,
    { metadata: { name: 'lost' }, spec: { containers } },
    { podIP: '169.254.169.254', podIPs: [{ ip: '169.254.169.254' }] },
  )
  await create('/api/v1/namespaces/default/services', { metadata: { name: 'web' }, spec: { ports: [{ name: 'http', port: 80 }] } })
  await create('/api/v1/namespaces/default/services', { metadata: { name: 'idle' }, spec: { ports: [{ port: 80 }] } })
  const targetRef = { kind: 'Pod', namespace: 'default', name: 'web' }
  await create('/api/v1/namespaces/default/endpoints', {
    metadata: { name: 'web' },
    subsets: [{ addresses: [{ ip: '127.0.0.1', targetRef }], ports: [{ name: 'http', port }] }],
  })
  await create('/api/v1/namespaces/default/endpoints', { metadata: { name: 'idle' } })
  await create('/api/v1/namespaces/default/endpoints', {
    metadata: { name: 'forged' },
    subsets: [{ addresses: [{ ip: '127.0.0.2', targetRef }], ports: [{ port }] }],
  })
  await create('/api/v1/nodes', { metadata: { name: 'n' } }, { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] })
})

after(async () => {
  stop.abort()
  agent.destroy()
  outgoing.close()
  await server.close()
  await running
  backend.closeAllConnections()
  backend.close()
})

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

function call(method: string, path: string, headers: Record<string, string> = {}, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const authorization = `Bearer ${headers.token ?? 'admin-token'}`
    const length = body ? { 'content-length': String(body.length) } : {}
    const request = sendSecurely(
      { port: server.port, agent, method, path, headers: { ...headers, ...length, authorization } },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString() }))
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

test('every method goes on with its path, query and body, without what proves who asks', async () => {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const body = method === 'GET' ? undefined : Buffer.alloc(5 * 1024 * 1024, 'x')
    const answer = await call(method, `${POD}/some/a%20path//with/?q=%2F&q`, { Accept: 'text/html', 'X-Mine': 'yes' }, body)
    assert.equal(answer.status, 200, answer.text)
    const seen = JSON.parse(answer.text)
    assert.equal(seen.method, method)
    assert.equal(seen.url, '/some/a%20path/with/?q=%2F&q')
    assert.equal(seen.size, body?.length ?? 0)
    assert.equal(seen.headers['x-mine'], 'yes')
    assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1')
    assert.equal(seen.headers.authorization, undefined)
    assert.ok(seen.headers.host.endsWith(`:${server.port}`))
  }
  const head = await call('HEAD', `${POD}/some`)
  assert.deepEqual([head.status, head.text], [200, ''])
  const forwarded = JSON.parse((await call('GET', `${POD}/some/`)).text).headers['x-forwarded-uri']
  assert.equal(forwarded, `${POD}/some/`)
})

test('a GET of the proxy itself is sent to its root; other methods arrive there', async () => {
  const moved = await call('GET', `${POD}?a=b`)
  assert.deepEqual([moved.status, moved.headers.location], [301, `${POD}/?a=b`])
  assert.equal(JSON.parse((await call('POST', POD)).text).url, '/')
})

test('links and redirects stay inside the proxy', async () => {
  assert.equal((await call('GET', `${POD}/page`)).text, `<a HREF="${POD}/x?y">x</a><a href=z>z</a>`)
  const zipped = await call('GET', `${POD}/zipped`)
  assert.deepEqual([zipped.headers['content-encoding'], zipped.text], [undefined, `<img src="${POD}/logo">`])
  assert.equal((await call('GET', `${POD}/moved`)).headers.location, `${POD}/there`)
})

test('headers come back as they are, but for leave to other origins; an answer that breaks off does so here too', async () => {
  const answer = await call('GET', `${POD}/cookies`)
  assert.deepEqual([answer.status, answer.headers['set-cookie'], answer.text], [201, ['a=1', 'b=2'], 'set'])
  assert.equal(answer.headers['access-control-allow-origin'], undefined)
  assert.ok(answer.headers['audit-id'])
  await assert.rejects(call('GET', `${POD}/broken`), /aborted/)
})

test('where a name leads, and what is said when it leads nowhere', async () => {
  const says = async (path: string, status: number, message: string) => {
    const answer = await call('GET', path)
    assert.deepEqual([answer.status, JSON.parse(answer.text).message], [status, message], path)
  }
  assert.equal((await call('GET', `${SERVICE}/web:http/proxy/a`)).status, 200)
  assert.equal((await call('GET', `${SERVICE}/http:web:80/proxy/a`)).status, 200)
  await says(`${SERVICE}/web/proxy/`, 503, 'no endpoints available for service "web"')
  await says(`${SERVICE}/web:none/proxy/`, 503, 'no endpoints available for service "web:none"')
  await says(`${SERVICE}/web:81/proxy/`, 503, 'no service port 81 found for service "web"')
  await says(`${SERVICE}/idle:80/proxy/`, 503, 'no endpoints available for service "idle"')
  await says(`${SERVICE}/forged/proxy/`, 503, 'no endpoints available for service "forged"')
  await says(`${SERVICE}/ftp:web:80/proxy/`, 400, 'invalid service request "ftp:web:80"')
  await says(POD.replace('web', 'none'), 404, 'pods "none" not found')
  await says(`${POD.replace('web', 'lost')}/`, 400, 'address not allowed')
  await says(
    `${POD.replace('web', `web:${closedPort}`)}/`,
    503,
    `error trying to reach service: dial tcp 127.0.0.1:${closedPort}: connect: connection refused`,
  )
  await says(`${POD.replace('web', 'web:name')}/`, 503, 'error trying to reach service: dial tcp: lookup tcp/name: unknown port')
  const { port } = backend.address() as AddressInfo
  assert.equal((await call('GET', `/api/v1/nodes/n:${port}/proxy/logs/`)).status, 200)
  assert.equal((await call('GET', `${POD}/a`, { token: 'alice-token' })).status, 403)
  assert.equal((await call('POST', `${POD}/a`, { token: 'alice-token' }, Buffer.alloc(100_000))).status, 403)
})

test('a body that nobody takes does not hide why', async () => {
  for (const size of [10, 400_000]) {
    const answer = await call('POST', `${POD.replace('web', `web:${closedPort}`)}/`, {}, Buffer.alloc(size))
    assert.equal(answer.status, 503)
  }
  assert.equal((await call('POST', `${POD}/early`, {}, Buffer.alloc(20_000))).text, 'enough')
  assert.equal((await call('GET', `${POD}/a`)).status, 200)
})

test('a WebSocket goes through, and a refusal of one comes back', async () => {
  const options = { rejectUnauthorized: false, headers: { authorization: 'Bearer admin-token' } }
  const ws = new WebSocket(`wss://127.0.0.1:${server.port}${POD}/socket`, options)
  await once(ws, 'open')
  ws.send('hello')
  const [data] = await once(ws, 'message')
  assert.equal(String(data), 'echo hello')
  ws.close()
  await once(ws, 'close')
  const refused = new WebSocket(`wss://127.0.0.1:${server.port}${POD}/elsewhere`, options)
  const [, answer] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage]
  assert.equal(answer.statusCode, 403)
  refused.on('error', () => undefined)
  refused.terminate()
})
