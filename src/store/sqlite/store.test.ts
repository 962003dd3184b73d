import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { randomInt, seededRandom } from '../../base/random.ts'
import type { Change, Store, StoreEvent } from '../store.ts'
import { storeConformance } from '../suite.test.ts'
import { openSqliteStore } from './store.ts'

const directory = mkdtempSync(join(tmpdir(), 'proa-store-'))
after(() => rmSync(directory, { recursive: true }))
let made = 0
const freshPath = () => join(directory, `${++made}.db`)
const put = (key: string, value: string | Uint8Array): Change => ({
  key,
  value: typeof value === 'string' ? new TextEncoder().encode(value) : value,
})
const text = async (store: Store, key: string, at?: number) => new TextDecoder().decode((await store.get(key, at))?.value)

storeConformance('sqlite', (options) => openSqliteStore({ path: freshPath(), ...options }))

test('sqlite: everything is there after reopening: keys, revisions, kept history', async () => {
  const path = freshPath()
  let store = await openSqliteStore({ path })
  for (let i = 1; i <= 10; i++) await store.commit([put('/a', `${i}`), put(`/b/${i}`, 'x')])
  await store.commit([{ key: '/b/3', value: undefined }])
  await store.compact(5)
  await store.close()
  store = await openSqliteStore({ path })
  assert.equal(store.revision, 11)
  assert.deepEqual([await text(store, '/a'), await text(store, '/a', 5), await text(store, '/b/3', 10)], ['10', '5', 'x'])
  const entry = await store.get('/a')
  assert.deepEqual([entry!.createRevision, entry!.modRevision], [1, 10])
  await assert.rejects(store.get('/a', 4), { name: 'Compacted' })
  assert.equal((await store.range('/b/', { limit: 2 })).remaining, 7)
  const batch = await store.watch('/b/', 9, new AbortController().signal)[Symbol.asyncIterator]().next()
  assert.deepEqual(
    (batch.value as readonly StoreEvent[]).map((event) => [event.revision, event.key, event.entry === undefined]),
    [
      [10, '/b/10', false],
      [11, '/b/3', true],
    ],
  )
  await store.compact(11)
  await store.close()
  store = await openSqliteStore({ path })
  assert.equal(store.revision, 11)
  assert.equal((await store.range('/')).entries.length, 10)
  assert.deepEqual(await store.commit([put('/b/3', 'back')]), { revision: 12 })
  await store.close()
})

test('sqlite: a commit is on disk when it is answered, and invisible until then', async () => {
  const path = freshPath()
  const store = await openSqliteStore({ path })
  const first = store.commit([put('/a', '1')])
  assert.equal(store.revision, 0)
  assert.equal(await store.get('/a'), undefined)
  await first
  const other = new DatabaseSync(path, { readOnly: true })
  assert.deepEqual(
    other
      .prepare('SELECT key FROM changes')
      .all()
      .map((row) => row['key']),
    ['/a'],
  )
  other.close()
  await store.close()
})

test('sqlite: the files are for their owner alone', async () => {
  const path = freshPath()
  const store = await openSqliteStore({ path })
  await store.commit([put('/a', '1')])
  for (const suffix of ['', '-wal', '-shm', '-lock']) assert.equal(statSync(`${path}${suffix}`).mode & 0o777, 0o600, suffix)
  await store.close()
})

