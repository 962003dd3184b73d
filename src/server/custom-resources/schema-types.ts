/**
 * Schemas as CEL sees them (apiserver pkg/cel/common): the types that rules are checked against, and values typed by their schema,
 * so that a date is a timestamp and a whole number in a field of numbers is a double. What no schema describes rules cannot see.
 */
import { CelMap, EvaluationError, fromJson, type Value } from '../../cel/values.ts'
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, listOf, mapOf, objectOf, STRING, TIMESTAMP, type Type } from '../../cel/types.ts'
import type { TypeProvider } from '../../cel/checker.ts'
import { parseDuration, parseTimestamp } from '../../cel/library/time-text.ts'
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import { additionalSchemaOf, isEmbedded, itemsOf } from './structural.ts'

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

/** A schema and the fields of the objects within it, by made-up names of their types. */
export interface DeclaredType {
  readonly type: Type
  readonly provider: TypeProvider
}

/** Undefined when no value of the schema can be seen by a rule. */
export function declareType(props: JSONSchemaProps, isResource: boolean): DeclaredType | undefined {
  const objects = new Map<string, ReadonlyMap<string, Type>>()
  const type = declare(props, isResource, 'selfType', objects)
  if (!type) return undefined
  return {
    type,
    provider: { fieldOf: (name, field) => objects.get(name)?.get(field), hasType: (name) => objects.has(name) },
  }
}

function declare(
  given: JSONSchemaProps,
  isResource: boolean,
  name: string,
  objects: Map<string, ReadonlyMap<string, Type>>,
): Type | undefined {
  if (given['x-kubernetes-int-or-string']) return DYN
  const props = isResource ? asResource(given) : given
  switch (props.type) {
    case 'array': {
      const items = itemsOf(props)
      const element = items && declare(items, isEmbedded(items), `${name}.@idx`, objects)
      return element && listOf(element)
    }
    case 'object': {
      const additional = additionalSchemaOf(props)
      if (additional) {
        const value = declare(additional, isEmbedded(additional), `${name}.@elem`, objects)
        return value && mapOf(STRING, value)
      }
      const fields = new Map<string, Type>()
      objects.set(name, fields)
      for (const [field, schema] of Object.entries(props.properties ?? {})) {
        const escaped = escapeName(field)
        const type = declare(schema, isEmbedded(schema), `${name}.${field}`, objects)
        if (type && escaped !== undefined) fields.set(escaped, type)
      }
      return objectOf(name)
    }
    case 'string':
      return TEXT_TYPES[props.format ?? ''] ?? STRING
    default:
      return SCALARS[props.type ?? '']
  }
}

const TEXT_TYPES: Readonly<Record<string, Type>> = { byte: BYTES, duration: DURATION, date: TIMESTAMP, 'date-time': TIMESTAMP }
const SCALARS: Readonly<Record<string, Type>> = { boolean: BOOL, number: DOUBLE, integer: INT }

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
      const field = fields.get(key)
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
