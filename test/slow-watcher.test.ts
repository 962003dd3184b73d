/** A client that opens a watch and does not read it holds back nobody, and holds memory only up to the bound of its place. */
import assert from 'node:assert/strict'
import { Agent, request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import { MAX_BEHIND_BYTES } from '../src/server/watch-group.ts'
import { parseEndpoint, type Endpoint } from '../upstream/endpoint.ts'
import { startLoneServer } from './api-server.ts'
import { eventually } from './harness.ts'
import { ask } from './upstream/exchange.ts'

const OBJECT_BYTES = 900_000
/** What a socket may take on top: buffers of both ends. */
const SOCKETS_BYTES = 16 << 20
const COUNT = Math.ceil((MAX_BEHIND_BYTES + SOCKETS_BYTES) / OBJECT_BYTES)
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

function openWatch(t: TestContext, endpoint: Endpoint, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request({ ...endpoint, agent, path: `${CONFIG_MAPS}?watch=1` }, resolve)
    t.after(() => call.destroy())
    call.on('error', reject)
    call.end()
  })
}

test('a watch that is not read is ended at its bound, and others hear of everything meanwhile', async (t) => {
  const server = await startLoneServer()
  t.after(server.stop)
  const endpoint = parseEndpoint(server.kubeconfig)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const openWatches = async (): Promise<number> => {
    const text = (await ask(endpoint, agent, { path: '/metrics' })).body.toString()
    return Number(/^apiserver_longrunning_requests\{[^}]*resource="configmaps"[^}]*\} (\d+)$/m.exec(text)?.[1])
  }
  const slow = await openWatch(t, endpoint, agent)
  slow.pause()
  let heard = 0
  const fast = await openWatch(t, endpoint, agent)
  fast.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) heard++
  })
  await eventually('both watches are open', async () => (await openWatches()) === 2)
  const data = { a: 'x'.repeat(OBJECT_BYTES) }
  let slowestMs = 0
  for (let i = 0; i < COUNT; i++) {
    const startMs = performance.now()
    const { status } = await ask(endpoint, agent, { method: 'POST', path: CONFIG_MAPS, body: { metadata: { name: `m${i}` }, data } })
    assert.equal(status, 201)
    await eventually(`event ${i} is heard`, () => heard === i + 1)
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
  }
  await eventually('the slow watch is ended', async () => (await openWatches()) === 1)
  assert.equal(heard, COUNT)
  t.diagnostic(`${COUNT} writes, none heard of later than after ${slowestMs.toFixed(0)} ms`)
})
