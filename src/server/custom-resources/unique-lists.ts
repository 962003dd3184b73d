/** Lists that are sets or maps hold each value, or each key, once (x-kubernetes-list-type; apiextensions-apiserver schema/listtype). */
import type { Json } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import { duplicate, invalid } from '../resources/rules.ts'
import type { Structural } from './structural.ts'

type JsonObject = Readonly<Record<string, Json | undefined>>

export function validateUniqueLists(value: Json | undefined, schema: Structural, path = ''): readonly FieldError[] {
  if (!schema.hasUniqueLists) return []
  const errors: FieldError[] = []
  look(value, schema, path, errors)
  return errors
}

function look(value: Json | undefined, schema: Structural | undefined, path: string, errors: FieldError[]): void {
  if (!schema?.hasUniqueLists || typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    const items = value as readonly Json[]
    const type = schema.props['x-kubernetes-list-type']
    if (type === 'set') checkSet(items, path, errors)
    if (type === 'map') checkMap(items, schema.props['x-kubernetes-list-map-keys'] ?? [], path, errors)
    items.forEach((item, index) => look(item, schema.items, `${path}[${index}]`, errors))
    return
  }
  const object = value as JsonObject
  for (const name in object) {
    const field = schema.properties.get(name)
    if (field) look(object[name], field, path ? `${path}.${name}` : name, errors)
    else if (schema.additional?.schema) look(object[name], schema.additional.schema, `${path}[${name}]`, errors)
  }
}

/** JSON with keys in order, so that equal values read equal. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    part && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  ) ?? 'undefined'

/** Calls back for the second of each value, not for those after it. */
function eachRepeated(values: readonly unknown[], visit: (index: number) => void): void {
  const seen = new Map<string, number>()
  values.forEach((value, index) => {
    const key = canonical(value)
    const times = seen.get(key) ?? 0
    seen.set(key, times + 1)
    if (times === 1) visit(index)
  })
}

const checkSet = (items: readonly Json[], path: string, errors: FieldError[]): void =>
  eachRepeated(items, (index) => errors.push(duplicate(`${path}[${index}]`, items[index])))

function checkMap(items: readonly Json[], keys: readonly string[], path: string, errors: FieldError[]): void {
  const wrong = items.findIndex((item) => item !== null && (typeof item !== 'object' || Array.isArray(item)))
  if (wrong >= 0) {
    errors.push(invalid(`${path}[${wrong}]`, items[wrong], 'must be an object for an array of list-type map'))
    return
  }
  const keyOf = (item: Json): JsonObject =>
    Object.fromEntries(keys.flatMap((key) => ((item as JsonObject | null)?.[key] === undefined ? [] : [[key, (item as JsonObject)[key]]])))
  const found = items.map(keyOf)
  eachRepeated(found, (index) => errors.push(duplicate(`${path}[${index}]`, found[index])))
}
