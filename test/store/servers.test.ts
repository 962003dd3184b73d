/** Several API servers on one etcd: what one has answered the others show. Skipped where etcd is not built. */
import assert from 'node:assert/strict'
import { after, test, type TestContext } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { systemClock } from '../../src/base/system.ts'
import { resources } from '../../src/server/resources/index.ts'
import { startServer } from '../../src/server/server.test-support.ts'
import { openEtcdStore } from '../../src/store/etcd/store.ts'
import { startEtcd, whyNoEtcd, type RunningEtcd } from './etcd.ts'

const options = { skip: whyNoEtcd() ?? false }
let etcd: RunningEtcd | undefined
after(() => etcd?.stop())

/** Servers that find each other's objects as they start. */
async function startServers(t: TestContext, count: number) {
  etcd ??= await startEtcd()
  const { endpoints } = etcd
  return Promise.all(
    Array.from({ length: count }, async () => {
      const store = await openEtcdStore({ endpoints, prefix: '/registry/', clock: systemClock, log: silentLog })
      const server = await startServer(t, { store, resources })
      // After the server has ended.
      t.after(async () => store.close())
      return server
    }),
  )
}

const configMap = (name: string, data = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })
const PATH = '/api/v1/namespaces/default/configmaps'

test('servers: what one has answered every other shows at once, and lists and watches tell it', options, async (t) => {
  const servers = await startServers(t, 3)
  const [one, two, three] = servers as [(typeof servers)[0], (typeof servers)[0], (typeof servers)[0]]
  await one.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })
  const seen = await three.watch(`${PATH}?watch=1`, 60)
  for (let i = 0; i < 30; i++) {
    const [writer, reader] = i % 2 ? [one, two] : [two, one]
    assert.equal((await writer.call('POST', PATH, configMap(`c${i}`))).status, 201)
    assert.equal((await reader.call('GET', `${PATH}/c${i}`)).status, 200, `c${i}`)
    const list = await reader.call('GET', PATH)
    assert.equal((list.body as { readonly items?: readonly unknown[] }).items?.length ?? 0, i + 1)
    assert.equal((await writer.call('PUT', `${PATH}/c${i}`, configMap(`c${i}`, { n: `${i}` }))).status, 200)
  }
  assert.deepEqual(
    (await seen.first).map((event) => event.type),
    Array.from({ length: 60 }, (_, i) => (i % 2 ? 'MODIFIED' : 'ADDED')),
  )
})

test('servers: of increments through several servers none is lost', options, async (t) => {
  const servers = await startServers(t, 3)
  await servers[0]!.call('POST', PATH, configMap('counter', { n: '0' }))
  let done = 0
  await Promise.all(
    servers.map(async ({ call }) => {
      for (let i = 0; i < 40; i++) {
        const { body } = await call('GET', `${PATH}/counter`)
        const now = body as typeof body & { readonly data: { readonly n: string } }
        const { status } = await call('PUT', `${PATH}/counter`, { ...now, data: { n: `${Number(now.data.n) + 1}` } })
        assert.ok(status === 200 || status === 409, `${status}`)
        if (status === 200) done++
      }
    }),
  )
  const { body } = await servers[1]!.call('GET', `${PATH}/counter`)
  assert.equal((body as typeof body & { readonly data: { readonly n: string } }).data.n, `${done}`)
  assert.ok(done >= 40)
})
