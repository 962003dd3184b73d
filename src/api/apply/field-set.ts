/**
 * Sets of fields, as managedFields tell them (metav1.FieldsV1, structured-merge-diff's fieldpath). A set is its own JSON: nothing is
 * parsed or written to keep it in an object, and equal parts are shared.
 *
 * A key is an element of a path: `f:name` a field, `k:{"name":"a"}` an item of a list by its keys, `v:"a"` an item of a set,
 * `i:0` an index. Under it are the fields within; it is in the set itself when nothing is within, or when `.` is. Keys are canonical
 * (sorted names, no spaces) and in upstream's order, so equal sets are equal texts.
 */
import type { Json } from '../object.ts'

export interface FieldSet {
  readonly [element: string]: FieldSet
}

type Building = Record<string, FieldSet>

/** The path to one field, outermost element first. */
export type FieldPath = readonly string[]

/** No field; and, within a set, a field with none within. */
export const NONE: FieldSet = Object.freeze({})

const SELF = '.'

export function isEmpty(set: FieldSet): boolean {
  for (const element in set) if (element !== SELF) return false
  return true
}

/** Whether what stands under an element says that the element itself is in the set. */
export function isMember(node: FieldSet | undefined): boolean {
  if (node === undefined) return false
  if (node[SELF] !== undefined) return true
  for (const _ in node) return false
  return true
}

/** What stands under an element; undefined when there is nothing to say. */
function node(isIn: boolean, within: FieldSet | undefined): FieldSet | undefined {
  const isBare = within === undefined || isEmpty(within)
  if (isIn) return isBare ? NONE : within[SELF] ? within : { [SELF]: NONE, ...within }
  if (isBare) return undefined
  if (!within[SELF]) return within
  const { [SELF]: _, ...rest } = within
  return rest
}

/** An item with its fields: in the set itself too. */
export const memberWith = (within: FieldSet): FieldSet => node(true, within)!

/** The set with a field more; only for sets that are being built and are nobody else's. */
export function insert(root: FieldSet, path: FieldPath, under: FieldSet = NONE): void {
  let at: Building = root
  const last = path.length - 1
  if (last < 0) return
  for (let i = 0; i < last; i++) {
    const element = path[i]!
    const next = at[element]
    // A shared leaf must not be written to.
    if (next === undefined) at = at[element] = {}
    else if (next === NONE) at = at[element] = { [SELF]: NONE }
    else at = next
  }
  const element = path[last]!
  const there = at[element]
  at[element] = there === undefined ? under : unionOf(there, under)
}

export function has(set: FieldSet, path: FieldPath): boolean {
  let at: FieldSet | undefined = set
  for (const element of path) {
    at = at[element]
    if (at === undefined) return false
  }
  return path.length > 0 && isMember(at)
}

const build = (keys: readonly string[], make: (element: string) => FieldSet | undefined): FieldSet => {
  const made: Building = {}
  for (const element of keys) {
    const under = element === SELF ? NONE : make(element)
    if (under) made[element] = under
  }
  return made
}

/** What stands under one element in either of two sets. */
function unionOf(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a
  return node(isMember(a) || isMember(b), union(a, b)) ?? NONE
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmpty(b)) return a
  if (isEmpty(a)) return b
  const keys = Object.keys(a)
  const more = Object.keys(b).filter((element) => a[element] === undefined)
  const all = more.length === 0 ? keys : sorted([...keys, ...more])
  return build(all, (element) => {
    const [left, right] = [a[element], b[element]]
    return left === undefined ? right : right === undefined ? left : unionOf(left, right)
  })
}

/** What is in both. */
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const made: Building = {}
  for (const element in a) {
    const [left, right] = [a[element]!, b[element]]
    if (element === SELF || right === undefined) continue
    const under = node(isMember(left) && isMember(right), intersection(left, right))
    if (under) made[element] = under
  }
  return made
}

/** What is in the first and not in the second; a field that goes leaves the fields within it. */
export const difference = (a: FieldSet, b: FieldSet): FieldSet =>
  change(a, b, (left, right) => node(isMember(left) && !isMember(right), difference(left, right)))

