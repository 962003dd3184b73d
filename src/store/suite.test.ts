/**
 * What every store must do, whatever it keeps its data in: `storeConformance('memory', make)` registers these tests for one. The
 * server relies on each of them, and tests of the server run on the memory store alone because the others pass the same suite.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom, randomInt } from '../base/random.ts'
import type { Change, Committed, Entry, Store, StoreConflict, StoreEvent } from './store.ts'

export interface MakeStore {
  (options: { readonly maxBacklog?: number }): Promise<Store>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const text = (entry: Entry | undefined): string | undefined => entry && decoder.decode(entry.value)
const put = (key: string, value: string, expected?: number): Change => ({
  key,
  value: encoder.encode(value),
  ...(expected === undefined ? {} : { expected }),
})
const remove = (key: string, expected?: number): Change => ({ key, value: undefined, ...(expected === undefined ? {} : { expected }) })
const keys = (entries: readonly Entry[]): string[] => entries.map((entry) => entry.key)
const brief = (events: readonly StoreEvent[]) =>
  events.map((event) => `${event.revision} ${event.key} ${text(event.previous) ?? '-'}>${text(event.entry) ?? '-'}`)

async function committed(result: Promise<Committed | StoreConflict>): Promise<number> {
  const answer = await result
  assert.ok('revision' in answer, `conflict on ${'conflict' in answer ? answer.conflict : ''}`)
  return answer.revision
}

async function conflict(result: Promise<Committed | StoreConflict>): Promise<StoreConflict> {
  const answer = await result
  assert.ok('conflict' in answer, 'the commit should have failed')
  return answer
}

/** Reads a watch until `count` events have come. */
async function take(watch: AsyncIterable<readonly StoreEvent[]>, count: number): Promise<StoreEvent[]> {
  const found: StoreEvent[] = []
  if (count === 0) return found
  for await (const batch of watch) {
    found.push(...batch)
    if (found.length >= count) break
  }
  return found
}

