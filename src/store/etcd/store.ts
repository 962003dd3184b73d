/**
 * The store on an etcd (3.4 and newer), which several servers may share. All of it is in memory as well, as one watch of etcd keeps it:
 * reads and watches are those of the memory store, and only commits, and what was overwritten before this process started, are asked
 * of etcd. Revisions are etcd's own; other programs' writes count, too, so there are gaps.
 *
 * Holds always: a commit is answered when its change has come back by the watch, so whoever wrote something reads it; memory stands at
 * a revision of which everything is known; what etcd forgot while it could not be watched ends watches with Compacted.
 */
import type { Clock } from '../../base/clock.ts'
import { sleep } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { History } from '../history.ts'
import { prefixEnd } from '../key-index.ts'
import { checkChanges, openWatch } from '../memory.ts'
import {
  Compacted,
  FutureRevision,
  StoreUnavailable,
  type Change,
  type Committed,
  type Entry,
  type Page,
  type RangeOptions,
  type Store,
  type StoreConflict,
} from '../store.ts'
import { Watchers } from '../watchers.ts'
import { connectEtcd, EtcdError, INVALID_ARGUMENT, OUT_OF_RANGE, type EtcdClient, type EtcdConnection, type WatchStream } from './client.ts'
import {
  COMPARE_EQUAL,
  COMPARE_MOD,
  DELETE_EVENT,
  type KeyValue,
  type RangeResponse,
  type TxnResponse,
  type WatchResponse,
} from './etcd-proto.ts'

export interface EtcdStoreOptions extends EtcdConnection {
  /** What all keys begin with. Others' keys are left alone. */
  readonly prefix: string
  readonly clock: Clock
  readonly log: Log
  readonly maxBacklog?: number
}

const PAGE = 1_000
const RETRY_MIN_MS = 50
/** How often the watch is asked for its progress by a read that waits for it. */
const PROGRESS_MS = 20
const REFRESH_TIMEOUT_MS = 5_000
const RETRY_MAX_MS = 2_000

