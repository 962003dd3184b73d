/**
 * What a change does, field by field: added, modified and removed (structured-merge-diff's typed.Compare). Parts that both objects
 * share are not looked at, so a small change of a large object costs little.
 */
import { deepEqual } from '../../base/deep-equal.ts'
import type { Json } from '../object.ts'
import { compareElements, isEmpty, memberWith, NONE, sorted, union, type FieldSet } from './field-set.ts'
import { addedFields } from './fields-of.ts'
import type { ApplyList, ApplyMap, ApplyType } from './schema.ts'
import { elementOf, formOf, isBare, isList, isMap, itemElement, typeIn, type Form } from './value-kind.ts'

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

const SAME: Comparison = { added: {}, modified: {}, removed: {} }

/** How two values of a type differ. Throws an ElementError on items without their keys. */
export function compare(old: Json, next: Json, type: ApplyType): Comparison {
  const { added, modified, removed } = values(old, next, type) ?? {}
  // Nobody owns the whole object: what stands there are the fields within.
  if (!added && !modified && !removed) return SAME
  return { added: added ?? {}, modified: modified ?? {}, removed: removed ?? {} }
}

type Value = Json | undefined

/** What stands under the element of a value in each of the three sets; undefined when nothing differs. */
type Difference = { readonly [K in keyof Comparison]?: FieldSet | undefined } | undefined

const MODIFIED: Difference = { modified: NONE }

function values(old: Value, next: Value, type: ApplyType): Difference {
  if (old === next) return undefined
  if (old === undefined) return { added: addedFields(next!, type) }
  if (next === undefined) return { removed: addedFields(old, type) }
  const was = formOf(type, old)
  const is = formOf(type, next)
  if (old === null || next === null || was === is) return inForm(old === null ? is : was, old, next, type)
  return both(inForm(was, old, next, type), inForm(is, old, next, type))
}

function inForm(form: Form, old: Json, next: Json, type: ApplyType): Difference {
  if (form === 'scalar' || type[form]!.isAtomic) return leaf(old, next)
  if (form === 'map') return maps(old, next, type.map!)
  return lists(old, next, type.list!)
}

const leaf = (old: Json, next: Json): Difference => (deepEqual(old, next) ? undefined : MODIFIED)

/** A value that was of one form and is of another: what of each is in either. */
function both(a: Difference, b: Difference): Difference {
  if (!a || !b) return a ?? b
  const one = (left: FieldSet | undefined, right: FieldSet | undefined) => (left && right ? memberOrUnion(left, right) : (left ?? right))
  return { added: one(a.added, b.added), modified: one(a.modified, b.modified), removed: one(a.removed, b.removed) }
}

const memberOrUnion = (a: FieldSet, b: FieldSet): FieldSet => (isEmpty(a) || isEmpty(b) ? memberWith(union(a, b)) : union(a, b))

/** Gathers the differences within a map or a list, each set in order. */
class Within {
  #added: Record<string, FieldSet> | undefined
  #modified: Record<string, FieldSet> | undefined
  #removed: Record<string, FieldSet> | undefined

  put(element: string, difference: Difference): void {
    if (!difference) return
    if (difference.added) (this.#added ??= {})[element] = difference.added
    if (difference.modified) (this.#modified ??= {})[element] = difference.modified
    if (difference.removed) (this.#removed ??= {})[element] = difference.removed
  }

  get difference(): Difference {
    if (!this.#added && !this.#modified && !this.#removed) return undefined
    return { added: inOrder(this.#added), modified: inOrder(this.#modified), removed: inOrder(this.#removed) }
  }
}

function inOrder(set: Record<string, FieldSet> | undefined): FieldSet | undefined {
  if (!set) return undefined
  let last = ''
  for (const element in set) {
    if (last !== '' && compareElements(last, element) > 0)
      return Object.fromEntries(sorted(Object.keys(set)).map((key) => [key, set[key]!]))
    last = element
  }
  return set
}

function maps(whole: Json, nextWhole: Json, map: ApplyMap): Difference {
  const [old, next] = [isMap(whole) ? whole : undefined, isMap(nextWhole) ? nextWhole : undefined]
  if ((!old || isBare(old)) && (!next || isBare(next))) return leaf(whole, nextWhole)
  const within = new Within()
  const areBothThere = old !== undefined && next !== undefined
  for (const name in old) within.put(elementOf(name), entry(name, old[name], next?.[name], map, areBothThere))
  for (const name in next) {
    if (old?.[name] === undefined) within.put(elementOf(name), entry(name, undefined, next[name], map, areBothThere))
  }
  return within.difference
}

function entry(name: string, old: Value, next: Value, map: ApplyMap, areBothThere: boolean): Difference {
  if (old === next) return undefined
  const type = typeIn(map, name)
  if (!type) return undefined
  const empty = areBothThere && map.nulls?.has(name) ? null : undefined
  return values(old === undefined ? empty : old, next === undefined ? empty : next, type)
}

function lists(whole: Json, nextWhole: Json, list: ApplyList): Difference {
  const [old, next] = [isList(whole) ? whole : [], isList(nextWhole) ? nextWhole : []]
  if (old.length === 0 && next.length === 0) return leaf(whole, nextWhole)
  const [before, after] = [byElement(old, list), byElement(next, list)]
  const within = new Within()
  for (const [element, own] of before) within.put(element, items(own, after.get(element) ?? [], list))
  for (const [element, own] of after) if (!before.has(element)) within.put(element, items([], own, list))
  return within.difference
}

/** Items that are there twice are compared as a whole: nobody owns what is within them. */
function items(old: readonly Json[], next: readonly Json[], list: ApplyList): Difference {
  if (old.length <= 1 && next.length <= 1) return values(old[0], next[0], list.element)
  if (old.length > 1 && next.length > 1) return leaf(old, next)
  if (old.length > 1) return { removed: NONE, added: next[0] === undefined ? undefined : addedFields(next[0], list.element) }
  return { added: NONE, removed: old[0] === undefined ? undefined : addedFields(old[0], list.element) }
}

function byElement(all: readonly Json[], list: ApplyList): ReadonlyMap<string, readonly Json[]> {
  const grouped = new Map<string, Json[]>()
  for (const item of all) {
    const element = itemElement(list, item)
    const known = grouped.get(element)
    if (known) known.push(item)
    else grouped.set(element, [item])
  }
  return grouped
}
