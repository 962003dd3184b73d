import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMap, Pod } from '../api/generated/core/v1.ts'
import { failure } from '../api/status.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from './create-client.ts'
import { createFakeClock, settle } from './fake-clock.test-support.ts'
import { createFakeServer } from './fake-server.test-support.ts'
import { createInformer } from './informer.ts'
import { createInformers } from './informers.ts'

const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({ metadata: { namespace: 'a', name }, data })

function start(t: { after(fn: () => void): void }) {
  const clock = createFakeClock()
  const runtime = { clock, random: seededRandom(1), log: silentLog }
  const server = createFakeServer(clock)
  const client = createClient(server.transport)
  const stop = new AbortController()
  t.after(() => stop.abort())
  return { clock, runtime, server, client, stop }
}

test('an informer lists once and then follows the watch, sharing the objects of the server', async (t) => {
  const { runtime, server, client, stop } = start(t)
  await client.create('v1/ConfigMap', configMap('one'))
  const informer = createInformer(runtime, client, 'v1/ConfigMap')
  const seen: string[] = []
  informer.addHandlers({
    added: (object) => seen.push(`added ${object.metadata?.name}`),
    updated: (object, old) => seen.push(`updated ${object.metadata?.name} ${old.data?.['k']}->${object.data?.['k']}`),
    deleted: (object) => seen.push(`deleted ${object.metadata?.name}`),
  })
  const done = informer.run(stop.signal)
  await informer.synced
  assert.equal(informer.cache.get('a/one'), server.objects('v1/ConfigMap')[0], 'the very same object')

  await client.patch('v1/ConfigMap', { namespace: 'a', name: 'one' }, 'merge', { data: { k: '1' } })
  const two = await client.create('v1/ConfigMap', configMap('two'))
  await informer.waitUntil(() => informer.revision >= Number(two.metadata!.resourceVersion), stop.signal)
  await client.delete('v1/ConfigMap', { namespace: 'a', name: 'one' })
  await settle()
  assert.deepEqual(seen, ['added one', 'updated one undefined->1', 'added two', 'deleted one'])
  assert.deepEqual(
    informer.cache.byNamespace('a').map((object) => object.metadata?.name),
    ['two'],
  )
  stop.abort()
  await done
})

test('a watch that ends is taken up where it stopped, without a new list', async (t) => {
  const { clock, runtime, server, client, stop } = start(t)
  const informer = createInformer(runtime, client, 'v1/ConfigMap')
  void informer.run(stop.signal)
  await informer.synced
  await settle()
  server.dropWatches()
  await settle()
  await client.create('v1/ConfigMap', configMap('late'))
  await clock.advance(1000)
  assert.ok(informer.cache.get('a/late'))
  assert.equal(server.requests.filter((request) => request === 'GET /api/v1/configmaps').length, 3, 'one list, two watches')
})

test('a revision that the server forgot leads to a new list whose differences reach the handlers', async (t) => {
  const { clock, runtime, server, client, stop } = start(t)
  await client.create('v1/ConfigMap', configMap('gone'))
  const informer = createInformer(runtime, client, 'v1/ConfigMap')
  const seen: string[] = []
  informer.addHandlers({ added: (o) => seen.push(`+${o.metadata?.name}`), deleted: (o) => seen.push(`-${o.metadata?.name}`) })
  void informer.run(stop.signal)
  await informer.synced
  await settle()
  server.dropWatches()
  await settle()
  await client.delete('v1/ConfigMap', { namespace: 'a', name: 'gone' })
  await client.create('v1/ConfigMap', configMap('new'))
  server.compact()
  await clock.advance(2000)
  assert.deepEqual(seen, ['+gone', '-gone', '+new'])
})

test('failures are retried with growing waits, and nothing waits at rest', async (t) => {
  const { clock, runtime, server, client, stop } = start(t)
  server.intercept = () => failure('ServiceUnavailable', 'down')
  const informer = createInformer(runtime, client, 'v1/ConfigMap')
  void informer.run(stop.signal)
  await clock.advance(60_000)
  assert.equal(informer.hasSynced, false)
  assert.ok(server.requests.length < 12, `${server.requests.length} requests in a minute`)
  server.intercept = undefined
  await clock.advance(60_000)
  assert.equal(informer.hasSynced, true)
  assert.equal(clock.pendingTimers, 0)
})

test('informers are shared by kind, start late, and take indices afterwards', async (t) => {
  const { runtime, server, client, stop } = start(t)
  await client.create('v1/Pod', { metadata: { namespace: 'a', name: 'p' }, spec: { nodeName: 'n1', containers: [] } })
  const informers = createInformers(runtime, client)
  const pods = informers.of('v1/Pod')
  void informers.run(stop.signal)
  await informers.synced()
  const nodeOf = (pod: Pod) => pod.spec?.nodeName
  assert.equal(informers.of('v1/Pod', { node: nodeOf }), pods)
  assert.equal(pods.cache.byIndex('node', 'n1').length, 1)
  await informers.of('v1/ConfigMap').synced
  assert.equal(server.requests.filter((request) => request === 'GET /api/v1/pods').length, 2, 'one list and one watch')
})
