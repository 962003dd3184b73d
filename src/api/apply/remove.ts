/** A value without some of its fields, entries and items (structured-merge-diff's typed.RemoveItems). */
import type { Json } from '../object.ts'
import { isEmpty, isMember, NONE, type FieldSet } from './field-set.ts'
import type { ApplyList, ApplyMap, ApplyType } from './schema.ts'
import { elementOf, formOf, isList, isMap, itemElement, typeIn, type JsonMap } from './value-kind.ts'

/** What is left; null where nothing is. */
export function remove(value: Json, set: FieldSet, type: ApplyType): Json {
  if (isEmpty(set)) return value
  const form = formOf(type, value)
  if (form === 'scalar') return value
  if (type[form]!.isAtomic) return null
  if (form === 'map') return isMap(value) ? removeFromMap(value, set, type.map!) : null
  return isList(value) ? removeFromList(value, set, type.list!) : null
}

function removeFromMap(value: JsonMap, set: FieldSet, map: ApplyMap): Json {
  const kept: Record<string, Json> = {}
  let isAny = false
  for (const name in value) {
    const under = set[elementOf(name)]
    const inner = value[name]
    const type = typeIn(map, name)
    if (inner === undefined || isMember(under)) continue
    kept[name] = under && type ? remove(inner, under, type) : inner
    isAny = true
  }
  return isAny ? kept : null
}

function removeFromList(items: readonly Json[], set: FieldSet, list: ApplyList): Json {
  const kept: Json[] = []
  for (const item of items) {
    const under = set[itemElement(list, item)]
    if (!isMember(under)) kept.push(remove(item, under ?? NONE, list.element))
  }
  return kept.length > 0 ? kept : null
}
