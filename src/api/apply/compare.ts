/**
 * What a change does, field by field: added, modified and removed (structured-merge-diff's typed.Compare). Parts that both objects
 * share are not looked at, so a small change of a large object costs little.
 */
import { deepEqual } from '../../base/deep-equal.ts'
import type { Json } from '../object.ts'
import { insert, NONE, ordered, type FieldSet } from './field-set.ts'
import { addedFields } from './fields-of.ts'
import type { ApplyList, ApplyMap, ApplyType } from './schema.ts'
import { elementOf, formOf, isList, isMap, itemElement, typeIn, type Form, type JsonMap } from './value-kind.ts'

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** How two values of a type differ. Throws an ElementError on items without their keys. */
export function compare(old: Json, next: Json, type: ApplyType): Comparison {
  const comparer = new Comparer()
  comparer.values(old, next, type)
  const { added, modified, removed } = comparer
  return { added: ordered(added), modified: ordered(modified), removed: ordered(removed) }
}

type Value = Json | undefined

class Comparer {
  readonly added: FieldSet = {}
  readonly modified: FieldSet = {}
  readonly removed: FieldSet = {}
  readonly #path: string[] = []

  values(old: Value, next: Value, type: ApplyType): void {
    if (old === next) return
    if (old === undefined) return insert(this.added, this.#path, addedFields(next!, type))
    if (next === undefined) return insert(this.removed, this.#path, addedFields(old, type))
    const was = formOf(type, old)
    const is = formOf(type, next)
    if (old === null || next === null || was === is) return this.#form(old === null ? is : was, old, next, type)
    this.#form(was, old, next, type)
    this.#form(is, old, next, type)
  }

  #form(form: Form, old: Json, next: Json, type: ApplyType): void {
    if (form === 'scalar' || type[form]!.isAtomic) return this.#leaf(old, next)
    if (form === 'map') return this.#maps(isMap(old) ? old : undefined, isMap(next) ? next : undefined, type.map!, old, next)
    this.#lists(isList(old) ? old : [], isList(next) ? next : [], type.list!, old, next)
  }

  #leaf(old: Json, next: Json): void {
    if (!deepEqual(old, next)) insert(this.modified, this.#path)
  }

  #maps(old: JsonMap | undefined, next: JsonMap | undefined, map: ApplyMap, whole: Json, nextWhole: Json): void {
    const isBare = (!old || Object.keys(old).length === 0) && (!next || Object.keys(next).length === 0)
    if (isBare) return this.#leaf(whole, nextWhole)
    for (const name in old) this.#entry(name, old[name], next?.[name], map, next !== undefined)
    for (const name in next) if (old?.[name] === undefined) this.#entry(name, undefined, next[name], map, old !== undefined)
  }

  #entry(name: string, old: Value, next: Value, map: ApplyMap, areBothThere: boolean): void {
    if (old === next) return
    const type = typeIn(map, name)
    if (!type) return
    const empty = areBothThere && map.nulls?.has(name) ? null : undefined
    this.#path.push(elementOf(name))
    this.values(old ?? empty, next ?? empty, type)
    this.#path.pop()
  }

  #lists(old: readonly Json[], next: readonly Json[], list: ApplyList, whole: Json, nextWhole: Json): void {
    if (old.length === 0 && next.length === 0) return this.#leaf(whole, nextWhole)
    const [before, after] = [byElement(old, list), byElement(next, list)]
    for (const [element, items] of before) this.#items(element, items, after.get(element) ?? [], list)
    for (const [element, items] of after) if (!before.has(element)) this.#items(element, [], items, list)
  }

  /** Items that are there twice are compared as a whole: nobody owns what is within them. */
  #items(element: string, old: readonly Json[], next: readonly Json[], list: ApplyList): void {
    this.#path.push(element)
    if (old.length <= 1 && next.length <= 1) this.values(old[0], next[0], list.element)
    else if (old.length > 1 && next.length > 1) {
      if (!deepEqual(old, next)) insert(this.modified, this.#path)
    } else if (old.length > 1) {
      if (next[0] !== undefined) this.values(undefined, next[0], list.element)
      insert(this.removed, this.#path, NONE)
    } else {
      if (old[0] !== undefined) this.values(old[0], undefined, list.element)
      insert(this.added, this.#path, NONE)
    }
    this.#path.pop()
  }
}

function byElement(items: readonly Json[], list: ApplyList): ReadonlyMap<string, readonly Json[]> {
  const grouped = new Map<string, Json[]>()
  for (const item of items) {
    const element = itemElement(list, item)
    const known = grouped.get(element)
    if (known) known.push(item)
    else grouped.set(element, [item])
  }
  return grouped
}
