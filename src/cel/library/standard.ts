/** The standard functions of langdef.md ("List of Standard Definitions") beyond the operators. */
import { overload, type Overload } from '../function.ts'
import { affixing, containing, decoding, encoding, matching } from '../cost.ts'
import type { Duration } from '../values.ts'
import { CelMap, EvaluationError, lengthOf, type Timestamp, TypeValue, typeNameOf, type Uint, utf8, type Value } from '../values.ts'
import { int64, timestampOf, uint64 } from './arithmetic.ts'
import { isMatch } from './patterns.ts'
import { calendarOf, formatDuration, formatTimestamp, parseDuration, parseTimestamp, type Calendar } from './time-text.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const INT_TEXT = /^[+-]?\d+$/
const DOUBLE_TEXT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const SPECIAL_DOUBLES: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Infinity,
  '+inf': Infinity,
  '-inf': -Infinity,
  infinity: Infinity,
  '+infinity': Infinity,
  '-infinity': -Infinity,
}
const BOOLS: Readonly<Record<string, boolean>> = {
  '1': true, t: true, true: true, TRUE: true, True: true,
  '0': false, f: false, false: false, FALSE: false, False: false,
} // prettier-ignore

function integerOf(value: number, bits: (whole: bigint) => Value): Value {
  if (!Number.isFinite(value)) throw new EvaluationError('integer overflow')
  // What rounds to 2^63 in a double is out of range, as upstream has it.
  if (Math.abs(value) >= 2 ** 63 && typeof bits(0n) === 'bigint') throw new EvaluationError('integer overflow')
  return bits(BigInt(Math.trunc(value)))
}

/** Whatever is wrong with a text is told in one way. */
function converting<T extends Value>(type: string, convert: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return convert(text)
    } catch (error) {
      if (error instanceof EvaluationError) throw new EvaluationError(`type conversion error from 'string' to '${type}'`)
      throw error
    }
  }
}

const parseInteger = (type: string, bits: (whole: bigint) => Value): ((text: string) => Value) =>
  converting(type, (text) => {
    if (!INT_TEXT.test(text)) throw new EvaluationError('no integer')
    return bits(BigInt(text.replace(/^\+/, '')))
  })

function parseDouble(text: string): number {
  const special = SPECIAL_DOUBLES[text.toLowerCase()]
  if (special !== undefined) return special
  if (!DOUBLE_TEXT.test(text)) throw new EvaluationError(`type conversion error from 'string' to 'double'`)
  return Number(text)
}

/** As Go's %g has it: the shortest digits, with an exponent from a million up and below a ten-thousandth. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (value === 0 || (power >= -4 && power < 6)) return String(value)
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

export function formatBytes(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) throw new EvaluationError('invalid UTF-8 in bytes, cannot convert to string')
    throw error
  }
}

function parseBool(text: string): boolean {
  const found = BOOLS[text]
  if (found === undefined) throw new EvaluationError(`type conversion error from 'string' to 'bool'`)
  return found
}

const size = (value: Value): bigint =>
  BigInt(
    value instanceof CelMap ? value.size : typeof value === 'string' ? lengthOf(value) : (value as readonly Value[] | Uint8Array).length,
  )

const identity = (value: Value): Value => value
const SECOND = 1_000_000_000n
const unixSeconds = ({ ns }: Timestamp): bigint => (ns - (((ns % SECOND) + SECOND) % SECOND)) / SECOND

/** A part of a timestamp in UTC or a zone, and the same of a duration where it has one. */
function part(name: string, read: (calendar: Calendar) => number, ofDuration?: (ns: bigint) => bigint): readonly Overload[] {
  const overloads = [
    overload(`timestamp_to_${name}`, 'timestamp.() int', (time: Timestamp) => BigInt(read(calendarOf(time)))),
    overload(`timestamp_to_${name}_with_tz`, 'timestamp.(string) int', (time: Timestamp, zone: string) =>
      BigInt(read(calendarOf(time, zone))),
    ),
  ]
  if (!ofDuration) return overloads
  return [...overloads, overload(`duration_to_${name}`, 'duration.() int', ({ ns }: Duration) => ofDuration(ns))]
}

