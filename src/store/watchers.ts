/**
 * Who watches what. A watcher has a queue of its own; a commit is put into it whole and `next` takes the whole queue, so that a
 * batch never splits a revision and a slow reader gets fewer, larger batches. A reader that lets its queue pass the bound is ended
 * with Compacted: it lists again, as after a real compaction.
 */
import { assert } from '../base/assert.ts'
import { Compacted, type StoreEvent } from './store.ts'

export const DEFAULT_MAX_BACKLOG = 65_536

type Batch = readonly StoreEvent[]

/** "/registry/<group>/<resource>/" of a key or prefix; undefined for a prefix that spans several. */
function bucketOf(text: string): string | undefined {
  let slash = -1
  for (let i = 0; i < 4; i++) {
    slash = text.indexOf('/', slash + 1)
    if (slash < 0) return undefined
  }
  return text.slice(0, slash + 1)
}

export class Watchers {
  readonly #byBucket = new Map<string | undefined, Set<Watcher>>()
  readonly #maxBacklog: number

  constructor(maxBacklog = DEFAULT_MAX_BACKLOG) {
    this.#maxBacklog = maxBacklog
  }

  /** Starts at once with what has happened (`initial`, not counted against the bound); ends when the signal aborts. */
  open(prefix: string, initial: Batch, signal: AbortSignal): AsyncIterable<Batch> {
    const bucket = bucketOf(prefix)
    const peers = this.#byBucket.getOrInsertComputed(bucket, () => new Set())
    const watcher: Watcher = new Watcher(prefix, initial, this.#maxBacklog, () => {
      signal.removeEventListener('abort', onAbort)
      peers.delete(watcher)
      if (peers.size === 0 && this.#byBucket.get(bucket) === peers) this.#byBucket.delete(bucket)
    })
    const onAbort = () => watcher.end()
    peers.add(watcher)
    if (signal.aborted) watcher.end()
    else signal.addEventListener('abort', onAbort, { once: true })
    return { [Symbol.asyncIterator]: () => watcher }
  }

  /** Hands a commit to those who watch its keys. */
  publish(events: Batch): void {
    if (this.#byBucket.size === 0 || events.length === 0) return
    const wide = this.#byBucket.get(undefined)
    if (wide) for (const watcher of wide) watcher.push(events)
    const told = new Set<string>()
    for (const { key } of events) {
      const bucket = bucketOf(key)
      if (bucket === undefined || told.has(bucket)) continue
      told.add(bucket)
      const peers = this.#byBucket.get(bucket)
      if (peers) for (const watcher of peers) watcher.push(events)
    }
  }

  /** Ends all: what comes next for them was forgotten. */
  expire(revision: number): void {
    for (const peers of this.#byBucket.values()) for (const watcher of peers) watcher.fail(new Compacted(revision))
  }

  close(): void {
    for (const peers of this.#byBucket.values()) for (const watcher of peers) watcher.end()
  }
}

class Watcher implements AsyncIterator<Batch, undefined> {
  readonly #prefix: string
  readonly #maxBacklog: number
  readonly #onEnd: () => void
  #queue: StoreEvent[] = []
  #initial: Batch
  #state: 'open' | 'ended' | { readonly failure: Error } = 'open'
  #waiting: PromiseWithResolvers<IteratorResult<Batch, undefined>> | undefined

  constructor(prefix: string, initial: Batch, maxBacklog: number, onEnd: () => void) {
    this.#prefix = prefix
    this.#initial = initial
    this.#maxBacklog = maxBacklog
    this.#onEnd = onEnd
  }

  push(events: Batch): void {
    if (this.#state !== 'open') return
    for (const event of events) if (event.key.startsWith(this.#prefix)) this.#queue.push(event)
    if (this.#queue.length > this.#maxBacklog) this.fail(new Compacted(events[0]!.revision))
    if (this.#queue.length > 0 && this.#waiting) this.#settle({ done: false, value: this.#take() })
  }

  fail(failure: Error): void {
    this.#finish({ failure })
    if (!this.#waiting) return
    this.#state = 'ended'
    this.#waiting.reject(failure)
    this.#waiting = undefined
  }

  end(): void {
    this.#finish('ended')
    this.#settle({ done: true, value: undefined })
  }

  next(): Promise<IteratorResult<Batch, undefined>> {
    assert(this.#waiting === undefined, 'a watch has one reader')
    if (typeof this.#state === 'object') {
      const { failure } = this.#state
      this.#state = 'ended'
      return Promise.reject(failure)
    }
    if (this.#state === 'ended') return Promise.resolve({ done: true, value: undefined })
    if (this.#initial.length + this.#queue.length > 0) return Promise.resolve({ done: false, value: this.#take() })
    this.#waiting = Promise.withResolvers()
    return this.#waiting.promise
  }

  return(): Promise<IteratorResult<Batch, undefined>> {
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  #take(): Batch {
    const batch = this.#initial.length === 0 ? this.#queue : [...this.#initial, ...this.#queue]
    this.#initial = []
    this.#queue = []
    return batch
  }

  #finish(state: 'ended' | { readonly failure: Error }): void {
    if (this.#state !== 'open') return
    this.#state = state
    this.#queue = []
    this.#initial = []
    this.#onEnd()
  }

  #settle(result: IteratorResult<Batch, undefined>): void {
    this.#waiting?.resolve(result)
    this.#waiting = undefined
  }
}
