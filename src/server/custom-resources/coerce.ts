/**
 * What decoding does to a custom resource: fields that the schema does not know go (pruning), nulls where null is not allowed and
 * no default stands ready go, and metadata, also of embedded resources, is read as ObjectMeta is. What needs no change is shared.
 * (apiextensions-apiserver pkg/apiserver: unstructuredSchemaCoercer, schema/pruning, schema/objectmeta)
 */
import { DecodeError, decodeObject } from '../../api/decode.ts'
import type { Json, KubeObject } from '../../api/object.ts'
import type { TypeSchema } from '../../api/schema.ts'
import { schemaOf } from '../../api/schema-table.ts'
import { assert } from '../../base/assert.ts'
import type { Structural } from './structural.ts'

/** Unknown fields beyond this are dropped without being told. */
const MAX_UNKNOWN = 100

type JsonObject = Readonly<Record<string, Json | undefined>>

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What belongs to every resource, whether its schema names it or not. */
export const isMetaField = (name: string): boolean => name === 'metadata' || name === 'kind' || name === 'apiVersion'

export interface Coerced {
  readonly object: KubeObject
  /** Paths of what was dropped, as strict field validation tells them. */
  readonly unknown: readonly string[]
}

export interface CoerceOptions {
  /** What was stored under an older schema: malformed metadata of embedded resources is dropped, not refused. */
  readonly isStored?: boolean
}

class Pruner {
  readonly unknown: string[] = []
  readonly #path: (string | number)[] = []

  /** `schema` is undefined within values of which nothing is known: then every field goes. */
  prune(value: Json, schema: Structural | undefined, isResource: boolean): Json {
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return this.#items(value as readonly Json[], schema)
    return this.#fields(value as JsonObject, schema, isResource)
  }

  #items(items: readonly Json[], schema: Structural | undefined): Json {
    // Items of a list whose unknown fields are kept are themselves kept, by what is known of them.
    if (schema?.isPreserving && !schema.items) return items
    let copy: Json[] | undefined
    for (let index = 0; index < items.length; index++) {
      const item = items[index]!
      if (typeof item !== 'object' || item === null) continue
      this.#path.push(index)
      const pruned = schema?.isPreserving
        ? this.#keep(item, schema.items!)
        : this.prune(item, schema?.items, schema?.items?.isEmbedded ?? false)
      this.#path.pop()
      if (pruned !== item) (copy ??= [...items])[index] = pruned
    }
    return copy ?? items
  }

  /** Prunes as if unknown fields were kept. */
  #keep(value: Json, schema: Structural): Json {
    if (!isObject(value)) return this.prune(value, schema.isPreserving ? schema : { ...schema, isPreserving: true }, false)
    return this.#fields(value, { ...schema, isPreserving: true }, schema.isEmbedded)
  }

  #fields(value: JsonObject, schema: Structural | undefined, isResource: boolean): Json {
    let copy: Record<string, Json | undefined> | undefined
    for (const name in value) {
      const given = value[name]
      if (given === undefined || (isResource && isMetaField(name))) continue
      const property = schema?.properties.get(name)
      const field = property ?? schema?.additional?.schema
      const isKnown = property !== undefined || schema?.additional !== undefined
      if (!isKnown && !schema?.isPreserving) {
        if (!isMetaField(name) || this.#path.length > 0) this.#record(name)
        delete (copy ??= { ...value })[name]
        continue
      }
      if (given === null && field && !field.isNullable && field.default === undefined) {
        delete (copy ??= { ...value })[name]
        continue
      }
      if (!isKnown || typeof given !== 'object' || given === null) continue
      this.#path.push(name)
      const pruned = this.prune(given, field, field?.isEmbedded ?? false)
      this.#path.pop()
      if (pruned !== given) (copy ??= { ...value })[name] = pruned
    }
    return copy ?? value
  }

  #record(name: string): void {
    if (this.unknown.length < MAX_UNKNOWN) this.unknown.push(pathText([...this.#path, name]))
  }
}

const pathText = (path: readonly (string | number)[]): string =>
  path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part), '')

/** Prunes a value that is no whole resource: a default. */
export const pruneValue = (value: Json, schema: Structural, isResource: boolean): Json => new Pruner().prune(value, schema, isResource)

