/**
 * An upgraded connection that is not for us: the program behind the proxy has switched protocols, from here on bytes flow both ways
 * until one side ends. Where it would not switch, its answer is written and the connection ends.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ApiResponse, HeaderList } from '../../api/exchange.ts'
import { readableFrom, writableTo } from '../../streaming/web-streams.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** A peer that has gone without a word is found out by the kernel after this. */
const KEEP_ALIVE_MS = 30_000

export async function joinTunnel(
  socket: Duplex,
  head: Buffer,
  answer: Extract<ApiResponse, { type: 'tunnel' | 'proxied' }>,
): Promise<void> {
  if (socket instanceof Socket) {
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
  }
  const out = writableTo(socket)
  if (answer.type === 'proxied') {
    const writer = out.getWriter()
    const fields = answer.fields.filter(([name]) => name !== 'content-length')
    await writer.write(headOf(answer.status, [...fields, ['connection', 'close']]))
    for await (const chunk of answer.body) await writer.write(chunk)
    return writer.close()
  }
  socket.write(headOf(101, answer.fields))
  if (head.length > 0) socket.unshift(head)
  const { readable, writable } = answer.connection
  try {
    // One side that ends or fails ends both.
    await Promise.race([readableFrom(socket).pipeTo(writable), readable.pipeTo(out)])
  } finally {
    socket.end(() => socket.destroy())
  }
}

const headOf = (status: number, fields: HeaderList): Buffer =>
  Buffer.from(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
    'latin1',
  )
