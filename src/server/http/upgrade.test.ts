import assert from 'node:assert/strict'
import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Duplex, Readable as NodeReadable } from 'node:stream'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import type { StreamUse, WatchEvent } from '../../api/exchange.ts'
import type { RemoteStreams } from '../../api/node-service.ts'
import { SpdyConnection, type SpdyStream } from '../../streaming/spdy-connection.ts'
import { acceptUpgrade } from '../../streaming/upgrade.ts'
import { serveOverWebSocket, type Readable } from './websocket-read.ts'

type Command = Extract<RemoteStreams, { kind: 'exec' | 'attach' }>
type Forward = Extract<RemoteStreams, { kind: 'portforward' }>

const ALL = { kind: 'exec', stdin: true, stdout: true, stderr: true, tty: false } as const
let server: Server
let port: number
/** What the next request is for and who serves it. */
let use: StreamUse
let serve: (streams: RemoteStreams) => Promise<void> | void
let outcome: Promise<RemoteStreams | undefined>

before(async () => {
  server = createServer((_request, response) => response.end())
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    outcome = acceptUpgrade(incoming, socket, head, use)
    void outcome.then((streams) => streams && serve(streams))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
after(() => {
  server.closeAllConnections()
  server.close()
})

async function text(source: ReadableStream<Uint8Array> | AsyncIterable<unknown>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const rest = (stream: SpdyStream): Promise<string> => text(stream.iterator({ destroyOnReturn: false }))

async function write(target: WritableStream<Uint8Array> | undefined, data: string): Promise<void> {
  const writer = target!.getWriter()
  await writer.write(Buffer.from(data))
  writer.releaseLock()
}

/** Echoes stdin to stdout, says "done" on stderr and ends with an exit code. */
const echo = (exitCode: number) => async (remote: RemoteStreams) => {
  const { streams, finish } = remote as Command
  await write(streams.stdout, await text(streams.stdin!))
  await write(streams.stderr, 'done')
  finish({ exitCode })
}

interface Upgraded {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
  readonly connection?: SpdyConnection
}

function spdy(protocols: string): Promise<Upgraded> {
  return new Promise((resolve, reject) => {
    const headers = { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': protocols }
    const asking = request({ port, host: '127.0.0.1', method: 'POST', headers, agent: false })
    asking.on('error', reject)
    asking.on(
      'response',
      (response) => void text(response).then((body) => resolve({ status: response.statusCode!, body, headers: response.headers }), reject),
    )
    asking.on('upgrade', (response, socket, head) =>
      resolve({ status: 101, body: '', headers: response.headers, connection: new SpdyConnection(socket, { role: 'client', head }) }),
    )
    asking.end()
  })
}

interface Message {
  readonly channel: number
  readonly data: string
}

async function webSocket(
  ...protocols: string[]
): Promise<{ readonly socket: WebSocket; readonly messages: Message[]; readonly closed: Promise<number> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, protocols)
  const messages: Message[] = []
  socket.on('message', (data: Buffer) => messages.push({ channel: data[0]!, data: data.toString('utf8', 1) }))
  const closed = once(socket, 'close').then(([code]) => Number(code))
  await once(socket, 'open')
  return { socket, messages, closed }
}

const on = (messages: readonly Message[], channel: number): string =>
  messages
    .filter((message) => message.channel === channel)
    .map(({ data }) => data)
    .join('')

test('v5 over WebSocket: stdin is closed by a signal, the exit code comes as a Status, the socket closes', async () => {
  use = ALL
  serve = echo(3)
  const { socket, messages, closed } = await webSocket('v5.channel.k8s.io', 'v4.channel.k8s.io')
  assert.equal(socket.protocol, 'v5.channel.k8s.io')
  socket.send(Buffer.from('\x00hello '))
  socket.send(Buffer.from('\x00world'))
  socket.send(Buffer.from([255, 0]))
  assert.equal(await closed, 1000)
  assert.deepEqual(messages[0], { channel: 1, data: '' })
  assert.equal(on(messages, 1), 'hello world')
  assert.equal(on(messages, 2), 'done')
  assert.deepEqual(JSON.parse(on(messages, 3)), {
    metadata: {},
    status: 'Failure',
    message: 'command terminated with non-zero exit code: exit code 3',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '3' }] },
  })
})

