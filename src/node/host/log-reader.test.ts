import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readLog } from './log-reader.ts'

test('who follows a log gets all of it, also while it is rotated, and then its end', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-log-reader-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, '0.log')
  writeFileSync(path, 'skipped,one,')
  const ended = new AbortController()
  const chunks: string[] = []
  let heard = () => {}
  const follow = (async () => {
    for await (const chunk of readLog(path, { fromByte: 8, until: ended.signal, signal: new AbortController().signal })) {
      chunks.push(new TextDecoder().decode(chunk))
      heard()
    }
  })()
  const until = async (text: string) => {
    while (!chunks.join('').endsWith(text)) await new Promise<void>((resolve) => (heard = resolve))
  }
  await until('one,')
  appendFileSync(path, 'two,')
  await until('two,')
  renameSync(path, `${path}.old`)
  // What the writer has not noticed yet goes to the old file.
  appendFileSync(`${path}.old`, 'three,')
  writeFileSync(path, 'four,')
  await until('four,')
  appendFileSync(path, 'five')
  ended.abort()
  await follow
  assert.equal(chunks.join(''), 'one,two,three,four,five')
})

test('a log is read as it is when nobody follows it; one that is not there is empty', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-log-reader-'))
  t.after(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'a'), 'text')
  const read = async (name: string) => {
    let text = ''
    for await (const chunk of readLog(join(directory, name), { fromByte: 1, signal: new AbortController().signal }))
      text += new TextDecoder().decode(chunk)
    return text
  }
  assert.deepEqual([await read('a'), await read('b')], ['ext', ''])
})
