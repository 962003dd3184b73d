/**
 * The rules wanted in a cluster's table, by who wants them, and the commands that take the packet filter from what was applied to
 * what is wanted. Work is proportional to what changed. The kernel's tables are never read back: that takes seconds when full.
 *
 * When two owners want different values for one key (two services with one external IP and port), the first one has it until it
 * lets go.
 */
import { assert } from '../base/assert.ts'
import { addressType, type Family } from './addresses.ts'

/**
 * `set` is a map or set of the table with `key` (and `value` for a map). Besides: "chain" with a name and its rules; "group", a set
 * made on demand, with its name and declaration; "affinity", a set of clients with the chain of their endpoint; "spread", a number of
 * endpoints that needs a chain; and for conntrack, "front", an address and port that answers to UDP, and "flow", with one of its endpoints.
 */
export interface Rule {
  readonly set: string
  readonly key: string
  readonly value: string
}

/** A table before any rule is in it. */
export interface Table {
  /** Letters, digits, "-", "_"; "proa-<cluster>". */
  readonly name: string
  readonly family: Family
  /** Text for `nft -f` that makes the table anew, empty, with what the wanted spreads need. */
  text(spreads: readonly number[]): string
}

/** Flows of UDP that conntrack would go on sending to where they went before. */
export interface StaleFlow {
  readonly address: string
  readonly port: number
  /** The endpoint that is gone; undefined for all flows of an address that has just begun to answer. */
  readonly endpoint?: { readonly address: string; readonly port: number }
}

export interface Update {
  /** Commands for nft, to be applied in one transaction. Empty when nothing changed. */
  readonly commands: readonly string[]
  /** The commands would not suffice: the table must be loaded whole. */
  readonly needsLoad: boolean
  readonly staleFlows: readonly StaleFlow[]
}

interface Slot {
  readonly set: string
  readonly key: string
  /** By owner, in order of claim. One owner is by far the most frequent case. */
  claims: Map<string, string>
  applied: string | undefined
}

const MAX_AFFINE_CLIENTS = 65_535
const isChain = (set: string): set is 'chain' | 'affinity' => set === 'chain' || set === 'affinity'

/** Elements in one command at most. Many commands cost more than many elements: each looks at the table anew. */
const MAX_ELEMENTS = 20_000

export class Ruleset {
  readonly #table: Table
  readonly #slots = new Map<string, Slot>()
  readonly #byOwner = new Map<string, readonly Rule[]>()
  readonly #dirty = new Set<Slot>()

  constructor(table: Table) {
    assert(/^[a-zA-Z][\w-]*$/.test(table.name), 'name of the table')
    this.#table = table
  }

  /** Replaces what an owner wants; nothing when the rules are empty. */
  set(owner: string, rules: readonly Rule[]): void {
    const before = this.#byOwner.get(owner) ?? []
    const kept = new Set<Slot>()
    for (const rule of rules) {
      const slot = this.#slot(rule)
      kept.add(slot)
      if (slot.claims.get(owner) === rule.value) continue
      slot.claims.set(owner, rule.value)
      this.#dirty.add(slot)
    }
    for (const rule of before) {
      const slot = this.#slot(rule)
      if (kept.has(slot)) continue
      slot.claims.delete(owner)
      this.#dirty.add(slot)
    }
    if (rules.length > 0) this.#byOwner.set(owner, rules)
    else this.#byOwner.delete(owner)
  }

