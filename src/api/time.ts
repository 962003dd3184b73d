/** RFC 3339 times as the API writes them: in UTC, whole seconds (Time) or microseconds (MicroTime). */

const SECONDS_LAYOUT = '2006-01-02T15:04:05Z07:00'
const MICRO_LAYOUT = '2006-01-02T15:04:05.000000Z07:00'

/** A pattern for each element of the layout, and Go's name of it. */
const ELEMENTS: readonly (readonly [RegExp, string])[] = [
  [/\d{4}/y, '2006'],
  [/-/y, '-'],
  [/\d{2}/y, '01'],
  [/-/y, '-'],
  [/\d{2}/y, '02'],
  [/T/y, 'T'],
  [/\d{1,2}/y, '15'],
  [/:/y, ':'],
  [/\d{2}/y, '04'],
  [/:/y, ':'],
  [/\d{2}/y, '05'],
]
const FRACTION = /[.,](\d+)/y
const ZONE = /Z|[+-]\d{2}:\d{2}/y

/** What a text says, or Go's words for why it is no time. */
type Reading = { readonly milliseconds: number; readonly microseconds: number } | string

function matchAt(pattern: RegExp, text: string, position: number): string | undefined {
  pattern.lastIndex = position
  return pattern.exec(text)?.[0]
}

function readTime(text: string, layout: string): Reading {
  const fail = (position: number, element: string): string =>
    `parsing time ${JSON.stringify(text)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(text.slice(position))} as ${JSON.stringify(element)}`
  let position = 0
  for (const [pattern, element] of ELEMENTS) {
    const found = matchAt(pattern, text, position)
    if (found === undefined) return fail(position, element)
    position += found.length
  }
  const end = position
  const fraction = matchAt(FRACTION, text, position) ?? ''
  if (layout === MICRO_LAYOUT && fraction.length !== 7) return fail(position, '.000000')
  position += fraction.length
  const zone = matchAt(ZONE, text, position)
  if (zone === undefined) return fail(position, 'Z07:00')
  position += zone.length
  if (position < text.length) return `parsing time ${JSON.stringify(text)}: extra text: ${JSON.stringify(text.slice(position))}`
  // Go takes an hour of one digit.
  const padded = text.slice(0, end).replace(/T(\d):/, 'T0$1:')
  const milliseconds = Date.parse(`${padded}${zone}`)
  if (Number.isNaN(milliseconds) || new Date(milliseconds + offsetOf(zone)).getUTCDate() !== Number(text.slice(8, 10))) {
    return `parsing time ${JSON.stringify(text)}: ${faultyElement(text)} out of range`
  }
  return { milliseconds, microseconds: Number(fraction.slice(1, 7).padEnd(6, '0')) }
}

/** The offset of "+02:00" in milliseconds. */
function offsetOf(zone: string): number {
  if (zone === 'Z') return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000
}

function faultyElement(text: string): string {
  const month = Number(text.slice(5, 7))
  if (month < 1 || month > 12) return 'month'
  const [hour = 0, minute = 0, second = 0] = text
    .slice(11)
    .split(/[:.+Z-]/)
    .map(Number)
  if (hour > 23) return 'hour'
  if (minute > 59) return 'minute'
  return second > 59 ? 'second' : 'day'
}

/** Unix milliseconds to "2006-01-02T15:04:05Z". */
export const formatTime = (milliseconds: number): string =>
  `${new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().slice(0, 19)}Z`

/** Unix milliseconds to "2006-01-02T15:04:05.000000Z". */
export const formatMicroTime = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 23)}000Z`

const CANONICAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

/** A Time as a client wrote it, as the API writes it. Throws a RangeError with Go's words. */
export function canonicalTime(text: string): string {
  // Nearly every time is written by a machine: what reads back as itself is right and in its form.
  const milliseconds = CANONICAL.test(text) ? Date.parse(text) : NaN
  if (!Number.isNaN(milliseconds) && formatTime(milliseconds) === text) return text
  const reading = readTime(text, SECONDS_LAYOUT)
  if (typeof reading === 'string') throw new RangeError(reading)
  return formatTime(reading.milliseconds)
}

/** The same of a MicroTime. */
export function canonicalMicroTime(text: string): string {
  const reading = readTime(text, MICRO_LAYOUT)
  if (typeof reading === 'string') throw new RangeError(reading)
  return `${formatTime(reading.milliseconds).slice(0, -1)}.${String(reading.microseconds).padStart(6, '0')}Z`
}
