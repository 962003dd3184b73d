import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request as send, type RequestOptions } from 'node:https'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { UserInfo } from '../../api/exchange.ts'
import { isServedByDefault, resources as infos } from '../../api/resources.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { systemClock } from '../../base/system.ts'
import { createMemoryStore } from '../../store/memory.ts'
import { createApiServer } from '../api-server.ts'
import { createStaticTokens } from '../authentication/static-tokens.ts'
import { createHttpsServer, type HttpsServer } from './server.ts'
import { tokenDigest } from './tokens.ts'

const runtime = { clock: systemClock, random: seededRandom(1), log: silentLog }
const users = new Map<string, UserInfo>([
  ['admin-token', { name: 'admin', groups: ['system:masters'] }],
  ['alice-token', { name: 'alice', groups: [] }],
])

const stop = new AbortController()
const directory = mkdtempSync(join(tmpdir(), 'proa-https-'))
const agent = new Agent({ keepAlive: true, rejectUnauthorized: false })
let server: HttpsServer
let running: Promise<void>

before(async () => {
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')]
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '1',
      '-subj',
      '/CN=localhost',
    ],
    { stdio: 'ignore' },
  )
  const api = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [],
    admission: [],
    nodeConnector: () => undefined,
    tokenAuthenticators: [createStaticTokens(users, tokenDigest, [])],
  })
  running = api.run(stop.signal)
  await api.started
  server = await createHttpsServer(runtime, api, {
    port: 0,
    key: readFileSync(key),
    cert: readFileSync(cert),
    clientCa: readFileSync(cert, 'utf8'),
  })
})

after(async () => {
  stop.abort()
  agent.destroy()
  await server.close()
  await running
  rmSync(directory, { recursive: true })
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever came
  readonly body: any
}

function call(
  method: string,
  path: string,
  options: { body?: string | Buffer; token?: string | undefined; headers?: RequestOptions['headers'] } = {},
): Promise<Answer> {
  const { token = 'admin-token', body } = options
  return new Promise((resolve, reject) => {
    const request = send(
      {
        host: '127.0.0.1',
        port: server.port,
        path,
        method,
        agent,
        headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...options.headers },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const isJson = String(response.headers['content-type']).includes('json') && !response.headers['content-encoding']
          resolve({ status: response.statusCode!, headers: response.headers, text, body: isJson && text ? JSON.parse(text) : undefined })
        })
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

test('creates and reads what it created, with its bytes as they are', async () => {
  const made = await call('POST', '/api/v1/namespaces/default/configmaps', {
    body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"b"}}',
  })
  assert.equal(made.status, 201, made.text)
  assert.match(String(made.headers['audit-id']), /^[0-9a-f-]{36}$/)
  const got = await call('GET', '/api/v1/namespaces/default/configmaps/one')
  assert.equal(got.text, made.text)
  assert.equal(got.headers['content-type'], 'application/json')
})

test('refuses a bad token with 401, nobody and strangers with 403', async () => {
  const bad = await call('GET', '/api/v1/pods', { token: 'wrong' })
  assert.deepEqual([bad.status, bad.body.message, bad.body.reason], [401, 'Unauthorized', 'Unauthorized'])
  const stranger = await call('GET', '/api/v1/namespaces/x/pods', { token: 'alice-token' })
  assert.equal(stranger.status, 403)
  assert.equal(stranger.body.message, 'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "x"')
  const nobody = await call('GET', '/api', { token: '' })
  assert.equal(nobody.body.message, 'forbidden: User "system:anonymous" cannot get path "/api"')
  assert.equal((await call('GET', '/healthz', { token: '' })).text, 'ok')
  assert.equal((await call('GET', '/version', { token: '' })).body.gitVersion, 'v1.36.3+proa')
})

test('refuses bodies that are too large or no JSON, and lives on', async () => {
  const large = await call('POST', '/api/v1/namespaces/default/configmaps', { body: Buffer.alloc(3 * 1024 * 1024 + 1, 32) })
  assert.deepEqual([large.status, large.body.message], [413, 'Request entity too large: limit is 3145728'])
  const bad = await call('POST', '/api/v1/namespaces/default/configmaps', { body: '{"a"' })
  assert.equal(bad.status, 400)
  const encoding = await call('POST', '/api/v1/namespaces/default/configmaps', { body: 'x', headers: { 'content-type': 'text/html' } })
  assert.equal(encoding.status, 415)
  assert.match(encoding.body.message, /^the body of the request was in an unknown format - accepted media types include: application\/json/)
  const accept = await call('GET', '/api/v1/pods', { headers: { accept: 'image/png' } })
  assert.deepEqual([accept.status, accept.body.reason], [406, 'NotAcceptable'])
  const aggregated = { headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' } }
  // Let through to the documents, of which this server has none.
  assert.equal((await call('GET', '/apis', aggregated)).status, 404)
  assert.equal((await call('GET', '/api/v1/pods', aggregated)).status, 406)
  assert.equal((await call('GET', '/readyz')).status, 200)
})

test('warns of unknown fields', async () => {
  const made = await call('POST', '/api/v1/namespaces/default/configmaps?dryRun=All', { body: '{"metadata":{"name":"w"},"spec":{}}' })
  assert.equal(made.status, 201, made.text)
  assert.equal(made.headers.warning, '299 - "unknown field \\"spec\\""')
})

test('streams a watch: headers first, then each event as a line', async () => {
  const request = send({
    host: '127.0.0.1',
    port: server.port,
    path: '/api/v1/namespaces/w/configmaps?watch=1&allowWatchBookmarks=1',
    agent,
    headers: { authorization: 'Bearer admin-token' },
  })
  request.end()
  const lines = await new Promise<string[]>((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (text.split('\n').length > 3) resolve(text.trim().split('\n'))
      })
      for (const name of ['a', 'b']) void call('POST', '/api/v1/namespaces/w/configmaps', { body: JSON.stringify({ metadata: { name } }) })
    })
  })
  request.destroy()
  const types = lines.map((line) => (JSON.parse(line) as { type: string }).type)
  assert.deepEqual(types, ['BOOKMARK', 'ADDED', 'ADDED'])
})

