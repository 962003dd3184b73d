/**
 * Changes to immutable objects: every function returns its argument itself when nothing changes, so that a write which needs no
 * defaults costs no allocation and shares all of its structure with what the client sent.
 */

/** Go cannot tell an absent string from an empty one, so an empty string counts as missing where the default is a string. */
const isMissing = (value: unknown, fallback: unknown): boolean =>
  value === undefined || value === null || (value === '' && typeof fallback === 'string')

/** Fills the fields of `defaults` that `object` lacks. */
export function withDefaults<T extends object>(object: T, defaults: Partial<T>): T {
  let result: T | undefined
  for (const key in defaults) {
    if (isMissing(object[key], defaults[key])) (result ??= { ...object })[key] = defaults[key] as T[typeof key]
  }
  return result ?? object
}

/** Like withDefaults, for Go's pointers: an empty string is there. */
export function withPointerDefaults<T extends object>(object: T, defaults: Partial<T>): T {
  let result: T | undefined
  for (const key in defaults) {
    if (object[key] === undefined || object[key] === null) (result ??= { ...object })[key] = defaults[key] as T[typeof key]
  }
  return result ?? object
}

/** Like withDefaults, for Go's plain integers: zero counts as missing. */
export function withPositiveDefaults<T extends object>(object: T, defaults: Partial<T>): T {
  let result: T | undefined
  for (const key in defaults) if (!object[key]) (result ??= { ...object })[key] = defaults[key] as T[typeof key]
  return result ?? object
}

/** Sets one field; undefined removes it. */
export function withField<T extends object, K extends keyof T>(object: T, key: K, value: T[K] | undefined): T {
  if (object[key] === value) return object
  const result = { ...object }
  if (value === undefined) delete result[key]
  else result[key] = value
  return result
}

/** Changes one field when it is there. */
export function changeField<T extends object, K extends keyof T>(object: T, key: K, change: (value: NonNullable<T[K]>) => T[K]): T {
  const value = object[key]
  return value === undefined || value === null ? object : withField(object, key, change(value))
}

/** Changes the items of a list; the same list when every item stays the same. */
export function mapItems<T>(items: readonly T[], change: (item: T, index: number) => T): readonly T[] {
  let result: T[] | undefined
  for (let i = 0; i < items.length; i++) {
    const item = items[i] as T
    const next = change(item, i)
    if (next !== item) (result ??= items.slice())[i] = next
  }
  return result ?? items
}

/** Adds the entries of `extra` whose keys `map` lacks. */
export function withMissingEntries<V>(map: Readonly<Record<string, V>> | undefined, extra: Readonly<Record<string, V>> | undefined) {
  if (!extra) return map
  let result: Record<string, V> | undefined
  for (const key in extra) if (map?.[key] === undefined) (result ??= { ...map })[key] = extra[key] as V
  return result ?? map
}

/** Sets one entry of a map. */
export const withEntry = <V>(map: Readonly<Record<string, V>> | undefined, key: string, value: V): Readonly<Record<string, V>> =>
  map?.[key] === value ? map : { ...map, [key]: value }

/** Deep equality of JSON values; an absent field equals an undefined one. Shared structure is recognised at once. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  if (Array.isArray(a)) return a.length === (b as unknown[]).length && a.every((item, i) => isEqual(item, (b as unknown[])[i]))
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  for (const key in left) if (!isEqual(left[key], right[key])) return false
  for (const key in right) if (right[key] !== undefined && left[key] === undefined) return false
  return true
}

/**
 * Equality as upstream's apiequality.Semantic has it: an empty list, map or object, an empty string, zero and false equal an
 * absent field, since Go cannot tell them apart once decoded.
 */
export function isSemanticallyEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (isEmpty(a) && isEmpty(b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  if (Array.isArray(a)) return a.length === (b as unknown[]).length && a.every((item, i) => isSemanticallyEqual(item, (b as unknown[])[i]))
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  for (const key in left) if (!isSemanticallyEqual(left[key], right[key])) return false
  for (const key in right) if (!(key in left) && !isEmpty(right[key])) return false
  return true
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return true
  if (typeof value !== 'object') return false
  return Array.isArray(value) ? value.length === 0 : Object.values(value).every((field) => field === undefined)
}
