/**
 * Fills the defaults of a structural schema, on writes and when an object is read that was stored before the default was there. A
 * null where null is not allowed counts as absent. What lacks nothing is returned as it is.
 */
import type { Json } from '../../api/object.ts'

/** What of a schema defaulting reads (see Structural). */
export interface Defaulting {
  readonly properties: ReadonlyMap<string, Defaulting>
  readonly items: Defaulting | undefined
  readonly additional: { readonly schema: Defaulting | undefined } | undefined
  readonly isNullable: boolean
  readonly default: Json | undefined
  readonly fills: readonly (readonly [name: string, value: Json])[]
  readonly hasDefaults: boolean
}

type JsonObject = Readonly<Record<string, Json | undefined>>

export function fillDefaults(value: Json, schema: Defaulting): Json {
  if (!schema.hasDefaults || typeof value !== 'object' || value === null) return value
  return Array.isArray(value) ? fillItems(value as readonly Json[], schema) : fillFields(value as JsonObject, schema)
}

function fillItems(items: readonly Json[], { items: schema }: Defaulting): Json {
  if (!schema) return items
  let copy: Json[] | undefined
  for (let index = 0; index < items.length; index++) {
    const item = items[index]!
    const filled = item === null && !schema.isNullable ? (schema.default ?? null) : fillDefaults(item, schema)
    if (filled !== item) (copy ??= [...items])[index] = filled
  }
  return copy ?? items
}

function fillFields(value: JsonObject, schema: Defaulting): Json {
  let copy: Record<string, Json | undefined> | undefined
  for (const [name, filled] of schema.fills) {
    const given = value[name]
    if (given === undefined || (given === null && !schema.properties.get(name)!.isNullable)) (copy ??= { ...value })[name] = filled
  }
  for (const name in value) {
    const given = value[name]
    const field = schema.properties.get(name) ?? schema.additional?.schema
    if (!field || given === undefined) continue
    const isVoid = given === null && !field.isNullable
    // A void property was filled above, if it can be; a void entry of a map takes the default of entries.
    if (isVoid && (schema.properties.has(name) || field.default === undefined)) continue
    const filled = isVoid ? field.default! : fillDefaults(given, field)
    if (filled !== given) (copy ??= { ...value })[name] = filled
  }
  return copy ?? value
}
