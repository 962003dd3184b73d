/**
 * Strategic merge patch: a merge patch that knows from the schema which lists are merged and by which key, with the directives
 * `$patch`, `$retainKeys`, `$deleteFromPrimitiveList` and `$setElementOrder` (apimachinery strategicpatch). Pure: the result shares
 * with the original what the patch does not touch.
 */
import type { Json } from './object.ts'
import type { Field, TypeSchema } from './schema.ts'
import { builtInSchemas, type Schemas } from './schema-table.ts'
import { badRequest, failure, unprocessable } from './status.ts'

type JsonObject = { readonly [key: string]: Json | undefined }

const PATCH = '$patch'
const RETAIN_KEYS = '$retainKeys'
const DELETE_FROM_LIST = '$deleteFromPrimitiveList'
const SET_ORDER = '$setElementOrder'

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

/** As Go's %v prints it, for errors. */
function goPrint(value: Json | undefined): string {
  if (value === null || value === undefined) return '<nil>'
  if (isList(value)) return `[${value.map(goPrint).join(' ')}]`
  if (!isObject(value)) return String(value)
  const keys = Object.keys(value).toSorted()
  return `map[${keys.map((key) => `${key}:${goPrint(value[key])}`).join(' ')}]`
}

const noMergeKey = (item: Json, key: string) =>
  failure('InternalError', `map: ${goPrint(item)} does not contain declared merge key: ${key}`)
const badPatchType = (directive: Json | undefined, item: Json) =>
  failure('InternalError', `unknown patch type: ${goPrint(directive)} in map: ${goPrint(item)}`)
const badOrder = () => badRequest('invalid patch format of setElementOrder list')

/** What is known of the fields of one place: those of a type, or the one sort of values of a map. */
interface Shape {
  readonly name: string
  fieldOf(key: string): Field
}

/** Without directives and nulls: what a place takes that has nothing yet. `undefined` when a directive removes it all. */
function cleaned(patch: Json): Json | undefined {
  if (isList(patch)) return patch.map(cleaned).filter((item) => item !== undefined)
  if (!isObject(patch)) return patch
  if (Object.hasOwn(patch, PATCH)) return undefined
  const entries = Object.entries(patch).flatMap(([key, value]) => {
    const kept = value === null || value === undefined ? undefined : cleaned(value)
    return kept === undefined ? [] : [[key, kept] as const]
  })
  return Object.fromEntries(entries)
}

/** The field that a directive's key names: "$setElementOrder/containers". */
const targetOf = (key: string, prefix: string): string | undefined =>
  key.startsWith(`${prefix}/`) ? key.slice(prefix.length + 1) : undefined

class Merger {
  readonly #schemas: Schemas

  constructor(schemas: Schemas) {
    this.#schemas = schemas
  }

  shapeOfType(type: TypeSchema): Shape {
    return {
      name: type.name,
      fieldOf: (key) => {
        const field = type.fields.get(key)
        if (!field) throw failure('InternalError', `unable to find api field ${JSON.stringify(key)} in ${type.name}`)
        return field
      },
    }
  }

