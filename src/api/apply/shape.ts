/**
 * What of a value decides which fields it has: its names, the keys of its items, where it is empty. Objects made from one template
 * have one shape, and so one set of fields, which need be found only once.
 */
import type { Json } from '../object.ts'
import type { ApplyType } from './schema.ts'
import { formOf, isBare, isList, isMap, itemElement, typeIn } from './value-kind.ts'

/** Values of one type with equal shapes have equal fields. Throws an ElementError on items without their keys. */
export function shapeOf(value: Json, type: ApplyType): string {
  if (value === null) return 'n'
  const form = formOf(type, value)
  if (isMap(value)) {
    if (form !== 'map' || type.map!.isAtomic) return isBare(value) ? 'e' : 'a'
    let text = '{'
    for (const name in value) {
      const inner = value[name]
      const innerType = typeIn(type.map!, name)
      // A length before each name: no name can be taken for anything else.
      if (inner !== undefined && innerType) text += `${name.length}:${name}${shapeOf(inner, innerType)}`
    }
    return `${text}}`
  }
  if (isList(value)) {
    if (form !== 'list' || type.list!.isAtomic) return value.length === 0 ? 'e' : 'a'
    let text = '['
    for (const item of value) {
      const element = itemElement(type.list!, item)
      text += `${element.length}:${element}${shapeOf(item, type.list!.element)}`
    }
    return `${text}]`
  }
  // What equals Go's zero is no change of a field that is always there.
  return value === '' || value === 0 || value === false || value === '0' ? 'z' : 's'
}
