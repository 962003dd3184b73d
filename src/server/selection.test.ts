/** Lists and watches by selectors, against looking at every object: whatever is indexed, both must see the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createMemoryStore } from '../store/memory.ts'
import type { CacheChange } from './cache-change.ts'
import { serialise } from './revision.ts'
import { fakeClock } from './server.test-support.ts'
import { WatchCaches } from './watch-cache.ts'
import { eventTypeOf } from './watch-group.ts'
import { labelTerm, type Predicate, type Term, type WatchScope } from './watch-scope.ts'
import type { Watcher } from './watcher.ts'

const VIEW = { apiVersion: 'v1' }
const NAMESPACES = ['a', 'b']
const NODES = ['', ...Array.from({ length: 12 }, (_, index) => `n${index}`)]
const APPS = Array.from({ length: 9 }, (_, index) => `app-${index}`)
const PHASES = ['Pending', 'Running', 'Failed']

const nodeTerm = (value: string): Term => ({
  name: 'spec.nodeName',
  isLabel: false,
  value,
  read: ({ spec }) => (spec?.['nodeName'] as string | undefined) ?? '',
})
const phaseTerm = (value: string): Term => ({
  name: 'status.phase',
  isLabel: false,
  value,
  read: ({ status }) => (status?.['phase'] as string | undefined) ?? '',
})

interface Selected {
  readonly scope: WatchScope
  readonly predicate: Predicate
}

test('a selection by an index and a watch by its hook see what looking at everything sees', async (t) => {
  const random = seededRandom(7)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random.next() * values.length)]!
  const store = createMemoryStore()
  const caches = new WatchCaches({ clock: fakeClock(), random, log: silentLog }, store)
  caches.indexBy('', 'pods', 'spec.nodeName', nodeTerm('').read as (object: KubeObject) => string)
  await caches.load()
  const stop = new AbortController()
  const running = caches.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  const pods = caches.of('', 'pods')

  const selection = (): Selected => {
    const terms = [
      ...(random.next() < 0.4 ? [nodeTerm(pick(NODES))] : []),
      ...(random.next() < 0.6 ? [labelTerm('app', pick(APPS))] : []),
      ...(random.next() < 0.2 ? [phaseTerm(pick(PHASES))] : []),
      ...(random.next() < 0.2 ? [labelTerm(`l${Math.floor(random.next() * 20)}`, 'x')] : []),
    ]
    const prefix = random.next() < 0.5 ? '' : `${pick(NAMESPACES)}/`
    const selector = terms.map(({ name, value }) => `${name}=${value}`).join()
    return { scope: { prefix, terms, selector }, predicate: (object) => terms.every((term) => term.read(object) === term.value) }
  }
  const change = async (): Promise<void> => {
    const changes = new Map<string, Uint8Array | undefined>()
    for (let i = 0; i < 20; i++) {
      const [namespace, name] = [pick(NAMESPACES), `p${Math.floor(random.next() * 600)}`]
      const labels = { ...(random.next() < 0.8 ? { app: pick(APPS) } : {}), [`l${Math.floor(random.next() * 20)}`]: 'x' }
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace, name, labels },
        spec: { nodeName: pick(NODES) },
        status: { phase: pick(PHASES) },
      }
      changes.set(`/registry/core/pods/${namespace}/${name}`, random.next() < 0.15 ? undefined : serialise(pod))
    }
    const outcome = await store.commit([...changes].map(([key, value]) => ({ key, value })))
    assert.ok('revision' in outcome)
    await caches.caughtUp(outcome.revision)
  }

  const watches: { readonly watcher: Watcher; readonly expected: string[]; readonly seen: string[]; readonly selected: Selected }[] = []
  const told = (type: string, key: string, revision: number) => `${type} ${key} ${revision}`
  pods.observe((seen: CacheChange | undefined) => {
    if (!seen) return
    for (const { selected, expected } of watches) {
      if (!seen.key.startsWith(selected.scope.prefix)) continue
      const type = eventTypeOf(seen, selected.predicate)
      if (type) expected.push(told(type, seen.key, seen.revision))
    }
  })
  const drain = ({ watcher, seen }: (typeof watches)[number]) => {
    for (let events = watcher.take(); events && events.length > 0; events = watcher.take()) {
      for (const { type, object } of events) {
        const { namespace, name, resourceVersion } = object.metadata!
        seen.push(told(type, `${namespace}/${name}`, Number(resourceVersion)))
      }
    }
  }

  for (let round = 0; round < 150; round++) {
    await change()
    const { scope, predicate } = selection()
    const scanned: string[] = []
    pods.walk(scope.prefix, undefined, (item, key) => void (predicate(item.object) && scanned.push(key)))
    const candidates = pods.candidates(scope)
    if (candidates) {
      const found = candidates.filter((item) => predicate(item.object)).map(({ key }) => key)
      assert.deepEqual(found, scanned, `round ${round}: ${scope.selector}`)
    }
    const selected = selection()
    watches.push({ watcher: pods.watch(selected.scope, selected.predicate, VIEW, {}), expected: [], seen: [], selected })
    if (round % 3 === 0) for (const watch of watches) drain(watch)
    if (round % 10 === 9) {
      const [gone] = watches.splice(Math.floor(random.next() * watches.length), 1)
      drain(gone!)
      gone!.watcher.end()
      assert.deepEqual(gone!.seen, gone!.expected)
    }
  }
  for (const watch of watches) {
    drain(watch)
    assert.deepEqual(watch.seen, watch.expected, String(watch.selected.scope.selector))
    watch.watcher.end()
  }
  assert.equal(pods.watcherCount, 0)
  const narrow = pods.candidates({ prefix: '', terms: [labelTerm('app', 'app-1'), nodeTerm('n3')] })
  assert.ok(narrow !== undefined && narrow.length < pods.size / 8, 'the narrower index is taken')
})
