/**
 * Schemas as CEL sees them (apiserver pkg/cel/common): the types that rules are checked against, and values typed by their schema,
 * so that a date is a timestamp and a whole number in a field of numbers is a double. What no schema describes rules cannot see.
 */
import { CelMap, EvaluationError, fromJson, utf8, type Value } from './values.ts'
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, listOf, mapOf, objectOf, STRING, TIMESTAMP, type Type } from './types.ts'
import type { TypeProvider } from './checker.ts'
import type { Sizes } from './estimate.ts'
import { parseDuration, parseTimestamp } from './library/time-text.ts'
import type { JSONSchemaProps } from '../api/generated/apiextensions/v1.ts'
import type { Json } from '../api/object.ts'

/** `items` may be a schema or, where it is not structural, a list of them. */
export const itemsOf = (props: JSONSchemaProps): JSONSchemaProps | undefined =>
  props.items && !Array.isArray(props.items) ? (props.items as JSONSchemaProps) : undefined

export const additionalSchemaOf = (props: JSONSchemaProps): JSONSchemaProps | undefined =>
  typeof props.additionalProperties === 'object' && props.additionalProperties !== null
    ? (props.additionalProperties as JSONSchemaProps)
    : undefined

export const isEmbedded = (props: JSONSchemaProps): boolean => props['x-kubernetes-embedded-resource'] === true

const RESERVED: ReadonlySet<string> = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(' '),
)

const ESCAPES: readonly (readonly [character: string, escaped: string])[] = [
  ['__', '__underscores__'],
  ['.', '__dot__'],
  ['-', '__dash__'],
  ['/', '__slash__'],
]

/** A field's name as an identifier of CEL; undefined for names that no identifier can stand for. */
export function escapeName(name: string): string | undefined {
  if (!/^[A-Za-z_.\-/][A-Za-z0-9_.\-/]*$/.test(name)) return undefined
  if (RESERVED.has(name)) return `__${name}__`
  return name.replaceAll(/__|[./-]/g, (found) => ESCAPES.find(([character]) => character === found)![1])
}

/** A schema with what every resource has: apiVersion, kind and the names of its metadata. */
export function asResource(props: JSONSchemaProps): JSONSchemaProps {
  const text: JSONSchemaProps = { type: 'string' }
  const metadata: JSONSchemaProps = { type: 'object', properties: { name: text, generateName: text } }
  return { ...props, properties: { ...props.properties, apiVersion: text, kind: text, metadata } }
}

/** A schema as rules see it: its type, the fields of the objects within it by made-up names, and how much each value may hold. */
export interface DeclaredType {
  readonly type: Type
  readonly provider: TypeProvider
  readonly sizes: Sizes
  /** How often what the schema describes can be in one request at most. */
  readonly maxCount: number
}

/** Undefined when no value of the schema can be seen by a rule. */
export function declareType(props: JSONSchemaProps, isResource: boolean, name = 'selfType'): DeclaredType | undefined {
  const objects = new Map<string, Fields>()
  const declared = declare(props, isResource, name, objects)
  if (!declared) return undefined
  return {
    type: declared.type,
    provider: { fieldOf: (type, field) => fieldNamed(objects.get(type), field)?.type, hasType: (type) => objects.has(type) },
    sizes: ([, ...steps]) => steps.reduce<Declared | undefined>((at, step) => at && stepInto(at, step), declared)?.maxSize,
    maxCount: Math.floor(MAX_REQUEST_BYTES / (declared.minBytes + 1)),
  }
}

/** By its escaped name; a keyword that is no syntax of its own here (`namespace`) stands for itself, too. */
const fieldNamed = <T>(fields: ReadonlyMap<string, T> | undefined, field: string): T | undefined =>
  fields?.get(field) ?? (RESERVED.has(field) ? fields?.get(`__${field}__`) : undefined)

