import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { holdFreePort, holdPort } from './machine.ts'

test("a held port is nobody else's until a server takes it over, and free when that ends", async () => {
  const held = await holdFreePort(20_000 + (process.pid % 10_000))
  assert.equal(await holdPort(held.port), undefined)
  await assert.rejects(fetch(`http://127.0.0.1:${held.port}/`))
  const server = createServer((_, response) => response.end('here'))
  server.listen(held.socket)
  await once(server, 'listening')
  assert.equal(await (await fetch(`http://127.0.0.1:${held.port}/`, { headers: { connection: 'close' } })).text(), 'here')
  server.close()
  await once(server, 'close')
  const again = await holdPort(held.port)
  assert.equal(again?.port, held.port)
  again?.socket.close()
})
