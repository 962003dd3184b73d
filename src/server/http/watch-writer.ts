/**
 * Writes watches. What was told to many at once is encoded and framed once and handed to each socket as it is; each watch gets one
 * write in a while as long as events come fast, because a write costs the same for one event as for fifty. A client that does not
 * read holds one block here and its place in its queue, which ends it when it falls too far behind.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { WatchEvent, WatchQueue } from '../../api/exchange.ts'
import { protobufFrame } from './encodings.ts'
import type { WireResponse } from './request.ts'

/**
 * While events come faster than this, each watch is written to so often; the first event after a pause goes at once. When there are
 * so many watches that writing to all takes more than a share of that time, they are written to less often: each write then carries
 * more, and the share stays.
 */
const COALESCE_MS = 8
const MAX_COALESCE_MS = 64
const SHARE = 1 / 3
/** Events are put together up to this size. */
const BLOCK_BYTES = 128 * 1024
/** How long watches are written to before others get a turn of the event loop. */
const SLICE_MS = 10

const CRLF = 0x0d0a

/** A batch as blocks of bytes, each made when the first watch wants it. */
class EncodedBatch {
  readonly #events: readonly WatchEvent[]
  readonly #encode: (event: WatchEvent) => Uint8Array
  readonly #isChunked: boolean
  readonly #blocks: Buffer[] = []
  #next = 0

  constructor(events: readonly WatchEvent[], format: Format) {
    this.#events = events
    this.#encode = format.isProtobuf ? protobufFrame : lineOf
    this.#isChunked = format.isChunked
  }

  /** Undefined after the last. */
  block(index: number): Buffer | undefined {
    if (index === this.#blocks.length && this.#next < this.#events.length) this.#blocks.push(this.#make())
    return this.#blocks[index]
  }

  #make(): Buffer {
    const parts: Uint8Array[] = []
    let size = 0
    while (this.#next < this.#events.length && size < BLOCK_BYTES) {
      const part = this.#encode(this.#events[this.#next++]!)
      parts.push(part)
      size += part.length
    }
    if (!this.#isChunked) return joined(parts, Buffer.allocUnsafe(size), 0)
    const head = `${size.toString(16)}\r\n`
    const block = Buffer.allocUnsafe(head.length + size + 2)
    block.write(head, 0, 'latin1')
    block.writeUInt16BE(CRLF, head.length + size)
    return joined(parts, block, head.length)
  }
}

const lineOf = (event: WatchEvent): Uint8Array => event.line

function joined(parts: readonly Uint8Array[], target: Buffer, start: number): Buffer {
  let at = start
  for (const part of parts) {
    target.set(part, at)
    at += part.length
  }
  return target
}

interface Format {
  readonly isProtobuf: boolean
  /** Framed as a chunk of HTTP/1.1, to be written past the response. */
  readonly isChunked: boolean
}

/** The head of the response is written; the rest is the writer's. */
export interface WatchExchange {
  readonly response: WireResponse
  readonly isProtobuf: boolean
}

/** All watches of one server. */
export class WatchWriter {
  /** Watches that are written to in this turn of the event loop, and in the next after a while. */
  readonly #due = new Set<OpenWatch>()
  #later = new Set<OpenWatch>()
  #isRunning = false
  #intervalMs = COALESCE_MS
  /** What writing has taken since the last tick. */
  #spentMs = 0
  /** Encoded batches, by format, as long as somebody holds the batch. */
  readonly #encoded = new WeakMap<readonly WatchEvent[], (EncodedBatch | undefined)[]>()

  /** Resolves when the watch is over or the client has gone. */
  serve({ response, isProtobuf }: WatchExchange, queue: WatchQueue): Promise<void> {
    const socket = isChunked(response) ? response.socket : undefined
    const format = { isProtobuf, isChunked: Boolean(socket) }
    return new Promise((resolve, reject) => {
      const open = new OpenWatch({
        queue,
        wire: socket ?? response,
        encode: (events) => this.#encodedOf(events, format),
        onEnd: () => response.end(),
        onFailure: reject,
      })
      response.once('close', () => {
        open.close()
        resolve()
      })
      if (response.destroyed) open.close()
      queue.onReady(() => this.#schedule(open))
      this.#schedule(open)
    })
  }

  #encodedOf(events: readonly WatchEvent[], format: Format): EncodedBatch {
    const index = (format.isProtobuf ? 2 : 0) + (format.isChunked ? 1 : 0)
    let batches = this.#encoded.get(events)
    if (!batches) this.#encoded.set(events, (batches = []))
    return (batches[index] ??= new EncodedBatch(events, format))
  }