/** Rejects with StoreUnavailable when no member answers. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const client = await connectEtcd(options)
  try {
    const store = new EtcdStore(client, options)
    await store.load()
    return store
  } catch (error) {
    client.close()
    throw error
  }
}

class EtcdStore implements Store {
  readonly #client: EtcdClient
  readonly #options: EtcdStoreOptions
  readonly #watchers: Watchers
  readonly #stop = new AbortController()
  /** What our own commits under way write, by key: their events get the very bytes and object of the writer. */
  readonly #own = new Map<string, Change>()
  /** The commit under way of a key: the next one of the key waits, for etcd may reorder what reaches it at once. */
  readonly #underWay = new Map<string, Promise<unknown>>()
  readonly #waiting: { readonly revision: number; readonly resolve: () => void }[] = []
  #history = new History()
  /** Of what changed here; the history may be further. */
  #newest = 0
  #refreshing: { readonly current: Promise<number>; next: Promise<number> | undefined } | undefined
  #stream: WatchStream | undefined
  #following: Promise<void> | undefined

  constructor(client: EtcdClient, options: EtcdStoreOptions) {
    this.#client = client
    this.#options = options
    this.#watchers = new Watchers(options.maxBacklog)
  }

  get revision(): number {
    return this.#newest
  }

  get historyBytes(): number {
    return this.#history.pastBytes
  }

  /** Takes over what there is, and follows it from then on. */
  async load(): Promise<void> {
    await this.#readHistory()
    this.#following = this.#follow()
  }

  async get(key: string, at?: number): Promise<Entry | undefined> {
    this.#checkOpen()
    if (!this.#isBeforeStart(at)) return this.#history.get(key, at)
    const { kvs } = await this.#range({ key: Buffer.from(key), revision: at })
    return kvs[0] && entryOf(kvs[0])
  }

  async range(prefix: string, options: RangeOptions = {}): Promise<Page> {
    this.#checkOpen()
    if (!this.#isBeforeStart(options.at)) return this.#history.range(prefix, options)
    return options.limit ? this.#readPage(prefix, options) : this.#readAll(prefix, options)
  }

  async commit(changes: readonly Change[]): Promise<Committed | StoreConflict> {
    this.#checkOpen()
    checkChanges(changes)
    const turn = this.#afterOthersOf(changes)
    const commit = turn ? turn.then(() => this.#commitNow(changes)) : this.#commitNow(changes)
    const settled = commit.catch(() => undefined)
    for (const { key } of changes) this.#underWay.set(key, settled)
    try {
      return await commit
    } finally {
      for (const { key } of changes) if (this.#underWay.get(key) === settled) this.#underWay.delete(key)
    }
  }

  watch(prefix: string, after: number, signal: AbortSignal) {
    return openWatch(this.#history, this.#watchers, prefix, after, signal, () => this.#checkOpen())
  }

  /** Asks etcd where it is, and waits until the watch is there. Of those who ask at once, all but the first share one question. */
  refresh(): Promise<number> {
    const asking = this.#refreshing
    if (asking)
      return (asking.next ??= asking.current.then(
        () => this.refresh(),
        () => this.refresh(),
      ))
    const current = this.#askRevision().finally(() => (this.#refreshing = undefined))
    this.#refreshing = { current, next: undefined }
    return current
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen()
    if (revision > this.revision) throw new FutureRevision(`cannot compact revision ${revision}: the newest is ${this.revision}`)
    try {
      await this.#client.call('Compact', { revision })
    } catch (error) {
      // Another server was faster.
      if (!(error instanceof EtcdError) || error.code !== OUT_OF_RANGE) throw error
    }
    for (const _dropped of this.#history.compact(revision));
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#watchers.close()
    this.#stream?.close()
    await this.#following
    this.#client.close()
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  async #askRevision(): Promise<number> {
    this.#checkOpen()
    const { header } = await this.#client.call<RangeResponse>('Range', { key: Buffer.from(this.#options.prefix), count_only: true })
    const giveUpMs = this.#options.clock.monotonic() + REFRESH_TIMEOUT_MS
    while (this.#history.revision < header.revision) {
      if (this.#options.clock.monotonic() > giveUpMs)
        throw new StoreUnavailable(`etcd is at revision ${header.revision}, and does not tell what happened`)
      // Others' writes bring no event: etcd is asked to say how far the watch is.
      this.#stream?.send({ progress_request: {} })
      const arrived = new AbortController()
      await Promise.race([
        this.#reached(header.revision).finally(() => arrived.abort()),
        sleep(this.#options.clock, PROGRESS_MS, arrived.signal).catch(() => undefined),
      ])
    }
    return header.revision
  }

  #checkOpen(): void {
    if (this.#stop.signal.aborted) throw new StoreUnavailable('the store is closed')
  }

  /** Older than what memory holds. etcd may know it still. */
  #isBeforeStart = (at: number | undefined): boolean => at !== undefined && at > 0 && at < this.#history.compacted

  #afterOthersOf(changes: readonly Change[]): Promise<unknown> | undefined {
    const others = changes.flatMap(({ key }) => this.#underWay.get(key) ?? [])
    return others.length === 0 ? undefined : Promise.all(others)
  }

  async #commitNow(changes: readonly Change[]): Promise<Committed | StoreConflict> {
    const keys = changes.map(({ key }) => Buffer.from(key))
    const expecting = changes.flatMap(({ key, expected }, i) => (expected === undefined ? [] : [{ key, expected, bytes: keys[i]! }]))
    for (const change of changes) if (change.value !== undefined) this.#own.set(change.key, change)
    try {
      const answer = await this.#txn({
        compare: expecting.map(({ bytes, expected }) => ({
          result: COMPARE_EQUAL,
          target: COMPARE_MOD,
          key: bytes,
          mod_revision: expected,
        })),
        success: changes.map(({ value }, i) =>
          value === undefined ? { request_delete_range: { key: keys[i] } } : { request_put: { key: keys[i], value } },
        ),
        failure: expecting.map(({ bytes }) => ({ request_range: { key: bytes } })),
      })
      if (!answer.succeeded) return conflictIn(answer, expecting)
      const isChanged = answer.responses.some(({ response_put: put, response_delete_range: gone }) => put ?? (gone && gone.deleted > 0))
      if (!isChanged) return { revision: this.revision }
      await this.#reached(answer.header.revision)
      return { revision: answer.header.revision }
    } finally {
      for (const change of changes) if (this.#own.get(change.key) === change) this.#own.delete(change.key)
    }
  }

  async #txn(request: object): Promise<TxnResponse> {
    try {
      return await this.#client.call<TxnResponse>('Txn', request)
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error
      // "etcdserver: request is too large", "too many operations in txn request": asking again would not help.
      if (error.code === INVALID_ARGUMENT) throw error
      throw new StoreUnavailable(`etcd refused a write: ${error.message}`, { cause: error })
    }
  }

  /** Resolves when memory holds a revision; rejects when the store closes before. */
  async #reached(revision: number): Promise<void> {
    if (this.#history.revision >= revision) return
    await new Promise<void>((resolve) => this.#waiting.push({ revision, resolve }))
    if (this.#history.revision < revision) throw new StoreUnavailable('the store was closed before the change came back')
  }

  #wake(): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i]!.revision <= this.#history.revision) this.#waiting.splice(i, 1)[0]!.resolve()
    }
  }

  async #range(request: object): Promise<RangeResponse> {
    try {
      return await this.#client.call<RangeResponse>('Range', request)
    } catch (error) {
      if (error instanceof EtcdError && error.code === OUT_OF_RANGE) throw new Compacted(this.#history.compacted)
      throw error
    }
  }

  async #readPage(prefix: string, { at, after, limit }: RangeOptions): Promise<Page> {
    const start = after !== undefined && after >= prefix ? `${after}\0` : prefix
    const { header, kvs, more, count } = await this.#range({
      key: Buffer.from(start),
      range_end: Buffer.from(prefixEnd(prefix)),
      limit: limit ?? 0,
      revision: at ?? 0,
    })
    return { entries: kvs.map(entryOf), revision: at ?? header.revision, more, remaining: count - kvs.length }
  }

  /** All of one revision, in pages that no message's limit is too small for. */
  async #readAll(prefix: string, options: RangeOptions = {}): Promise<Page> {
    let page = await this.#readPage(prefix, { ...options, limit: PAGE })
    const entries = [...page.entries]
    while (page.more) {
      page = await this.#readPage(prefix, { at: page.revision, after: entries.at(-1)!.key, limit: PAGE })
      for (const entry of page.entries) entries.push(entry)
    }
    return { entries, revision: page.revision, more: false, remaining: 0 }
  }

  /** Watches etcd until the store closes; whatever breaks the watch, it goes on where it was. */
  async #follow(): Promise<void> {
    const { clock, log } = this.#options
    let pauseMs = RETRY_MIN_MS
    while (!this.#stop.signal.aborted) {
      try {
        const compacted = await this.#followOnce(() => (pauseMs = RETRY_MIN_MS))
        if (compacted) await this.#catchUp()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        log.warn('the watch of etcd broke off; it is taken up again', { error: error instanceof Error ? error.message : String(error) })
        await sleep(clock, pauseMs, this.#stop.signal).catch(() => undefined)
        pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS)
      }
    }
  }

  /** Resolves with true when etcd has forgotten what would come next. */
  async #followOnce(heard: () => void): Promise<boolean> {
    const { prefix } = this.#options
    const stream = (this.#stream = await this.#client.watch())
    stream.send({
      create_request: {
        key: Buffer.from(prefix),
        range_end: Buffer.from(prefixEnd(prefix)),
        start_revision: this.#history.revision + 1,
        progress_notify: true,
      },
    })
    if (this.#stop.signal.aborted) stream.close()
    for await (const answer of stream) {
      heard()
      if (answer.canceled) {
        if (answer.compact_revision > 0) return true
        throw new Error(answer.cancel_reason || 'etcd ended the watch')
      }
      this.#take(answer)
    }
    throw new Error('etcd ended the stream')
  }

  /** Revisions come whole and in order. An answer without events says how far the watch is. */
  #take({ header, created, events }: WatchResponse): void {
    if (created) return
    if (events.length === 0) this.#history.advance(header.revision)
    for (let i = 0; i < events.length;) {
      const revision = events[i]!.kv.mod_revision
      const changes: Change[] = []
      for (; i < events.length && events[i]!.kv.mod_revision === revision; i++) changes.push(this.#changeOf(events[i]!.type, events[i]!.kv))
      // Seen before the watch was taken up again.
      if (revision <= this.#history.revision) continue
      this.#history.advance(revision - 1)
      this.#watchers.publish(this.#history.apply(changes))
      this.#newest = revision
    }
    this.#wake()
  }

  #changeOf(type: number, kv: KeyValue): Change {
    const key = kv.key.toString()
    if (type === DELETE_EVENT) return { key, value: undefined }
    const own = this.#own.get(key)
    if (own?.value && kv.value.equals(own.value)) return own
    // A copy: the value is a part of a large message, which would be kept with it.
    return { key, value: Uint8Array.from(kv.value) }
  }

  /** What happened meanwhile is not known any more: all is read anew, and whoever watches lists again. */
  async #catchUp(): Promise<void> {
    this.#options.log.warn('etcd has compacted what was not seen yet; everything is read anew', { revision: this.revision })
    await this.#readHistory()
    this.#watchers.expire(this.revision)
    this.#wake()
  }

  async #readHistory(): Promise<void> {
    const { entries, revision } = await this.#readAll(this.#options.prefix)
    const history = new History(revision)
    history.restore(
      entries
        .toSorted((a, b) => a.modRevision - b.modRevision)
        .map(({ key, value, createRevision, modRevision }) => ({ key, value, createRevision, revision: modRevision })),
    )
    this.#history = history
    this.#newest = revision
  }
}

function conflictIn({ responses }: TxnResponse, expecting: readonly { readonly key: string; readonly expected: number }[]): StoreConflict {
  for (const [i, { key, expected }] of expecting.entries()) {
    const kv = responses[i]!.response_range!.kvs[0]
    if ((kv?.mod_revision ?? 0) !== expected) return { conflict: key, current: kv && entryOf(kv) }
  }
  throw new StoreUnavailable('etcd refused a write although every key is as it was expected')
}

const entryOf = ({ key, value, create_revision: createRevision, mod_revision: modRevision }: KeyValue): Entry => ({
  key: key.toString(),
  value: Uint8Array.from(value),
  createRevision,
  modRevision,
})
