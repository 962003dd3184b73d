/** cel-go's string extension, version 2: positions count code points. */
import { overload, type Overload } from '../function.ts'
import { joining, parsing, quoting, replacing, rewriting, splitting, surveying } from '../cost.ts'
import { EvaluationError, lengthOf, typeNameOf, type Value } from '../values.ts'
import { formatText } from './text-format.ts'

const outOfRange = (index: bigint): EvaluationError => new EvaluationError(`index out of range: ${index}`)

/** The text from a code point on, and up to one. */
function cut(text: string, start: bigint, end?: bigint): string {
  const length = BigInt(lengthOf(text))
  if (end !== undefined && start > end) throw new EvaluationError(`invalid substring range. start: ${start}, end: ${end}`)
  if (start < 0n || start > length) throw outOfRange(start)
  if (end !== undefined && (end < 0n || end > length)) throw outOfRange(end)
  return Array.from(text)
    .slice(Number(start), end === undefined ? undefined : Number(end))
    .join('')
}

function charAt(text: string, index: bigint): string {
  if (index < 0n || index > lengthOf(text)) throw outOfRange(index)
  return Array.from(text)[Number(index)] ?? ''
}

function indexOf(text: string, inner: string, offset = 0n): bigint {
  const points = Array.from(text)
  if (inner === '') return offset
  if (offset < 0n) throw outOfRange(offset)
  if (offset >= points.length) return -1n
  const skipped = points.slice(0, Number(offset)).join('').length
  const found = text.indexOf(inner, skipped)
  return found < 0 ? -1n : BigInt(lengthOf(text.slice(0, found)))
}

function lastIndexOf(text: string, inner: string, offset?: bigint): bigint {
  const points = Array.from(text)
  if (inner === '') return offset ?? BigInt(points.length)
  if (offset !== undefined && offset < 0n) throw outOfRange(offset)
  if (offset !== undefined && offset >= points.length) return -1n
  const from = offset === undefined ? text.length : points.slice(0, Number(offset)).join('').length
  const found = text.lastIndexOf(inner, from)
  return found < 0 ? -1n : BigInt(lengthOf(text.slice(0, found)))
}

const changeAscii = (text: string, pattern: RegExp, change: (letters: string) => string): string => text.replace(pattern, change)
const lower = (text: string): string => changeAscii(text, /[A-Z]+/g, (letters) => letters.toLowerCase())
const upper = (text: string): string => changeAscii(text, /[a-z]+/g, (letters) => letters.toUpperCase())

function replace(text: string, from: string, to: string, limit = -1n): string {
  if (limit === 0n) return text
  if (limit < 0n)
    return from === ''
      ? to +
          Array.from(text)
            .map((letter) => letter + to)
            .join('')
      : text.replaceAll(from, () => to)
  return split(text, from, limit + 1n, true).join(to)
}

function split(text: string, separator: string, limit = -1n, isForReplace = false): readonly string[] {
  if (limit === 0n) return []
  const parts = separator === '' ? [...(isForReplace ? [''] : []), ...Array.from(text)] : text.split(separator)
  if (limit < 0n || parts.length <= limit) return parts
  const kept = Number(limit) - 1
  return [...parts.slice(0, kept), parts.slice(kept).join(separator)]
}

function join(list: readonly Value[], separator = ''): string {
  const texts = list.map((item) => {
    if (typeof item !== 'string') throw new EvaluationError(`join: invalid input: ${typeNameOf(item)}`)
    return item
  })
  return texts.join(separator)
}

const QUOTED: Readonly<Record<string, string>> = {
  '\x07': String.raw`\a`,
  '\b': String.raw`\b`,
  '\f': String.raw`\f`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
  '\v': String.raw`\v`,
  '\\': String.raw`\\`,
  '"': String.raw`\"`,
}
const TO_QUOTE = new RegExp(`[${String.raw`\x07\b\f\n\r\t\v\\"`}]`, 'g')
const quote = (text: string): string => `"${text.toWellFormed().replace(TO_QUOTE, (letter) => QUOTED[letter]!)}"`

const SPACES = String.raw`[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+`
/** What Unicode calls white space; JavaScript's own class has one more. */
const WHITE = new RegExp(`^${SPACES}|${SPACES}$`, 'g')

export const text: Readonly<Record<string, readonly Overload[]>> = {
  charAt: [overload('string_char_at_int', 'string.(int) string', charAt)],
  indexOf: [
    overload('string_index_of_string', 'string.(string) int', indexOf, surveying),
    overload('string_index_of_string_int', 'string.(string, int) int', indexOf, surveying),
  ],
  lastIndexOf: [
    overload('string_last_index_of_string', 'string.(string) int', lastIndexOf, surveying),
    overload('string_last_index_of_string_int', 'string.(string, int) int', lastIndexOf, surveying),
  ],
  join: [
    overload('list_join', 'list(string).() string', join, joining),
    overload('list_join_string', 'list(string).(string) string', join, joining),
  ],
  lowerAscii: [overload('string_lower_ascii', 'string.() string', lower, rewriting)],
  upperAscii: [overload('string_upper_ascii', 'string.() string', upper, rewriting)],
  'strings.quote': [overload('strings_quote', '(string) string', quote, quoting)],
  replace: [
    overload('string_replace_string_string', 'string.(string, string) string', replace, replacing),
    overload('string_replace_string_string_int', 'string.(string, string, int) string', replace, replacing),
  ],
  split: [
    overload(
      'string_split_string',
      'string.(string) list(string)',
      (whole: string, separator: string) => split(whole, separator),
      splitting,
    ),
    overload(
      'string_split_string_int',
      'string.(string, int) list(string)',
      (whole: string, separator: string, limit: bigint) => split(whole, separator, limit),
      splitting,
    ),
  ],
  substring: [
    overload('string_substring_int', 'string.(int) string', cut, rewriting),
    overload('string_substring_int_int', 'string.(int, int) string', cut, rewriting),
  ],
  trim: [overload('string_trim', 'string.() string', (whole: string) => whole.replace(WHITE, ''), rewriting)],
  format: [overload('string_format', 'string.(list(dyn)) string', formatText, parsing)],
}
