/** The operators: 64-bit integers that overflow with an error, doubles by IEEE 754, times and durations in nanoseconds. */
import { overload, type Overload } from '../function.ts'
import { adding, comparing, concatenating, equating, searching } from '../cost.ts'
import { type CelMap, compareValues, Duration, equalValues, EvaluationError, Timestamp, Uint, type Value } from '../values.ts'

export function int64(value: bigint): bigint {
  if (BigInt.asIntN(64, value) !== value) throw new EvaluationError('integer overflow')
  return value
}

export function uint64(value: bigint): Uint {
  if (BigInt.asUintN(64, value) !== value) throw new EvaluationError('unsigned integer overflow')
  return new Uint(value)
}

export function durationOf(ns: bigint): Duration {
  if (BigInt.asIntN(64, ns) !== ns) throw new EvaluationError('integer overflow')
  return new Duration(ns)
}

/** Years 1 to 9999, as google.protobuf.Timestamp has it. */
const FIRST = -62_135_596_800n * 1_000_000_000n
const LAST = 253_402_300_800n * 1_000_000_000n

export function timestampOf(ns: bigint): Timestamp {
  if (ns < FIRST || ns >= LAST) throw new EvaluationError('timestamp overflow')
  return new Timestamp(ns)
}

function notZero(divisor: bigint, what: string): bigint {
  if (divisor === 0n) throw new EvaluationError(`${what} by zero`)
  return divisor
}

const ORDERED = ['bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration']
const NUMBERS = ['int', 'uint', 'double']

/** Comparisons within a type, and between the numbers. */
function comparison(word: string, isWanted: (order: number) => boolean): readonly Overload[] {
  const compare = (a: Value, b: Value): boolean => {
    const order = compareValues(a, b)
    return order !== undefined && isWanted(order)
  }
  const same = ORDERED.map((type) =>
    overload(`${word}_${type}`, `(${type}, ${type}) bool`, compare, type === 'string' || type === 'bytes' ? comparing : undefined),
  )
  const across = NUMBERS.flatMap((a) =>
    NUMBERS.filter((b) => a !== b).map((b) => overload(`${word}_${a}_${b}`, `(${a}, ${b}) bool`, compare)),
  )
  return [...same, ...across]
}

const joinBytes = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

