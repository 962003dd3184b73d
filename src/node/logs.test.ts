import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Host } from './host.ts'
import { readLogs, type LogRequest } from './logs.ts'

const PATH = '/log'
const line = (text: string) => `2026-01-01T00:00:00.000000000Z stdout F ${text}\n`

/** A host whose container writes another line whenever it is asked for anything. */
function busyHost(lines: number): Pick<Host, 'fileSize' | 'readLog'> {
  let written = Array.from({ length: lines }, (_, i) => line(`line ${i}`)).join('')
  let count = lines
  const grow = () => (written += line(`line ${count++}`))
  return {
    async fileSize() {
      const { length } = written
      grow()
      return length
    },
    async *readLog(_path, { fromByte }) {
      grow()
      yield new TextEncoder().encode(written.slice(fromByte))
    },
  }
}

async function read(host: Pick<Host, 'fileSize' | 'readLog'>, options: Partial<LogRequest>): Promise<string> {
  const never = new Promise<void>(() => {})
  const request: LogRequest = { path: PATH, nowMs: 0, ended: never, signal: new AbortController().signal, ...options }
  let text = ''
  for await (const bytes of readLogs(host as Host, request)) text += new TextDecoder().decode(bytes)
  return text
}

test('so many last lines are wanted, so many come, also while the container writes', async () => {
  assert.equal(await read(busyHost(10), { tailLines: 1 }), 'line 9\n')
  assert.equal(await read(busyHost(10), { tailLines: 3 }), 'line 7\nline 8\nline 9\n')
  assert.equal(await read(busyHost(2), { tailLines: 50 }), 'line 0\nline 1\nline 2\nline 3\nline 4\n')
  assert.equal(await read(busyHost(10), { tailLines: 0 }), '')
})

test('the last lines of a long log are found from its end', async () => {
  assert.equal(await read(busyHost(5_000), { tailLines: 2 }), 'line 4998\nline 4999\n')
  assert.equal((await read(busyHost(5_000), { tailLines: 4_000 })).split('\n').length, 4_001)
})
