/** `'%s is %d'.format([...])`: the verbs s, d, f, e, b, x, X and o of cel-go's string extension. */
import { CelMap, Duration, EvaluationError, isList, Opaque, Timestamp, TypeValue, typeNameOf, Uint, utf8, type Value } from '../values.ts'
import { goNameOf, isDynamic, type Type } from '../types.ts'
import { formatBytes, formatDouble } from './standard.ts'
import { formatDuration, formatTimestamp } from './time-text.ts'

const MAX_PRECISION = 100
const VERB = /%(?:%|(?:\.(\d+))?([a-zA-Z]))|%/g

export function formatText(format: string, args: readonly Value[]): string {
  let next = 0
  return format.replaceAll(VERB, (all, precision: string | undefined, verb: string | undefined) => {
    if (all === '%%') return '%'
    if (verb === undefined) throw new EvaluationError('could not parse formatting clause: unexpected end of string')
    if (next >= args.length) throw new EvaluationError(`index ${next} out of range`)
    const digits = precision === undefined ? 6 : Math.min(Number(precision), MAX_PRECISION)
    return formatArgument(verb, args[next++]!, digits)
  })
}

const NUMBERS: readonly Type['kind'][] = ['int', 'uint', 'double']
/** What each verb takes, and how the checker refuses the rest; `s` takes all that has a form. */
const TAKEN: Readonly<Record<string, readonly [kinds: readonly Type['kind'][], refusal: string]>> = {
  d: [['int', 'uint'], 'decimal clause can only be used on integers'],
  f: [NUMBERS, 'fixed-point clause can only be used on doubles'],
  e: [NUMBERS, 'scientific clause can only be used on doubles'],
  b: [['int', 'uint', 'bool'], 'only integers and bools can be formatted as binary'],
  o: [['int', 'uint'], 'octal clause can only be used on integers'],
  x: [['int', 'uint', 'string', 'bytes'], 'only integers, byte buffers, and strings can be formatted as hex'],
}

/** What is wrong with a format that is written out, about its arguments' types: where (the index of an argument, if one) and what. */
export function formatFault(format: string, types: readonly Type[]): { readonly index?: number; readonly message: string } | undefined {
  let next = 0
  for (const [clause, , verb] of format.matchAll(VERB)) {
    if (clause === '%%') continue
    if (verb === undefined) return { message: 'could not parse formatting clause: unexpected end of string' }
    const index = next++
    const type = types[index]
    if (!type) return { message: `index ${index} out of range` }
    const [kinds, refusal] = TAKEN[verb === 'X' ? 'x' : verb] ?? []
    if (!kinds && verb !== 's') return { message: `could not parse formatting clause: unrecognized formatting clause "${verb}"` }
    if (!kinds || isDynamic(type) || type.kind === 'param' || kinds.includes(type.kind)) continue
    return { index, message: `error during formatting: ${refusal}, was given ${goNameOf(type)}` }
  }
  if (next === types.length) return undefined
  return { message: `too many arguments supplied to string.format (expected ${next}, got ${types.length})` }
}

function formatArgument(verb: string, value: Value, precision: number): string {
  switch (verb) {
    case 's':
      return stringOf(value)
    case 'd':
      return decimal(value)
    case 'f':
      return double(value, 'fixed-point', (number) => fixed(number, precision), 0)
    case 'e':
      return double(value, 'scientific notation', (number) => scientific(number, precision), precision)
    case 'b':
      return typeof value === 'boolean' ? String(Number(value)) : integer(value, 'binary', 2, 'integers and bools')
    case 'o':
      return integer(value, 'octal', 8, 'integers')
    case 'x':
      return hexadecimal(value)
    case 'X':
      return hexadecimal(value).toUpperCase()
    default:
      throw new EvaluationError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`)
  }
}

/** Within a list or a map values are written as the language writes them. */
function literalOf(value: Value): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value.toFixed(6) : JSON.stringify(formatDouble(value))
  if (value instanceof Uint8Array) return `b${JSON.stringify(formatBytes(value))}`
  if (value instanceof Timestamp) return `timestamp(${JSON.stringify(formatTimestamp(value))})`
  return value instanceof Duration ? `duration(${JSON.stringify(formatDuration(value))})` : stringOf(value)
}

function stringOf(value: Value): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return notFinite(value) ?? formatDouble(value)
  if (value === null || typeof value !== 'object') return String(value)
  if (isList(value)) return `[${value.map(literalOf).join(', ')}]`
  if (value instanceof CelMap) {
    const entries = value.keys().map((key) => `${literalOf(key)}:${literalOf(value.get(key)!)}`)
    return `{${entries.toSorted().join(', ')}}`
  }
  if (value instanceof Uint) return String(value.value)
  if (value instanceof Uint8Array) return formatBytes(value)
  if (value instanceof Timestamp) return formatTimestamp(value)
  if (value instanceof Duration) return formatDuration(value)
  if (value instanceof TypeValue) return value.name
  const type = value instanceof Opaque ? value.typeName : typeNameOf(value)
  throw new EvaluationError(
    `error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${type}`,
  )
}

function decimal(value: Value): string {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint) return String(value.value)
  const special = typeof value === 'number' ? notFinite(value) : undefined
  if (special !== undefined) return special
  throw new EvaluationError(`error during formatting: decimal clause can only be used on integers, was given ${typeNameOf(value)}`)
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹'

/** As Go writes it for people: 2.5×10⁰³. */
function scientific(value: number, precision: number): string {
  const [mantissa = '', exponent = ''] = value.toExponential(precision).split('e')
  const digits = exponent.slice(1).padStart(2, '0')
  return `${mantissa}×10${exponent.startsWith('-') ? '⁻' : ''}${Array.from(digits, (digit) => SUPERSCRIPTS[Number(digit)]).join('')}`
}

function double(value: Value, name: string, format: (number: number) => string, width: number): string {
  const number = typeof value === 'bigint' ? Number(value) : value instanceof Uint ? Number(value.value) : value
  if (typeof number !== 'number') {
    throw new EvaluationError(`error during formatting: ${name} clause can only be used on doubles, was given ${typeNameOf(value)}`)
  }
  return notFinite(number)?.replace('Infinity', '∞').padStart(width) ?? format(number)
}

function notFinite(value: number): string | undefined {
  if (Number.isNaN(value)) return 'NaN'
  if (Number.isFinite(value)) return undefined
  return value > 0 ? 'Infinity' : '-Infinity'
}

/** Halves go to the even digit, as Go rounds; toFixed() takes them up. */
function fixed(value: number, precision: number): string {
  const scale = 10 ** precision
  const scaled = value * scale
  const below = Math.floor(scaled)
  const isHalf = scaled - below === 0.5 && scaled / scale === value
  return (isHalf && below % 2 === 0 ? below / scale : value).toFixed(precision)
}

function integer(value: Value, name: string, base: number, fitting: string): string {
  if (typeof value === 'bigint') return value.toString(base)
  if (value instanceof Uint) return value.value.toString(base)
  throw new EvaluationError(`error during formatting: ${name} clause can only be used on ${fitting}, was given ${typeNameOf(value)}`)
}

function hexadecimal(value: Value): string {
  if (typeof value === 'string') return utf8(value).toHex()
  if (value instanceof Uint8Array) return value.toHex()
  return integer(value, 'hexadecimal', 16, 'integers, byte buffers, and strings')
}
