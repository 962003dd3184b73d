import assert from 'node:assert/strict'
import { duplexPair, PassThrough, Writable } from 'node:stream'
import { test } from 'node:test'
import { readableFrom, writableTo } from './web-streams.ts'

test('bytes and the end go through both ways', async () => {
  const [near, far] = duplexPair()
  const writer = writableTo(near).getWriter()
  const writing = writer.write(Buffer.from('abc')).then(() => writer.close())
  far.end('xyz')
  const got: string[] = []
  for await (const chunk of readableFrom(far)) got.push(Buffer.from(chunk).toString())
  assert.deepEqual(got, ['abc'])
  const back: string[] = []
  for await (const chunk of readableFrom(near)) back.push(Buffer.from(chunk).toString())
  assert.deepEqual(back, ['xyz'])
  await writing
})

test('a source is not read faster than it is used', async () => {
  const source = new PassThrough({ highWaterMark: 1024 })
  const reader = readableFrom(source).getReader()
  let accepted = 0
  while (source.write(Buffer.alloc(16 * 1024)) || accepted < 20) if (++accepted > 1000) break
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(source.isPaused(), 'the source goes on although nobody reads')
  await reader.read()
})

test('cancelling what is read leaves what is written alone, and the rest is dropped', async () => {
  const [near, far] = duplexPair()
  const readable = readableFrom(near)
  await readable.cancel()
  for (let i = 0; i < 20; i++) await new Promise((resolve) => far.write(Buffer.alloc(50_000), resolve))
  near.end('still')
  assert.equal(String((await far.toArray())[0]), 'still')
})

test('a write to a closed target fails, and so does one to a target that breaks', async () => {
  const target = new Writable({ write: (_chunk, _encoding, done) => done(new Error('full')) })
  const writer = writableTo(target).getWriter()
  await assert.rejects(writer.write(Buffer.from('x')), /full/)
  await assert.rejects(writer.closed, /full/)
  const gone = new PassThrough()
  gone.destroy()
  await assert.rejects(writableTo(gone).getWriter().write(Buffer.from('x')), /closed/)
})