  /** The shape of the values of a field: of its type, or of what its map holds. */
  #shapeOf(field: Field): Shape {
    if (field.container === 'map' || field.container === 'mapOfLists') {
      const { container, ...value } = field
      const element: Field = container === 'map' ? value : { ...value, container: 'list' }
      return { name: field.name, fieldOf: () => element }
    }
    const type = field.type === 'message' ? this.#schemas.schemaOf(field.ref ?? '') : undefined
    if (type) return this.shapeOfType(type)
    return { name: field.name, fieldOf: (name) => ({ name, number: 0, type: 'json' }) }
  }

  mergeObject(original: JsonObject, patch: JsonObject, shape: Shape): JsonObject {
    const directive = patch[PATCH]
    if (directive === 'replace') {
      const { [PATCH]: _, ...rest } = patch
      return rest
    }
    if (directive === 'delete') return {}
    if (directive !== undefined) throw badPatchType(directive, patch)

    const result: Record<string, Json | undefined> = { ...retained(original, patch) }
    const done = this.#applyOrders(result, patch, shape)
    for (const [key, value] of Object.entries(patch)) {
      if (key === RETAIN_KEYS || done.has(key)) continue
      if (key === '__proto__') throw badRequest('invalid JSON document')
      const toDelete = targetOf(key, DELETE_FROM_LIST)
      if (key.startsWith(DELETE_FROM_LIST)) deleteFromList(result, toDelete, value)
      else if (value === null || value === undefined) delete result[key]
      else this.#mergeField(result, key, value, shape)
    }
    return result
  }

  #mergeField(result: Record<string, Json | undefined>, key: string, value: Json, shape: Shape): void {
    const current = result[key]
    if (isObject(current) && isObject(value)) {
      const field = shape.fieldOf(key)
      result[key] = field.patchStrategy?.includes('replace') ? value : this.mergeObject(current, value, this.#shapeOf(field))
      return
    }
    if (isList(current) && isList(value)) {
      result[key] = this.#mergeList(current, value, shape.fieldOf(key))
      return
    }
    const kept = cleaned(value)
    if (kept === undefined) delete result[key]
    else result[key] = kept
  }

  #mergeList(original: readonly Json[], patch: readonly Json[], field: Field): readonly Json[] {
    if (!field.patchStrategy?.includes('merge')) return patch
    if (original.length === 0 && patch.length === 0) return original
    if (!isObject(patch[0] ?? original[0])) return ordered([...new Set([...original, ...patch])], patch, original, undefined)
    const key = field.mergeKey
    if (key === undefined) throw failure('InternalError', `cannot merge lists without merge key for ${field.name}`)
    const { kept, additions } = applyListDirectives(original, patch, key)
    const merged = [...kept]
    const shape = this.#shapeOf({ ...field, container: undefined })
    for (const item of additions) {
      const value = keyOf(item, key)
      const index = merged.findIndex((other) => isObject(other) && other[key] === value)
      // As upstream: directives within a new element are no directives, and decoding drops them.
      if (index < 0) merged.push(item)
      else merged[index] = this.mergeObject(merged[index] as JsonObject, item, shape)
    }
    return ordered(merged, additions, kept, key)
  }

  /** Carries out every $setElementOrder; returns the keys of the patch that are done with it. */
  #applyOrders(result: Record<string, Json | undefined>, patch: JsonObject, shape: Shape): ReadonlySet<string> {
    const done = new Set<string>()
    for (const [directive, order] of Object.entries(patch)) {
      if (!directive.startsWith(SET_ORDER)) continue
      const key = targetOf(directive, SET_ORDER)
      if (key === undefined || !isList(order)) throw badOrder()
      done.add(directive)
      const field = shape.fieldOf(key)
      const [current, change] = [result[key], patch[key]]
      if ((current !== undefined && !isList(current)) || (change !== undefined && !isList(change))) throw badOrder()
      checkOrder(change ?? [], order, field.mergeKey)
      if (!current && !change) continue
      const merged = current && change ? this.#mergeList(current, change, field) : (current ?? (cleaned(change ?? []) as readonly Json[]))
      result[key] = ordered(merged, order, current ?? [], field.mergeKey)
      done.add(key)
    }
    return done
  }
}

/** $retainKeys: only these keys of the original stay; the patch may set no others. */
function retained(original: JsonObject, patch: JsonObject): JsonObject {
  const keys = patch[RETAIN_KEYS]
  if (keys === undefined) return original
  if (!isList(keys)) throw badRequest('invalid patch format of retainKeys')
  const allowed = new Set(keys)
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || key === RETAIN_KEYS || key.startsWith(DELETE_FROM_LIST) || key.startsWith(SET_ORDER)) continue
    if (!allowed.has(key)) throw badRequest('invalid patch format of retainKeys')
  }
  return Object.fromEntries(Object.entries(original).filter(([key]) => allowed.has(key)))
}

function deleteFromList(result: Record<string, Json | undefined>, key: string | undefined, values: Json | undefined): void {
  if (key === undefined || !isList(values)) throw badRequest('invalid patch format of primitive list')
  const current = result[key]
  if (!isList(current)) return
  const removed = new Set(values)
  result[key] = current.filter((item) => !removed.has(item))
}

function keyOf(item: Json, key: string): Json {
  const value = isObject(item) ? item[key] : undefined
  if (value === undefined) throw noMergeKey(item, key)
  return value
}

