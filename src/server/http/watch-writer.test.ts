import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { CacheChange } from '../cache-change.ts'
import { Revision, serialise } from '../revision.ts'
import { MAX_BEHIND_BYTES, WatchGroup } from '../watch-group.ts'
import { Watcher } from '../watcher.ts'
import type { WireResponse } from './request.ts'
import { WatchWriter } from './watch-writer.ts'

/** A socket that takes everything, or nothing more after the first write. */
class Wire extends EventEmitter {
  readonly written: Buffer[] = []
  isSlow = false
  write(bytes: Buffer): boolean {
    this.written.push(bytes)
    return !this.isSlow
  }
}

class Response extends EventEmitter {
  readonly chunkedEncoding = true
  readonly socket = new Wire()
  destroyed = false
  isEnded = false
  end(): void {
    this.isEnded = true
    this.emit('close')
  }
}

/** The body of chunks that must be whole. */
function bodyOf(written: readonly Buffer[]): string {
  let rest = Buffer.concat(written)
  let body = ''
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n')
    const size = Number.parseInt(rest.toString('latin1', 0, end), 16)
    body += rest.toString('utf8', end + 2, end + 2 + size)
    assert.equal(rest.toString('latin1', end + 2 + size, end + 4 + size), '\r\n')
    rest = rest.subarray(end + 4 + size)
  }
  return body
}

function open() {
  let revision = 0
  const group = new WatchGroup({
    scope: { prefix: '' },
    predicate: undefined,
    view: { apiVersion: 'v1' },
    bookmarks: undefined,
    from: 0,
    onEmpty: () => undefined,
  })
  const writer = new WatchWriter()
  const serve = (isSlow = false) => {
    const response = new Response()
    response.socket.isSlow = isSlow
    const watcher = new Watcher(group, { initial: [], missed: [] })
    const done = writer.serve({ response: response as unknown as WireResponse, isProtobuf: false }, watcher)
    return { response, watcher, done, wire: response.socket }
  }
  const add = (text: string) => {
    const value = serialise({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { text } })
    group.offer(new CacheChange(++revision, 'd/a', new Revision('d/a', revision, value), undefined))
    group.wake()
  }
  const settled = async (wire: Wire, lines: number) => {
    for (let i = 0; i < 500 && bodyOf(wire.written).split('\n').length - 1 < lines; i++) await delay(2)
    return bodyOf(wire.written)
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { object: { data: { text: string } } }).object.data.text)
  }
  return { group, serve, add, settled }
}

test('the same bytes go to all who watch the same, framed as a chunk', async () => {
  const { serve, add, settled } = open()
  const [one, two] = [serve(), serve()]
  add('first, ü')
  add('second')
  assert.deepEqual(await settled(one.wire, 2), ['first, ü', 'second'])
  assert.deepEqual(await settled(two.wire, 2), ['first, ü', 'second'])
  assert.equal(one.wire.written.length, 1)
  assert.equal(one.wire.written[0], two.wire.written[0])
  add('third')
  assert.deepEqual(await settled(one.wire, 3), ['first, ü', 'second', 'third'])
  one.watcher.end()
  await one.done
  assert.ok(one.response.isEnded)
  two.response.emit('close')
  await two.done
})

test('a client that does not read is written to no more, is ended at the bound, and nobody waits for it', async () => {
  const { group, serve, add, settled } = open()
  const slow = serve(true)
  const fast = serve()
  const text = 'x'.repeat(1 << 20)
  const count = MAX_BEHIND_BYTES / text.length + 8
  for (let i = 0; i < count; i++) {
    add(text)
    await settled(fast.wire, 1)
    fast.wire.written.length = 0
  }
  assert.equal(slow.wire.written.length, 1, 'one block is under way')
  assert.equal(group.size, 1, 'the slow one has left the group')
  slow.wire.emit('drain')
  await slow.done
  assert.ok(slow.response.isEnded)
  assert.equal(fast.response.isEnded, false)
  fast.response.emit('close')
  await fast.done
  assert.equal(group.size, 0)
})

test('a slow client that reads again gets everything in order', async () => {
  const { serve, add, settled } = open()
  const { wire, response, done } = serve(true)
  for (let i = 0; i < 3000; i++) add(String(i))
  for (let i = 0; i < 3; i++) {
    await delay(2)
    wire.emit('drain')
  }
  wire.isSlow = false
  wire.emit('drain')
  assert.deepEqual(
    await settled(wire, 3000),
    Array.from({ length: 3000 }, (_, index) => String(index)),
  )
  response.emit('close')
  await done
})
