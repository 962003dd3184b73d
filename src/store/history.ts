/**
 * What the store knows: every key with its kept versions, and the changes since the last compaction in order. Synchronous and
 * without I/O; the memory store is this plus watchers, the sqlite store is this plus watchers plus a log on disk.
 *
 * Holds always: revisions grow by one a commit; `log[i]` is the commit of revision `compacted + 1 + i`; a version is kept while a
 * revision at or after `compacted` can see it.
 */
import { assert } from '../base/assert.ts'
import { entryAt, KeyIndex, prefixEnd, type KeyRecord, type Version } from './key-index.ts'
import {
  Compacted,
  FutureRevision,
  type Change,
  type Entry,
  type Page,
  type RangeOptions,
  type StoreConflict,
  type StoreEvent,
} from './store.ts'

/** A version that no kept revision can see any more. */
export interface Dropped {
  readonly key: string
  readonly revision: number
}

/** A change read back from where it was kept. */
export interface RestoredChange {
  readonly key: string
  readonly revision: number
  readonly createRevision: number
  readonly value: Uint8Array | undefined
}

/** About what a change takes besides its values. */
const CHANGE_BYTES = 300
const NO_EVENTS: readonly StoreEvent[] = []
/** Commits that are forgotten at once. */
const COMPACT_SLICE = 500

export class History {
  readonly #records = new Map<string, KeyRecord>()
  readonly #index = new KeyIndex()
  #log: (readonly StoreEvent[])[] = []
  #revision: number
  #compacted: number
  #pastBytes = 0

  /** Starts at a revision that was compacted before: 0 for a store that never held anything. */
  constructor(compacted = 0) {
    this.#compacted = compacted
    this.#revision = compacted
  }

  get revision(): number {
    return this.#revision
  }

  get compacted(): number {
    return this.#compacted
  }

  /** About what the changes since the last compaction and the values that they overwrote take. */
  get pastBytes(): number {
    return this.#pastBytes
  }

  current(key: string): Entry | undefined {
    return this.#records.get(key)?.head.entry
  }

  get(key: string, at = this.#revision): Entry | undefined {
    this.#checkReadable(at)
    const record = this.#records.get(key)
    return record && entryAt(record, at)
  }

