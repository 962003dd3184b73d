import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { isApiError } from '../../api/status.ts'
import { createClient } from '../create-client.ts'
import { createHttpTransport } from './transport.ts'

test('lists, failures and watches over the wire', async (t) => {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (request.url?.includes('watch=true')) {
      response.writeHead(200, { 'content-type': 'application/json' })
      const line = (name: string) =>
        `${JSON.stringify({ type: 'ADDED', object: { kind: 'Pod', metadata: { name, annotations: { text: 'é'.repeat(50) } } } })}\n`
      const bytes = Buffer.from(line('one') + line('two') + line('three'))
      // Cut in the middle of a line and of a character.
      response.write(bytes.subarray(0, 200))
      setImmediate(() => response.end(bytes.subarray(200)))
    } else if (request.url === '/api/v1/pods')
      json(200, { kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: '7' }, items: [{ metadata: { name: 'p' } }] })
    else json(404, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404, message: 'pods "x" not found' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { transport, close } = createHttpTransport({
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: 'secret',
  })
  t.after(() => (close(), server.close()))
  const client = createClient(transport)

  const list = await client.list('v1/Pod')
  assert.equal(list.metadata.resourceVersion, '7')
  assert.deepEqual(list.items, [{ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'p' } }])
  await assert.rejects(client.get('v1/Pod', { namespace: 'a', name: 'x' }), (error) => isApiError(error, 'NotFound') && error.code === 404)
  const names: (string | undefined)[] = []
  for await (const batch of client.watch('v1/Pod', { resourceVersion: '7', signal: new AbortController().signal })) {
    for (const event of batch) names.push(event.object.metadata?.name)
  }
  assert.deepEqual(names, ['one', 'two', 'three'])
  assert.equal(seen[0], 'GET /api/v1/pods Bearer secret')
})

test('a watch ends with its signal, and a server that is not there rejects', async (t) => {
  const server = createServer((_, response) => response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = (server.address() as AddressInfo).port
  const { transport, close } = createHttpTransport({ server: `http://127.0.0.1:${port}` })
  t.after(() => close())
  const stop = new AbortController()
  const events = createClient(transport).watch('v1/Pod', { signal: stop.signal })[Symbol.asyncIterator]()
  const next = events.next()
  setTimeout(() => stop.abort(), 10)
  await assert.rejects(next)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await assert.rejects(createClient(transport).list('v1/Pod'), /ECONNREFUSED/)
})