export const standard: Readonly<Record<string, readonly Overload[]>> = {
  size: ['string', 'bytes', 'list(A)', 'map(A, B)'].flatMap((type) => [
    overload(`size_${type}`, `(${type}) int`, size),
    overload(`${type}_size`, `${type}.() int`, size),
  ]),
  startsWith: [overload('starts_with_string', 'string.(string) bool', (text: string, start: string) => text.startsWith(start), affixing)],
  endsWith: [overload('ends_with_string', 'string.(string) bool', (text: string, end: string) => text.endsWith(end), affixing)],
  contains: [overload('contains_string', 'string.(string) bool', (text: string, inner: string) => text.includes(inner), containing)],
  matches: [overload('matches', '(string, string) bool', isMatch), overload('matches_string', 'string.(string) bool', isMatch, matching)],
  bool: [overload('bool_to_bool', '(bool) bool', identity), overload('string_to_bool', '(string) bool', parseBool)],
  int: [
    overload('int64_to_int64', '(int) int', identity),
    overload('uint64_to_int64', '(uint) int', ({ value }: Uint) => int64(value)),
    overload('double_to_int64', '(double) int', (value: number) => integerOf(value, int64)),
    overload('string_to_int64', '(string) int', parseInteger('int', int64)),
    overload('timestamp_to_int64', '(timestamp) int', unixSeconds),
    overload('duration_to_int64', '(duration) int', ({ ns }: Duration) => ns),
  ],
  uint: [
    overload('uint64_to_uint64', '(uint) uint', identity),
    overload('int64_to_uint64', '(int) uint', uint64),
    overload('double_to_uint64', '(double) uint', (value: number) => integerOf(value, uint64)),
    overload('string_to_uint64', '(string) uint', parseInteger('uint', uint64)),
  ],
  double: [
    overload('double_to_double', '(double) double', identity),
    overload('int64_to_double', '(int) double', Number),
    overload('uint64_to_double', '(uint) double', ({ value }: Uint) => Number(value)),
    overload('string_to_double', '(string) double', parseDouble),
  ],
  string: [
    overload('string_to_string', '(string) string', identity),
    overload('bool_to_string', '(bool) string', String),
    overload('int64_to_string', '(int) string', String),
    overload('uint64_to_string', '(uint) string', ({ value }: Uint) => String(value)),
    overload('double_to_string', '(double) string', formatDouble),
    overload('bytes_to_string', '(bytes) string', formatBytes, decoding),
    overload('timestamp_to_string', '(timestamp) string', formatTimestamp),
    overload('duration_to_string', '(duration) string', formatDuration),
  ],
  bytes: [overload('bytes_to_bytes', '(bytes) bytes', identity), overload('string_to_bytes', '(string) bytes', utf8, encoding)],
  timestamp: [
    overload('timestamp_to_timestamp', '(timestamp) timestamp', identity),
    overload('string_to_timestamp', '(string) timestamp', converting('google.protobuf.Timestamp', parseTimestamp)),
    overload('int64_to_timestamp', '(int) timestamp', (seconds: bigint) => timestampOf(seconds * SECOND)),
  ],
  duration: [
    overload('duration_to_duration', '(duration) duration', identity),
    overload('string_to_duration', '(string) duration', converting('google.protobuf.Duration', parseDuration)),
    overload('int64_to_duration', '(int) duration', () => {
      throw new EvaluationError("type conversion error from 'int' to 'google.protobuf.Duration'")
    }),
  ],
  dyn: [overload('to_dyn', '(A) dyn', identity)],
  type: [overload('type', '(A) type(A)', (value: Value) => new TypeValue(typeNameOf(value)))],
  getFullYear: part('year', ({ year }) => year),
  getMonth: part('month', ({ month }) => month),
  getDayOfYear: part('day_of_year', ({ yearDay }) => yearDay),
  getDayOfMonth: part('day_of_month', ({ day }) => day - 1),
  getDate: part('day_of_month_1_based', ({ day }) => day),
  getDayOfWeek: part('day_of_week', ({ weekday }) => weekday),
  getHours: part('hours', ({ hour }) => hour, (ns) => ns / (3600n * SECOND)), // prettier-ignore
  getMinutes: part('minutes', ({ minute }) => minute, (ns) => ns / (60n * SECOND)), // prettier-ignore
  getSeconds: part('seconds', ({ second }) => second, (ns) => ns / SECOND), // prettier-ignore
  getMilliseconds: part('milliseconds', ({ millisecond }) => millisecond, (ns) => (ns / 1_000_000n) % 1000n), // prettier-ignore
}
