/** The store on a real etcd: the suite of all stores, several servers on one etcd, and what goes wrong. Skipped where etcd is not built. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { systemClock } from '../../src/base/system.ts'
import { openEtcdStore } from '../../src/store/etcd/store.ts'
import type { Change, Entry, Page, Store, StoreConflict, StoreEvent } from '../../src/store/store.ts'
import { storeConformance } from '../../src/store/suite.test.ts'
import { startEtcd, startForwarder, whyNoEtcd, type RunningEtcd } from './etcd.ts'

const missing = whyNoEtcd()
const options = { skip: missing ?? false }
const put = (key: string, value: string, expected?: number): Change => ({
  key,
  value: new TextEncoder().encode(value),
  ...(expected === undefined ? {} : { expected }),
})
const text = (entry: Entry | undefined) => entry && new TextDecoder().decode(entry.value)

let etcd: RunningEtcd | undefined
after(() => etcd?.stop())

let made = 0
/** A store of its own within one etcd. */
async function open(prefix = `/test-${++made}/`, maxBacklog?: number): Promise<Store> {
  etcd ??= await startEtcd()
  return openEtcdStore({
    endpoints: etcd.endpoints,
    prefix,
    clock: systemClock,
    log: silentLog,
    ...(maxBacklog === undefined ? {} : { maxBacklog }),
  })
}

/** The suite's keys and revisions, which begin with "/" and 1, as the prefix's and etcd's. */
async function openAsNew({ maxBacklog }: { readonly maxBacklog?: number }): Promise<Store> {
  const prefix = `/suite-${++made}`
  const store = await open(`${prefix}/`, maxBacklog)
  const base = store.revision
  const here = (revision: number) => revision + base
  const entryOf = (entry: Entry | undefined): Entry | undefined =>
    entry &&
    Object.defineProperty(
      { ...entry, key: entry.key.slice(prefix.length), createRevision: entry.createRevision - base, modRevision: entry.modRevision - base },
      'decoded',
      {
        get: () => entry.decoded,
        enumerable: true,
      },
    )
  const changeOf = (change: Change): Change => ({
    ...change,
    key: prefix + change.key,
    ...(change.expected ? { expected: here(change.expected) } : {}),
  })
  const rebased = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof Error && 'revision' in error) error.revision = (error.revision as number) - base
      throw error
    }
  }
  return {
    get revision() {
      return store.revision - base
    },
    get historyBytes() {
      return store.historyBytes
    },
    get: async (key, at) => entryOf(await rebased(store.get(prefix + key, at === undefined ? undefined : here(at)))),
    async range(keys, { at, after: key, limit } = {}): Promise<Page> {
      const page = await rebased(
        store.range(prefix + (keys || '/'), {
          ...(at === undefined ? {} : { at: here(at) }),
          ...(key === undefined ? {} : { after: prefix + key }),
          ...(limit === undefined ? {} : { limit }),
        }),
      )
      return { ...page, revision: page.revision - base, entries: page.entries.map((entry) => entryOf(entry)!) }
    },
    async commit(changes) {
      const answer = await store.commit(changes.map(changeOf))
      if ('revision' in answer) return { revision: answer.revision - base }
      return { conflict: answer.conflict.slice(prefix.length), current: entryOf(answer.current) } satisfies StoreConflict
    },
    watch(keys, revision, signal): AsyncIterable<readonly StoreEvent[]> {
      const inner = store.watch(prefix + keys, here(revision), signal)[Symbol.asyncIterator]()
      const next = async () => {
        const result = await rebased(inner.next())
        if (result.done) return { done: true as const, value: undefined }
        const value = result.value.map((event) => ({
          key: event.key.slice(prefix.length),
          revision: event.revision - base,
          entry: entryOf(event.entry),
          previous: entryOf(event.previous),
        }))
        return { done: false as const, value }
      }
      return { [Symbol.asyncIterator]: () => ({ next, return: async () => (await inner.return?.(), { done: true, value: undefined }) }) }
    },
    compact: async (revision) => store.compact(here(revision)),
    close: async () => store.close(),
  }
}

if (missing) test('etcd: the suite of all stores', options, () => undefined)
else storeConformance('etcd', openAsNew, { ordersAll: false })

test('etcd: two servers see each other’s writes, in one order, and only one of two equal expectations holds', options, async () => {
  const prefix = `/shared-${++made}/`
  const [one, two] = [await open(prefix), await open(prefix)]
  try {
    const stop = new AbortController()
    const seen = two.watch(prefix, two.revision, stop.signal)[Symbol.asyncIterator]()
    const first = await one.commit([put(`${prefix}a`, 'one', 0)])
    assert.ok('revision' in first)
    const { value: events } = await seen.next()
    assert.deepEqual(
      events?.map(({ key, revision, entry }: StoreEvent) => [key, revision, text(entry)]),
      [[`${prefix}a`, first.revision, 'one']],
    )
    const answers = await Promise.all([one, two].map((store, i) => store.commit([put(`${prefix}a`, `by ${i}`, first.revision)])))
    assert.equal(answers.filter((answer) => 'conflict' in answer).length, 1)
    stop.abort()
  } finally {
    await Promise.all([one.close(), two.close()])
  }
})

