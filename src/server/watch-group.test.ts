import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CacheChange } from './cache-change.ts'
import { Revision, serialise } from './revision.ts'
import { MAX_BEHIND_BYTES, WatchGroup } from './watch-group.ts'
import { Watcher } from './watcher.ts'

const VIEW = { apiVersion: 'v1' }

function open(isForBookmarks = false) {
  let revision = 0
  let isEmpty = false
  const bookmarks = isForBookmarks ? { apiVersion: 'v1', kind: 'ConfigMap' } : undefined
  const group = new WatchGroup({
    scope: { prefix: '' },
    predicate: undefined,
    view: VIEW,
    bookmarks,
    from: 0,
    onEmpty: () => (isEmpty = true),
  })
  const join = () => new Watcher(group, { initial: [], missed: [] })
  const add = (sizeBytes = 10) => {
    const value = serialise({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { value: 'x'.repeat(sizeBytes) } })
    group.offer(new CacheChange(++revision, 'd/a', new Revision('d/a', revision, value), undefined))
    group.wake()
  }
  return { group, join, add, isEmpty: () => isEmpty }
}

test('who stands at one place is handed the same batch', () => {
  const { join, add } = open()
  const [one, two, three] = [join(), join(), join()]
  add()
  add()
  const batch = one.take()
  assert.equal(batch?.length, 2)
  assert.equal(two.take(), batch)
  add()
  const next = one.take()
  assert.equal(two.take(), next)
  assert.equal(three.take()?.length, 3)
  assert.deepEqual(
    [one, two, three].map((watcher) => watcher.take()?.length),
    [0, 0, 0],
  )
})

test('one that joins late hears of what comes, one that ends keeps what it has not taken', () => {
  const { join, add, isEmpty } = open()
  const first = join()
  add()
  const late = join()
  add()
  first.end()
  assert.equal(first.take()?.length, 2)
  assert.equal(first.take(), undefined)
  assert.equal(late.take()?.length, 1)
  assert.equal(isEmpty(), false)
  late.end()
  assert.equal(late.take(), undefined)
  assert.ok(isEmpty())
})

test('one behind by too many bytes is ended, and those who read go on', () => {
  const { group, join, add } = open()
  const slow = join()
  const fast = join()
  let isOver = false
  slow.whenEnded(() => (isOver = true))
  let seen = 0
  const count = Math.ceil(MAX_BEHIND_BYTES / (1 << 20)) + 4
  for (let i = 0; i < count; i++) {
    add(1 << 20)
    seen += fast.take()?.length ?? 0
  }
  assert.ok(isOver)
  assert.equal(slow.take(), undefined)
  assert.equal(seen, count)
  assert.equal(group.size, 1)
})

test('one that is always a little behind does not make the log grow', () => {
  const { group, join, add } = open()
  const behind = join()
  const fast = join()
  let taken = 0
  for (let i = 0; i < 60_000; i++) {
    add()
    fast.take()
    if (i > 500 && i % 100 === 0) taken += behind.take()?.length ?? 0
  }
  assert.equal(group.size, 2)
  for (let rest = behind.take(); rest && rest.length > 0; rest = behind.take()) taken += rest.length
  assert.equal(taken, 60_000)
})

test('bookmarks are told to those who asked, after all that they speak of', () => {
  const { group, join, add } = open(true)
  const watcher = join()
  add()
  group.bookmark(1)
  assert.deepEqual(
    watcher.take()?.map(({ type }) => type),
    ['ADDED', 'BOOKMARK'],
  )
})
