/** Whether a text is a cron schedule, in the words of the parser that upstream uses (github.com/robfig/cron/v3, standard form). */
const FIELDS: readonly { readonly low: number; readonly high: number; readonly names?: readonly string[] }[] = [
  { low: 0, high: 59 },
  { low: 0, high: 23 },
  { low: 1, high: 31 },
  { low: 1, high: 12, names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { low: 0, high: 6, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
]
const DESCRIPTORS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']
const DURATION = /^([-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+$/

type Field = (typeof FIELDS)[number]

function numberOf(text: string, { low, names }: Field): number | string {
  const named = names?.indexOf(text.toLowerCase()) ?? -1
  if (named >= 0) return named + low
  if (!/^\d+$/.test(text)) return `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`
  return Number(text)
}

function rangeProblem(expression: string, field: Field): string | undefined {
  const [range = '', step, ...tooMany] = expression.split('/')
  if (tooMany.length > 0) return `too many slashes: ${expression}`
  const [first = '', last, ...more] = range.split('-')
  let start: number | string = field.low
  let end: number | string = field.high
  if (first !== '*' && first !== '?') {
    start = numberOf(first, field)
    if (typeof start === 'string') return start
    if (more.length > 0) return `too many hyphens: ${expression}`
    end = last === undefined ? (step === undefined ? start : field.high) : numberOf(last, field)
    if (typeof end === 'string') return end
  }
  if (step !== undefined) {
    const every = numberOf(step, { low: 0, high: 0 })
    if (typeof every === 'string') return every
    if (every === 0) return `step of range should be a positive number: ${expression}`
  }
  if (start < field.low) return `beginning of range (${start}) below minimum (${field.low}): ${expression}`
  if (end > field.high) return `end of range (${end}) above maximum (${field.high}): ${expression}`
  return start > end ? `beginning of range (${start}) beyond end of range (${end}): ${expression}` : undefined
}

export function scheduleProblem(schedule: string): string | undefined {
  const withoutZone = schedule.replace(/^(TZ|CRON_TZ)=\S+\s+/, '')
  if (withoutZone.startsWith('@')) {
    if (DESCRIPTORS.includes(withoutZone)) return undefined
    if (!withoutZone.startsWith('@every ')) return `unrecognized descriptor: ${withoutZone}`
    const duration = withoutZone.slice('@every '.length)
    return DURATION.test(duration)
      ? undefined
      : `failed to parse duration ${withoutZone}: time: invalid duration ${JSON.stringify(duration)}`
  }
  const fields = withoutZone.split(/\s+/).filter((field) => field !== '')
  if (fields.length !== FIELDS.length) return `expected exactly ${FIELDS.length} fields, found ${fields.length}: [${fields.join(' ')}]`
  for (const [i, field] of FIELDS.entries()) {
    for (const expression of (fields[i] ?? '').split(',')) {
      const problem = rangeProblem(expression, field)
      if (problem !== undefined) return problem
    }
  }
  return undefined
}