test('v4 in base64 over WebSocket', async () => {
  use = { kind: 'attach', stdin: false, stdout: true, stderr: false, tty: false }
  serve = async (remote) => {
    const { streams, finish } = remote as Command
    assert.equal(streams.stdin, undefined)
    await write(streams.stdout, 'üb')
    finish({ error: 'it broke' })
  }
  const { messages, closed } = await webSocket('v4.base64.channel.k8s.io')
  await closed
  const decoded = messages.map(({ channel, data }) => ({ channel: channel - 48, data: Buffer.from(data, 'base64').toString() }))
  assert.equal(on(decoded, 1), 'üb')
  assert.equal(JSON.parse(on(decoded, 3)).message, 'Internal error occurred: error attaching to container: it broke')
})

test('before v4 success says nothing and failure is a text', async () => {
  use = { kind: 'exec', stdin: false, stdout: true, stderr: false, tty: false }
  serve = (remote) => (remote as Command).finish({ exitCode: 0 })
  const good = await webSocket('channel.k8s.io')
  await good.closed
  assert.equal(on(good.messages, 3), '')
  serve = (remote) => (remote as Command).finish({ exitCode: 9 })
  const bad = await webSocket('channel.k8s.io')
  await bad.closed
  assert.equal(on(bad.messages, 3), 'command terminated with non-zero exit code: exit code 9')
})

test('a terminal has no stderr and tells its size, the last one at least', async () => {
  use = { kind: 'exec', stdin: true, stdout: true, stderr: true, tty: true }
  let size: unknown
  serve = async (remote) => {
    const { streams, finish } = remote as Command
    assert.equal(streams.stderr, undefined)
    for await (const value of streams.resize!) {
      size = value
      if (value.width === 100) break
    }
    finish({ exitCode: 0 })
  }
  const { socket, closed } = await webSocket('v5.channel.k8s.io')
  socket.send(Buffer.from('\x04{"Width":80,"Hei'))
  socket.send(Buffer.from('\x04ght":24}{"Width":0,"Height":1}{"Width":100,"Height":30}\n'))
  await closed
  assert.deepEqual(size, { width: 100, height: 30 })
})

test('the client going away aborts the signal', async () => {
  use = ALL
  let aborted: Promise<unknown> = Promise.resolve()
  serve = (remote) => void (aborted = once((remote as Command).streams.signal, 'abort'))
  const { socket } = await webSocket('v5.channel.k8s.io')
  await outcome
  socket.terminate()
  await aborted
})

test('an unknown protocol is refused by WebSocket and by SPDY', async () => {
  use = ALL
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, ['v9.channel.k8s.io'])
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
  assert.equal(response.statusCode, 403)
  socket.on('error', () => {})
  socket.terminate()
  const refused = await spdy('v9.channel.k8s.io')
  assert.equal(refused.status, 403)
  assert.match(
    refused.body,
    /unable to negotiate protocol: client supports \[v9\.channel\.k8s\.io\], server accepts \[v4\.channel\.k8s\.io /,
  )
  assert.equal(await outcome, undefined)
})

test('v4 over SPDY: all streams, a large echo, exit code', async () => {
  use = ALL
  serve = echo(0)
  const { connection, headers } = await spdy('v4.channel.k8s.io, channel.k8s.io')
  assert.equal(headers['x-stream-protocol-version'], 'v4.channel.k8s.io')
  const [error, stdin, stdout, stderr] = await Promise.all(
    ['error', 'stdin', 'stdout', 'stderr'].map((streamType) => connection!.open({ streamType })),
  )
  const data = 'x'.repeat(3_000_000)
  stdin!.end(data)
  assert.equal((await rest(stdout!)).length, data.length)
  assert.equal(await rest(stderr!), 'done')
  assert.deepEqual(JSON.parse(await rest(error!)), { metadata: {}, status: 'Success' })
  connection!.destroy()
})