/** `ordersAll`: commits of different keys that are under way at once take effect in the order in which they were made. */
export function storeConformance(name: string, make: MakeStore, { ordersAll = true }: { readonly ordersAll?: boolean } = {}): void {
  const check = (what: string, run: (store: Store) => Promise<void>, options: { readonly maxBacklog?: number } = {}) =>
    test(`${name}: ${what}`, async () => {
      const store = await make(options)
      try {
        await run(store)
      } finally {
        await store.close()
      }
    })

  check('a key keeps the revision that made it and gets a new one at every change', async (store) => {
    assert.equal(store.revision, 0)
    assert.equal(await store.get('/a'), undefined)
    assert.equal(await committed(store.commit([put('/a', 'one', 0)])), 1)
    assert.equal(await committed(store.commit([put('/b', 'other')])), 2)
    assert.equal(await committed(store.commit([put('/a', 'two', 1)])), 3)
    assert.equal(store.revision, 3)
    const entry = await store.get('/a')
    assert.deepEqual([entry!.key, text(entry), entry!.createRevision, entry!.modRevision], ['/a', 'two', 1, 3])
    assert.equal(await committed(store.commit([remove('/a', 3)])), 4)
    assert.equal(await store.get('/a'), undefined)
    assert.equal(await committed(store.commit([put('/a', 'again', 0)])), 5)
    assert.equal((await store.get('/a'))!.createRevision, 5)
    assert.deepEqual(
      [text(await store.get('/a', 1)), text(await store.get('/a', 3)), text(await store.get('/a', 4))],
      ['one', 'two', undefined],
    )
  })

  check('a commit whose expectation fails changes nothing and shows what is there', async (store) => {
    await committed(store.commit([put('/a', 'one')]))
    const stale = await conflict(store.commit([put('/b', 'x'), put('/a', 'two', 9)]))
    assert.deepEqual([stale.conflict, text(stale.current)], ['/a', 'one'])
    assert.equal((await conflict(store.commit([put('/a', 'two', 0)]))).current!.modRevision, 1)
    assert.equal((await conflict(store.commit([remove('/none', 4)]))).current, undefined)
    assert.equal(await store.get('/b'), undefined)
    assert.equal(store.revision, 1)
  })

  check('of many writers that expect the same revision exactly one wins', async (store) => {
    await committed(store.commit([put('/a', '0')]))
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => store.commit([put('/a', `${i}`, 1)])))
    const losers = answers.filter((answer) => 'conflict' in answer)
    assert.equal(losers.length, 19)
    for (const loser of losers) assert.equal(loser.current!.modRevision, 2)
    assert.equal((await store.get('/a'))!.modRevision, 2)
  })

  check('commits in flight at once take effect one by one, in the order they were made', async (store) => {
    const made = await Promise.all(
      [put('/a', '1', 0), put('/a', '2'), remove('/a'), put('/a', '3', 0)].map((change) => committed(store.commit([change]))),
    )
    assert.deepEqual(made, [1, 2, 3, 4])
    assert.deepEqual([text(await store.get('/a', 2)), await store.get('/a', 3), text(await store.get('/a'))], ['2', undefined, '3'])
    assert.equal((await store.get('/a', 2))!.createRevision, 1)
    assert.equal((await store.get('/a'))!.createRevision, 4)
  })

  check('deleting what does not exist is no change', async (store) => {
    await committed(store.commit([put('/a', '1')]))
    assert.equal(await committed(store.commit([remove('/none')])), 1)
    assert.equal(await committed(store.commit([remove('/none'), put('/b', '2')])), 2)
    assert.deepEqual(brief(await take(store.watch('/', 0, new AbortController().signal), 2)), ['1 /a ->1', '2 /b ->2'])
  })

  check('a range has the keys with the prefix, in order', async (store) => {
    for (const key of ['/p/b', '/p/a', '/q/a', '/o/z', '/p/ab', '/p', '/p/']) await committed(store.commit([put(key, key)]))
    const page = await store.range('/p/')
    assert.deepEqual(keys(page.entries), ['/p/', '/p/a', '/p/ab', '/p/b'])
    assert.deepEqual([page.revision, page.more, page.remaining], [7, false, 0])
    assert.deepEqual(keys((await store.range('/none/')).entries), [])
    assert.deepEqual(keys((await store.range('/p/', { after: '/p/a' })).entries), ['/p/ab', '/p/b'])
    assert.deepEqual(keys((await store.range('/p/', { after: '/z' })).entries), [])
    assert.deepEqual(keys((await store.range('')).entries), ['/o/z', '/p', '/p/', '/p/a', '/p/ab', '/p/b', '/q/a'])
  })

  check('pages of one revision together are that revision, whatever is written meanwhile', async (store) => {
    const name = (i: number) => `/p/${`${i}`.padStart(4, '0')}`
    for (let i = 0; i < 700; i += 50) await committed(store.commit(Array.from({ length: 50 }, (_, n) => put(name(i + n), `${i + n}`))))
    const { revision } = store
    const found: string[] = []
    let after: string | undefined
    for (let page = 0; ; page++) {
      const answer = await store.range('/p/', { at: revision, limit: 64, ...(after === undefined ? {} : { after }) })
      found.push(...answer.entries.map((entry) => text(entry)!))
      assert.equal(answer.remaining, 700 - found.length)
      assert.equal(answer.more, answer.remaining > 0)
      if (!answer.more) break
      after = answer.entries.at(-1)!.key
      await committed(
        store.commit([remove(name(page * 64)), put(`${name(page * 64)}x`, 'new'), put(name(699), 'changed'), put(`/p/zz${page}`, 'new')]),
      )
    }
    assert.deepEqual(
      found,
      Array.from({ length: 700 }, (_, i) => `${i}`),
    )
    const now = await store.range('/p/', { limit: 1 })
    assert.equal(now.remaining, (await store.range('/p/')).entries.length - 1)
  })

  check('a watch from any kept revision gives every later change under its prefix', async (store) => {
    for (const change of [put('/p/a', '1'), put('/q/a', '2'), put('/p/b', '3'), remove('/p/a'), put('/p/b', '5')])
      await committed(store.commit([change]))
    const all = ['1 /p/a ->1', '3 /p/b ->3', '4 /p/a 1>-', '5 /p/b 3>5']
    for (let after = 0; after <= 5; after++) {
      const wanted = all.filter((line) => Number(line.split(' ')[0]) > after)
      const watch = store.watch('/p/', after, new AbortController().signal)
      await committed(store.commit([put('/other', 'x')]))
      assert.deepEqual(brief(await take(watch, wanted.length)), wanted)
    }
  })

  check('a watch starts with the call and gives what comes as it comes', async (store) => {
    const stop = new AbortController()
    const watch = store.watch('/registry/core/pods/', 0, stop.signal)
    const wide = store.watch('/registry/', 0, stop.signal)
    await committed(store.commit([put('/registry/core/pods/x/a', '1'), put('/registry/core/podtemplates/x/a', '1')]))
    const reader = watch[Symbol.asyncIterator]()
    assert.deepEqual(brief((await reader.next()).value), ['1 /registry/core/pods/x/a ->1'])
    const next = reader.next()
    await committed(store.commit([put('/registry/core/pods/x/a', '2')]))
    assert.deepEqual(brief((await next).value), ['2 /registry/core/pods/x/a 1>2'])
    assert.equal((await take(wide, 3)).length, 3)
    const last = reader.next()
    stop.abort()
    assert.equal((await last).done, true)
    assert.equal((await reader.next()).done, true)
  })

  check('a batch never splits a revision', async (store) => {
    const watch = store.watch('/p/', 0, new AbortController().signal)
    const writes = Array.from({ length: 30 }, (_, i) =>
      committed(store.commit(Array.from({ length: 1 + (i % 4) }, (_, n) => put(`/p/${n}`, `${i}`)))),
    )
    let seen = 0
    for await (const batch of watch) {
      for (let i = 0; i < batch.length;) {
        const { revision } = batch[i]!
        const size = batch.filter((event) => event.revision === revision).length
        assert.equal(revision, ++seen)
        assert.equal(size, 1 + ((revision - 1) % 4))
        i += size
      }
      if (seen === 30) break
    }
    await Promise.all(writes)
  })

  check('what was committed is seen by reads and watches no later than its answer', async (store) => {
    const reader = store.watch('/', 0, new AbortController().signal)[Symbol.asyncIterator]()
    const revision = await committed(store.commit([put('/a', '1')]))
    assert.ok(store.revision >= revision)
    assert.equal(text(await store.get('/a')), '1')
    assert.equal((await reader.next()).value![0]!.revision, revision)
  })

  check('the decoded value is handed on', async (store) => {
    const decoded = { kind: 'Pod' }
    const watch = store.watch('/', 0, new AbortController().signal)
    await committed(store.commit([{ ...put('/a', '{}'), decoded }]))
    assert.equal((await store.get('/a'))!.decoded, decoded)
    assert.equal((await take(watch, 1))[0]!.entry!.decoded, decoded)
  })

  check('after compaction older revisions are gone and newer ones whole', async (store) => {
    for (let i = 1; i <= 6; i++) await committed(store.commit([put('/a', `${i}`), i % 2 ? put('/b', `${i}`) : remove('/b')]))
    await store.compact(4)
    const gone = { name: 'Compacted', revision: 4 }
    await assert.rejects(store.get('/a', 3), gone)
    await assert.rejects(store.range('/', { at: 3 }), gone)
    await assert.rejects(take(store.watch('/', 3, new AbortController().signal), 1), gone)
    assert.equal(text(await store.get('/a', 4)), '4')
    assert.equal(await store.get('/b', 4), undefined)
    assert.deepEqual(keys((await store.range('/', { at: 5 })).entries), ['/a', '/b'])
    assert.deepEqual(brief(await take(store.watch('/', 4, new AbortController().signal), 4)), [
      '5 /a 4>5',
      '5 /b ->5',
      '6 /a 5>6',
      '6 /b 5>-',
    ])
    await store.compact(2)
    await store.compact(6)
    assert.deepEqual(keys((await store.range('/')).entries), ['/a'])
    assert.equal(store.revision, 6)
    assert.equal(await committed(store.commit([put('/b', 'x', 0)])), 7)
  })

  check('what the history takes is told, and given back whole in however many slices', async (store) => {
    assert.equal(store.historyBytes, 0)
    for (let i = 0; i < 1200; i++) await committed(store.commit([i % 3 === 2 ? remove(`/${i % 7}`) : put(`/${i % 7}`, 'x'.repeat(100))]))
    assert.ok(store.historyBytes > 1200 * 30, `${store.historyBytes}`)
    const half = store.historyBytes
    await store.compact(600)
    assert.ok(store.historyBytes > half / 3 && store.historyBytes < half, `${store.historyBytes} of ${half}`)
    await store.compact(store.revision)
    assert.equal(store.historyBytes, 0)
  })

  check('the decoded value of what was overwritten is forgotten, its bytes are not', async (store) => {
    await committed(store.commit([{ ...put('/a', '{}'), decoded: { kind: 'Pod' } }]))
    await committed(store.commit([{ ...put('/a', '[]'), decoded: [] }]))
    assert.equal((await store.get('/a', 1))!.decoded, undefined)
    assert.equal(text(await store.get('/a', 1)), '{}')
    assert.deepEqual((await store.get('/a'))!.decoded, [])
  })

  check('revisions to come are refused', async (store) => {
    await committed(store.commit([put('/a', '1')]))
    const future = { name: 'FutureRevision' }
    await assert.rejects(store.get('/a', 2), future)
    await assert.rejects(store.range('/', { at: 2 }), future)
    await assert.rejects(store.compact(2), future)
    await assert.rejects(take(store.watch('/', 2, new AbortController().signal), 1), future)
  })

  check(
    'a watcher that does not read is ended once its backlog passes the bound; others go on',
    async (store) => {
      const slow = store.watch('/p/', 0, new AbortController().signal)
      const elsewhere = store.watch('/q/', 0, new AbortController().signal)
      for (let i = 0; i < 11; i++) await committed(store.commit([put('/p/a', `${i}`)]))
      await assert.rejects(take(slow, 11), { name: 'Compacted' })
      await committed(store.commit([put('/q/a', 'x')]))
      assert.equal((await take(elsewhere, 1)).length, 1)
      assert.equal((await take(store.watch('/p/', 0, new AbortController().signal), 11)).length, 11)
    },
    { maxBacklog: 10 },
  )

  check('closing ends watches and refuses what comes later', async (store) => {
    const reader = store.watch('/', 0, new AbortController().signal)[Symbol.asyncIterator]()
    const next = reader.next()
    const last = committed(store.commit([put('/a', '1')]))
    await last
    assert.equal((await next).done, false)
    const ended = reader.next()
    await store.close()
    assert.equal((await ended).done, true)
    const closed = { name: 'StoreUnavailable' }
    await assert.rejects(store.commit([put('/a', '2')]), closed)
    await assert.rejects(store.get('/a'), closed)
    await assert.rejects(take(store.watch('/', 0, new AbortController().signal), 1), closed)
    await store.close()
  })

  check('agrees with a naive model of every revision', async (store) => {
    const random = seededRandom(7)
    const states: Map<string, string>[] = [new Map()]
    const key = () => `/m/${randomInt(random, 600)}`
    for (let step = 0; step < 60; step++) {
      const writes: Promise<unknown>[] = []
      for (let count = 0; count < 40; count++) {
        const changes = new Map<string, Change>()
        for (let n = 0; n <= randomInt(random, 3); n++) {
          const at = key()
          changes.set(at, random.next() < 0.3 ? remove(at) : put(at, `${step}`))
        }
        const state = new Map(states.at(-1))
        const effective = [...changes.values()].filter((change) => change.value !== undefined || state.has(change.key))
        for (const change of effective) change.value ? state.set(change.key, decoder.decode(change.value)) : state.delete(change.key)
        if (effective.length > 0) states.push(state)
        const write = store.commit([...changes.values()])
        if (ordersAll) writes.push(write)
        else await write
      }
      await Promise.all(writes)
      assert.equal(store.revision, states.length - 1)
      if (step % 20 === 19) await store.compact(states.length - 30)
      const at = states.length - 1 - randomInt(random, 30)
      const wanted = [...states[at]!].toSorted(([a], [b]) => (a < b ? -1 : 1))
      const limit = 1 + randomInt(random, 300)
      const page = await store.range('/m/', { at, limit })
      assert.deepEqual(
        page.entries.map((entry) => [entry.key, text(entry)]),
        wanted.slice(0, limit),
      )
      assert.equal(page.remaining, Math.max(0, wanted.length - limit))
    }
  })
}
