/**
 * Merges what a MutatingAdmissionPolicy applies into an object by the schema (upstream: policy/mutating/patch/smd.go): fields and map
 * entries are set one by one, lists of maps by their keys. What is atomic may not be touched, lest the rest of it be lost.
 */
import type { Field, TypeSchema } from '../../../api/schema.ts'
import { schemaOf } from '../../../api/schema-table.ts'

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Throws an Error that names what may not be changed. Without a schema every list is atomic. */
export function applyConfiguration(live: Json, patch: Json, type: TypeSchema | undefined): Json {
  const atomics: string[] = []
  const merged = mergeObject(live, patch, type, '', atomics)
  if (atomics.length > 0)
    throw new Error(`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`)
  return merged
}

function mergeObject(live: Json, patch: Json, type: TypeSchema | undefined, path: string, atomics: string[]): Json {
  if (type?.isAtomic) atomics.push(path)
  const merged: Record<string, unknown> = { ...live }
  for (const [name, value] of Object.entries(patch)) {
    const at = `${path}.${name}`
    const field = type?.fields.get(name)
    if (type && !field) throw new Error(`failed to convert patch object to typed object: ${at}: field not declared in schema`)
    merged[name] = mergeField(live[name], value, field, at, atomics)
  }
  return merged
}

function mergeField(live: unknown, value: unknown, field: Field | undefined, path: string, atomics: string[]): unknown {
  if (Array.isArray(value)) return mergeList(Array.isArray(live) ? live : [], value, field, path, atomics)
  if (!isObject(value)) return value
  if (field?.atomicMap) atomics.push(path)
  const type = field?.ref === undefined ? undefined : schemaOf(field.ref)
  if (field?.container !== 'map') return mergeObject(isObject(live) ? live : {}, value, type, path, atomics)
  const known = isObject(live) ? live : {}
  const entries = Object.entries(value).map(([key, entry]) => {
    const own = isObject(entry) ? mergeObject(isObject(known[key]) ? known[key] : {}, entry, type, `${path}.${key}`, atomics) : entry
    return [key, own] as const
  })
  return { ...known, ...Object.fromEntries(entries) }
}

function mergeList(
  live: readonly unknown[],
  value: readonly unknown[],
  field: Field | undefined,
  path: string,
  atomics: string[],
): unknown {
  if (field?.listType === 'set') return [...live, ...value.filter((item) => !live.includes(item))]
  if (field?.listType !== 'map') {
    atomics.push(path)
    return value
  }
  const type = field.ref === undefined ? undefined : schemaOf(field.ref)
  const keyOf = (item: unknown): string =>
    JSON.stringify((field.mapKeys ?? []).map((key) => (isObject(item) ? item[key] : undefined) ?? type?.fields.get(key)?.default ?? null))
  const merged = [...live]
  for (const [i, item] of value.entries()) {
    const at = merged.findIndex((known) => keyOf(known) === keyOf(item))
    const known = merged[at]
    const next = isObject(item) ? mergeObject(isObject(known) ? known : {}, item, type, `${path}[${i}]`, atomics) : item
    if (at >= 0) merged[at] = next
    else merged.push(next)
  }
  return merged
}
