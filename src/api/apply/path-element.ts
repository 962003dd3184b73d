/** The elements of paths to fields: made from values, read from what clients send, and told in messages. */
import type { Json } from '../object.ts'
import { NONE, ordered, type FieldPath, type FieldSet } from './field-set.ts'

/** Fields that are no FieldsV1. */
export class FieldsError extends Error {
  override readonly name = 'FieldsError'
}

export const fieldElement = (name: string): string => `f:${name}`

/** By the value of each key that the item has; `keys` in alphabetical order. */
export const keyElement = (keys: readonly (readonly [name: string, value: Json])[]): string =>
  `k:{${keys.map(([name, value]) => `${goJson(name)}:${goJson(value)}`).join(',')}}`

export const valueElement = (value: Json): string => `v:${goJson(value)}`

const HTML = /[<>&\u2028\u2029]/g

/** JSON as Go writes it. */
export function goJson(value: Json): string {
  const json = JSON.stringify(value)
  return HTML.test(json) ? json.replaceAll(HTML, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) : json
}

/** A path as messages tell it: `.spec.containers[name="a"].image`. */
export const pathText = (path: FieldPath): string => path.map(elementText).join('')

export function elementText(element: string): string {
  const rest = element.slice(2)
  switch (element[0]) {
    case 'f':
      return `.${rest}`
    case 'k':
      return `[${Object.entries(JSON.parse(rest) as object)
        .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
        .join(',')}]`
    case 'v':
      return `[=${JSON.stringify(JSON.parse(rest))}]`
    default:
      return `[${rest}]`
  }
}

/** The canonical form of what a client sent; undefined for kinds of elements that are not known, which are left out. */
function canonicalElement(element: string): string | undefined {
  if (element.length < 2) throw new FieldsError('key must be 2 characters long:')
  if (element[1] !== ':') throw new FieldsError(`missing colon: ${element}`)
  const rest = element.slice(2)
  switch (element[0]) {
    case 'f':
      return element
    case 'v':
      return valueElement(parse(rest))
    case 'k': {
      const keys = parse(rest)
      if (typeof keys !== 'object' || keys === null || Array.isArray(keys)) throw new FieldsError(`no keys: ${element}`)
      return keyElement(Object.entries(keys as Readonly<Record<string, Json>>).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    }
    case 'i':
      if (!/^[+-]?\d+$/.test(rest)) throw new FieldsError(`strconv.Atoi: parsing ${JSON.stringify(rest)}: invalid syntax`)
      return `i:${Number(rest)}`
    default:
      return undefined
  }
}

function parse(json: string): Json {
  try {
    return JSON.parse(json) as Json
  } catch (cause) {
    throw new FieldsError(`no JSON: ${json}`, { cause })
  }
}

/** A set from the FieldsV1 that a client sent. Throws a FieldsError. */
export function readFields(fields: unknown): FieldSet {
  const made = readWithin(fields)
  return ordered(made === NONE ? {} : made)
}

function readWithin(fields: unknown): FieldSet {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new FieldsError('fields must be an object')
  const made: Record<string, FieldSet> = {}
  for (const [element, under] of Object.entries(fields)) {
    if (element === '.') {
      made['.'] = NONE
      continue
    }
    const canonical = canonicalElement(element)
    if (canonical !== undefined) made[canonical] = readWithin(under)
  }
  for (const element in made) if (element !== '.') return made
  return NONE
}