test('a slow client makes the command wait', async () => {
  use = { kind: 'exec', stdin: false, stdout: true, stderr: false, tty: false }
  const totalBytes = 200_000_000
  let writtenBytes = 0
  serve = async (remote) => {
    const { streams, finish } = remote as Command
    const writer = streams.stdout!.getWriter()
    const chunk = Buffer.alloc(1_000_000)
    try {
      for (; writtenBytes < totalBytes; writtenBytes += chunk.length) await writer.write(chunk)
      finish({ exitCode: 0 })
    } catch (error) {
      assert.match(String(error), /reset by the peer|closed/)
    }
  }
  const { connection } = await spdy('v4.channel.k8s.io')
  const [, stdout] = await Promise.all([connection!.open({ streamType: 'error' }), connection!.open({ streamType: 'stdout' })])
  let seen = -1
  while (writtenBytes !== seen) {
    seen = writtenBytes
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.ok(writtenBytes < totalBytes / 2, `${writtenBytes} bytes were taken although nobody reads`)
  connection!.destroy()
  assert.ok(stdout)
})

async function openPair(connection: SpdyConnection, requestID: string, toPort: number): Promise<[data: SpdyStream, error: SpdyStream]> {
  const headers = { requestID, port: String(toPort) }
  const error = await connection.open({ streamType: 'error', ...headers })
  error.end()
  return [await connection.open({ streamType: 'data', ...headers }), error]
}

/** Port 80 echoes, port 81 breaks off. */
async function forward(remote: RemoteStreams): Promise<void> {
  for await (const { port: target, data, fail } of (remote as Forward).connections) {
    if (target === 81) fail('error forwarding port 81 to pod x, uid : connection refused')
    else void data.readable.pipeTo(data.writable).catch(() => fail('the client broke off'))
  }
}

test('port-forward over SPDY: a failing connection leaves the others alone', async () => {
  use = { kind: 'portforward', ports: [] }
  serve = forward
  const { connection } = await spdy('portforward.k8s.io')
  const [good] = await openPair(connection!, '0', 80)
  const [bad, badError] = await openPair(connection!, '1', 81)
  assert.equal(await rest(badError), 'error forwarding port 81 to pod x, uid : connection refused')
  assert.equal(await rest(bad), '')
  const [dropped] = await openPair(connection!, '2', 80)
  dropped.destroy()
  good.end('ping')
  assert.equal(await rest(good), 'ping')
  const [later, laterError] = await openPair(connection!, '3', 80)
  later.end('again')
  assert.equal(await rest(later), 'again')
  assert.equal(await rest(laterError), '')
  await assert.rejects(connection!.open({ streamType: 'data', requestID: '4', port: '0' }), /refused/)
  await assert.rejects(connection!.open({ streamType: 'nonsense', requestID: '5', port: '80' }), /refused/)
  connection!.destroy()
})

/** A client's end of a WebSocket by hand, as libraries refuse this protocol's name. Messages are bytes of one stream. */
async function openTunnel(protocol: string): Promise<Duplex> {
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64'),
    'Sec-WebSocket-Protocol': protocol,
  }
  const asking = request({ port, host: '127.0.0.1', headers, agent: false })
  asking.end()
  const [response, socket, head] = (await once(asking, 'upgrade')) as [IncomingMessage, Duplex, Buffer]
  assert.equal(response.headers['sec-websocket-protocol'], protocol)
  let pending = head
  const tunnel = new Duplex({
    read: () => {},
    write(chunk: Buffer, _encoding, done) {
      // One binary message, with a length of 64 bits and a mask that changes nothing.
      const header = Buffer.alloc(14)
      header.set([0x82, 0xff])
      header.writeBigUInt64BE(BigInt(chunk.length), 2)
      socket.write(Buffer.concat([header, chunk]), done)
    },
    destroy: (error, done) => {
      socket.destroy()
      done(error)
    },
  })
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const short = pending.length < 2 ? 0 : pending[1]! & 0x7f
      const headerLength = short === 127 ? 10 : short === 126 ? 4 : 2
      if (pending.length < headerLength) return
      const length = short === 127 ? Number(pending.readBigUInt64BE(2)) : short === 126 ? pending.readUInt16BE(2) : short
      if (pending.length < headerLength + length) return
      if ((pending[0]! & 0xf) === 2) tunnel.push(pending.subarray(headerLength, headerLength + length))
      pending = pending.subarray(headerLength + length)
    }
  })
  socket.on('close', () => tunnel.destroy())
  return tunnel
}

