/**
 * The fields of a value. Two readings, as upstream has them: what a configuration *applies* (its leaves, the items of its lists, the
 * entries of its maps), and what a change *adds* (all of that and the structs and lists that were not there before).
 */
import type { Json } from '../object.ts'
import { compareElements, isEmpty, isMember, memberWith, NONE, sorted, type FieldSet } from './field-set.ts'
import type { ApplyList, ApplyMap, ApplyType } from './schema.ts'
import { elementOf, formOf, isBare, isList, isMap, itemElement, typeIn, type JsonMap } from './value-kind.ts'

type Reading = 'applied' | 'added'

/** What a configuration owns once it is applied. */
export const appliedFields = (value: Json, type: ApplyType): FieldSet => fieldsWithin(value, type, 'applied')

/** What stands under the element of a value that was not there before. */
export const addedFields = (value: Json, type: ApplyType): FieldSet => under(value, type, 'added') ?? NONE

/** What stands under a value's element; undefined when neither it nor anything within is in the set. */
function under(value: Json, type: ApplyType, reading: Reading): FieldSet | undefined {
  const form = formOf(type, value)
  if (form === 'scalar' || type[form]!.isAtomic) return NONE
  const hasNothing = value === null || (isMap(value) ? isBare(value) : isList(value) && value.length === 0)
  // An empty list says nothing when it is applied; an empty map says that it is there.
  if (hasNothing) return reading === 'applied' && form === 'list' && value !== null ? undefined : NONE
  const inner = fieldsWithin(value, type, reading)
  if (reading === 'added') return memberWith(inner)
  return isEmpty(inner) ? undefined : inner
}

function fieldsWithin(value: Json, type: ApplyType, reading: Reading): FieldSet {
  if (isMap(value) && type.map && !type.map.isAtomic) return fieldsOfMap(value, type.map, reading)
  if (isList(value) && type.list && !type.list.isAtomic) return fieldsOfList(value, type.list, reading)
  return {}
}

function fieldsOfMap(value: JsonMap, map: ApplyMap, reading: Reading): FieldSet {
  const set: Record<string, FieldSet> = {}
  let last = ''
  let isInOrder = true
  if (reading === 'added' && map.nulls) {
    for (const name of map.nulls) if (value[name] === undefined) set[elementOf(name)] = NONE
    isInOrder = isEmpty(set)
  }
  for (const name in value) {
    const inner = value[name]
    const type = typeIn(map, name)
    if (inner === undefined || !type) continue
    const made = under(inner, type, reading)
    const isEntry = reading === 'applied' && !map.fields.has(name)
    if (made === undefined && !isEntry) continue
    const element = elementOf(name)
    if (element < last) isInOrder = false
    last = element
    set[element] = isEntry && !isMember(made) ? memberWith(made ?? NONE) : made!
  }
  return isInOrder ? set : inOrder(set)
}

function fieldsOfList(items: readonly Json[], list: ApplyList, reading: Reading): FieldSet {
  const set: Record<string, FieldSet> = {}
  let last = ''
  let isInOrder = true
  for (const item of items) {
    const element = itemElement(list, item)
    if (last !== '' && compareElements(element, last) < 0) isInOrder = false
    last = element
    // Of items that are there twice, only that they are there is known.
    set[element] = set[element] === undefined ? memberWith(under(item, list.element, reading) ?? NONE) : NONE
  }
  return isInOrder ? set : inOrder(set)
}

function inOrder(set: FieldSet): FieldSet {
  const made: Record<string, FieldSet> = {}
  for (const element of sorted(Object.keys(set))) made[element] = set[element]!
  return made
}

/**
 * The set with every named field on the way to one of its own, as removal needs it: a field goes with the last of what is in it.
 * Entries of maps and items of lists are not named fields.
 */
export function withNamedFields(set: FieldSet, type: ApplyType | undefined): FieldSet {
  const made: Record<string, FieldSet> = {}
  for (const element in set) {
    if (element === '.') continue
    const here = set[element]!
    const name = element[0] === 'f' ? element.slice(2) : undefined
    const isNamed = name !== undefined && type?.map?.fields.has(name) === true
    const innerType = name === undefined ? (element[0] === 'k' ? type?.list?.element : undefined) : type?.map && typeIn(type.map, name)
    const inner = withNamedFields(here, innerType)
    made[element] = isNamed || isMember(here) ? memberWith(inner) : inner
  }
  return made
}
