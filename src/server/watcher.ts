/**
 * One watch on the server: the events that passed its selection and wait to be read. Its buffer is bounded: who does not read is
 * ended, and starts again from a list, rather than holding back others or memory.
 */
import type { WatchEvent } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { failure, isApiError } from '../api/status.ts'
import type { CacheChange } from './watch-cache.ts'
import { Computed, Happening, type Revision, type View } from './revision.ts'

/** How many events may wait for one watcher. A burst as large as this within one turn of a component is still delivered. */
const BUFFER = 20_000

export type Predicate = (object: KubeObject) => boolean

/** What a watch can ever see: one key, or all keys with a prefix ("" or "ns/"), perhaps with one value of an indexed field. */
export interface WatchScope {
  readonly key?: string
  readonly prefix: string
  readonly field?: { readonly path: string; readonly value: string }
}

export const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

export interface BookmarkKind {
  readonly apiVersion: string
  readonly kind: string
}

export interface WatcherOptions {
  readonly predicate: Predicate | undefined
  readonly view: View
  /** Changes up to this revision are not told: the watch begins after it. */
  readonly from: number
  /** Set when the client asked for bookmarks. */
  readonly bookmarks: BookmarkKind | undefined
  onEnd(): void
}

export class Watcher implements AsyncIterable<readonly WatchEvent[]> {
  readonly #options: WatcherOptions
  #waiting: WatchEvent[]
  #isEnded = false
  #wake: (() => void) | undefined

  constructor(options: WatcherOptions, initial: WatchEvent[]) {
    this.#options = options
    this.#waiting = initial
  }

  /** Takes in a change if it concerns this watch; true when there is something new to read. */
  offer(change: CacheChange): boolean {
    if (this.#isEnded || change.revision <= this.#options.from) return false
    const type = this.#typeOf(change)
    if (!type) return false
    if (this.#waiting.length >= BUFFER) {
      this.end()
      return false
    }
    const event = this.#shown(change, type)
    this.#waiting.push(event)
    if (event.type === 'ERROR') this.end()
    return true
  }

  /** An object that cannot be shown in the version that is watched (its conversion fails) ends this watch, and nothing else. */
  #shown(change: CacheChange, type: 'ADDED' | 'MODIFIED' | 'DELETED'): Happening {
    try {
      return change.event(type, this.#options.view)
    } catch (error) {
      const told = isApiError(error) ? error : failure('InternalError', `Internal error occurred: ${String(error)}`)
      return new Happening('ERROR', new Computed(told.status))
    }
  }

  /** An object that enters the selection is ADDED, one that leaves it DELETED. */
  #typeOf({ current, previous }: CacheChange): 'ADDED' | 'MODIFIED' | 'DELETED' | undefined {
    const isIn = this.#passes(current)
    const wasIn = this.#passes(previous)
    if (isIn) return wasIn ? 'MODIFIED' : 'ADDED'
    return wasIn ? 'DELETED' : undefined
  }

  #passes(revision: Revision | undefined): boolean {
    const { predicate } = this.#options
    return revision !== undefined && (!predicate || predicate(revision.object))
  }

  bookmark(revision: number): void {
    const { bookmarks, from } = this.#options
    if (!bookmarks || this.#isEnded || revision < from || this.#waiting.length >= BUFFER) return
    this.#waiting.push(bookmark(bookmarks, revision))
    this.wake()
  }

  wake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#options.onEnd()
    this.wake()
  }

  /** All events that wait, then those that come, until the watch ends. To be read once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly WatchEvent[]> {
    try {
      for (;;) {
        if (this.#waiting.length > 0) {
          const events = this.#waiting
          this.#waiting = []
          yield events
        } else if (this.#isEnded) return
        else await new Promise<void>((wake) => (this.#wake = wake))
      }
    } finally {
      this.end()
    }
  }
}

export function bookmark(kind: BookmarkKind, revision: number, annotations?: Readonly<Record<string, string>>): Happening {
  const metadata = { resourceVersion: String(revision), ...(annotations ? { annotations } : {}) }
  return new Happening('BOOKMARK', new Computed({ kind: kind.kind, apiVersion: kind.apiVersion, metadata }))
}
