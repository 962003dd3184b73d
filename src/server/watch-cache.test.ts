import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { serialise } from './revision.ts'
import { fakeClock } from './server.test-support.ts'
import { WatchCaches } from './watch-cache.ts'
import type { WatchScope } from './watch-scope.ts'

const ALL: WatchScope = { prefix: '' }
const VIEW = { apiVersion: 'v1' }

async function open(t: { after(callback: () => Promise<void>): void }) {
  const store = createMemoryStore()
  const caches = new WatchCaches({ clock: fakeClock(), random: seededRandom(1), log: silentLog }, store)
  caches.indexBy('', 'pods', 'spec.nodeName', (pod) => pod.spec?.nodeName ?? '')
  await caches.load()
  const stop = new AbortController()
  const running = caches.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  return { store, caches, pods: caches.of('', 'pods') }
}

const pod = (name: string, nodeName: string) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'd', name }, spec: { nodeName } })

async function put(store: Store, caches: WatchCaches, name: string, nodeName: string | undefined): Promise<number> {
  const value = nodeName === undefined ? undefined : serialise(pod(name, nodeName))
  const outcome = await store.commit([{ key: `/registry/core/pods/d/${name}`, value }])
  assert.ok('revision' in outcome)
  await caches.caughtUp(outcome.revision)
  return outcome.revision
}

test('a commit that was waited for is seen, with its revision in object and bytes', async (t) => {
  const { store, caches, pods } = await open(t)
  const revision = await put(store, caches, 'a', 'n1')
  const found = pods.get('d/a')!
  assert.equal(found.object.metadata?.resourceVersion, String(revision))
  assert.deepEqual(JSON.parse(new TextDecoder().decode(found.bytes)), found.object)
})

test('what another program wrote in another order of fields is read too', async (t) => {
  const { store, caches, pods } = await open(t)
  const value = new TextEncoder().encode('{"metadata":{"name":"b","namespace":"d"},"kind":"Pod","apiVersion":"v1"}')
  const outcome = await store.commit([{ key: '/registry/core/pods/d/b', value }])
  assert.ok('revision' in outcome)
  await caches.caughtUp(outcome.revision)
  const bytes = new TextDecoder().decode(pods.get('d/b')!.bytes)
  assert.equal((JSON.parse(bytes) as { metadata: { resourceVersion: string } }).metadata.resourceVersion, String(outcome.revision))
})

test('the indexed field finds, and tells watchers of one value what comes and goes', async (t) => {
  const { store, caches, pods } = await open(t)
  await put(store, caches, 'a', 'n1')
  const term = { name: 'spec.nodeName', isLabel: false, value: 'n1', read: (object: KubeObject) => object.spec?.nodeName ?? '' }
  const scope: WatchScope = { prefix: '', terms: [term] }
  const watcher = pods.watch(scope, (object) => object.spec?.nodeName === 'n1', VIEW, { after: 0 })
  await put(store, caches, 'b', 'n2')
  await put(store, caches, 'a', 'n2')
  await put(store, caches, 'b', 'n1')
  assert.deepEqual(
    pods.indexed('spec.nodeName', 'n1')?.map(({ key }) => key),
    ['d/b'],
  )
  watcher.end()
  const seen: string[] = []
  for await (const batch of watcher) for (const event of batch) seen.push(`${event.type} ${event.object.metadata?.name}`)
  assert.deepEqual(seen, ['ADDED a', 'DELETED a', 'ADDED b'])
  assert.equal(pods.watcherCount, 0)
})

test('events of one change are one object for all watchers; a deletion carries its own revision', async (t) => {
  const { store, caches, pods } = await open(t)
  const first = pods.watch(ALL, undefined, VIEW, {})
  const second = pods.watch({ prefix: 'd/' }, undefined, VIEW, {})
  await put(store, caches, 'a', 'n1')
  const deleted = await put(store, caches, 'a', undefined)
  first.end()
  second.end()
  const [one, two] = await Promise.all([first, second].map((watcher) => Array.fromAsync(watcher)))
  assert.equal(one!.flat()[0], two!.flat()[0])
  assert.equal(one!.flat()[0]!.line, two!.flat()[0]!.line)
  assert.equal(one!.flat()[1]!.object.metadata?.resourceVersion, String(deleted))
})

test('a watch resumes from the window, and is Expired before it', async (t) => {
  const { store, caches, pods } = await open(t)
  const early = await put(store, caches, 'a', 'n1')
  for (let i = 0; i < 17_000; i++) await store.commit([{ key: '/registry/core/pods/d/a', value: serialise(pod('a', `n${i}`)) }])
  await caches.caughtUp(store.revision)
  assert.throws(() => pods.watch(ALL, undefined, VIEW, { after: early }), /^ApiError: too old resource version: \d+ \(\d+\)$/)
  const watcher = pods.watch(ALL, undefined, VIEW, { after: store.revision - 3 })
  watcher.end()
  const events = (await Array.fromAsync(watcher)).flat()
  assert.equal(events.length, 3)
})

test('a watcher that does not read is ended at its bound, and holds nothing back from those who do', async (t) => {
  const { store, caches, pods } = await open(t)
  const watcher = pods.watch(ALL, undefined, VIEW, {})
  const reader = pods.watch(ALL, undefined, VIEW, {})
  let read = 0
  reader.onReady(() => (read += reader.take()!.length))
  for (let i = 0; i < 20_100; i++) await store.commit([{ key: '/registry/core/pods/d/a', value: serialise(pod('a', `n${i}`)) }])
  await caches.caughtUp(store.revision)
  assert.equal(pods.watcherCount, 1)
  assert.deepEqual(await Array.fromAsync(watcher), [])
  assert.equal(read, 20_100)
})
