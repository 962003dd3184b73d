import assert from 'node:assert/strict'
import { once } from 'node:events'
import { duplexPair, type Duplex } from 'node:stream'
import { test } from 'node:test'
import { constants, createDeflate } from 'node:zlib'
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts'
import { spdyDictionary } from './spdy-dictionary.ts'
import { SpdyHeaderReader, SpdyHeaderWriter, type SpdyHeaders } from './spdy-headers.ts'

interface Pair {
  readonly client: SpdyConnection
  readonly server: SpdyConnection
  readonly sockets: readonly [Duplex, Duplex]
  /** Streams that the server has accepted, in order. */
  readonly accepted: SpdyStream[]
}

function connect(accept: (stream: SpdyStream) => boolean = () => true): Pair {
  const sockets = duplexPair()
  sockets[0].once('close', () => sockets[1].destroy())
  sockets[1].once('close', () => sockets[0].destroy())
  const accepted: SpdyStream[] = []
  const server = new SpdyConnection(sockets[1], {
    role: 'server',
    accept: (stream) => {
      const isWelcome = accept(stream)
      if (isWelcome) accepted.push(stream)
      return isWelcome
    },
  })
  return { client: new SpdyConnection(sockets[0], { role: 'client' }), server, sockets, accepted }
}

async function read(stream: SpdyStream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('a stream carries its headers and bytes both ways, and each side ends by itself', async () => {
  const { client, accepted } = connect()
  const stream = await client.open({ streamType: 'data', port: '80' })
  assert.deepEqual(accepted[0]!.headers, { streamtype: 'data', port: '80' })
  stream.end('question')
  assert.equal(await read(accepted[0]!), 'question')
  accepted[0]!.end('answer')
  assert.equal(await read(stream), 'answer')
})

test('many streams keep their bytes apart', async () => {
  const { client, accepted } = connect()
  const streams = await Promise.all(Array.from({ length: 50 }, (_, index) => client.open({ index: String(index) })))
  for (const [index, stream] of streams.entries()) stream.end(`from ${index}`)
  const texts = await Promise.all(accepted.map(read))
  assert.deepEqual(
    texts,
    Array.from({ length: 50 }, (_, index) => `from ${index}`),
  )
})

test('a large transfer comes whole, and a writer waits for a slow reader', async () => {
  const { client, accepted } = connect()
  const stream = await client.open({})
  const totalBytes = 4_000_000
  let writtenBytes = 0
  const writing = (async () => {
    for (let i = 0; i < 40; i++) {
      const chunk = Buffer.alloc(totalBytes / 40, i)
      if (!stream.write(chunk)) await once(stream, 'drain')
      writtenBytes += chunk.length
    }
    stream.end()
  })()
  await new Promise((resolve) => setImmediate(resolve))
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(writtenBytes < totalBytes / 2, `${writtenBytes} bytes were taken although nobody reads`)
  let receivedBytes = 0
  for await (const chunk of accepted[0]!) receivedBytes += (chunk as Buffer).length
  await writing
  assert.equal(receivedBytes, totalBytes)
})

test('a reset of one stream ends it and leaves the others alone', async () => {
  const { client, accepted } = connect()
  const [first, second] = await Promise.all([client.open({ name: 'first' }), client.open({ name: 'second' })])
  first.destroy()
  assert.equal(await read(accepted[0]!), '')
  const failed = await new Promise((resolve) => accepted[0]!.write('late', resolve))
  assert.match(String(failed), /reset/)
  second.end('still here')
  assert.equal(await read(accepted[1]!), 'still here')
})

test('a refused stream is an error for the one who opens it, and only for this stream', async () => {
  const { client, accepted } = connect((stream) => stream.headers['name'] !== 'bad')
  await assert.rejects(client.open({ name: 'bad' }), /refused the stream \(code 5\)/)
  const good = await client.open({ name: 'good' })
  good.end('x')
  assert.equal(await read(accepted[0]!), 'x')
})

test('pings are answered', async () => {
  const { client, server } = connect()
  await Promise.all([client.ping(), server.ping(), client.ping()])
})

test('when the connection closes all streams end, and opening fails', async () => {
  const { client, server, accepted } = connect()
  const stream = await client.open({})
  const reading = read(accepted[0]!)
  client.destroy()
  await client.closed
  await server.closed
  assert.equal(await reading, '')
  assert.equal(await read(stream), '')
  await assert.rejects(client.open({}), /closed/)
})

test('what is written before a close arrives', async () => {
  const { client, server, accepted } = connect()
  const stream = await client.open({})
  accepted[0]!.end('last words')
  server.close()
  assert.equal(await read(stream), 'last words')
  await server.closed
})

test('bytes that are not SPDY end the connection', async () => {
  const { server, sockets } = connect()
  sockets[0].write('\x80GET / HTTP/1.1\r\n\r\n')
  await server.closed
})

test('frames may be cut anywhere', async () => {
  const { client, sockets } = connect()
  const [near, far] = duplexPair()
  const accepted: SpdyStream[] = []
  const other = new SpdyConnection(far, { role: 'server', accept: (stream) => accepted.push(stream) > 0 })
  sockets[0].removeAllListeners('data')
  // Everything that the first pair's client sends is given to another server byte by byte.
  sockets[1].removeAllListeners('data')
  const forwarded = new Promise<void>((resolve) => {
    sockets[1].on('data', (chunk: Buffer) => {
      for (const byte of chunk) near.write(Buffer.from([byte]))
      if (chunk.includes('the end')) resolve()
    })
  })
  void client.open({ a: 'b' }).catch(() => {})
  const stream = await new Promise<SpdyStream>((resolve) => {
    const look = () => (accepted[0] ? resolve(accepted[0]) : setImmediate(look))
    look()
  })
  assert.deepEqual(stream.headers, { a: 'b' })
  sockets[0].write(Buffer.from([0, 0, 0, 1, 1, 0, 0, 7, ...Buffer.from('the end')]))
  await forwarded
  assert.equal(await read(stream), 'the end')
  other.destroy()
})

test('header blocks of a real zlib stream are understood, one after another', async () => {
  const deflate = createDeflate({ dictionary: spdyDictionary })
  const reader = new SpdyHeaderReader()
  for (let round = 0; round < 200; round++) {
    const headers = { streamtype: 'stdout', requestid: String(round), filler: `${'x'.repeat(round)}${round}` }
    const raw = rawPairs(headers)
    const block = await new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = []
      const onData = (chunk: Buffer) => chunks.push(chunk)
      deflate.on('data', onData)
      deflate.write(raw)
      deflate.flush(constants.Z_SYNC_FLUSH, () => {
        deflate.off('data', onData)
        resolve(Buffer.concat(chunks))
      })
    })
    assert.deepEqual(reader.read(block), headers)
  }
})

test('our header blocks are one valid zlib stream', () => {
  const writer = new SpdyHeaderWriter()
  const reader = new SpdyHeaderReader()
  const blocks: readonly SpdyHeaders[] = [{ a: '1' }, {}, { streamtype: 'error', x: 'ü' }]
  for (const headers of blocks) assert.deepEqual(reader.read(writer.write(headers)), headers)
})

test('a header block that unpacks to too much is refused', () => {
  const writer = new SpdyHeaderWriter()
  const reader = new SpdyHeaderReader()
  assert.throws(() => writer.write({ a: 'x'.repeat(70_000) }), /too large/)
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`h${index}`, '']))
  assert.throws(() => reader.read(new SpdyHeaderWriter().write(many)), /too many/)
})

function rawPairs(headers: Readonly<Record<string, string>>): Buffer {
  const number = (value: number) => Buffer.from([0, 0, value >> 8, value & 255])
  const entries = Object.entries(headers)
  const texts = entries.flat().flatMap((text) => [number(text.length), Buffer.from(text)])
  return Buffer.concat([number(entries.length), ...texts])
}
