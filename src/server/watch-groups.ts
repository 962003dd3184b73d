/**
 * The groups of watches of one resource, found by what a change can concern: a change asks the group of its key, of its namespace,
 * of each of its labels and of each watched field's value (before and after), and no other. So thousands of watches of one node's
 * pods each cost a change nothing but their own.
 */
import type { KubeObject } from '../api/object.ts'
import type { CacheChange } from './cache-change.ts'
import { WatchGroup, type GroupOptions } from './watch-group.ts'
import type { Term } from './watch-scope.ts'

type Groups = Map<string, Set<WatchGroup>>

interface WatchedField {
  readonly read: Term['read']
  readonly groups: Groups
}

export class WatchGroups {
  /** By what they can ever see: "" all, "ns/" a namespace, "ns/name" or "name" one object. */
  readonly #byScope: Groups = new Map()
  /** By "label=value". */
  readonly #byLabel: Groups = new Map()
  readonly #byField = new Map<string, WatchedField>()
  /** Those that others may join, by all that makes them alike. */
  readonly #shared = new Map<string, WatchGroup>()

  /** The group for a watch: one that is there, where `sharing` names what makes them alike. */
  groupFor(options: Omit<GroupOptions, 'onEmpty'>, sharing: string | undefined): WatchGroup {
    const known = sharing === undefined ? undefined : this.#shared.get(sharing)
    if (known) return known
    const { key, prefix, terms } = options.scope
    // A field tells objects apart better than a label does.
    const term = key === undefined ? (terms?.find(({ isLabel }) => !isLabel) ?? terms?.[0]) : undefined
    const groups = term ? this.#groupsOf(term) : this.#byScope
    const hook = term ? hookOf(term) : (key ?? prefix)
    const set = groups.get(hook) ?? new Set()
    const onEmpty = () => {
      if (sharing !== undefined) this.#shared.delete(sharing)
      set.delete(group)
      if (set.size === 0) groups.delete(hook)
      if (groups.size === 0 && term && !term.isLabel) this.#byField.delete(term.name)
    }
    const group = new WatchGroup({ ...options, onEmpty })
    groups.set(hook, set.add(group))
    if (sharing !== undefined) this.#shared.set(sharing, group)
    return group
  }

  get count(): number {
    let count = 0
    for (const group of this.all()) count += group.size
    return count
  }

  *all(): Iterable<WatchGroup> {
    for (const groups of [this.#byScope, this.#byLabel, ...[...this.#byField.values()].map((field) => field.groups)])
      for (const set of groups.values()) yield* set
  }

  /** Offers a change to those whom it can concern; `touched` gets the groups that have something new. */
  offer(change: CacheChange, touched: Set<WatchGroup>): void {
    const { key } = change
    tell(this.#byScope.get(''), change, touched)
    tell(this.#byScope.get(key), change, touched)
    const slash = key.indexOf('/')
    if (slash > 0) tell(this.#byScope.get(key.slice(0, slash + 1)), change, touched)
    if (this.#byLabel.size > 0) {
      this.#tellLabels(change.current?.object, change, touched)
      this.#tellLabels(change.previous?.object, change, touched)
    }
    for (const { read, groups } of this.#byField.values()) {
      const before = change.previous && read(change.previous.object)
      const after = change.current && read(change.current.object)
      if (after !== undefined) tell(groups.get(after), change, touched)
      if (before !== undefined && before !== after) tell(groups.get(before), change, touched)
    }
  }

  #tellLabels(object: KubeObject | undefined, change: CacheChange, touched: Set<WatchGroup>): void {
    const labels = object?.metadata?.labels
    if (labels) for (const name of Object.keys(labels)) tell(this.#byLabel.get(`${name}=${labels[name]}`), change, touched)
  }

  #groupsOf(term: Term): Groups {
    if (term.isLabel) return this.#byLabel
    const known = this.#byField.get(term.name)
    if (known) return known.groups
    const groups: Groups = new Map()
    this.#byField.set(term.name, { read: term.read, groups })
    return groups
  }
}

const hookOf = (term: Term): string => (term.isLabel ? `${term.name}=${term.value}` : term.value)

function tell(groups: Set<WatchGroup> | undefined, change: CacheChange, touched: Set<WatchGroup>): void {
  if (groups) for (const group of groups) if (group.offer(change)) touched.add(group)
}
