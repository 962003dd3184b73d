/**
 * SPDY/3.1 as Kubernetes speaks it (moby/spdystream): many streams over one connection, without flow control. kubectl reaches the
 * API server by it, and proa reaches containerd's streaming server by it.
 *
 * What stays true: a stream that nobody reads pauses the whole connection once READ_AHEAD_BYTES of it wait (the protocol knows no
 * other way), writers wait for the socket, and the reset of one stream leaves the others alone.
 */
import { Duplex } from 'node:stream'
import { controlFrame, dataHeader, FrameParser, FrameType, ResetCode } from './spdy-frames.ts'
import { SpdyHeaderReader, SpdyHeaderWriter, type SpdyHeaders } from './spdy-headers.ts'

/** What waits for a slow reader of one stream before the connection is paused. */
const READ_AHEAD_BYTES = 256 * 1024
/** Large writes are cut into frames of this size, so that streams take turns. */
const FRAME_BYTES = 32 * 1024
/** Streams that may be open at once on one connection. */
const MAX_STREAMS = 2048
const PRIORITY_AND_SLOT_BYTES = 2
const EMPTY = Buffer.alloc(0)

export type SpdyRole = 'client' | 'server'

export interface SpdyOptions {
  readonly role: SpdyRole
  /** Bytes that came with the upgrade. */
  readonly head?: Buffer
  /** Called for each stream that the peer opens; `false` refuses it. */
  readonly accept?: (stream: SpdyStream) => boolean
}

export class SpdyStream extends Duplex {
  readonly streamId: number
  readonly headers: SpdyHeaders
  readonly #connection: SpdyConnection
  #isReset = false
  #hasSentEnd = false
  #hasReceivedEnd = false

  constructor(connection: SpdyConnection, streamId: number, headers: SpdyHeaders) {
    super({ allowHalfOpen: true, highWaterMark: READ_AHEAD_BYTES })
    this.#connection = connection
    this.streamId = streamId
    this.headers = headers
    // A stream that broke while nobody was using it concerns nobody; whoever reads, writes or pipes it is told by other means.
    this.on('error', () => this.destroy())
  }

  /** Data from the peer; `false` when it should wait. */
  receive(piece: Buffer, isLast: boolean): boolean {
    if (this.#hasReceivedEnd) return true
    const hasRoom = piece.length === 0 || this.push(piece)
    if (isLast) this.#receiveEnd()
    return hasRoom || this.#hasReceivedEnd
  }

  /** The peer has reset the stream: nothing more comes, and what is written from now on fails. */
  receiveReset(): void {
    this.#isReset = true
    this.#hasSentEnd = true
    this.#receiveEnd()
  }

  /** Both directions end at once, also at the peer. */
  reset(code: number = ResetCode.cancel): void {
    if (!this.#isDone) this.#connection.sendReset(this.streamId, code)
    this.receiveReset()
  }

  override _read(): void {
    this.#connection.resume(this)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#isReset) return done(new Error('the stream was reset by the peer'))
    this.#connection.sendData(this.streamId, chunk, false, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#hasSentEnd) return done()
    this.#hasSentEnd = true
    this.#connection.sendData(this.streamId, EMPTY, true, done)
    this.#forgetWhenDone()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isDone) this.#connection.sendReset(this.streamId, ResetCode.cancel)
    this.#connection.forget(this)
    done(error)
  }

  get #isDone(): boolean {
    return this.#hasSentEnd && this.#hasReceivedEnd
  }

  #receiveEnd(): void {
    if (!this.#hasReceivedEnd) {
      this.#hasReceivedEnd = true
      this.push(null)
    }
    this.#forgetWhenDone()
  }

  #forgetWhenDone(): void {
    if (this.#isDone) this.#connection.forget(this)
  }
}

export class SpdyConnection {
  /** Resolves when the socket has closed, for whatever reason. */
  readonly closed: Promise<void>
  readonly #socket: Duplex
  readonly #accept: (stream: SpdyStream) => boolean
  readonly #streams = new Map<number, SpdyStream>()
  readonly #opening = new Map<number, (error?: Error) => void>()
  readonly #pings = new Map<number, () => void>()
  readonly #full = new Set<SpdyStream>()
  /** Writers that wait until the socket takes more. */
  #blockedWriters: (() => void)[] = []
  readonly #headerReader = new SpdyHeaderReader()
  readonly #headerWriter = new SpdyHeaderWriter()
  #nextStreamId: number
  #nextPingId: number
  #lastPeerStreamId = 0

