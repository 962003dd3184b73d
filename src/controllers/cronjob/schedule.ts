/**
 * When a cron schedule is due: upstream's parser is github.com/robfig/cron/v3, and so are the answers around changes of the clock:
 * an hour that is left out is left out, one that comes twice counts twice. Whether a text is a schedule says api/cron-schedule.ts.
 */
export interface Schedule {
  /** The first time after this one, in whole seconds; undefined when there is none within five years. */
  next(afterMs: number): number | undefined
}

/** The wall clock of a time zone. */
export interface Zone {
  /** Minutes east of Greenwich at a time. */
  offsetMinutes(ms: number): number
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const YEARS_AHEAD = 5

export const UTC: Zone = { offsetMinutes: () => 0 }

/** By the platform's time zone data; undefined for a zone that it does not know. */
export function findZone(name: string): Zone | undefined {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  } catch {
    // A RangeError: no such zone.
    return undefined
  }
  return {
    offsetMinutes(ms) {
      const text = format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT'
      const [, sign = '+', hours = '0', minutes = '0'] = /^GMT(?:([+-])(\d+):(\d+))?/.exec(text) ?? []
      return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
    },
  }
}

interface Field {
  readonly values: ReadonlySet<number>
  /** Any value will do, which for days means that the other of the two day fields decides. */
  readonly isStar: boolean
}

const RANGES = [
  { low: 0, high: 59, names: [] },
  { low: 0, high: 23, names: [] },
  { low: 1, high: 31, names: [] },
  { low: 1, high: 12, names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { low: 0, high: 6, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
] as const

const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/** `text` is one in which scheduleProblem finds no fault. */
export function parseSchedule(text: string, zone: Zone): Schedule {
  if (text.startsWith('@every ')) return everySchedule(durationMs(text.slice('@every '.length)))
  const fields = (DESCRIPTORS[text] ?? text).split(/\s+/).filter((field) => field !== '')
  const [minute, hour, dayOfMonth, month, dayOfWeek] = fields.map((field, i) => parseField(field, RANGES[i]!))
  return fieldSchedule({ minute: minute!, hour: hour!, dayOfMonth: dayOfMonth!, month: month!, dayOfWeek: dayOfWeek! }, zone)
}

function parseField(text: string, { low, high, names }: (typeof RANGES)[number]): Field {
  const values = new Set<number>()
  let isStar = false
  const valueOf = (word: string): number => {
    const named = (names as readonly string[]).indexOf(word.toLowerCase())
    return named >= 0 ? named + low : Number(word)
  }
  for (const expression of text.split(',')) {
    const [range = '', stepText] = expression.split('/')
    const step = stepText === undefined ? 1 : Number(stepText)
    const [first = '', last] = range.split('-')
    const isAny = first === '*' || first === '?'
    if (isAny && step <= 1) isStar = true
    const start = isAny ? low : valueOf(first)
    const end = isAny || (last === undefined && stepText !== undefined) ? high : last === undefined ? start : valueOf(last)
    for (let value = start; value <= end; value += step) values.add(value)
  }
  return { values, isStar }
}

const UNITS: Readonly<Record<string, number>> = { h: HOUR, m: MINUTE, s: SECOND, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 }

function durationMs(text: string): number {
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g)) total += Number(amount) * UNITS[unit!]!
  return text.startsWith('-') ? -total : total
}

function everySchedule(intervalMs: number): Schedule {
  const delayMs = Math.max(SECOND, Math.floor(intervalMs / SECOND) * SECOND)
  return { next: (afterMs) => Math.floor(afterMs / SECOND) * SECOND + delayMs }
}

interface Fields {
  readonly minute: Field
  readonly hour: Field
  readonly dayOfMonth: Field
  readonly month: Field
  readonly dayOfWeek: Field
}

function isDay({ dayOfMonth, month, dayOfWeek }: Fields, wall: Date): boolean {
  if (!month.values.has(wall.getUTCMonth() + 1)) return false
  const [isDate, isWeekday] = [dayOfMonth.values.has(wall.getUTCDate()), dayOfWeek.values.has(wall.getUTCDay())]
  return dayOfMonth.isStar || dayOfWeek.isStar ? isDate && isWeekday : isDate || isWeekday
}

function fieldSchedule(fields: Fields, zone: Zone): Schedule {
  /** What a clock on the wall shows, as if it were UTC. */
  const wallOf = (ms: number): Date => new Date(ms + zone.offsetMinutes(ms) * MINUTE)

  /** The next midnight; where the clock changes at midnight, the first full hour of the day. */
  function nextDay(ms: number, wall: Date): number {
    const guess = ms - (wall.getTime() % DAY) + DAY
    const hour = wallOf(guess).getUTCHours()
    const midnight = hour === 0 ? guess : guess + (hour > 12 ? 24 - hour : -hour) * HOUR
    return midnight > ms ? midnight : guess
  }

  return {
    next(afterMs) {
      let ms = (Math.floor(afterMs / MINUTE) + 1) * MINUTE
      const lastYear = wallOf(ms).getUTCFullYear() + YEARS_AHEAD
      for (;;) {
        const wall = wallOf(ms)
        if (wall.getUTCFullYear() > lastYear) return undefined
        if (!isDay(fields, wall)) ms = nextDay(ms, wall)
        else if (!fields.hour.values.has(wall.getUTCHours())) ms += HOUR - (wall.getTime() % HOUR)
        else if (!fields.minute.values.has(wall.getUTCMinutes())) ms += MINUTE
        else return ms
      }
    },
  }
}

/** A time as RFC 3339 has it, with the zone's offset. */
export function zonedTimestamp(ms: number, zone: Zone): string {
  const offset = zone.offsetMinutes(ms)
  const text = new Date(ms + offset * MINUTE).toISOString().slice(0, 19)
  if (offset === 0) return `${text}Z`
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${text}${offset < 0 ? '-' : '+'}${two(Math.trunc(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`
}
