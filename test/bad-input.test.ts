/**
 * What a server on a network gets sent: malformed, oversized, unauthorised. Each gets upstream's Status error, and the server
 * lives on. Over real HTTPS against a server process.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { request, type RequestOptions } from 'node:https'
import { connect as connectTls } from 'node:tls'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../src/base/system.ts'
import { createAuthority, issueCertificate } from '../src/cluster/certificates.ts'
import { startCluster } from './harness.ts'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

function ask(options: RequestOptions, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ agent: false, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      )
      response.on('error', reject)
    })
    call.on('error', reject)
    call.end(body)
  })
}

test('bad input over HTTPS', async (t) => {
  const cluster = await startCluster(t, ['--runtime=simulated'])
  const pki = (name: string) => readFileSync(join(cluster.dataDir, 'pki', name))
  const { port } = JSON.parse(readFileSync(join(cluster.dataDir, 'cluster.json'), 'utf8')) as { port: number }
  const server = { host: '127.0.0.1', port, ca: pki('ca.crt') }
  const admin = { ...server, cert: pki('admin.crt'), key: pki('admin.key') }
  const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
    ask({ ...admin, method: 'POST', path, headers: { 'content-type': 'application/json', ...headers } }, body)
  const status = (answer: Answer) =>
    JSON.parse(answer.body) as { kind: string; reason: string; code: number; message: string; details?: { causes?: unknown[] } }
  const expect = (answer: Answer, code: number, reason: string, message: RegExp) => {
    const body = status(answer)
    assert.equal(answer.status, code, answer.body)
    assert.equal(body.kind, 'Status')
    assert.equal(body.reason, reason)
    assert.equal(body.code, code)
    assert.match(body.message, message)
  }
  const configMaps = '/api/v1/namespaces/default/configmaps'
  const configMap = (name: string, more: object = {}) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, ...more })

  await t.test('malformed JSON and YAML', async () => {
    expect(await post(configMaps, '{"apiVersion": "v1", '), 400, 'BadRequest', /unexpected end of JSON input|unexpected EOF/)
    expect(await post(configMaps, '\u0000\u0001garbage'), 400, 'BadRequest', /./)
    expect(await post(configMaps, 'a: [b\nc: }', { 'content-type': 'application/yaml' }), 400, 'BadRequest', /yaml/)
    expect(await post(configMaps, ''), 400, 'BadRequest', /./)
    expect(await post(configMaps, '[]'), 400, 'BadRequest', /./)
    expect(await post(configMaps, `${'['.repeat(100_000)}`), 400, 'BadRequest', /./)
  })

  await t.test('unknown fields: strict refuses, warn warns, ignore is silent', async () => {
    const body = configMap('fields', { dataa: { a: '1' }, bogus: 1 })
    expect(
      await post(`${configMaps}?fieldValidation=Strict`, body),
      400,
      'BadRequest',
      /strict decoding error: unknown field "bogus", unknown field "dataa"|strict decoding error: unknown field "dataa", unknown field "bogus"/,
    )
    const warned = await post(`${configMaps}?fieldValidation=Warn&dryRun=All`, body)
    assert.equal(warned.status, 201, warned.body)
    assert.match(String(warned.headers.warning), /299 - "unknown field \\"dataa\\""/)
    const ignored = await post(`${configMaps}?fieldValidation=Ignore&dryRun=All`, body)
    assert.equal(ignored.status, 201)
    assert.equal(ignored.headers.warning, undefined)
    const doubled = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{},"data":{}}'
    expect(await post(`${configMaps}?fieldValidation=Strict`, doubled), 400, 'BadRequest', /strict decoding error: duplicate field "data"/)
  })

  await t.test('wrong types', async () => {
    expect(
      await post(configMaps, configMap('types', { data: 'text' })),
      400,
      'BadRequest',
      /cannot unmarshal string into Go struct field ConfigMap\.data of type map\[string\]string/,
    )
    expect(
      await post(
        '/apis/apps/v1/namespaces/default/deployments',
        '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"replicas":"three"}}',
      ),
      400,
      'BadRequest',
      /cannot unmarshal string/,
    )
    expect(
      await post(configMaps, '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}'),
      400,
      'BadRequest',
      /Secret.*ConfigMap|does not match/,
    )
  })

  await t.test('too large a body', async () => {
    const answer = await post(configMaps, configMap('large', { data: { a: 'x'.repeat(4 * 1024 * 1024) } }))
    expect(answer, 413, 'RequestEntityTooLarge', /limit is 3145728/)
  })

  await t.test('bad names and missing fields are listed together', async () => {
    expect(
      await post(configMaps, configMap('Not_A_Name')),
      422,
      'Invalid',
      /ConfigMap "Not_A_Name" is invalid: metadata\.name: Invalid value: "Not_A_Name": a lowercase RFC 1123 subdomain must consist of/,
    )
    const answer = await post(
      '/api/v1/namespaces/default/pods',
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"A"}]}}',
    )
    expect(answer, 422, 'Invalid', /spec\.containers\[0\]\.name: Invalid value: "A"/)
    assert.match(status(answer).message, /spec\.containers\[0\]\.image: Required value/)
    assert.ok((status(answer).details?.causes?.length ?? 0) >= 2)
    expect(
      await post(configMaps, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}'),
      422,
      'Invalid',
      /name or generateName is required/,
    )
  })

  await t.test('unknown kinds, paths, methods, media types', async () => {
    expect(
      await ask({ ...admin, path: '/api/v1/namespaces/default/widgets' }),
      404,
      'NotFound',
      /the server could not find the requested resource/,
    )
    expect(await ask({ ...admin, path: `${configMaps}/none` }), 404, 'NotFound', /^configmaps "none" not found$/)
    expect(
      await ask({ ...admin, method: 'POST', path: `${configMaps}/none` }),
      405,
      'MethodNotAllowed',
      /the server does not allow this method on the requested resource/,
    )
    expect(
      await post(configMaps, 'a', { 'content-type': 'application/msgpack' }),
      415,
      'UnsupportedMediaType',
      /the body of the request was in an unknown format - accepted media types include:/,
    )
    expect(
      await ask({ ...admin, path: configMaps, headers: { accept: 'image/png' } }),
      406,
      'NotAcceptable',
      /^406: Not Acceptable\n\nAvailable representations: application\/json, /,
    )
    expect(await post('/api/v1/namespaces/missing/configmaps', configMap('x')), 404, 'NotFound', /^namespaces "missing" not found$/)
    expect(await ask({ ...admin, path: `${configMaps}?labelSelector=a%3D%3D%3Db` }), 400, 'BadRequest', /unable to parse requirement/)
    expect(
      await ask({ ...admin, path: '/api/v1/pods?fieldSelector=spec.bogus%3D1' }),
      400,
      'BadRequest',
      /field label not supported: spec\.bogus/,
    )
    expect(await ask({ ...admin, path: '/api/v1/pods?limit=abc' }), 400, 'BadRequest', /./)
    // Upstream's watches have no reason for it.
    const watch = await ask({ ...admin, path: '/api/v1/pods?watch=1&resourceVersion=abc' })
    const { message } = status(watch)
    assert.deepEqual(
      [watch.status, message],
      [500, 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'],
    )
  })

  await t.test('conflicts', async () => {
    assert.equal((await post(configMaps, configMap('once'))).status, 201)
    expect(await post(configMaps, configMap('once')), 409, 'AlreadyExists', /^configmaps "once" already exists$/)
    const stale = configMap('once').replace('"name":"once"', '"name":"once","resourceVersion":"1"')
    const answer = await ask(
      { ...admin, method: 'PUT', path: `${configMaps}/once`, headers: { 'content-type': 'application/json' } },
      stale,
    )
    expect(answer, 409, 'Conflict', /the object has been modified; please apply your changes to the latest version and try again/)
  })

  await t.test('who are you', async () => {
    expect(await ask({ ...server, path: configMaps, headers: { authorization: 'Bearer nonsense' } }), 401, 'Unauthorized', /^Unauthorized$/)
    expect(
      await ask({ ...server, path: configMaps }),
      403,
      'Forbidden',
      /configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default"/,
    )
    assert.equal((await ask({ ...server, path: '/readyz' })).body, 'ok')
    const stranger = await createAuthority(systemClock, 'kubernetes')
    const pair = await issueCertificate(systemClock, stranger, {
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
      usage: 'client',
    })
    const answer = await ask({ ...server, path: configMaps, cert: pair.cert, key: pair.key })
    assert.equal(answer.status, 401, 'a certificate of another authority')
  })

  await t.test('what is not HTTP at all', async () => {
    await new Promise<void>((resolve) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca: pki('ca.crt') }, () =>
        socket.write(Buffer.from([0, 1, 2, 3, 255, 10, 13, 10])),
      )
      socket.resume()
      socket.on('error', () => resolve())
      socket.on('close', () => resolve())
    })
    assert.equal((await ask({ ...admin, path: '/version', headers: { 'x-filler': 'y'.repeat(300 * 1024) } })).status, 431)
  })

  assert.equal((await ask({ ...admin, path: '/readyz' })).body, 'ok', 'the server lives on')
  assert.equal(cluster.pid() > 0, true)
})
