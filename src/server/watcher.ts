/**
 * One watch on the server: first what is its own (what there was, or what it missed), then what its group's log gets. It is read by
 * iteration, or by `take` where many watches are written at once. Who does not read is ended, and starts again from where it was.
 */
import type { StoredObject, WatchEvent, WatchQueue } from '../api/exchange.ts'
import type { WatchEvents } from './metrics.ts'
import { Happening } from './revision.ts'
import type { GroupMember, WatchGroup } from './watch-group.ts'

/** Own events are made when they are taken, so many at once. */
const MAX_TAKEN = 1024

export interface WatcherStart {
  /** What there is, told as ADDED. */
  readonly initial: readonly StoredObject[]
  /** What comes after that and before the group's events. */
  readonly missed: readonly WatchEvent[]
  /** Counts what is told. */
  readonly counts?: WatchEvents | undefined
}

export class Watcher implements GroupMember, WatchQueue, AsyncIterable<readonly WatchEvent[]> {
  position = 0
  readonly #group: WatchGroup
  readonly #onEnd: (() => void)[] = []
  #initial: readonly StoredObject[]
  #taken = 0
  #own: readonly WatchEvent[]
  #isEnded = false
  #onReady: (() => void) | undefined
  readonly #counts: WatchEvents | undefined

  constructor(group: WatchGroup, { initial, missed, counts }: WatcherStart) {
    this.#counts = counts
    this.#group = group
    this.#initial = initial
    this.#own = missed
    group.join(this)
  }

  take(): readonly WatchEvent[] | undefined {
    const events = this.#next()
    if (events && events.length > 0) this.#counts?.tell(events)
    return events
  }

  #next(): readonly WatchEvent[] | undefined {
    if (this.#initial.length > 0) return this.#takeInitial()
    if (this.#own.length > 0) {
      const own = this.#own
      this.#own = own.slice(MAX_TAKEN)
      return own.length <= MAX_TAKEN ? own : own.slice(0, MAX_TAKEN)
    }
    return this.#isEnded ? undefined : this.#group.take(this)
  }

  #takeInitial(): readonly WatchEvent[] {
    const events = this.#initial.slice(this.#taken, this.#taken + MAX_TAKEN).map((item) => new Happening('ADDED', item))
    this.#taken += events.length
    if (this.#taken === this.#initial.length) this.#initial = []
    return events
  }

  onReady(callback: () => void): void {
    this.#onReady = callback
  }

  ready(): void {
    this.#onReady?.()
  }

  /** Calls back once when the watch is over, at once when it is. */
  whenEnded(callback: () => void): void {
    if (this.#isEnded) callback()
    else this.#onEnd.push(callback)
  }

  end(): void {
    if (this.#isEnded) return
    const rest = this.#group.rest(this)
    if (rest.length > 0) this.#own = [...this.#own, ...rest]
    this.#finish()
  }

  drop(): void {
    this.#initial = []
    this.#own = []
    this.#finish()
  }

  #finish(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#group.leave(this)
    for (const callback of this.#onEnd.splice(0)) callback()
    this.#onReady?.()
  }

  /** All events that wait, then those that come, until the watch ends. To be read once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly WatchEvent[]> {
    try {
      for (;;) {
        const events = this.take()
        if (!events) return
        if (events.length > 0) yield events
        else await new Promise<void>((wake) => (this.#onReady = wake))
      }
    } finally {
      this.drop()
    }
  }
}
