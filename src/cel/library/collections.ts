/** Lists (Kubernetes' and cel-go's extension, version 3), sets, optionals and what two-variable comprehensions insert with. */
import { copying, crossing, distinguishing, flattening, one, ranging, slicing, sorting, surveying } from '../cost.ts'
import { overload, type Overload } from '../function.ts'
import {
  CelMap,
  compareValues,
  CostLimitExceeded,
  Duration,
  EntryMap,
  equalValues,
  EvaluationError,
  formatKey,
  isList,
  Optional,
  Timestamp,
  typeNameOf,
  Uint,
  type Value,
} from '../values.ts'
import { durationOf, int64, uint64 } from './arithmetic.ts'

type List = readonly Value[]

const COMPARABLE = ['int', 'uint', 'double', 'bool', 'duration', 'timestamp', 'string', 'bytes']
/** Elements that lists.range() may make: an evaluation may not cost more. */
const MAX_RANGE = 1_000_000n

const has = (list: List, item: Value): boolean => list.some((other) => equalValues(other, item))

function compare(a: Value, b: Value): number {
  if (typeNameOf(a) !== typeNameOf(b)) throw new EvaluationError('list elements must have the same type')
  return compareValues(a, b) ?? 0
}

function extreme(list: List, name: string, sign: number): Value {
  if (list.length === 0) throw new EvaluationError(`${name} called on empty list`)
  return list.reduce((best, item) => ((compareValues(item, best) ?? 0) * sign > 0 ? item : best))
}

const isSorted = (list: List): boolean => list.every((item, i) => i === 0 || (compareValues(list[i - 1]!, item) ?? 1) <= 0)

function flatten(list: List, depth = 1n): Value[] {
  if (depth < 0n) throw new EvaluationError('level must be non-negative')
  return list.flatMap((item) => (isList(item) && depth > 0n ? flatten(item, depth - 1n) : [item]))
}

function slice(list: List, start: bigint, end: bigint): List {
  if (start < 0n || end < 0n) throw new EvaluationError(`cannot slice(${start}, ${end}), negative indexes not supported`)
  if (start > end) throw new EvaluationError(`cannot slice(${start}, ${end}), start index must be less than or equal to end index`)
  if (end > list.length) throw new EvaluationError(`cannot slice(${start}, ${end}), list is length ${list.length}`)
  return list.slice(Number(start), Number(end))
}

function distinct(list: List): List {
  const kept: Value[] = []
  for (const item of list) if (!has(kept, item)) kept.push(item)
  return kept
}

function range(count: bigint): List {
  if (count > MAX_RANGE) throw new CostLimitExceeded()
  return Array.from({ length: Math.max(0, Number(count)) }, (_, i) => BigInt(i))
}

const sort = (list: List): List => list.toSorted(compare)

function sortByKeys(list: List, keys: List): List {
  const order = list.map((_, i) => i).toSorted((a, b) => compare(keys[a]!, keys[b]!))
  return order.map((i) => list[i]!)
}

export const lists: Readonly<Record<string, readonly Overload[]>> = {
  isSorted: COMPARABLE.map((type) => overload(`list_${type}_is_sorted_bool`, `list(${type}).() bool`, isSorted, surveying)),
  sum: [
    overload('list_int_sum_int', 'list(int).() int', (list: readonly bigint[]) => int64(list.reduce((sum, n) => sum + n, 0n)), surveying),
    overload(
      'list_uint_sum_uint',
      'list(uint).() uint',
      (list: readonly Uint[]) => uint64(list.reduce((sum, n) => sum + n.value, 0n)),
      surveying,
    ),
    overload(
      'list_double_sum_double',
      'list(double).() double',
      (list: readonly number[]) => list.reduce((sum, n) => sum + n, 0),
      surveying,
    ),
    overload(
      'list_duration_sum_duration',
      'list(duration).() duration',
      (list: readonly Duration[]) => durationOf(list.reduce((sum, { ns }) => sum + ns, 0n)),
      surveying,
    ),
  ],
  min: COMPARABLE.map((type) =>
    overload(`list_${type}_min_${type}`, `list(${type}).() ${type}`, (list: List) => extreme(list, 'min', -1), surveying),
  ),
  max: COMPARABLE.map((type) =>
    overload(`list_${type}_max_${type}`, `list(${type}).() ${type}`, (list: List) => extreme(list, 'max', 1), surveying),
  ),
  indexOf: [
    overload(
      'list_a_index_of_int',
      'list(A).(A) int',
      (list: List, item: Value) => BigInt(list.findIndex((other) => equalValues(other, item))),
      surveying,
    ),
  ],
  lastIndexOf: [
    overload(
      'list_a_last_index_of_int',
      'list(A).(A) int',
      (list: List, item: Value) => BigInt(list.findLastIndex((other) => equalValues(other, item))),
      surveying,
    ),
  ],
  slice: [overload('list_slice', 'list(T).(int, int) list(T)', slice, slicing)],
  flatten: [
    overload('list_flatten', 'list(list(T)).() list(T)', (list: List) => flatten(list), flattening),
    overload('list_flatten_int', 'list(dyn).(int) list(dyn)', flatten, flattening),
  ],
  sort: COMPARABLE.map((type) => overload(`list_${type}_sort`, `list(${type}).() list(${type})`, sort, sorting(type, 0))),
  '@sortByAssociatedKeys': COMPARABLE.map((type) =>
    overload(`list_${type}_sortByAssociatedKeys`, `list(T).(list(${type})) list(T)`, sortByKeys, sorting(type, 1)),
  ),
  distinct: [overload('list_distinct', 'list(T).() list(T)', distinct, distinguishing)],
  reverse: [overload('list_reverse', 'list(T).() list(T)', (list: List) => list.toReversed(), copying)],
  'lists.range': [overload('lists_range', '(int) list(int)', range, ranging)],
  first: [overload('list_first', 'list(V).() optional(V)', (list: List) => (list.length > 0 ? new Optional(list[0]) : Optional.none))],
  last: [overload('list_last', 'list(V).() optional(V)', (list: List) => (list.length > 0 ? new Optional(list.at(-1)) : Optional.none))],
}