  range(prefix: string, options: RangeOptions = {}): Page {
    const at = options.at ?? this.#revision
    this.#checkReadable(at)
    const limit = options.limit ? options.limit : Infinity
    // The least string above `after` is `after` with a zero character.
    const start = options.after !== undefined && options.after >= prefix ? `${options.after}\0` : prefix
    const from = this.#index.seek(start)
    const to = this.#index.seek(prefixEnd(prefix))
    const entries: Entry[] = []
    const rest = this.#index.scan(from, to, (record) => {
      if (entries.length >= limit) return false
      const entry = entryAt(record, at)
      if (entry) entries.push(entry)
      return true
    })
    const remaining = entries.length < limit ? 0 : this.#index.countAlive(rest, to, at)
    return { entries, revision: at, more: remaining > 0, remaining }
  }

  /** The first change whose expectation does not hold; `current` says what a key holds, for stores with writes under way. */
  conflictOf(
    changes: readonly Change[],
    current: (key: string) => Entry | undefined = (key) => this.current(key),
  ): StoreConflict | undefined {
    for (const change of changes) {
      if (change.expected === undefined) continue
      const entry = current(change.key)
      if ((entry?.modRevision ?? 0) !== change.expected) return { conflict: change.key, current: entry }
    }
    return undefined
  }

  /** Revisions up to this one are over, and what is not known of them changed nothing here: a shared store counts others' writes, too. */
  advance(revision: number): void {
    for (; this.#revision < revision; this.#revision++) this.#log.push(NO_EVENTS)
  }

  /** Applies changes at the next revision. Nothing happens when they change nothing (deletes of what is not there). */
  apply(changes: readonly Change[]): readonly StoreEvent[] {
    const revision = this.#revision + 1
    const events: StoreEvent[] = []
    for (const change of changes) {
      const record = this.#records.get(change.key)
      if (change.value === undefined && !record?.head.entry) continue
      events.push(this.#write(record, entryOf(change, record?.head.entry, revision), change.key, revision))
    }
    if (events.length === 0) return events
    this.#revision = revision
    this.#log.push(events)
    return events
  }

  /**
   * Takes back changes as they were kept, in order of revisions. Of those at or before `compacted` only the newest of a key is
   * expected; returns what else there is (a compaction that was cut short), to be removed from where it was kept.
   */
  restore(changes: readonly RestoredChange[]): readonly Dropped[] {
    const dropped: Dropped[] = []
    for (const { key, revision, createRevision, value } of changes) {
      const record = this.#records.get(key)
      const entry = value && { key, value, createRevision, modRevision: revision, decoded: undefined }
      if (revision <= this.#compacted) {
        if (record) dropped.push({ key, revision: record.head.revision })
        if (!entry) dropped.push({ key, revision })
        if (!entry && !record) continue
        this.#forgetPast(this.#write(record, entry, key, revision))
        this.#trim(key)
        continue
      }
      const event = this.#write(record, entry, key, revision)
      if (revision === this.#revision) this.#log[this.#log.length - 1] = [...this.#log.at(-1)!, event]
      else {
        assert(revision === this.#revision + 1, `revision ${revision} follows ${this.#revision}: commits are missing`)
        this.#revision = revision
        this.#log.push([event])
      }
    }
    return dropped
  }

  /** Every kept change under the prefix above a revision. */
  eventsAfter(prefix: string, after: number): StoreEvent[] {
    this.#checkReadable(after)
    const found: StoreEvent[] = []
    for (let i = after - this.#compacted; i < this.#log.length; i++) {
      for (const event of this.#log[i]!) if (event.key.startsWith(prefix)) found.push(event)
    }
    return found
  }

  /**
   * Forgets what no revision from this one on can see: from now on nobody can read it, and its memory is given back slice by slice as
   * the answer is iterated. An older revision than the last one compacted changes nothing.
   */
  compact(revision: number): Iterable<readonly Dropped[]> {
    if (revision > this.#revision) throw new FutureRevision(`cannot compact revision ${revision}: the newest is ${this.#revision}`)
    if (revision <= this.#compacted) return []
    const past = this.#log.slice(0, revision - this.#compacted)
    this.#log = this.#log.slice(revision - this.#compacted)
    this.#compacted = revision
    return this.#forget(past)
  }

  *#forget(past: readonly (readonly StoreEvent[])[]): Iterable<readonly Dropped[]> {
    for (let start = 0; start < past.length; start += COMPACT_SLICE) {
      const dropped: Dropped[] = []
      // Each key once: a key that was written often has as many newer versions to walk past.
      const keys = new Set<string>()
      for (const event of past.slice(start, start + COMPACT_SLICE).flat()) {
        const { key, revision, entry, previous } = event
        if (previous) dropped.push({ key, revision: previous.modRevision })
        if (!entry) dropped.push({ key, revision })
        keys.add(key)
        this.#forgetPast(event)
      }
      for (const key of keys) this.#trim(key)
      yield dropped
    }
  }

  #forgetPast({ previous }: StoreEvent): void {
    this.#pastBytes -= CHANGE_BYTES + (previous?.value.length ?? 0)
  }

  #checkReadable(at: number): void {
    if (at < this.#compacted) throw new Compacted(this.#compacted)
    if (at > this.#revision) throw new FutureRevision(`revision ${at} is still to come: the newest is ${this.#revision}`)
  }

  #write(record: KeyRecord | undefined, entry: Entry | undefined, key: string, revision: number): StoreEvent {
    const previous = record?.head.entry
    const version: Version = { revision, entry, previous: record?.head }
    if (record) {
      record.head = version
      if (!previous !== !entry) this.#index.countLive(key, entry ? 1 : -1, revision)
    } else {
      const created = { key, head: version }
      this.#records.set(key, created)
      this.#index.insert(created)
    }
    this.#pastBytes += CHANGE_BYTES + (previous?.value.length ?? 0)
    // Whoever wants an old value as an object parses it: kept as objects, old values would take several times their bytes.
    if (previous) previous.decoded = undefined
    return { key, revision, entry, previous }
  }

  /** Cuts the versions of a key that were overwritten or deleted at or before `compacted`. */
  #trim(key: string): void {
    const record = this.#records.get(key)
    if (!record) return
    let newer: Version | undefined
    let version: Version | undefined = record.head
    while (version && version.revision > this.#compacted) {
      newer = version
      version = version.previous
    }
    if (!version) return
    version.previous = undefined
    if (version.entry) return
    if (newer) newer.previous = undefined
    else {
      this.#records.delete(key)
      this.#index.remove(key)
    }
  }
}

/** What a change makes of a key at a revision. */
export function entryOf(change: Change, previous: Entry | undefined, revision: number): Entry | undefined {
  if (change.value === undefined) return undefined
  return {
    key: change.key,
    value: change.value,
    createRevision: previous?.createRevision ?? revision,
    modRevision: revision,
    decoded: change.decoded,
  }
}