/** The first set without the fields of the second and all within them. */
export const withoutTrees = (a: FieldSet, b: FieldSet): FieldSet =>
  change(a, b, (left, right) => (isMember(right) ? undefined : node(isMember(left), withoutTrees(left, right))))

/** The first set with what stands under the elements of the second made anew; the same set when that changes nothing. */
function change(a: FieldSet, b: FieldSet, make: (left: FieldSet, right: FieldSet) => FieldSet | undefined): FieldSet {
  let changed: Map<string, FieldSet | undefined> | undefined
  for (const element in b) {
    const left = a[element]
    if (left === undefined || element === SELF) continue
    const under = make(left, b[element]!)
    if (under !== left) (changed ??= new Map()).set(element, under)
  }
  if (!changed) return a
  // Built anew and not deleted from: an object that something was deleted from is slow ever after.
  const made: Building = {}
  for (const element in a) {
    const under = changed.has(element) ? changed.get(element) : a[element]
    if (under) made[element] = under
  }
  return made
}

export function isEqual(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true
  for (const element in a) {
    const right = b[element]
    if (right === undefined || !isEqual(a[element]!, right)) return false
  }
  for (const element in b) if (a[element] === undefined) return false
  return true
}

/** Every field of a set: those of a level, then those within them. */
export function* paths(set: FieldSet, prefix: FieldPath = []): Iterable<FieldPath> {
  for (const element in set) if (element !== SELF && isMember(set[element])) yield [...prefix, element]
  for (const element in set) if (element !== SELF && set[element] !== NONE) yield* paths(set[element]!, [...prefix, element])
}

export function setOf(...all: readonly FieldPath[]): FieldSet {
  const made: FieldSet = {}
  for (const path of all) insert(made, path)
  return ordered(made)
}

/** With the keys in order, for sets that were built in another; shares what is in order already. */
export function ordered(set: FieldSet): FieldSet {
  const keys = Object.keys(set)
  if (keys.length === 0) return NONE
  let isInOrder = true
  const inner: FieldSet[] = []
  for (let i = 0; i < keys.length; i++) {
    const under = set[keys[i]!]!
    const done = under === NONE ? NONE : ordered(under)
    if (done !== under || (i > 0 && compareElements(keys[i - 1]!, keys[i]!) > 0)) isInOrder = false
    inner.push(done)
  }
  if (isInOrder) return set
  const at = new Map(keys.map((key, index) => [key, inner[index]!]))
  return build(sorted(keys), (element) => at.get(element))
}

/** Elements in upstream's order: fields, keys, values, indexes. */
export const sorted = (elements: string[]): string[] => elements.toSorted(compareElements)

const RANKS: Readonly<Record<string, number>> = { '.': 0, f: 1, k: 2, v: 3, i: 4 }

const F = 102

export function compareElements(a: string, b: string): number {
  if (a === b) return 0
  // Fields, which most are, need no look into them.
  if (a.charCodeAt(0) === F && b.charCodeAt(0) === F) return a < b ? -1 : 1
  const [kind, other] = [a[0]!, b[0]!]
  if (kind !== other) return (RANKS[kind] ?? 9) - (RANKS[other] ?? 9)
  const [left, right] = [JSON.parse(a.slice(2)) as Json, JSON.parse(b.slice(2)) as Json]
  if (kind !== 'k') return compareValues(left, right)
  const [keys, others] = [Object.entries(left as object), Object.entries(right as object)] as [[string, Json][], [string, Json][]]
  for (let i = 0; i < Math.min(keys.length, others.length); i++) {
    const [[name, value], [otherName, otherValue]] = [keys[i]!, others[i]!]
    const order = name === otherName ? compareValues(value, otherValue) : name < otherName ? -1 : 1
    if (order !== 0) return order
  }
  return keys.length - others.length
}

const VALUE_RANKS: readonly string[] = ['number', 'string', 'boolean']

function compareValues(a: Json, b: Json): number {
  if (typeof a !== typeof b) return VALUE_RANKS.indexOf(typeof a) - VALUE_RANKS.indexOf(typeof b)
  if (typeof a === 'object') return 0
  return a === b ? 0 : a < (b as typeof a) ? -1 : 1
}
