/**
 * The keys of the store in order, so that a prefix is a contiguous run. A list of chunks of at most MAX_CHUNK records: an insert
 * moves a few hundred references at most, whatever the size of the store, and each chunk knows how many of its keys are alive, so
 * that "how many remain after this page" adds up chunks instead of visiting keys.
 *
 * Order is that of UTF-16 code units: the same as etcd's byte order for the ASCII that names, groups and resources consist of.
 */
import type { Entry } from './store.ts'

/** A value of a key, newest first in a list; `entry` is undefined where the key was deleted. */
export interface Version {
  readonly revision: number
  readonly entry: Entry | undefined
  previous: Version | undefined
}

export interface KeyRecord {
  readonly key: string
  head: Version
}

interface Chunk {
  records: KeyRecord[]
  /** How many records have a head that is not a deletion. */
  live: number
  /** The last revision at which `live` changed: at that revision and later ones `live` is the truth. */
  liveSince: number
}

export interface Position {
  readonly chunk: number
  readonly record: number
}

const MAX_CHUNK = 256

/** The smallest string greater than every string with this prefix. */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1
  return last < 0 ? '\uffff' : prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)
}

export class KeyIndex {
  readonly #chunks: Chunk[] = []

  insert(record: KeyRecord): void {
    if (this.#chunks.length === 0) this.#chunks.push({ records: [], live: 0, liveSince: 0 })
    const at = this.#chunkFor(record.key)
    const chunk = this.#chunks[at]!
    chunk.records.splice(lowerBound(chunk.records, record.key), 0, record)
    if (record.head.entry) {
      chunk.live++
      chunk.liveSince = record.head.revision
    }
    if (chunk.records.length > MAX_CHUNK) this.#split(at)
  }

  remove(key: string): void {
    const at = this.#chunkFor(key)
    const chunk = this.#chunks[at]!
    chunk.records.splice(lowerBound(chunk.records, key), 1)
    if (chunk.records.length === 0) this.#chunks.splice(at, 1)
  }

  /** Tells that a key of the index came to life again (+1) or died (-1) at a revision. */
  countLive(key: string, difference: 1 | -1, revision: number): void {
    const chunk = this.#chunks[this.#chunkFor(key)]!
    chunk.live += difference
    chunk.liveSince = revision
  }

  /** Where the first key not below `key` is; past the end when there is none. */
  seek(key: string): Position {
    if (this.#chunks.length === 0) return { chunk: 0, record: 0 }
    const chunk = this.#chunkFor(key)
    const records = this.#chunks[chunk]!.records
    const record = lowerBound(records, key)
    return record === records.length ? { chunk: chunk + 1, record: 0 } : { chunk, record }
  }

  /** Calls `visit` for each record from `from` to before `to` until it returns false; answers where it stopped. */
  scan(from: Position, to: Position, visit: (record: KeyRecord) => boolean): Position {
    for (let c = from.chunk; c <= to.chunk && c < this.#chunks.length; c++) {
      const { records } = this.#chunks[c]!
      const end = c === to.chunk ? to.record : records.length
      for (let r = c === from.chunk ? from.record : 0; r < end; r++) {
        if (!visit(records[r]!)) return { chunk: c, record: r }
      }
    }
    return to
  }

  /** How many keys from `from` to before `to` were alive at revision `at`. */
  countAlive(from: Position, to: Position, at: number): number {
    let count = 0
    for (let c = from.chunk; c <= to.chunk && c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c]!
      const start = c === from.chunk ? from.record : 0
      const end = c === to.chunk ? to.record : chunk.records.length
      if (start === 0 && end === chunk.records.length && chunk.liveSince <= at) count += chunk.live
      else for (let r = start; r < end; r++) if (entryAt(chunk.records[r]!, at)) count++
    }
    return count
  }

  /** The last chunk that starts at or below the key. */
  #chunkFor(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (firstKey(this.#chunks[middle]!) <= key) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  #split(at: number): void {
    const chunk = this.#chunks[at]!
    const tail = chunk.records.splice(chunk.records.length >>> 1)
    const live = tail.reduce((sum, record) => sum + (record.head.entry ? 1 : 0), 0)
    chunk.live -= live
    this.#chunks.splice(at + 1, 0, { records: tail, live, liveSince: chunk.liveSince })
  }
}

const firstKey = (chunk: Chunk): string => chunk.records[0]?.key ?? ''

/** What the key held at a revision. */
export function entryAt(record: KeyRecord, at: number): Entry | undefined {
  let version: Version | undefined = record.head
  while (version !== undefined && version.revision > at) version = version.previous
  return version?.entry
}

function lowerBound(records: readonly KeyRecord[], key: string): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (records[middle]!.key < key) low = middle + 1
    else high = middle
  }
  return low
}
