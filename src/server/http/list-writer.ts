/**
 * Lists onto the wire, without ever making the whole of one: the bytes of objects are copied into a block, the block is written, and
 * while it is on its way others get their turn of the event loop. So a list of 100,000 objects holds back nobody, and holds a block.
 */
import { constants, createGzip } from 'node:zlib'
import type { ApiResponse, StoredObject } from '../../api/exchange.ts'
import { encodeProtobufItem, encodeProtobufListHead, PROTOBUF_LIST_END } from '../../api/protobuf-encode.ts'
import type { WireResponse } from './request.ts'

/** The client reads one block while the next is encrypted. A list that fits is sent whole, with its length. */
const BLOCK_BYTES = 128 * 1024
/** How long objects are encoded before others get a turn of the event loop. */
const SLICE_MS = 10
/** Blocks of all lists that are written within one turn of the event loop, half a millisecond's work. */
const BLOCKS_A_TURN = 4

/**
 * Whose block is written next, of all lists of a server: encrypting is work, too, and a client may have a hundred long lists under way. What
 * finds no place in this turn of the event loop goes in one of the next, in the order of asking; short answers wait for none of it.
 */
export class BlockTurns {
  #left = BLOCKS_A_TURN
  #isBegun = false
  readonly #waiting: (() => void)[] = []

  /** Undefined: at once. */
  take(): Promise<void> | undefined {
    if (!this.#isBegun) this.#begin()
    if (this.#left > 0) {
      this.#left--
      return undefined
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #begin(): void {
    this.#isBegun = true
    setImmediate(() => {
      this.#isBegun = false
      const next = this.#waiting.splice(0, BLOCKS_A_TURN)
      this.#left = BLOCKS_A_TURN - next.length
      if (next.length > 0) this.#begin()
      for (const resolve of next) resolve()
    })
  }
}

export type ListAnswer = Extract<ApiResponse, { type: 'list' }>

/** A part of a list's text that is copied to its place when its turn comes. */
interface Part {
  readonly sizeBytes: number
  copyTo(target: Buffer, at: number): void
}

/** A piece of a list's text, good until the next is asked for. */
export interface Block {
  readonly bytes: Buffer
  readonly isLast: boolean
}

export interface ListText {
  /** Undefined where it is known only when everything has been made. */
  readonly sizeBytes: number | undefined
  readonly blocks: Blocks
}

export type Blocks = Generator<Block, undefined>

const COMMA = 0x2c
const LIST_END = Buffer.from(']}')
/** Of lists of more objects than this, those that are made for the answer are made one by one, and nobody knows their size before. */
const FEW = 256

export function jsonText({ apiVersion, kind, metadata, items }: ListAnswer): ListText {
  const start = Buffer.from(
    `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":${JSON.stringify(metadata)},"items":[`,
  )
  let sizeBytes: number | undefined = start.length + Math.max(0, items.length - 1) + LIST_END.length
  for (const item of items) {
    const itemBytes: number | undefined = item.sizeBytes ?? (items.length > FEW ? undefined : item.bytes.length)
    sizeBytes = itemBytes === undefined ? undefined : sizeBytes + itemBytes
    if (sizeBytes === undefined) break
  }
  return { sizeBytes, blocks: blocksOf(jsonParts(start, items), sizeBytes) }
}

/** What comes in pieces that are made one by one. */
export function piecesText(pieces: Iterable<Uint8Array>): ListText {
  return { sizeBytes: undefined, blocks: blocksOf(partsOf(pieces)) }
}

function* partsOf(pieces: Iterable<Uint8Array>): Generator<Part, undefined> {
  for (const piece of pieces) yield partOf(piece)
  return undefined
}

function* jsonParts(start: Buffer, items: readonly StoredObject[]): Generator<Part, undefined> {
  yield partOf(start)
  for (let index = 0; index < items.length; index++) {
    if (index > 0) yield SEPARATOR
    yield partOfStored(items[index]!)
  }
  yield partOf(LIST_END)
  return undefined
}

const partOf = (bytes: Uint8Array): Part => ({ sizeBytes: bytes.length, copyTo: (target, at) => target.set(bytes, at) })
const partOfStored = (stored: StoredObject): Part => (stored.copyTo ? (stored as Part) : partOf(stored.bytes))
const SEPARATOR: Part = {
  sizeBytes: 1,
  copyTo(target, at) {
    target[at] = COMMA
  },
}

/** One buffer is filled again and again; a part that is larger gets one of its own. There is at least one part, and the last is small. */
function* blocksOf(parts: Iterable<Part>, sizeBytes = Infinity): Blocks {
  const buffer = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, sizeBytes))
  let at = 0
  for (const part of parts) {
    const size = part.sizeBytes
    if (at + size > buffer.length && at > 0) {
      yield { bytes: buffer.subarray(0, at), isLast: false }
      at = 0
    }
    if (size > buffer.length) {
      const bytes = Buffer.allocUnsafe(size)
      part.copyTo(bytes, 0)
      yield { bytes, isLast: false }
    } else {
      part.copyTo(buffer, at)
      at += size
    }
  }
  yield { bytes: buffer.subarray(0, at), isLast: true }
  return undefined
}