export const arithmetic: Readonly<Record<string, readonly Overload[]>> = {
  '_+_': [
    overload('add_int64', '(int, int) int', (a: bigint, b: bigint) => int64(a + b)),
    overload('add_uint64', '(uint, uint) uint', (a: Uint, b: Uint) => uint64(a.value + b.value)),
    overload('add_double', '(double, double) double', (a: number, b: number) => a + b),
    overload('add_string', '(string, string) string', (a: string, b: string) => a + b, adding),
    overload('add_bytes', '(bytes, bytes) bytes', joinBytes, adding),
    overload('add_list', '(list(A), list(A)) list(A)', (a: readonly Value[], b: readonly Value[]) => [...a, ...b], concatenating),
    overload('add_duration_duration', '(duration, duration) duration', (a: Duration, b: Duration) => durationOf(a.ns + b.ns)),
    overload('add_timestamp_duration', '(timestamp, duration) timestamp', (a: Timestamp, b: Duration) => timestampOf(a.ns + b.ns)),
    overload('add_duration_timestamp', '(duration, timestamp) timestamp', (a: Duration, b: Timestamp) => timestampOf(a.ns + b.ns)),
  ],
  '_-_': [
    overload('subtract_int64', '(int, int) int', (a: bigint, b: bigint) => int64(a - b)),
    overload('subtract_uint64', '(uint, uint) uint', (a: Uint, b: Uint) => uint64(a.value - b.value)),
    overload('subtract_double', '(double, double) double', (a: number, b: number) => a - b),
    overload('subtract_duration_duration', '(duration, duration) duration', (a: Duration, b: Duration) => durationOf(a.ns - b.ns)),
    overload('subtract_timestamp_timestamp', '(timestamp, timestamp) duration', (a: Timestamp, b: Timestamp) => durationOf(a.ns - b.ns)),
    overload('subtract_timestamp_duration', '(timestamp, duration) timestamp', (a: Timestamp, b: Duration) => timestampOf(a.ns - b.ns)),
  ],
  '_*_': [
    overload('multiply_int64', '(int, int) int', (a: bigint, b: bigint) => int64(a * b)),
    overload('multiply_uint64', '(uint, uint) uint', (a: Uint, b: Uint) => uint64(a.value * b.value)),
    overload('multiply_double', '(double, double) double', (a: number, b: number) => a * b),
  ],
  '_/_': [
    overload('divide_int64', '(int, int) int', (a: bigint, b: bigint) => int64(a / notZero(b, 'division'))),
    overload('divide_uint64', '(uint, uint) uint', (a: Uint, b: Uint) => new Uint(a.value / notZero(b.value, 'division'))),
    overload('divide_double', '(double, double) double', (a: number, b: number) => a / b),
  ],
  '_%_': [
    overload('modulo_int64', '(int, int) int', (a: bigint, b: bigint) => a % notZero(b, 'modulus')),
    overload('modulo_uint64', '(uint, uint) uint', (a: Uint, b: Uint) => new Uint(a.value % notZero(b.value, 'modulus'))),
  ],
  '-_': [overload('negate_int64', '(int) int', (a: bigint) => int64(-a)), overload('negate_double', '(double) double', (a: number) => -a)],
  '!_': [overload('logical_not', '(bool) bool', (a: boolean) => !a)],
  '_<_': comparison('less', (order) => order < 0),
  '_<=_': comparison('less_equals', (order) => order <= 0),
  '_>_': comparison('greater', (order) => order > 0),
  '_>=_': comparison('greater_equals', (order) => order >= 0),
  '@in': [
    overload(
      'in_list',
      '(A, list(A)) bool',
      (item: Value, list: readonly Value[]) => list.some((other) => equalValues(item, other)),
      searching,
    ),
    overload('in_map', '(A, map(A, B)) bool', (key: Value, map: CelMap) => map.get(key) !== undefined),
  ],
}

/** Evaluated by the evaluator itself, in its own order; here for the checker. */
const inline = (): never => {
  throw new EvaluationError('no such overload')
}

export const inlined: Readonly<Record<string, readonly Overload[]>> = {
  '_&&_': [overload('logical_and', '(bool, bool) bool', inline)],
  '_||_': [overload('logical_or', '(bool, bool) bool', inline)],
  '_?_:_': [overload('conditional', '(bool, A, A) A', inline)],
  '@not_strictly_false': [overload('not_strictly_false', '(bool) bool', inline)],
  '_==_': [overload('equals', '(A, A) bool', inline, equating)],
  '_!=_': [overload('not_equals', '(A, A) bool', inline, comparing)],
  '_[_]': [
    overload('index_list', '(list(A), int) A', inline),
    overload('index_map', '(map(A, B), A) B', inline),
    overload('optional_list_index_int', '(optional(list(V)), int) optional(V)', inline),
    overload('optional_map_index_value', '(optional(map(K, V)), K) optional(V)', inline),
  ],
  '_[?_]': [
    overload('list_optindex_optional_int', '(list(V), int) optional(V)', inline),
    overload('optional_list_optindex_optional_int', '(optional(list(V)), int) optional(V)', inline),
    overload('map_optindex_optional_value', '(map(K, V), K) optional(V)', inline),
    overload('optional_map_optindex_optional_value', '(optional(map(K, V)), K) optional(V)', inline),
  ],
  or: [overload('optional_or_optional', 'optional(V).(optional(V)) optional(V)', inline)],
  orValue: [overload('optional_orValue_value', 'optional(V).(V) V', inline)],
}
