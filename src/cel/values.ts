/**
 * What CEL expressions compute with. An int is a bigint, a double is a number, so the two never mix unseen; JSON is wrapped
 * where it is touched and never copied whole. Equality and order follow the language definition (github.com/google/cel-spec,
 * langdef.md): numbers compare by their mathematical value across types, everything else only within its type.
 */

export type Value =
  | bigint
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | CelMap
  | Opaque
  | readonly Value[]

/** An expression failed; `&&`, `||` and the quantifiers may still absorb it. */
export class EvaluationError extends Error {}

/** The expression cost more than it may; nothing absorbs it. */
export class CostLimitExceeded extends Error {
  constructor() {
    super('operation cancelled: actual cost limit exceeded')
  }
}

export class Uint {
  readonly value: bigint
  constructor(value: bigint) {
    this.value = value
  }
}

/** Nanoseconds since 1970, within the years 1 to 9999. */
export class Timestamp {
  readonly ns: bigint
  constructor(ns: bigint) {
    this.ns = ns
  }
}

export class Duration {
  readonly ns: bigint
  constructor(ns: bigint) {
    this.ns = ns
  }
}

export class TypeValue {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

export class Optional {
  static readonly none = new Optional(undefined)
  readonly value: Value | undefined
  constructor(value: Value | undefined) {
    this.value = value
  }
}

/** A value of a library's own type: a URL, a quantity, an authorizer. */
export abstract class Opaque {
  abstract readonly typeName: string
  /** What costs go by: how much there is to read, and the length of the pattern that it stands for. */
  get size(): number {
    return 1
  }
  get patternSize(): number {
    return 0
  }
  equals(other: Opaque): boolean {
    return this === other
  }
}

/** A map, or an object with fields. */
export abstract class CelMap {
  readonly typeName: string = 'map'
  abstract readonly size: number
  abstract get(key: Value): Value | undefined
  abstract keys(): readonly Value[]
  /** The JSON it came from, if it is one. */
  get json(): Readonly<Record<string, unknown>> | undefined {
    return undefined
  }
}

/** A JSON object, unwrapped field by field. */
export class JsonMap extends CelMap {
  readonly #json: Readonly<Record<string, unknown>>
  constructor(json: Readonly<Record<string, unknown>>) {
    super()
    this.#json = json
  }
  override get json(): Readonly<Record<string, unknown>> {
    return this.#json
  }
  get size(): number {
    return this.keys().length
  }
  get(key: Value): Value | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.#json, key)) return undefined
    const found = this.#json[key]
    return found === undefined ? undefined : fromJson(found)
  }
  keys(): readonly string[] {
    return Object.keys(this.#json).filter((key) => this.#json[key] !== undefined)
  }
}

type MapKey = bigint | string | boolean

function mapKeyOf(key: Value): MapKey | undefined {
  if (typeof key === 'string' || typeof key === 'bigint' || typeof key === 'boolean') return key
  if (key instanceof Uint) return key.value
  return typeof key === 'number' && Number.isInteger(key) ? BigInt(key) : undefined
}

/** A map made by an expression. */
export class EntryMap extends CelMap {
  readonly #entries: ReadonlyMap<MapKey, readonly [Value, Value]>
  override readonly typeName: string
  /** Refuses keys that are no bool, int, uint or string, and keys that repeat. */
  constructor(entries: Iterable<readonly [Value, Value]>, typeName = 'map') {
    super()
    const map = new Map<MapKey, readonly [Value, Value]>()
    for (const entry of entries) {
      const key = typeof entry[0] === 'number' ? undefined : mapKeyOf(entry[0])
      if (key === undefined) throw new EvaluationError(`unsupported key type: ${typeNameOf(entry[0])}`)
      if (map.has(key)) throw new EvaluationError(`Failed with repeated key`)
      map.set(key, entry)
    }
    this.#entries = map
    this.typeName = typeName
  }
  get size(): number {
    return this.#entries.size
  }
  get(key: Value): Value | undefined {
    const known = mapKeyOf(key)
    return known === undefined ? undefined : this.#entries.get(known)?.[1]
  }
  keys(): readonly Value[] {
    return Array.from(this.#entries.values(), ([key]) => key)
  }
}

/** JSON numbers without a fraction are ints: what Kubernetes does with objects of no declared type. */
export function fromJson(json: unknown): Value {
  switch (typeof json) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return json
    case 'number':
      return Number.isInteger(json) ? BigInt(json) : json
    case 'object':
      if (json === null) return null
      if (Array.isArray(json)) return json.map(fromJson)
      return isWrapped(json) ? json : new JsonMap(json as Record<string, unknown>)
    default:
      return null
  }
}

const isWrapped = (value: object): value is Exclude<Value, bigint | number | string | boolean | null> =>
  value instanceof CelMap ||
  value instanceof Opaque ||
  value instanceof Optional ||
  value instanceof Timestamp ||
  value instanceof Duration ||
  value instanceof Uint ||
  value instanceof TypeValue ||
  value instanceof Uint8Array

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)