test('compresses a large list for who takes it', async () => {
  const data = { x: 'y'.repeat(100_000) }
  for (const name of ['l1', 'l2'])
    await call('POST', '/api/v1/namespaces/large/configmaps', { body: JSON.stringify({ metadata: { name }, data }) })
  const plain = await call('GET', '/api/v1/namespaces/large/configmaps')
  assert.equal(plain.headers['content-encoding'], undefined)
  assert.equal(plain.body.items.length, 2)
  const small = await call('GET', '/api/v1/namespaces/large/configmaps', { headers: { 'accept-encoding': 'gzip' } })
  assert.equal(small.headers['content-encoding'], 'gzip')
  assert.equal(small.headers['transfer-encoding'], 'chunked', 'its length is known only at the end')
})

test('speaks HTTP/2', async () => {
  const session = connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false })
  const stream = session.request({ ':path': '/api/v1/namespaces/default/configmaps/one', authorization: 'Bearer admin-token' })
  let text = ''
  let status = 0
  stream.on('response', (headers) => (status = headers[':status'] as unknown as number))
  for await (const chunk of stream) text += String(chunk)
  session.close()
  assert.equal(status, 200, text)
  assert.equal((JSON.parse(text) as { metadata: { name: string } }).metadata.name, 'one')
})

test('over HTTP/2 long lists and watches come whole, side by side', async () => {
  const path = '/api/v1/namespaces/two/configmaps'
  const data = { x: 'ü'.repeat(1000) }
  for (let i = 0; i < 300; i++) await call('POST', path, { body: JSON.stringify({ metadata: { name: `m-${i}` }, data }) })
  const session = connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false })
  const open = (target: string, headers = {}) => session.request({ ':path': target, authorization: 'Bearer admin-token', ...headers })
  const whole = async (stream: ReturnType<typeof open>): Promise<Buffer> => {
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }
  const events: string[] = []
  const watch = open(`${path}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1`)
  const told = new Promise<void>((resolve, reject) => {
    let text = ''
    watch.on('error', reject)
    watch.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        events.push((JSON.parse(text.slice(0, end)) as { type: string }).type)
        text = text.slice(end + 1)
      }
      if (events.length >= 302) resolve()
    })
  })
  const [plain, zipped] = await Promise.all([whole(open(path)), whole(open(path, { 'accept-encoding': 'gzip' }))])
  await call('POST', path, { body: JSON.stringify({ metadata: { name: 'last' } }) })
  await told
  session.destroy()
  assert.equal((JSON.parse(plain.toString()) as { items: unknown[] }).items.length, 300)
  assert.deepEqual(JSON.parse(gunzipSync(zipped).toString()), JSON.parse(plain.toString()))
  assert.deepEqual(events, [...Array.from({ length: 300 }, () => 'ADDED'), 'BOOKMARK', 'ADDED'])
})