  constructor(socket: Duplex, options: SpdyOptions) {
    this.#socket = socket
    this.#accept = options.accept ?? (() => false)
    // Streams and pings are odd when the client starts them, even when the server does.
    this.#nextStreamId = this.#nextPingId = options.role === 'client' ? 1 : 2
    const parser = new FrameParser({
      data: (streamId, piece, isLast) => this.#onData(streamId, piece, isLast),
      control: (type, isLast, body) => this.#onControl(type, isLast, body),
    })
    const receive = (chunk: Buffer) => {
      try {
        parser.push(chunk)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    }
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#onClose()
        resolve()
      })
    })
    socket.on('error', (error) => this.#failOpening(error))
    socket.on('drain', () => this.#releaseWriters())
    // The peer will say no more; what is still to be written is written, then the connection ends.
    socket.once('end', () => socket.end())
    socket.on('data', receive)
    if (options.head?.length) receive(options.head)
  }

  /** Opens a stream; resolves when the peer has accepted it. */
  open(headers: SpdyHeaders): Promise<SpdyStream> {
    const streamId = this.#nextStreamId
    this.#nextStreamId += 2
    const stream = new SpdyStream(this, streamId, headers)
    this.#streams.set(streamId, stream)
    return new Promise((resolve, reject) => {
      if (!this.#socket.writable) return reject(new Error('the connection is closed'))
      this.#opening.set(streamId, (error) => (error ? reject(error) : resolve(stream)))
      const noAssociatedStream = 0
      const header = this.#headerWriter.write(headers)
      this.#socket.write(controlFrame(FrameType.synStream, streamId, noAssociatedStream, Buffer.alloc(PRIORITY_AND_SLOT_BYTES), header))
    })
  }

  /** Resolves when the peer has answered; never when the connection closes first (see `closed`). */
  ping(): Promise<void> {
    const id = this.#nextPingId
    this.#nextPingId += 2
    return new Promise((resolve) => {
      this.#pings.set(id, resolve)
      this.#socket.write(controlFrame(FrameType.ping, id))
    })
  }

  /** Says that no new streams are taken, sends what waits, and ends. */
  close(): void {
    if (!this.#socket.writable) return
    const ok = 0
    this.#socket.write(controlFrame(FrameType.goAway, this.#lastPeerStreamId, ok))
    this.#socket.end()
    // A paused socket would never see the peer's end.
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  sendData(streamId: number, chunk: Buffer, isLast: boolean, done: (error?: Error | null) => void): void {
    const socket = this.#socket
    if (!socket.writable) return done(new Error('the connection is closed'))
    socket.cork()
    let offset = 0
    do {
      const piece = chunk.subarray(offset, offset + FRAME_BYTES)
      offset += piece.length
      socket.write(dataHeader(streamId, piece.length, isLast))
      if (piece.length > 0) socket.write(piece)
    } while (offset < chunk.length)
    socket.uncork()
    if (socket.writableNeedDrain) this.#blockedWriters.push(done)
    else done()
  }

  sendReset(streamId: number, code: number): void {
    if (this.#socket.writable) this.#socket.write(controlFrame(FrameType.rstStream, streamId, code))
  }

  /** The stream has room again. */
  resume(stream: SpdyStream): void {
    if (this.#full.delete(stream) && this.#full.size === 0) this.#socket.resume()
  }

  forget(stream: SpdyStream): void {
    if (this.#streams.get(stream.streamId) === stream) this.#streams.delete(stream.streamId)
    this.resume(stream)
  }

  #onData(streamId: number, piece: Buffer, isLast: boolean): void {
    const stream = this.#streams.get(streamId)
    if (!stream || stream.receive(piece, isLast)) return
    this.#full.add(stream)
    this.#socket.pause()
  }

  #onControl(type: number, isLast: boolean, body: Buffer): void {
    switch (type) {
      case FrameType.synStream:
        return this.#onSynStream(isLast, body)
      case FrameType.synReply: {
        const streamId = body.readUInt32BE(0)
        this.#headerReader.read(body.subarray(4))
        this.#settle(streamId)
        if (isLast) this.#streams.get(streamId)?.receive(EMPTY, true)
        return
      }
      case FrameType.headers:
        // Kubernetes sends none, but the compression state has to follow.
        this.#headerReader.read(body.subarray(4))
        return
      case FrameType.rstStream: {
        const streamId = body.readUInt32BE(0)
        this.#settle(streamId, new Error(`the peer refused the stream (code ${body.readUInt32BE(4)})`))
        this.#streams.get(streamId)?.receiveReset()
        return
      }
      case FrameType.ping:
        return this.#onPing(body)
      case FrameType.goAway:
      case FrameType.settings:
      case FrameType.windowUpdate:
        // No new streams are opened once streams are there; settings and windows have no meaning without flow control.
        return
      default:
        throw new Error(`unknown SPDY frame of type ${type}`)
    }
  }

  #onSynStream(isLast: boolean, body: Buffer): void {
    const streamId = body.readUInt32BE(0)
    const headers = this.#headerReader.read(body.subarray(8 + PRIORITY_AND_SLOT_BYTES))
    if (streamId <= this.#lastPeerStreamId) throw new Error(`SPDY stream ${streamId} was opened twice`)
    this.#lastPeerStreamId = streamId
    if (this.#streams.size >= MAX_STREAMS) return this.sendReset(streamId, ResetCode.refusedStream)
    const stream = new SpdyStream(this, streamId, headers)
    this.#streams.set(streamId, stream)
    if (!this.#accept(stream)) return stream.reset(ResetCode.cancel)
    this.#socket.write(controlFrame(FrameType.synReply, streamId, this.#headerWriter.write({})))
    if (isLast) stream.receive(EMPTY, true)
  }

  #onPing(body: Buffer): void {
    const id = body.readUInt32BE(0)
    if (id % 2 !== this.#nextPingId % 2) {
      this.#socket.write(controlFrame(FrameType.ping, body))
      return
    }
    this.#pings.get(id)?.()
    this.#pings.delete(id)
  }

  #settle(streamId: number, error?: Error): void {
    const settle = this.#opening.get(streamId)
    this.#opening.delete(streamId)
    settle?.(error)
  }

  #releaseWriters(): void {
    const writers = this.#blockedWriters
    this.#blockedWriters = []
    for (const done of writers) done()
  }

  #failOpening(error: Error): void {
    for (const streamId of this.#opening.keys()) this.#settle(streamId, error)
  }

  #onClose(): void {
    this.#failOpening(new Error('the connection was closed'))
    this.#releaseWriters()
    for (const stream of this.#streams.values()) stream.receiveReset()
    this.#streams.clear()
  }
}