/** What a request may hold (apiserver pkg/apis/cel: MaxRequestSizeBytes), which bounds what has no bound of its own. */
const MAX_REQUEST_BYTES = 3 * 1024 * 1024
const MAX_TEXT = MAX_REQUEST_BYTES - 2
/** A code point takes up to four bytes. */
const MAX_BYTES = 4

type Fields = ReadonlyMap<string, Declared>

/** A type with what bounds the values of it (apiserver pkg/cel/common/schemas.go). */
interface Declared {
  readonly type: Type
  readonly maxSize: number
  /** The fewest bytes as JSON. */
  readonly minBytes: number
  readonly key?: Declared
  readonly element?: Declared
  readonly fields?: Fields
}

function stepInto({ key, element, fields }: Declared, step: string): Declared | undefined {
  if (step === '@items' || step === '@values') return element
  return step === '@keys' ? key : fields?.get(step)
}

const maxOr = (given: number | undefined, otherwise: number): number => (given === undefined ? otherwise : Math.max(0, given))
const TEXT_KEY: Declared = { type: STRING, maxSize: 0, minBytes: 2 }
/** By format: those of one length, whatever `maxLength` says. */
const TIMES: Readonly<Record<string, Declared>> = {
  duration: { type: DURATION, maxSize: 32, minBytes: 3 },
  date: { type: TIMESTAMP, maxSize: 12, minBytes: 12 },
  'date-time': { type: TIMESTAMP, maxSize: 32, minBytes: 21 },
}
const SCALARS: Readonly<Record<string, Declared>> = {
  boolean: { type: BOOL, maxSize: 0, minBytes: 4 },
  number: { type: DOUBLE, maxSize: 0, minBytes: 1 },
  integer: { type: INT, maxSize: 0, minBytes: 1 },
}

function declareText({ format, maxLength, enum: values }: JSONSchemaProps): Declared {
  if (format === 'byte') return { type: BYTES, maxSize: maxOr(maxLength, MAX_TEXT), minBytes: 2 }
  const time = TIMES[format ?? '']
  if (time) return time
  const longest = Math.max(0, ...(values ?? []).map((value) => (typeof value === 'string' ? utf8(value).length : 0)))
  const maxSize = maxLength === undefined && values?.length ? longest : maxOr(maxLength && maxLength * MAX_BYTES, MAX_TEXT)
  return { type: STRING, maxSize, minBytes: 2 }
}

function declare(given: JSONSchemaProps, isResource: boolean, name: string, objects: Map<string, Fields>): Declared | undefined {
  if (given['x-kubernetes-int-or-string'])
    return { type: DYN, maxSize: maxOr(given.maxLength && given.maxLength * MAX_BYTES, MAX_TEXT), minBytes: 1 }
  const props = isResource ? asResource(given) : given
  switch (props.type) {
    case 'array': {
      const items = itemsOf(props)
      const element = items && declare(items, isEmbedded(items), `${name}.@idx`, objects)
      if (!element) return undefined
      const maxSize = maxOr(props.maxItems, Math.floor(MAX_TEXT / (element.minBytes + 1)))
      return { type: listOf(element.type), maxSize, minBytes: 2, element }
    }
    case 'object': {
      const additional = additionalSchemaOf(props)
      if (!additional) return declareObject(props, name, objects)
      const element = declare(additional, isEmbedded(additional), `${name}.@elem`, objects)
      if (!element) return undefined
      // A key, its quotes, a colon and a comma.
      const maxSize = maxOr(props.maxProperties, Math.floor(MAX_TEXT / (element.minBytes + 6)))
      return { type: mapOf(STRING, element.type), maxSize, minBytes: 2, key: TEXT_KEY, element }
    }
    case 'string':
      return declareText(props)
    default:
      return SCALARS[props.type ?? '']
  }
}