export const isNumeric = (value: Value): value is bigint | number | Uint =>
  typeof value === 'bigint' || typeof value === 'number' || value instanceof Uint

/** The name that `type(value)` shows. */
export function typeNameOf(value: Value): string {
  switch (typeof value) {
    case 'bigint':
      return 'int'
    case 'number':
      return 'double'
    case 'string':
      return 'string'
    case 'boolean':
      return 'bool'
  }
  if (value === null) return 'null_type'
  if (isList(value)) return 'list'
  if (value instanceof CelMap || value instanceof Opaque) return value.typeName
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof Uint) return 'uint'
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp'
  if (value instanceof Duration) return 'google.protobuf.Duration'
  return value instanceof Optional ? 'optional_type' : 'type'
}

const numberOf = (value: bigint | number | Uint): bigint | number => (value instanceof Uint ? value.value : value)

/** Against a double an integer is rounded to one first, as upstream does it. */
function numbersOf(a: bigint | number | Uint, b: bigint | number | Uint): readonly [bigint | number, bigint | number] {
  const [x, y] = [numberOf(a), numberOf(b)]
  return typeof x === typeof y ? [x, y] : [Number(x), Number(y)]
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length)
  for (let i = 0; i < common; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** By code points, as UTF-8 bytes sort; JavaScript's own order goes by UTF-16 units. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  for (let i = 0; i < a.length && i < b.length;) {
    const x = a.codePointAt(i)!
    const y = b.codePointAt(i)!
    if (x !== y) return x - y
    i += x > 0xffff ? 2 : 1
  }
  return a.length - b.length
}

/** Below, equal or above zero; undefined for what has no order (NaN); throws for kinds that do not compare. */
export function compareValues(a: Value, b: Value): number | undefined {
  if (isNumeric(a) && isNumeric(b)) {
    const [x, y] = numbersOf(a, b)
    if (x < y) return -1
    if (x > y) return 1
    return x === y ? 0 : undefined
  }
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compareBytes(a, b)
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)) {
    return a.ns < b.ns ? -1 : Number(a.ns > b.ns)
  }
  throw new EvaluationError('no such overload')
}

export function equalValues(a: Value, b: Value): boolean {
  if (isNumeric(a) && isNumeric(b)) {
    const [x, y] = numbersOf(a, b)
    return x === y
  }
  if (a === b) return true
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false
  if (isList(a)) return isList(b) && a.length === b.length && a.every((item, i) => equalValues(item, b[i]!))
  if (a instanceof CelMap) return b instanceof CelMap && equalMaps(a, b)
  if (a instanceof Uint8Array) return b instanceof Uint8Array && compareBytes(a, b) === 0
  if (a instanceof Timestamp) return b instanceof Timestamp && a.ns === b.ns
  if (a instanceof Duration) return b instanceof Duration && a.ns === b.ns
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name
  if (a instanceof Optional) {
    if (!(b instanceof Optional)) return false
    return a.value === undefined || b.value === undefined ? a.value === b.value : equalValues(a.value, b.value)
  }
  return a instanceof Opaque && b instanceof Opaque && a.typeName === b.typeName && a.equals(b)
}

function equalMaps(a: CelMap, b: CelMap): boolean {
  if (a.size !== b.size || a.typeName !== b.typeName) return false
  return a.keys().every((key) => {
    const other = b.get(key)
    return other !== undefined && equalValues(a.get(key)!, other)
  })
}

const encoder = new TextEncoder()
export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Code points, which is how CEL counts. */
export function lengthOf(text: string): number {
  let length = text.length
  for (let i = 0; i < text.length - 1; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) length--
  }
  return length
}

/** A key of a map as text. */
export function formatKey(key: Value): string {
  if (key instanceof Uint) return String(key.value)
  return typeof key === 'object' ? typeNameOf(key) : String(key)
}

/** What an expression made, as JSON: for results that become part of objects. */
export function toJson(value: Value): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (value === null || typeof value !== 'object') return value
  if (isList(value)) return value.map(toJson)
  if (value instanceof CelMap) return value.json ?? Object.fromEntries(value.keys().map((key) => [formatKey(key), toJson(value.get(key)!)]))
  if (value instanceof Uint) return Number(value.value)
  throw new EvaluationError(`unsupported conversion of '${typeNameOf(value)}' to JSON`)
}
