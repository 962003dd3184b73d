import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { createMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { createAuthority } from './certificates.ts'
import { startControlPlane } from './control-plane.ts'
import * as identities from './identities.ts'
import { createLifecycle } from './lifecycle.ts'
import { temporaryTokenSigner } from './temporary-server.ts'

const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
const spec = { replicas: 3, selector: { matchLabels: { app: 'a' } }, template }

/** The store as a process has it: nothing comes back once that is killed, after so many more commits. */
function createMortalStore(store: Store) {
  let isDead = false
  let left = Infinity
  const never = new Promise<never>(() => {})
  const alive = <T>(answer: Promise<T>): Promise<T> => answer.then((value) => (isDead ? never : value))
  const mortal: Store = {
    ...store,
    get: (...args) => alive(store.get(...args)),
    range: (...args) => alive(store.range(...args)),
    commit: (...args) => {
      isDead ||= left-- <= 0
      return isDead ? never : store.commit(...args)
    },
    async *watch(...args) {
      for await (const batch of store.watch(...args)) {
        if (isDead) await never
        yield batch
      }
    },
  }
  return { store: mortal, killAfter: (commits: number) => void (left = commits) }
}

function startServers() {
  const clock = createVirtualClock()
  const log = createLog(() => {}, 'error')
  const tokenSigner = temporaryTokenSigner()
  const start = async (candidate: string, seed: number, store: Store) => {
    const lifecycle = createLifecycle()
    const options = {
      store,
      tokenSigner,
      serviceCidr: '10.96.0.0/16',
      rootCa: 'CA',
      podCidr: '10.244.0.0/16',
      candidate,
      authority: () => createAuthority(clock, 'test'),
    }
    const starting = startControlPlane({ clock, random: seededRandom(seed), log }, lifecycle, options)
    let isStarted = false
    void starting.then(() => (isStarted = true))
    assert.ok(await clock.until(() => isStarted, 10_000))
    const plane = await starting
    return { plane, lifecycle, client: plane.client(identities.administrator) }
  }
  return { clock, start }
}

test('of two servers over one store one works; the other takes over when it stops', async () => {
  const { clock, start } = startServers()
  const store = createMemoryStore()
  const [a, b] = [await start('a', 1, store), await start('b', 2, store)]
  await clock.advance(5000)
  const lease = { namespace: 'kube-system', name: 'kube-controller-manager' }
  const holder = async () => (await b.client.get('coordination.k8s.io/v1/Lease', lease)).spec?.holderIdentity
  assert.equal(await holder(), 'a')
  const key = (name: string) => ({ namespace: 'default', name })
  const podCount = async () => (await b.client.list('v1/Pod', { namespace: 'default' })).items.length
  await b.client.create('apps/v1/Deployment', { metadata: key('first'), spec })
  await clock.advance(2000)
  assert.equal(await podCount(), 3)
  const text = a.plane.server.core.metrics.text()
  assert.match(text, /^workqueue_adds_total\{name="deployment"\} [1-9]/m)
  assert.match(text, /^workqueue_work_duration_seconds_count\{name="replicaset"\} [1-9]/m)
  assert.doesNotMatch(b.plane.server.core.metrics.text(), /^workqueue_adds_total\{name="deployment"\}/m)

  let isStopped = false
  const stopping = a.lifecycle.stop().then(() => (isStopped = true))
  await clock.until(() => isStopped, 30_000)
  await stopping
  await b.client.patch('apps/v1/Deployment', key('first'), 'merge', { spec: { replicas: 5 } })
  await clock.advance(6000)
  assert.equal(await holder(), 'b')
  assert.equal(await podCount(), 5)
  let isOver = false
  const ending = b.lifecycle.stop().then(() => (isOver = true))
  await clock.until(() => isOver, 30_000)
  await ending
})

test('of one that is killed in the midst of things the lease runs out, and the other goes on where it was', async () => {
  const { clock, start } = startServers()
  const store = createMemoryStore()
  const mortal = createMortalStore(store)
  await start('a', 1, mortal.store)
  const b = await start('b', 2, store)
  await clock.advance(5000)
  const count = async () => (await b.client.list('v1/Pod', { namespace: 'default' })).items.length
  await b.client.create('apps/v1/Deployment', { metadata: { namespace: 'default', name: 'first' }, spec: { ...spec, replicas: 30 } })
  mortal.killAfter(12)
  await clock.settle()
  const before = await count()
  assert.ok(before > 0 && before < 30, `${before} pods were there when it was killed`)
  const killedMs = clock.now()
  await clock.advance(10_000)
  assert.equal(await count(), before, 'nobody works while the lease is held')
  while ((await count()) < 30 && clock.now() < killedMs + 60_000) await clock.advance(1000)
  assert.equal(await count(), 30)
  assert.ok(clock.now() - killedMs <= 20_000, `it took ${clock.now() - killedMs} ms`)
  let isOver = false
  const ending = b.lifecycle.stop().then(() => (isOver = true))
  await clock.until(() => isOver, 30_000)
  await ending
})