const containsAll = (list: List, items: List): boolean => items.every((item) => has(list, item))

export const sets: Readonly<Record<string, readonly Overload[]>> = {
  'sets.contains': [overload('list_sets_contains_list', '(list(T), list(T)) bool', containsAll, crossing(1))],
  'sets.equivalent': [
    overload(
      'list_sets_equivalent_list',
      '(list(T), list(T)) bool',
      (a: List, b: List) => containsAll(a, b) && containsAll(b, a),
      crossing(2),
    ),
  ],
  'sets.intersects': [
    overload('list_sets_intersects_list', '(list(T), list(T)) bool', (a: List, b: List) => b.some((item) => has(a, item)), crossing(1)),
  ],
}

function isZero(value: Value): boolean {
  if (typeof value === 'bigint') return value === 0n
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean' || value === null) return !value
  if (value instanceof Uint) return value.value === 0n
  if (isList(value) || value instanceof Uint8Array) return value.length === 0
  if (value instanceof CelMap) return value.size === 0
  if (value instanceof Duration || value instanceof Timestamp) return value.ns === 0n
  return value instanceof Optional && value.value === undefined
}

function unwrap(list: List): List {
  return list.flatMap((item) => {
    if (!(item instanceof Optional)) throw new EvaluationError(`value ${typeNameOf(item)} is not optional`)
    return item.value === undefined ? [] : [item.value]
  })
}

function valueOf({ value }: Optional): Value {
  if (value === undefined) throw new EvaluationError('optional.none() dereference')
  return value
}

export const optionals: Readonly<Record<string, readonly Overload[]>> = {
  'optional.of': [overload('optional_of', '(V) optional(V)', (value: Value) => new Optional(value))],
  'optional.ofNonZeroValue': [
    overload('optional_ofNonZeroValue', '(V) optional(V)', (value: Value) => (isZero(value) ? Optional.none : new Optional(value))),
  ],
  'optional.none': [overload('optional_none', '() optional(V)', () => Optional.none)],
  value: [overload('optional_value', 'optional(V).() V', valueOf)],
  hasValue: [overload('optional_hasValue', 'optional(V).() bool', ({ value }: Optional) => value !== undefined)],
  'optional.unwrap': [overload('optional_unwrap', '(list(optional(V))) list(V)', unwrap)],
  unwrapOpt: [overload('optional_unwrapOpt', 'list(optional(V)).() list(V)', unwrap)],
}

function insert(map: CelMap, added: readonly (readonly [Value, Value])[]): CelMap {
  for (const [key] of added)
    if (map.get(key) !== undefined) throw new EvaluationError(`insert failed: key ${formatKey(key)} already exists`)
  return new EntryMap([...map.keys().map((key) => [key, map.get(key)!] as const), ...added])
}

export const insertion: Readonly<Record<string, readonly Overload[]>> = {
  'cel.@mapInsert': [
    overload(
      '@mapInsert_map_key_value',
      '(map(K, V), K, V) map(K, V)',
      (map: CelMap, key: Value, value: Value) => insert(map, [[key, value]]),
      one,
    ),
    overload(
      '@mapInsert_map_map',
      '(map(K, V), map(K, V)) map(K, V)',
      (map: CelMap, other: CelMap) => insert(map, other.keys().map((key) => [key, other.get(key)!])), // prettier-ignore
      one,
    ),
  ],
}
