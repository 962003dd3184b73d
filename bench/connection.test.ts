import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import { test } from 'node:test'
import { systemClock } from '../src/base/system.ts'
import { temporaryPki } from '../src/cluster/pki.ts'
import { openConnection } from './connection.ts'

test('answers of every shape are read to their end, however the bytes are cut', async () => {
  const pki = await temporaryPki(systemClock, ['127.0.0.1'])
  const seen: string[] = []
  const server = createServer(
    { cert: pki.server.cert, key: pki.server.key, ca: pki.authority.cert, requestCert: true },
    (request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', async () => {
        seen.push(`${request.method} ${request.url} ${body}`)
        if (request.url === '/length') return response.writeHead(201, { 'content-length': 5 }).end('hello')
        if (request.url === '/empty') return response.writeHead(204).end()
        // Chunked, in pieces that arrive one by one.
        for (let i = 0; i < 20; i++) {
          response.write(`${'x'.repeat(i * 100)}\n`)
          if (i % 5 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        response.end()
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const connection = await openConnection({ host: '127.0.0.1', port, ca: pki.authority.cert, cert: pki.admin.cert, key: pki.admin.key })
  assert.deepEqual(await connection.request('POST', '/length', '{"ä":1}', { keepBody: true }), { status: 201, bodyBytes: 5, body: 'hello' })
  assert.deepEqual(await connection.request('GET', '/chunked'), { status: 200, bodyBytes: 19_020, body: undefined })
  assert.equal((await connection.request('GET', '/empty')).status, 204)
  let lines = 0
  const ended = Promise.withResolvers<void>()
  const count = (bytes: Buffer) => void (lines += bytes.toString().split('\n').length - 1)
  assert.equal(await connection.stream('/stream', count, ended.resolve), 200)
  await ended.promise
  assert.equal(lines, 20)
  assert.deepEqual(seen, ['POST /length {"ä":1}', 'GET /chunked ', 'GET /empty ', 'GET /stream '])
  connection.close()
  await new Promise((resolve) => server.close(resolve))
})