function declareObject(props: JSONSchemaProps, name: string, objects: Map<string, Fields>): Declared {
  const fields = new Map<string, Declared>()
  objects.set(name, fields)
  let minBytes = 2
  for (const [field, schema] of Object.entries(props.properties ?? {})) {
    const escaped = escapeName(field)
    const declared = declare(schema, isEmbedded(schema), `${name}.${field}`, objects)
    if (!declared) continue
    if (escaped !== undefined) fields.set(escaped, declared)
    // Defaults are filled in by the server: they need not be in a request.
    if (props.required?.includes(field) && schema.default === undefined) minBytes += utf8(field).length + declared.minBytes + 4
  }
  return { type: objectOf(name), maxSize: 0, minBytes, fields }
}

/** Makes typed values of JSON; compiled once a schema. */
export type Typed = (json: Json) => Value

export function typedBy(given: JSONSchemaProps, isResource: boolean): Typed {
  const props = isResource ? asResource(given) : given
  const make = typedValue(props)
  return (json) => {
    if (json !== null) return make(json)
    if (props.nullable) return null
    throw new EvaluationError('invalid data, got null for schema with nullable=false')
  }
}

function typedValue(props: JSONSchemaProps): Typed {
  if (props['x-kubernetes-int-or-string']) return (json) => (typeof json === 'number' ? BigInt(Math.trunc(json)) : (json as string))
  switch (props.type) {
    case 'object':
      return typedObject(props)
    case 'array': {
      const items = itemsOf(props)
      const element = items ? typedBy(items, isEmbedded(items)) : undefined
      return (json) => (element ? (json as readonly Json[]).map(element) : [])
    }
    case 'string':
      return TEXTS[props.format ?? ''] ?? ((json) => json as string)
    case 'number':
      return (json) => json as number
    case 'integer':
      return (json) => BigInt(json as number)
    case 'boolean':
      return (json) => json as boolean
    default:
      return fromJson
  }
}

const TEXTS: Readonly<Record<string, Typed>> = {
  duration: (json) => parseDuration(json as string),
  date: (json) => parseTimestamp(`${json as string}T00:00:00Z`),
  'date-time': (json) => parseTimestamp(json as string),
  byte: (json) => Uint8Array.from(atob(json as string), (character) => character.charCodeAt(0)),
}

function typedObject(props: JSONSchemaProps): Typed {
  const additional = additionalSchemaOf(props)
  if (additional && !props.properties) {
    const element = lazily(() => typedBy(additional, isEmbedded(additional)))
    return (json) => new TypedObject(json as JsonObject, (key) => ({ name: key, typed: element() }))
  }
  const fields = new Map<string, { readonly name: string; readonly typed: () => Typed }>()
  for (const [name, schema] of Object.entries(props.properties ?? {})) {
    const escaped = escapeName(name)
    if (escaped !== undefined) fields.set(escaped, { name, typed: lazily(() => typedBy(schema, isEmbedded(schema))) })
  }
  return (json) =>
    new TypedObject(json as JsonObject, (key) => {
      const field = fieldNamed(fields, key)
      return field && { name: field.name, typed: field.typed() }
    })
}

function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

type JsonObject = Readonly<Record<string, Json | undefined>>

/** An object or a map whose values are typed when they are read. */
class TypedObject extends CelMap {
  readonly #json: JsonObject
  readonly #field: (key: string) => { readonly name: string; readonly typed: Typed } | undefined

  constructor(json: JsonObject, field: (key: string) => { readonly name: string; readonly typed: Typed } | undefined) {
    super()
    this.#json = json
    this.#field = field
  }

  override get json(): JsonObject {
    return this.#json
  }

  get size(): number {
    return this.keys().length
  }

  get(key: Value): Value | undefined {
    if (typeof key !== 'string') return undefined
    const field = this.#field(key)
    if (!field || !Object.hasOwn(this.#json, field.name)) return undefined
    const found = this.#json[field.name]
    return found === undefined ? undefined : field.typed(found)
  }

  keys(): readonly string[] {
    return Object.keys(this.#json).filter((key) => this.#json[key] !== undefined)
  }
}
