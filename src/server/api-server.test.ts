import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiRequest, Transport, WatchEvent } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { systemClock } from '../base/system.ts'
import { createMemoryStore } from '../store/memory.ts'
import { createApiServer, type ApiServer } from './api-server.ts'

const admin = { name: 'admin', groups: ['system:masters'] }

async function start(t: { after(callback: () => void): void }): Promise<ApiServer> {
  const runtime = { clock: systemClock, random: seededRandom(1), log: silentLog }
  const server = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [],
    admission: [],
    nodeConnector: () => undefined,
  })
  const stop = new AbortController()
  const running = server.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  await server.started
  return server
}

async function call(transport: Transport, method: ApiRequest['method'], url: string, object?: unknown, headers: Record<string, string> = {}) {
  const { pathname, searchParams } = new URL(url, 'http://x')
  const response = await transport({
    method,
    path: pathname,
    query: searchParams,
    headers,
    signal: new AbortController().signal,
    ...(object === undefined ? {} : { body: { object: object as KubeObject } }),
  })
  if (response.type === 'object') return { status: response.status, body: response.stored.object, response }
  if (response.type === 'list') return { status: 200, body: { ...response, items: response.items.map((item) => item.object) } as unknown as KubeObject, response }
  return { status: response.status, body: {} as KubeObject, response }
}

test('creates, gets, lists and watches over the direct transport', async (t) => {
  const server = await start(t)
  const transport = server.transport(admin)
  const made = await call(transport, 'POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'a' }, data: { k: 'v' } })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.equal(made.body.metadata?.namespace, 'default')
  const got = await call(transport, 'GET', '/api/v1/namespaces/default/configmaps/a')
  assert.deepEqual(got.body, made.body)
  const listed = await call(transport, 'GET', '/api/v1/configmaps')
  assert.equal(listed.body.items.length, 1)
  const watched = await call(transport, 'GET', '/api/v1/configmaps?watch=true')
  assert.equal(watched.response.type, 'watch')
  const events: WatchEvent[] = []
  if (watched.response.type !== 'watch') return
  const done = (async () => {
    for await (const batch of (watched.response as { events: AsyncIterable<readonly WatchEvent[]> }).events) {
      events.push(...batch)
      if (events.length >= 2) return
    }
  })()
  await call(transport, 'POST', '/api/v1/namespaces/default/configmaps', { metadata: { generateName: 'b-' } })
  await done
  assert.deepEqual(
    events.map((event) => event.type),
    ['ADDED', 'ADDED'],
  )
  assert.match(new TextDecoder().decode(events[1]!.line), /^\{"type":"ADDED","object":\{"apiVersion":"v1","kind":"ConfigMap","metadata":\{"resourceVersion":"\d+","name":"b-/)
})
