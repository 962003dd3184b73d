/**
 * Watches that select the same share one log: a change is judged and shown once, however many follow it, and those who stand at one
 * place in it are handed the same batch, so that its bytes, too, are made once. A member is a place in the log. What lies before the
 * slowest is forgotten; who falls behind by more than the bounds is ended, so that nobody holds back others or memory.
 */
import { failure, isApiError } from '../api/status.ts'
import type { WatchEvent } from '../api/exchange.ts'
import type { CacheChange } from './cache-change.ts'
import { bookmark, type BookmarkKind } from './bookmark.ts'
import { Computed, Happening, type Revision, type View } from './revision.ts'
import type { Predicate, WatchScope } from './watch-scope.ts'

/** How far a watch may fall behind before it is ended. A burst as large as this within one turn of a component is still delivered. */
export const MAX_BEHIND_EVENTS = 20_000
export const MAX_BEHIND_BYTES = 64 << 20
/** Events taken at once: what is made of them for the wire stays small. */
const MAX_TAKEN = 1024
/** About what a bookmark has. */
const BOOKMARK_BYTES = 256
/** The log is looked through for what all have taken when it has grown this long. */
const TRIM_EVENTS = 512

export interface GroupMember {
  /** Its place in the log, counted from the group's beginning; the group moves it. */
  position: number
  /** Something has come. */
  ready(): void
  /** Nothing more comes: what it has not taken yet is the last. */
  end(): void
  /** It has fallen behind the bounds: it is ended, and what it has not taken is forgotten. */
  drop(): void
}

export interface GroupOptions {
  readonly scope: WatchScope
  readonly predicate: Predicate | undefined
  readonly view: View
  /** Set when they asked for bookmarks. */
  readonly bookmarks: BookmarkKind | undefined
  /** Changes up to this revision are not told. */
  readonly from: number
  onEmpty(): void
}

export class WatchGroup {
  readonly scope: WatchScope
  readonly #options: GroupOptions
  readonly #members = new Set<GroupMember>()
  #log: WatchEvent[] = []
  #sizes: number[] = []
  #bytes = 0
  /** The position of the log's first event. */
  #start = 0
  /** How many members have not taken everything. */
  #behind = 0
  #trimAt = TRIM_EVENTS
  #offered: CacheChange | undefined
  #shared: { readonly from: number; readonly to: number; readonly events: readonly WatchEvent[] } | undefined

  constructor(options: GroupOptions) {
    this.#options = options
    this.scope = options.scope
  }

  get size(): number {
    return this.#members.size
  }

  wake(): void {
    for (const member of this.#members) member.ready()
  }

  endAll(): void {
    for (const member of this.#members) member.end()
  }

  /** Tells those who asked for bookmarks that they have seen everything up to the revision. */
  bookmark(revision: number): void {
    const { bookmarks, from } = this.#options
    if (!bookmarks || revision < from) return
    this.#push(bookmark(bookmarks, revision), BOOKMARK_BYTES)
    this.wake()
  }

  /** What a member that joins now will hear of: everything from here on. */
  get end(): number {
    return this.#start + this.#log.length
  }

  join(member: GroupMember): void {
    member.position = this.end
    this.#members.add(member)
  }

  leave(member: GroupMember): void {
    if (!this.#members.delete(member)) return
    if (member.position < this.end) this.#caughtUp()
    if (this.#members.size === 0) this.#options.onEmpty()
  }

  /** Takes in a change if it concerns the members; true when there is something new. A change offered twice counts once. */
  offer(change: CacheChange): boolean {
    const { scope, view, from } = this.#options
    if (change === this.#offered) return false
    this.#offered = change
    if (change.revision <= from || !(scope.key === undefined ? change.key.startsWith(scope.prefix) : change.key === scope.key)) return false
    const type = eventTypeOf(change, this.#options.predicate)
    if (!type) return false
    const event = shown(change, type, view)
    this.#push(event, change.sizeBytes)
    if (event.type === 'ERROR') this.endAll()
    return true
  }

  #push(event: WatchEvent, sizeBytes: number): void {
    this.#log.push(event)
    this.#sizes.push(sizeBytes)
    this.#bytes += sizeBytes
    this.#behind = this.#members.size
    if (this.#log.length >= this.#trimAt || this.#bytes > MAX_BEHIND_BYTES) this.#trim()
  }

  /** What the member has not taken yet, or the first part of it. */
  take(member: GroupMember): readonly WatchEvent[] {
    const from = member.position
    const { end } = this
    if (from === end) return []
    const to = Math.min(end, from + MAX_TAKEN)
    const shared = this.#shared
    const events = shared?.from === from && shared.to === to ? shared.events : this.#log.slice(from - this.#start, to - this.#start)
    this.#shared = { from, to, events }
    member.position = to
    if (to === end) this.#caughtUp()
    return events
  }

  /** What the member has not taken yet, for one that leaves. */
  rest(member: GroupMember): readonly WatchEvent[] {
    return this.#log.slice(member.position - this.#start)
  }

  #caughtUp(): void {
    if (--this.#behind > 0) return
    this.#start = this.end
    this.#log = []
    this.#sizes = []
    this.#bytes = 0
    this.#trimAt = TRIM_EVENTS
    this.#shared = undefined
  }

  /** Forgets what all have taken; ends those who hold back too much. */
  #trim(): void {
    this.#forgetBefore(this.#slowest())
    while (this.#log.length > MAX_BEHIND_EVENTS || this.#bytes > MAX_BEHIND_BYTES) {
      const slowest = this.#slowest()
      for (const member of [...this.#members].filter(({ position }) => position === slowest)) member.drop()
      if (this.#members.size === 0) return
      this.#forgetBefore(this.#slowest())
    }
    this.#trimAt = Math.max(TRIM_EVENTS, Math.min(2 * this.#log.length, MAX_BEHIND_EVENTS + 1))
  }

  #slowest(): number {
    let slowest = this.end
    for (const { position } of this.#members) if (position < slowest) slowest = position
    return slowest
  }

  #forgetBefore(position: number): void {
    const count = position - this.#start
    if (count === 0) return
    for (let i = 0; i < count; i++) this.#bytes -= this.#sizes[i]!
    this.#log = this.#log.slice(count)
    this.#sizes = this.#sizes.slice(count)
    this.#start = position
  }
}

type Change = 'ADDED' | 'MODIFIED' | 'DELETED'

/** An object that enters the selection is ADDED, one that leaves it DELETED. */
export function eventTypeOf({ current, previous }: CacheChange, predicate: Predicate | undefined): Change | undefined {
  const isIn = passes(current, predicate)
  const wasIn = passes(previous, predicate)
  if (isIn) return wasIn ? 'MODIFIED' : 'ADDED'
  return wasIn ? 'DELETED' : undefined
}

const passes = (revision: Revision | undefined, predicate: Predicate | undefined): boolean =>
  revision !== undefined && (!predicate || predicate(revision.object))

/** An object that cannot be shown in the version that is watched (its conversion fails) ends these watches, and nothing else. */
export function shown(change: CacheChange, type: Change, view: View): WatchEvent {
  try {
    return change.event(type, view)
  } catch (error) {
    const told = isApiError(error) ? error : failure('InternalError', `Internal error occurred: ${String(error)}`)
    return new Happening('ERROR', new Computed(told.status))
  }
}
