import assert from 'node:assert/strict'
import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import { test } from 'node:test'
import { systemClock } from '../src/base/system.ts'
import { temporaryPki } from '../src/cluster/pki.ts'
import { openMultiplexed } from './multiplexed.ts'

test('endless answers share a connection, each is read to its end', async () => {
  const { server: pair, authority, admin } = await temporaryPki(systemClock, ['127.0.0.1'])
  const server = createSecureServer({ ...pair, ca: authority.cert, requestCert: true })
  server.on('stream', async (stream: ServerHttp2Stream, headers) => {
    const path = String(headers[':path'])
    stream.respond({ ':status': path === '/none' ? 404 : 200 })
    for (let i = 0; i < 200; i++) {
      stream.write(`${path} ${'x'.repeat(i * 10)}\n`)
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    if (path === '/reset') stream.close(8)
    else stream.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const connection = await openMultiplexed({ host: '127.0.0.1', port, ca: authority.cert, cert: admin.cert, key: admin.key })
  const read = async (path: string) => {
    const ended = Promise.withResolvers<void>()
    let text = ''
    const status = await connection.stream(path, (bytes) => void (text += bytes.toString()), ended.resolve)
    await ended.promise
    return { status, text }
  }
  const long = `/${'l'.repeat(300)}`
  const paths = ['/a', long, '/b']
  const answers = await Promise.all(paths.map(read))
  for (const [index, { status, text }] of answers.entries()) {
    assert.equal(status, 200)
    const lines = text.split('\n').slice(0, -1)
    assert.deepEqual([lines.length, lines.every((line) => line.startsWith(`${paths[index]} `))], [200, true])
  }
  assert.notEqual((await read('/none')).status, 200)
  await read('/reset')
  connection.close()
  await new Promise((resolve) => server.close(resolve))
})