  /** What has changed since the last call, which is then taken as applied. */
  take(): Update {
    const update = new Commands(this.#table)
    for (const slot of this.#dirty) {
      const wanted = firstValue(slot.claims)
      if (wanted !== slot.applied) update.change(slot.set, slot.key, slot.applied, wanted)
      slot.applied = wanted
      if (wanted === undefined) this.#slots.delete(slotKey(slot.set, slot.key))
    }
    this.#dirty.clear()
    return update.done()
  }

  /** Everything, from nothing: text for `nft -f` that replaces whatever the table holds. */
  full(): string {
    const all = new Commands(this.#table)
    for (const slot of this.#slots.values()) {
      const wanted = firstValue(slot.claims)
      if (wanted !== undefined) all.change(slot.set, slot.key, undefined, wanted)
      slot.applied = wanted
    }
    this.#dirty.clear()
    const spreads = [...this.#slots.values()].filter((slot) => slot.set === 'spread').map((slot) => Number(slot.key))
    return `${this.#table.text(spreads)}${all.done().commands.join('\n')}\n`
  }

  #slot({ set, key }: Rule): Slot {
    return this.#slots.getOrInsertComputed(slotKey(set, key), () => ({ set, key, claims: new Map(), applied: undefined }))
  }
}

const slotKey = (set: string, key: string): string => `${set} ${key}`
const firstValue = (claims: ReadonlyMap<string, string>): string | undefined => claims.values().next().value

/** Puts changes in the order that one transaction needs: what is referred to is made first and goes last. */
class Commands {
  readonly #table: string
  readonly #addressType: string
  readonly #made: string[] = []
  readonly #filled: string[] = []
  readonly #removedElements = new Map<string, string[]>()
  readonly #addedElements = new Map<string, string[]>()
  readonly #emptied: string[] = []
  readonly #removed: string[] = []
  readonly #staleFlows: StaleFlow[] = []
  #needsLoad = false

  constructor({ family, name }: Table) {
    this.#table = `${family} ${name}`
    this.#addressType = addressType(family)
  }

  change(set: string, key: string, before: string | undefined, after: string | undefined): void {
    // A chain too many does no harm: it goes with the next load.
    if (set === 'spread') this.#needsLoad ||= before === undefined
    else if (set === 'flow' || set === 'front') this.#noteFlow(set, key, before, after)
    else if (set === 'group') this.#changeGroup(key, before, after)
    else if (isChain(set)) this.#changeChain(set, key, before, after)
    else {
      if (before !== undefined) this.#removedElements.getOrInsertComputed(set, () => []).push(key)
      if (after !== undefined) this.#addedElements.getOrInsertComputed(set, () => []).push(after === '' ? key : `${key} : ${after}`)
    }
  }

  done(): Update {
    const elements = (verb: string, changes: ReadonlyMap<string, readonly string[]>) =>
      [...changes].flatMap(([set, keys]) =>
        slices(keys, MAX_ELEMENTS).map((some) => `${verb} element ${this.#table} ${set} { ${some.join(', ')} }`),
      )
    const commands = [
      ...this.#made,
      ...this.#filled,
      ...elements('delete', this.#removedElements),
      ...elements('add', this.#addedElements),
      ...this.#emptied,
      ...this.#removed,
    ]
    return { commands, needsLoad: this.#needsLoad, staleFlows: this.#staleFlows }
  }

  #changeChain(kind: 'chain' | 'affinity', name: string, before: string | undefined, after: string | undefined): void {
    if (before === undefined) this.#made.push(...this.#declare(kind, name))
    else (after === undefined ? this.#emptied : this.#filled).push(`flush chain ${this.#table} ${name}`)
    if (after !== undefined)
      for (const rule of after.split('\n').filter(Boolean)) this.#filled.push(`add rule ${this.#table} ${name} ${rule}`)
    else this.#removed.push(`delete chain ${this.#table} ${name}`, ...(kind === 'affinity' ? [`delete set ${this.#table} ${name}`] : []))
  }

  #declare(kind: 'chain' | 'affinity', name: string): string[] {
    const chain = `add chain ${this.#table} ${name}`
    const set = `add set ${this.#table} ${name} { type ${this.#addressType}; flags dynamic,timeout; size ${MAX_AFFINE_CLIENTS}; }`
    return kind === 'affinity' ? [set, chain] : [chain]
  }

  /** A group's declaration never changes. */
  #changeGroup(name: string, before: string | undefined, after: string | undefined): void {
    if (before === undefined) this.#made.push(`add set ${this.#table} ${name} { ${after} }`)
    else if (after === undefined) this.#removed.push(`delete set ${this.#table} ${name}`)
  }

  #noteFlow(set: 'flow' | 'front', key: string, before: string | undefined, after: string | undefined): void {
    const [address, port, endpoint, endpointPort] = key.split(' ')
    const front = { address: address!, port: Number(port) }
    if (set === 'front' && before === undefined) this.#staleFlows.push(front)
    if (set === 'flow' && after === undefined)
      this.#staleFlows.push({ ...front, endpoint: { address: endpoint!, port: Number(endpointPort) } })
  }
}

const slices = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