/** Takes the list's own directives out of the patch: `$patch: delete` removes one element, `$patch: replace` the original list. */
function applyListDirectives(
  original: readonly Json[],
  patch: readonly Json[],
  key: string,
): { kept: readonly Json[]; additions: readonly JsonObject[] } {
  let kept = original
  const additions: JsonObject[] = []
  for (const item of patch) {
    if (!isObject(item)) throw failure('InternalError', `expected a map, but received a ${typeof item}`)
    const directive = item[PATCH]
    if (directive === undefined) additions.push(item)
    else if (directive === 'delete') {
      const value = keyOf(item, key)
      kept = kept.filter((other) => !isObject(other) || other[key] !== value)
    } else if (directive === 'replace') kept = []
    else if (directive === 'merge') throw failure('InternalError', 'merging lists cannot yet be specified in the patch')
    else throw badPatchType(directive, item)
  }
  // A replaced list is what the patch holds, nulls and all.
  return { kept, additions }
}

/** The elements of the patch must stand in the order that it sets. */
function checkOrder(patch: readonly Json[], order: readonly Json[], key: string | undefined): void {
  if (patch.length === 0 || order.length === 0) return
  const identity = (item: Json): Json => (key === undefined ? item : keyOf(item, key))
  const remaining = patch.filter((item) => !isObject(item) || item[PATCH] !== 'delete')
  let [next, position] = [0, 0]
  while (next < remaining.length && position < order.length) {
    const item = remaining[next] ?? null
    if (isObject(item) && item[PATCH] !== undefined) next++
    else if (identity(item) === identity(order[position++] ?? null)) next++
  }
  if (next < remaining.length) {
    throw failure('InternalError', `The order in patch list:\n${goPrint(patch)}\n doesn't match ${SET_ORDER} list:\n${goPrint(order)}\n`)
  }
}

/** Upstream sorts short lists by insertion, with an order in which what is not ranked goes before what stands ahead of it. */
const MAX_INSERTION = 20

function sortByRank(items: readonly Json[], rankOf: (item: Json) => number): Json[] {
  if (items.length > MAX_INSERTION) return items.toSorted((a, b) => rankOf(a) - rankOf(b))
  const sorted: Json[] = []
  for (const item of items) {
    const rank = rankOf(item)
    let at = sorted.length
    for (; at > 0; at--) {
      const other = rankOf(sorted[at - 1] ?? null)
      if (rank >= 0 && other >= 0 && rank >= other) break
    }
    sorted.splice(at, 0, item)
  }
  return sorted
}

/**
 * The elements that the patch names in its order, the others in the server's, the two woven together: an element of the server goes
 * before one of the patch when it did so before.
 */
function ordered(items: readonly Json[], order: readonly Json[], serverOrder: readonly Json[], key: string | undefined): readonly Json[] {
  const identity = (item: Json): Json => (key === undefined ? item : keyOf(item, key))
  const rank = new Map(order.map((item, index) => [identity(item), index]))
  const serverRank = new Map(serverOrder.map((item, index) => [identity(item), index]))
  const rankOf = (ranks: ReadonlyMap<Json, number>, item: Json): number => ranks.get(identity(item)) ?? -1
  const named = sortByRank(
    items.filter((item) => rank.has(identity(item))),
    (item) => rankOf(rank, item),
  )
  const others = sortByRank(
    items.filter((item) => !rank.has(identity(item))),
    (item) => rankOf(serverRank, item),
  )
  const result: Json[] = []
  let [next, other] = [0, 0]
  while (next < named.length && other < others.length) {
    const [left, right] = [rankOf(serverRank, others[other] ?? null), rankOf(serverRank, named[next] ?? null)]
    if (left >= 0 && right >= 0 && left < right) result.push(others[other++] ?? null)
    else result.push(named[next++] ?? null)
  }
  return [...result, ...named.slice(next), ...others.slice(other)]
}

/** Applies a strategic merge patch to an object of a type. Throws ApiErrors as upstream answers them. */
export function applyStrategicMerge<T extends object>(original: T, patch: Json, type: TypeSchema, schemas: Schemas = builtInSchemas): T {
  if (!isObject(patch)) throw unprocessable()
  const merger = new Merger(schemas)
  return merger.mergeObject(original as JsonObject, patch, merger.shapeOfType(type)) as T
}