test('port-forward over SPDY in a WebSocket', async () => {
  use = { kind: 'portforward', ports: [] }
  serve = forward
  const tunnel = await openTunnel('SPDY/3.1+portforward.k8s.io')
  const connection = new SpdyConnection(tunnel, { role: 'client' })
  const data = Buffer.alloc(2_000_000, 'y').toString()
  const [stream, error] = await openPair(connection, '0', 80)
  stream.end(data)
  assert.equal(await rest(stream), data)
  assert.equal(await rest(error), '')
  connection.destroy()
})

test('port-forward over WebSocket channels names each port first', async () => {
  use = { kind: 'portforward', ports: [80, 8000] }
  serve = forward
  const { socket, messages, closed } = await webSocket('v4.channel.k8s.io')
  socket.send(Buffer.from('\x02hello'))
  while (!on(messages, 2).endsWith('hello')) await once(socket, 'message')
  const ports = messages.slice(0, 4).map(({ channel, data }) => [channel, Buffer.from(data, 'latin1').readUInt16LE()])
  assert.deepEqual(ports, [
    [0, 80],
    [1, 80],
    [2, 8000],
    [3, 8000],
  ])
  socket.close()
  await closed
})

test('bytes and watches go over a WebSocket that only listens', async () => {
  const answers: Readable[] = [
    { type: 'raw', status: 200, contentType: 'text/plain', body: NodeReadable.from([Buffer.from('line 1\n'), Buffer.from('line 2\n')]) },
    { type: 'raw', status: 200, contentType: 'text/plain', body: Buffer.from('whole') },
    { type: 'watch', status: 200, events: watchEvents() },
  ]
  const listener = createServer()
  listener.on(
    'upgrade',
    (incoming: IncomingMessage, socket: Duplex, head: Buffer) => void serveOverWebSocket(incoming, socket, head, answers.shift()!),
  )
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const listen = async (...protocols: string[]) => {
    const socket = new WebSocket(`ws://127.0.0.1:${(listener.address() as AddressInfo).port}/`, protocols)
    const messages: [text: string, isBinary: boolean][] = []
    socket.on('message', (data: Buffer, isBinary) => messages.push([String(data), isBinary]))
    await once(socket, 'close')
    return messages
  }
  assert.deepEqual(await listen('binary.k8s.io'), [
    ['line 1\n', true],
    ['line 2\n', true],
  ])
  assert.deepEqual(await listen('base64.binary.k8s.io'), [[Buffer.from('whole').toString('base64'), false]])
  assert.deepEqual(await listen(), [
    ['{"type":"ADDED"}\n', false],
    ['{"type":"DELETED"}\n', false],
  ])
  listener.close()
})

async function* watchEvents(): AsyncGenerator<readonly WatchEvent[]> {
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }
  yield [{ type: 'ADDED', object, line: Buffer.from('{"type":"ADDED"}\n') }]
  yield [{ type: 'DELETED', object, line: Buffer.from('{"type":"DELETED"}\n') }]
}
