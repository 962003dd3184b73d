/** Timestamps (RFC 3339) and durations (Go's "1h30m") as text, exact to the nanosecond. */
import { EvaluationError, type Timestamp, Duration } from '../values.ts'
import { timestampOf } from './arithmetic.ts'

const SECOND = 1_000_000_000n
const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/
const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: SECOND,
  m: 60n * SECOND,
  h: 3600n * SECOND,
}
const PART = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y

export function parseTimestamp(text: string): Timestamp {
  const found = RFC3339.exec(text)
  const milliseconds = found ? Date.parse(`${found[1]}T${found[2]}${found[4]!.toUpperCase()}`) : Number.NaN
  // JavaScript takes the 30th of February for the first days of March.
  const isDay = found !== null && new Date(`${found[1]}T00:00:00Z`).toJSON()?.startsWith(found[1]!)
  if (!isDay || Number.isNaN(milliseconds)) throw new EvaluationError(`cannot parse ${JSON.stringify(text)} as a timestamp`)
  return timestampOf(BigInt(milliseconds) * 1_000_000n + BigInt((found[3] ?? '').padEnd(9, '0')))
}

const floorDivide = (a: bigint, b: bigint): bigint => (a >= 0n ? a / b : -((-a + b - 1n) / b))

export function formatTimestamp({ ns }: Timestamp): string {
  const seconds = floorDivide(ns, SECOND)
  const fraction = ns - seconds * SECOND
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  return `${whole}${fraction === 0n ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`}Z`
}

export function parseDuration(text: string): Duration {
  const fail = (): EvaluationError => new EvaluationError(`time: invalid duration ${JSON.stringify(text)}`)
  const isNegative = text.startsWith('-')
  let at = /^[+-]/.test(text) ? 1 : 0
  if (text.slice(at) === '0') return new Duration(0n)
  if (at === text.length) throw fail()
  let total = 0n
  while (at < text.length) {
    PART.lastIndex = at
    const found = PART.exec(text)
    if (!found || (!found[1] && !found[2])) throw fail()
    const [all, whole, fraction = '', unit] = found
    const scale = UNITS[unit!]!
    total += BigInt(whole || '0') * scale + (fraction ? (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length) : 0n)
    at += all.length
  }
  const ns = isNegative ? -total : total
  if (BigInt.asIntN(64, ns) !== ns) throw fail()
  return new Duration(ns)
}

/** As protobuf writes it: seconds, "1.5s". */
export function formatDuration({ ns }: Duration): string {
  const size = ns < 0n ? -ns : ns
  const fraction = size % SECOND
  return `${ns < 0n ? '-' : ''}${size / SECOND}${fraction === 0n ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`}s`
}

/** The calendar of a timestamp in a zone: an offset ("+02:00") or a name ("Europe/Berlin"). */
export interface Calendar {
  readonly year: number
  /** From 0. */
  readonly month: number
  readonly day: number
  /** Sunday is 0. */
  readonly weekday: number
  /** From 0. */
  readonly yearDay: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly millisecond: number
}

const OFFSET = /^([+-]?)(\d\d):(\d\d)$/

export function calendarOf({ ns }: Timestamp, zone = 'UTC'): Calendar {
  const milliseconds = Number(floorDivide(ns, 1_000_000n))
  const local = new Date(milliseconds + offsetOf(milliseconds, zone))
  const year = local.getUTCFullYear()
  const newYear = new Date(0)
  newYear.setUTCFullYear(year, 0, 1)
  return {
    year,
    month: local.getUTCMonth(),
    day: local.getUTCDate(),
    weekday: local.getUTCDay(),
    yearDay: Math.floor((local.getTime() - newYear.getTime()) / 86_400_000),
    hour: local.getUTCHours(),
    minute: local.getUTCMinutes(),
    second: local.getUTCSeconds(),
    millisecond: local.getUTCMilliseconds(),
  }
}

function offsetOf(milliseconds: number, zone: string): number {
  if (zone === 'UTC' || zone === '') return 0
  const fixed = OFFSET.exec(zone)
  if (fixed) return (fixed[1] === '-' ? -60_000 : 60_000) * (Number(fixed[2]) * 60 + Number(fixed[3]))
  let parts: readonly Intl.DateTimeFormatPart[]
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    parts = format.formatToParts(milliseconds)
  } catch (error) {
    if (error instanceof RangeError) throw new EvaluationError(`unknown time zone ${zone}`)
    throw error
  }
  const part = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.find((found) => found.type === type)?.value ?? 0)
  const local = new Date(0)
  local.setUTCFullYear(part('year'), part('month') - 1, part('day'))
  local.setUTCHours(part('hour'), part('minute'), part('second'))
  return local.getTime() - Math.floor(milliseconds / 1000) * 1000
}