test('sqlite: a database is open once', async () => {
  const path = freshPath()
  const store = await openSqliteStore({ path })
  await assert.rejects(openSqliteStore({ path }), {
    name: 'StoreLocked',
    message: `the database ${path} is in use by another proa process; stop that one first, or choose another data directory`,
  })
  const script = `import { openSqliteStore } from ${JSON.stringify(new URL('./store.ts', import.meta.url).href)}
    await openSqliteStore({ path: ${JSON.stringify(path)} }).then(() => console.log('opened'), (error) => console.log(error.name))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (data) => (output += data))
  await once(child, 'close')
  assert.equal(output.trim(), 'StoreLocked')
  await store.close()
  await (await openSqliteStore({ path })).close()
})

test('sqlite: damage is found and named', async () => {
  const good = freshPath()
  const store = await openSqliteStore({ path: good })
  for (let i = 0; i < 50; i++) await store.commit([put(`/a/${i}`, 'needle'.repeat(300))])
  await store.close()
  const damage: Record<string, (path: string) => void> = {
    'not a database': (path) => writeFileSync(path, 'x'.repeat(8192)),
    'cut off': (path) => truncateSync(path, statSync(path).size - 8192),
    'a changed byte in a value': (path) => {
      const bytes = readFileSync(path)
      bytes[bytes.indexOf('needleneedle', bytes.length / 2) + 3]! ^= 1
      writeFileSync(path, bytes)
    },
    'another schema': (path) => {
      const db = new DatabaseSync(path)
      db.exec('DROP TABLE changes')
      db.close()
    },
    'another format': (path) => {
      const db = new DatabaseSync(path)
      db.exec("UPDATE meta SET value = 9 WHERE name = 'format'")
      db.close()
    },
    'a lost commit': (path) => {
      const db = new DatabaseSync(path)
      db.exec('DELETE FROM changes WHERE id >= 7 * 4096 AND id < 8 * 4096')
      db.close()
    },
  }
  for (const [what, break_] of Object.entries(damage)) {
    const path = freshPath()
    copyFileSync(good, path)
    break_(path)
    await assert.rejects(openSqliteStore({ path }), (error: Error) => {
      assert.equal(error.name, 'StoreDamaged', `${what}: ${error.stack}`)
      assert.ok(
        error.message.startsWith(`the database ${path} is damaged (`) && error.message.includes('Put a backup in its place'),
        error.message,
      )
      return true
    })
  }
})

test('sqlite: compaction gives the space back while writes go on', async () => {
  const path = freshPath()
  const store = await openSqliteStore({ path })
  const value = new Uint8Array(4000)
  for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 100 }, (_, i) => store.commit([put(`/a/${i}`, value)])))
  await store.compact(store.revision - 1)
  const during = store.compact(store.revision)
  await Promise.all([during, ...Array.from({ length: 100 }, (_, i) => store.commit([put(`/b/${i}`, value)]))])
  const grown = statSync(path).size
  await store.close()
  assert.ok(statSync(path).size < 4 << 20, `${statSync(path).size} bytes are left of ${grown}`)
  const again = await openSqliteStore({ path })
  assert.equal((await again.range('/')).entries.length, 200)
  await again.close()
})

test('sqlite: the write-ahead log stays within its bound, however fast writers, readers and compaction are', async () => {
  const path = freshPath()
  const maxLogBytes = 1 << 20
  const store = await openSqliteStore({ path, maxLogBytes })
  const value = new Uint8Array(8000)
  let longest = 0
  const writer = async (id: number) => {
    for (let i = 0; i < 60; i++) {
      await store.commit([put(`/a/${id}/${i % 5}`, value)])
      longest = Math.max(longest, statSync(`${path}-wal`).size)
      if (id === 0 && i % 20 === 19) await store.compact(store.revision - 100)
      if (id === 1) await store.range('/a/')
    }
  }
  await Promise.all(Array.from({ length: 50 }, (_, id) => writer(id)))
  await store.close()
  // 24 MB were written. A batch of all 50, and a slice of the compaction beside it, may come on top.
  assert.ok(longest > maxLogBytes / 4 && longest < 2 * maxLogBytes, `${longest} bytes`)
})

test('sqlite: rows that a compaction did not get to delete are deleted after the next start', async () => {
  const path = freshPath()
  const store = await openSqliteStore({ path })
  for (let i = 0; i < 20; i++) await store.commit([put('/a', `${i}`)])
  await store.commit([{ key: '/a', value: undefined }])
  await store.commit([put('/b', '1')])
  await store.close()
  const db = new DatabaseSync(path)
  db.exec("UPDATE meta SET value = 22 WHERE name = 'compacted'")
  db.close()
  const again = await openSqliteStore({ path })
  assert.equal(again.revision, 22)
  assert.deepEqual(
    (await again.range('/')).entries.map((entry) => entry.key),
    ['/b'],
  )
  await again.compact(22)
  await again.close()
  const rest = new DatabaseSync(path)
  assert.equal(rest.prepare('SELECT count(*) AS n FROM changes').get()!['n'], 1)
  rest.close()
})

test('sqlite: commits that wait for the disk are bounded', async () => {
  const store = await openSqliteStore({ path: freshPath(), maxQueuedBytes: 1000 })
  const writes = await Promise.allSettled(Array.from({ length: 5 }, (_, i) => store.commit([put(`/a/${i}`, new Uint8Array(300))])))
  assert.deepEqual(
    writes.map((write) => write.status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'],
  )
  assert.deepEqual(await store.commit([put('/a/9', 'x')]), { revision: 4 })
  await store.close()
})

test('sqlite: when a write fails so do those after it, and the store goes on from what is on disk', async () => {
  const path = freshPath()
  const store = await openSqliteStore({ path })
  await store.commit([put('/a', '1')])
  // A row that is already there makes the insert of revision 2 fail once.
  const db = new DatabaseSync(path)
  db.exec("INSERT INTO changes VALUES (2 * 4096, '/thorn', 2, 0, NULL)")
  const writes = await Promise.allSettled([store.commit([put('/a', '2')]), store.commit([put('/a', '3')]), store.commit([put('/b', '1')])])
  assert.deepEqual(
    writes.map((write) => write.status === 'rejected' && write.reason.name),
    ['StoreUnavailable', 'StoreUnavailable', 'StoreUnavailable'],
  )
  assert.equal(await text(store, '/a'), '1')
  db.exec("DELETE FROM changes WHERE key = '/thorn'")
  db.close()
  assert.deepEqual(await store.commit([{ ...put('/a', '4'), expected: 1 }]), { revision: 2 })
  await store.close()
})

test('sqlite: killed at any instant, it has every answered commit and no half of one', async () => {
  const path = freshPath()
  const random = seededRandom(11)
  const acknowledged = new Map<string, number>()
  let newest = 0
  for (let round = 0; round < 24; round++) {
    const child = spawn(process.execPath, [new URL('./testdata/write-until-killed.ts', import.meta.url).pathname, path, `${round}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') },
    })
    let output = ''
    child.stdout.on('data', (data: Buffer) => {
      if (output === '') setTimeout(() => child.kill('SIGKILL'), randomInt(random, 60))
      output += data
    })
    await once(child, 'close')
    for (const line of output.split('\n').slice(0, -1)) {
      const [key, revision] = line.split(' ')
      acknowledged.set(key!, Number(revision))
      newest = Math.max(newest, Number(revision))
    }
    const store = await openSqliteStore({ path })
    assert.ok(store.revision >= newest, `round ${round}: revision ${store.revision} after ${newest} was answered`)
    const found = new Map((await store.range('/')).entries.map((entry) => [entry.key, entry.modRevision]))
    for (const [key, revision] of acknowledged) assert.equal(found.get(key), revision, `round ${round}: ${key}`)
    for (const [key, revision] of found) {
      if (key.endsWith('/left'))
        assert.equal(found.get(key.replace('/left', '/right')), revision, `round ${round}: half a commit of ${key}`)
    }
    if (round % 8 === 7) await store.compact(store.revision)
    await store.close()
  }
  assert.ok(acknowledged.size > 50, `only ${acknowledged.size} commits were tried`)
})