/** Brings a whole object into the shape that its schema knows; undefined: it has none, and everything is kept. */
export function coerce(object: KubeObject, schema: Structural | undefined, options: CoerceOptions = {}): Coerced {
  checkText(object, 'kind')
  checkText(object, 'apiVersion')
  const metadata = object.metadata === undefined ? undefined : readMetadata(object.metadata as unknown as Json, '', options)
  const unknown = (metadata?.unknown ?? []).map((path) => `metadata.${path}`)
  let next = object
  if (schema) {
    const pruner = new Pruner()
    next = pruner.prune(object, schema, true) as unknown as KubeObject
    unknown.push(...pruner.unknown.toSorted())
    if (schema.hasEmbedded) {
      const embedded: string[] = []
      next = coerceEmbedded(next, { ...schema, isEmbedded: false }, '', embedded, options) as unknown as KubeObject
      unknown.push(...embedded.toSorted())
    }
  }
  if (metadata && metadata.object !== next.metadata) next = { ...next, metadata: metadata.object }
  return { object: next, unknown }
}

function checkText(object: KubeObject, field: 'kind' | 'apiVersion'): void {
  const value: unknown = object[field]
  if (value !== undefined && typeof value !== 'string')
    throw new DecodeError(`.${field} accessor error: ${JSON.stringify(value)} is of the type ${goType(value)}, expected string`)
}

/** Go's name of the type of a JSON value in an unstructured object. */
export function goType(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return '[]interface {}'
  if (typeof value === 'object') return 'map[string]interface {}'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  return 'string'
}

export const objectMetaType = (): TypeSchema => {
  const type = schemaOf('meta/v1.ObjectMeta')
  assert(type, 'the schema knows ObjectMeta')
  return type
}

function readMetadata(
  metadata: Json,
  path: string,
  { isStored }: CoerceOptions,
): { readonly object: NonNullable<KubeObject['metadata']>; readonly unknown: readonly string[] } {
  try {
    const { object, unknown } = decodeObject(metadata, objectMetaType())
    return { object: object as NonNullable<KubeObject['metadata']>, unknown }
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    if (isStored) return { object: keepReadable(metadata), unknown: [] }
    throw path === '' ? error : new DecodeError(`${path}.metadata: Invalid value: ${JSON.stringify(metadata)}: ${error.message}`)
  }
}

/** The fields that can be read, one by one. */
function keepReadable(metadata: Json): NonNullable<KubeObject['metadata']> {
  if (!isObject(metadata)) return {}
  const kept = Object.entries(metadata).filter(([name, value]) => {
    try {
      decodeObject({ [name]: value }, objectMetaType())
      return true
    } catch (error) {
      if (error instanceof Error && error.name === 'DecodeError') return false
      throw error
    }
  })
  return decodeObject(Object.fromEntries(kept), objectMetaType()).object as NonNullable<KubeObject['metadata']>
}

const childPath = (path: string, name: string): string => (path ? `${path}.${name}` : name)

/** Reads apiVersion, kind and metadata of every embedded resource. */
export function coerceEmbedded(
  value: Json,
  schema: Structural | undefined,
  path: string,
  unknown: string[],
  options: CoerceOptions = {},
): Json {
  if (!schema?.hasEmbedded || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    let items: Json[] | undefined
    value.forEach((item: Json, index) => {
      const coerced = coerceEmbedded(item, schema.items, `${path}[${index}]`, unknown, options)
      if (coerced !== item) (items ??= [...(value as readonly Json[])])[index] = coerced
    })
    return items ?? value
  }
  const object = value as JsonObject
  let copy: Record<string, Json | undefined> | undefined
  for (const name in object) {
    const given = object[name]
    if (given === undefined) continue
    let coerced: Json | undefined = given
    if (schema.isEmbedded && isMetaField(name)) coerced = coerceMeta(given, name, path, unknown, options)
    else {
      const field = schema.properties.get(name) ?? schema.additional?.schema
      if (field) coerced = coerceEmbedded(given, field, childPath(path, name), unknown, options)
    }
    if (coerced === given) continue
    copy ??= { ...object }
    if (coerced === undefined) delete copy[name]
    else copy[name] = coerced
  }
  return copy ?? value
}

function coerceMeta(given: Json, name: string, path: string, unknown: string[], options: CoerceOptions): Json | undefined {
  if (name === 'metadata') {
    const read = readMetadata(given, path || '.', options)
    unknown.push(...read.unknown.map((field) => `${childPath(path, 'metadata')}.${field}`))
    return read.object as unknown as Json
  }
  if (typeof given === 'string') return given
  if (options.isStored) return undefined
  throw new DecodeError(`${childPath(path, name)}: Invalid value: ${JSON.stringify(given)}: must be a string`)
}