  #schedule(open: OpenWatch): void {
    if (open.isScheduled) return
    open.isScheduled = true
    if (performance.now() - open.writtenMs >= this.#intervalMs) {
      this.#due.add(open)
      this.#run()
      return
    }
    if (this.#later.size === 0) setTimeout(this.#tick, this.#intervalMs)
    this.#later.add(open)
  }

  readonly #tick = (): void => {
    for (const open of this.#later) this.#due.add(open)
    this.#later = new Set()
    this.#intervalMs = Math.min(MAX_COALESCE_MS, Math.max(COALESCE_MS, this.#spentMs / SHARE))
    this.#spentMs = 0
    this.#run()
  }

  /** After what is under way in this turn: writers are answered first. */
  #run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isRunning = false
    const startMs = performance.now()
    let nowMs = startMs
    for (const open of this.#due) {
      this.#due.delete(open)
      open.isScheduled = false
      open.flush(startMs)
      nowMs = performance.now()
      if (nowMs - startMs > SLICE_MS) break
    }
    this.#spentMs += nowMs - startMs
    if (this.#due.size > 0) this.#run()
  }
}

/** What a watch is written to: the socket itself where blocks are framed, else the response. */
interface Wire {
  write(bytes: Buffer): boolean
  once(event: 'drain', callback: () => void): unknown
}

interface OpenWatchOptions {
  readonly queue: WatchQueue
  readonly wire: Wire
  encode(events: readonly WatchEvent[]): EncodedBatch
  onEnd(): void
  onFailure(error: unknown): void
}

class OpenWatch {
  isScheduled = false
  writtenMs = -Infinity
  readonly #options: OpenWatchOptions
  #batch: EncodedBatch | undefined
  #block = 0
  #state: 'open' | 'blocked' | 'closed' = 'open'

  constructor(options: OpenWatchOptions) {
    this.#options = options
  }

  /** Writes what waits until the socket has enough. */
  flush(nowMs: number): void {
    if (this.#state !== 'open') return
    try {
      for (let block = this.#nextBlock(); block; block = this.#nextBlock()) {
        this.writtenMs = nowMs
        if (this.#options.wire.write(block)) continue
        this.#state = 'blocked'
        this.#options.wire.once('drain', this.#onDrain)
        return
      }
    } catch (error) {
      this.close()
      this.#options.onFailure(error)
    }
  }

  readonly #onDrain = (): void => {
    if (this.#state !== 'blocked') return
    this.#state = 'open'
    this.flush(performance.now())
  }

  #nextBlock(): Buffer | undefined {
    for (;;) {
      const block = this.#batch?.block(this.#block)
      if (block) {
        this.#block++
        return block
      }
      this.#batch = undefined
      const events = this.#options.queue.take()
      if (!events) {
        this.#state = 'closed'
        this.#options.onEnd()
        return undefined
      }
      if (events.length === 0) return undefined
      this.#batch = this.#options.encode(events)
      this.#block = 0
    }
  }

  close(): void {
    this.#state = 'closed'
    this.#batch = undefined
    this.#options.queue.drop()
  }
}

/** A response of HTTP/1.1 that has its socket for itself, so that framed chunks can be written past it. */
const isChunked = (response: WireResponse): response is ServerResponse =>
  'chunkedEncoding' in response && response.chunkedEncoding && response.socket !== null

/** Writes events that must be read one batch after another (those of Tables are made for each watch). */
export async function writeEvents({ response, isProtobuf }: WatchExchange, events: AsyncIterable<readonly WatchEvent[]>): Promise<void> {
  const wire: Wire = response
  let writtenMs = -Infinity
  for await (const batch of events) {
    const waitMs = writtenMs + COALESCE_MS - performance.now()
    if (waitMs > 0) await delay(waitMs)
    const encoded = new EncodedBatch(batch, { isProtobuf, isChunked: false })
    let index = 0
    for (let block = encoded.block(index++); block; block = encoded.block(index++)) {
      if (response.destroyed || response.writableEnded) return
      writtenMs = performance.now()
      if (!wire.write(block)) await drained(response)
    }
  }
  if (!response.writableEnded) response.end()
}

/** Resolves when more may be written, or the client has gone. */
export async function drained(response: WireResponse): Promise<void> {
  const gone = new AbortController()
  await Promise.race([once(response, 'drain', { signal: gone.signal }), once(response, 'close', { signal: gone.signal })]).finally(() =>
    gone.abort(),
  )
}
