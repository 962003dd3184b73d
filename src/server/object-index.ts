/**
 * Which objects of a resource have a value of a field or a label: so that a list by selector costs what it returns, not what there
 * is. An index is made when a selector first asks for it and kept up to date from then on; who has not been asked for longest gives
 * way. Those that are pinned are there always.
 */
import { assert } from '../base/assert.ts'
import type { KubeObject } from '../api/object.ts'
import type { Term } from './watch-scope.ts'

/** Indexes that a resource has at once, besides pinned ones. */
const MAX_INDEXES = 12

/** The keys of a value's objects: one, or a set that remembers its order as long as it stays as it is. */
type Posting = string | { readonly keys: Set<string>; sorted: readonly string[] | undefined }

interface Index {
  readonly read: Term['read']
  readonly postings: Map<string, Posting>
  readonly isPinned: boolean
}

type Named = Pick<Term, 'name' | 'isLabel' | 'read'>

/** Its object may be decoded when it is asked for. */
interface Held {
  readonly object: KubeObject
}

const idOf = ({ name, isLabel }: Pick<Term, 'name' | 'isLabel'>): string => (isLabel ? `label ${name}` : name)

const NONE: readonly string[] = []

export class ObjectIndexes {
  /** In order of use, the latest last. */
  readonly #indexes = new Map<string, Index>()

  /** Makes an index that stays. */
  pin(field: Named, objects: Iterable<readonly [key: string, object: KubeObject]>): void {
    assert(!this.#indexes.has(idOf(field)), `one index of ${field.name}`)
    this.#make(field, objects, true)
  }

  has(term: Pick<Term, 'name' | 'isLabel'>): boolean {
    return this.#indexes.has(idOf(term))
  }

  /** Makes the index of a term's field or label; the one least recently used gives way. */
  make(term: Named, objects: Iterable<readonly [key: string, object: KubeObject]>): void {
    const unpinned = [...this.#indexes].filter(([, { isPinned }]) => !isPinned)
    if (unpinned.length >= MAX_INDEXES) this.#indexes.delete(unpinned[0]![0])
    this.#make(term, objects, false)
  }

  #make(term: Named, objects: Iterable<readonly [key: string, object: KubeObject]>, isPinned: boolean): void {
    const index: Index = { read: term.read, postings: new Map(), isPinned }
    for (const [key, object] of objects) {
      const value = term.read(object)
      if (value !== undefined) addTo(index.postings, value, key)
    }
    this.#indexes.set(idOf(term), index)
  }

  /** How many objects the term selects; undefined where there is no index. */
  sizeOf(term: Term): number | undefined {
    const index = this.#indexes.get(idOf(term))
    if (!index) return undefined
    const posting = index.postings.get(term.value)
    return posting === undefined ? 0 : typeof posting === 'string' ? 1 : posting.keys.size
  }

  /** The keys that a term selects, in order; undefined where there is no index. */
  keysOf(term: Pick<Term, 'name' | 'isLabel' | 'value'>): readonly string[] | undefined {
    const id = idOf(term)
    const index = this.#indexes.get(id)
    if (!index) return undefined
    if (!index.isPinned) {
      this.#indexes.delete(id)
      this.#indexes.set(id, index)
    }
    const posting = index.postings.get(term.value)
    if (posting === undefined) return NONE
    if (typeof posting === 'string') return [posting]
    return (posting.sorted ??= [...posting.keys].toSorted())
  }

  update(key: string, previous: Held | undefined, current: Held | undefined): void {
    for (const { read, postings } of this.#indexes.values()) {
      const before = previous && read(previous.object)
      const after = current && read(current.object)
      if (before === after) continue
      if (before !== undefined) removeFrom(postings, before, key)
      if (after !== undefined) addTo(postings, after, key)
    }
  }

  clear(): void {
    for (const { postings } of this.#indexes.values()) postings.clear()
  }
}

function addTo(postings: Map<string, Posting>, value: string, key: string): void {
  const posting = postings.get(value)
  if (posting === undefined) postings.set(value, key)
  else if (typeof posting === 'string') postings.set(value, { keys: new Set([posting, key]), sorted: undefined })
  else {
    posting.keys.add(key)
    posting.sorted = undefined
  }
}

function removeFrom(postings: Map<string, Posting>, value: string, key: string): void {
  const posting = postings.get(value)
  if (posting === undefined || posting === key) postings.delete(value)
  else if (typeof posting !== 'string') {
    posting.keys.delete(key)
    posting.sorted = undefined
    if (posting.keys.size === 0) postings.delete(value)
  }
}