/** All objects are encoded before the first byte: the length of their sum comes first. */
export async function protobufText({ apiVersion, kind, metadata, items }: ListAnswer): Promise<ListText> {
  const messages: Uint8Array[] = []
  let itemsBytes = 0
  let sinceMs = performance.now()
  for (const item of items) {
    const message = item.protobufItem ?? encodeProtobufItem(item.object)
    if ('protobufItem' in item) item.protobufItem = message
    messages.push(message)
    itemsBytes += message.length
    if (performance.now() - sinceMs < SLICE_MS) continue
    await new Promise((resolve) => setImmediate(resolve))
    sinceMs = performance.now()
  }
  const head = encodeProtobufListHead({ apiVersion, kind, metadata }, itemsBytes)
  const sizeBytes = head.length + itemsBytes + PROTOBUF_LIST_END.length
  return { sizeBytes, blocks: blocksOf(partsOf([head, ...messages, PROTOBUF_LIST_END]), sizeBytes) }
}

/** Writes blocks until the last, or until the client has gone. */
export async function writeBlocks(turns: BlockTurns, response: WireResponse, first: Block, rest: Blocks): Promise<void> {
  await eachBlock(turns, first, rest, (bytes) => written(response, bytes))
  if (!response.destroyed) response.end()
}

/** The same, compressed at the level that upstream has; the work is done by another thread. */
export async function writeCompressed(turns: BlockTurns, response: WireResponse, first: Block, rest: Blocks): Promise<void> {
  const zip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 })
  const gone = new Promise<false>((resolve) => response.once('close', () => resolve(false)))
  zip.pipe(response)
  await eachBlock(turns, first, rest, (bytes) => {
    const taken = new Promise<boolean>((resolve) => zip.write(bytes, (error) => resolve(!error)))
    return Promise.race([taken, gone])
  })
  if (response.destroyed) zip.destroy()
  else zip.end()
}

async function eachBlock(turns: BlockTurns, first: Block, rest: Blocks, write: (bytes: Buffer) => Promise<boolean>): Promise<void> {
  let block: Block | undefined = first
  while (block) {
    const turn = turns.take()
    if (turn) await turn
    if (!(await write(block.bytes)) || block.isLast) return
    block = rest.next().value
  }
}

/** Resolves when the bytes may change; false when the client has gone. */
function written(response: WireResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve(false)
    const onGone = () => resolve(false)
    response.once('close', onGone)
    ;(response as { write(bytes: Buffer, callback: (error?: Error | null) => void): unknown }).write(bytes, (error) => {
      response.off('close', onGone)
      resolve(!error)
    })
  })
}