test('etcd: what was there before is taken over, and older revisions are asked of etcd', options, async () => {
  const prefix = `/older-${++made}/`
  const before = await open(prefix)
  const first = await before.commit([put(`${prefix}a`, '1'), put(`${prefix}b`, '1')])
  await before.commit([put(`${prefix}a`, '2')])
  await before.close()
  assert.ok('revision' in first)
  const store = await open(prefix)
  try {
    assert.equal(text(await store.get(`${prefix}a`)), '2')
    assert.equal(text(await store.get(`${prefix}a`, first.revision)), '1')
    const page = await store.range(prefix, { at: first.revision, limit: 1 })
    assert.deepEqual([page.entries.map(text), page.more, page.remaining], [['1'], true, 1])
    await store.compact(store.revision)
    await assert.rejects(store.get(`${prefix}a`, first.revision), { name: 'Compacted' })
  } finally {
    await store.close()
  }
})

test('etcd: of three members any one may die under load; what was answered is there, in every server', options, async () => {
  const cluster = await startEtcd(3)
  const openAt = (first: number) =>
    openEtcdStore({
      endpoints: [...cluster.endpoints.slice(first), ...cluster.endpoints.slice(0, first)],
      prefix: '/registry/',
      clock: systemClock,
      log: silentLog,
    })
  const stores = await Promise.all([0, 1, 2].map(openAt))
  try {
    const answered = new Map<string, string>()
    let isOver = false
    let refused = 0
    const writer = async (id: number) => {
      for (let i = 0; !isOver; i++) {
        const key = `/registry/w/${id}/${i % 20}`
        try {
          const answer = await stores[id % 3]!.commit([put(key, `${i}`)])
          if ('revision' in answer) answered.set(key, `${i}`)
        } catch (error) {
          assert.equal((error as Error).name, 'StoreUnavailable')
          // Whether it was written is not known.
          answered.delete(key)
          refused++
        }
      }
    }
    const writers = Array.from({ length: 6 }, (_, id) => writer(id))
    for (const member of [0, 1, 2]) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      await cluster.kill(member)
      const before = stores[(member + 1) % 3]!.revision
      // Writes go on within the election's time.
      for (let tries = 0; stores[(member + 1) % 3]!.revision < before + 20; tries++) {
        assert.ok(tries < 100, 'no write goes through')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      await cluster.start(member)
    }
    isOver = true
    await Promise.all(writers)
    assert.ok(answered.size > 50, `${answered.size} keys, ${refused} refused`)
    const newest = Math.max(...stores.map((store) => store.revision))
    for (const store of stores) {
      for (let tries = 0; store.revision < newest; tries++) {
        assert.ok(tries < 100, 'a server does not catch up')
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      for (const [key, value] of answered) assert.equal(text(await store.get(key)), value, key)
    }
  } finally {
    await Promise.all(stores.map(async (store) => store.close()))
    await cluster.stop()
  }
})

test('etcd: who could not watch while etcd compacted reads everything anew, and its watches end', options, async () => {
  etcd ??= await startEtcd()
  const way = await startForwarder(etcd.endpoints[0]!)
  const prefix = `/cut-${++made}/`
  const openAt = (endpoint: string) => openEtcdStore({ endpoints: [endpoint], prefix, clock: systemClock, log: silentLog })
  const [store, other] = [await openAt(way.endpoint), await openAt(etcd.endpoints[0]!)]
  try {
    await store.commit([put(`${prefix}kept`, '1'), put(`${prefix}gone`, '1')])
    const ended = assert.rejects(store.watch(prefix, store.revision, new AbortController().signal)[Symbol.asyncIterator]().next(), {
      name: 'Compacted',
    })
    way.cut()
    await assert.rejects(store.commit([put(`${prefix}lost`, '1')]), { name: 'StoreUnavailable' })
    await other.commit([{ key: `${prefix}gone`, value: undefined }])
    await other.commit([put(`${prefix}new`, '1')])
    await other.compact(other.revision)
    way.mend()
    await ended
    assert.deepEqual(
      (await store.range(prefix)).entries.map(({ key }) => key.slice(prefix.length)),
      ['kept', 'new'],
    )
    assert.ok('revision' in (await store.commit([put(`${prefix}again`, '1')])))
  } finally {
    await Promise.all([store.close(), other.close()])
    way.close()
  }
})
