/**
 * The rules wanted in a cluster's table, by who wants them, and the commands that take the packet filter from what was applied to
 * what is wanted. Work is proportional to what changed. The kernel's tables are never read back: that takes seconds when full.
 *
 * When two owners want different values for one key (two services with one external IP and port), the first one has it until it
 * lets go.
 */
import { assert } from '../base/assert.ts'
import { declare, tableText, type TableOptions } from './nft-table.ts'
import type { Rule } from './service-proxy.ts'

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
  readonly set: Rule['set']
  readonly key: string
  /** By owner, in order of claim. One owner is by far the most frequent case. */
  claims: Map<string, string>
  applied: string | undefined
}

const isMapped = (set: Rule['set']): boolean => set !== 'flow' && set !== 'front' && set !== 'spread'
const isChain = (set: Rule['set']): set is 'chain' | 'affinity' => set === 'chain' || set === 'affinity'

/** Elements in one command at most. Many commands cost more than many elements: each looks at the table anew. */
const MAX_ELEMENTS = 20_000

export class Ruleset {
  readonly #options: TableOptions
  readonly #table: string
  readonly #slots = new Map<string, Slot>()
  readonly #byOwner = new Map<string, readonly Rule[]>()
  readonly #dirty = new Set<Slot>()

  constructor(options: TableOptions) {
    assert(/^[a-zA-Z][\w-]*$/.test(options.name) && /^[\w.-]{1,15}$/.test(options.bridge), 'names of the table and bridge')
    this.#options = options
    this.#table = `${options.family} ${options.name}`
  }

  get options(): TableOptions {
    return this.#options
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
    const update = new Commands(this.#table, this.#options)
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
    const all = new Commands(this.#table, this.#options)
    for (const slot of this.#slots.values()) {
      const wanted = firstValue(slot.claims)
      if (wanted !== undefined) all.change(slot.set, slot.key, undefined, wanted)
      slot.applied = wanted
    }
    this.#dirty.clear()
    const spreads = [...this.#slots.values()].filter((slot) => slot.set === 'spread').map((slot) => Number(slot.key))
    return `${tableText(this.#options, spreads)}${all.done().commands.join('\n')}\n`
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
  readonly #options: TableOptions
  readonly #made: string[] = []
  readonly #filled: string[] = []
  readonly #removedElements = new Map<string, string[]>()
  readonly #addedElements = new Map<string, string[]>()
  readonly #emptied: string[] = []
  readonly #removed: string[] = []
  readonly #staleFlows: StaleFlow[] = []
  #needsLoad = false

  constructor(table: string, options: TableOptions) {
    this.#table = table
    this.#options = options
  }

  change(set: Rule['set'], key: string, before: string | undefined, after: string | undefined): void {
    // A chain too many does no harm: it goes with the next load.
    if (set === 'spread') this.#needsLoad ||= before === undefined
    else if (!isMapped(set)) this.#noteFlow(set, key, before, after)
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
    if (before === undefined) this.#made.push(...declare(this.#table, kind, name, this.#options.family))
    else (after === undefined ? this.#emptied : this.#filled).push(`flush chain ${this.#table} ${name}`)
    if (after !== undefined) for (const rule of after.split('\n')) this.#filled.push(`add rule ${this.#table} ${name} ${rule}`)
    else this.#removed.push(`delete chain ${this.#table} ${name}`, ...(kind === 'affinity' ? [`delete set ${this.#table} ${name}`] : []))
  }

  #noteFlow(set: Rule['set'], key: string, before: string | undefined, after: string | undefined): void {
    const [address, port, endpoint, endpointPort] = key.split(' ')
    const front = { address: address!, port: Number(port) }
    if (set === 'front' && before === undefined) this.#staleFlows.push(front)
    if (set === 'flow' && after === undefined)
      this.#staleFlows.push({ ...front, endpoint: { address: endpoint!, port: Number(endpointPort) } })
  }
}

const slices = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
