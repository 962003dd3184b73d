/** Which of the forms that its type allows a value has. */
import type { Json } from '../object.ts'
import { fieldElement, keyElement, valueElement } from './path-element.ts'
import type { ApplyList, ApplyMap, ApplyType } from './schema.ts'

export type JsonMap = Readonly<Record<string, Json | undefined>>
export type Form = 'scalar' | 'list' | 'map'

/** A list whose item has no element: it lacks its keys, or is no scalar. */
export class ElementError extends Error {
  override readonly name = 'ElementError'
}

export const isMap = (value: Json | undefined): value is JsonMap => typeof value === 'object' && value !== null && !Array.isArray(value)
export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

/** A map without entries; one that is undefined is none. */
export function isBare(value: JsonMap): boolean {
  for (const name in value) if (value[name] !== undefined) return false
  return true
}

/** null and undefined leave the choice to the type. */
export function formOf(type: ApplyType, value: Json | undefined): Form {
  if (value !== undefined && value !== null) {
    const own: Form = Array.isArray(value) ? 'list' : typeof value === 'object' ? 'map' : 'scalar'
    if (type[own]) return own
  }
  return type.map ? 'map' : type.scalar ? 'scalar' : 'list'
}

/** The type of a map's value: its field's, or that of all others. */
export const typeIn = (map: ApplyMap, name: string): ApplyType | undefined => map.fields.get(name)?.type ?? map.element

/** Names of fields come again and again; at most this many of their elements are kept. */
const KNOWN_LIMIT = 10_000
const known = new Map<string, string>()

export function elementOf(name: string): string {
  const element = known.get(name)
  if (element !== undefined) return element
  if (known.size >= KNOWN_LIMIT) known.clear()
  const made = fieldElement(name)
  known.set(name, made)
  return made
}

/** The element of a list's item. Throws an ElementError. */
export function itemElement(list: ApplyList, item: Json): string {
  return list.keys.length > 0 ? keyedElement(list, item) : setElement(item)
}

function keyedElement({ keys, element }: ApplyList, item: Json): string {
  if (item === null) throw new ElementError('associative list with keys may not have a null element')
  if (!isMap(item)) throw new ElementError('associative list with keys may not have non-map elements')
  if (keys.length === 1) {
    // By far the most lists: one key, no sorting.
    const value = item[keys[0]!] ?? element.map?.fields.get(keys[0]!)?.default
    if (value !== undefined && value !== null) return keyElement([[keys[0]!, value]])
  }
  const given: [string, Json][] = []
  for (const key of keys) {
    const value = item[key] ?? element.map?.fields.get(key)?.default
    if (value !== undefined) given.push([key, value])
  }
  if (given.length === 0) {
    const names = `[${keys.map((key) => JSON.stringify(key)).join(' ')}]`
    throw new ElementError(
      `associative list with keys has an element that omits all key fields ${names} (and doesn't have default values for any key fields)`,
    )
  }
  return keyElement(given.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function setElement(item: Json): string {
  if (isMap(item)) throw new ElementError("associative list without keys has an element that's a map type")
  if (isList(item)) throw new ElementError('not supported: associative list with lists as elements')
  if (item === null) throw new ElementError("associative list without keys has an element that's an explicit null")
  return valueElement(item)
}
