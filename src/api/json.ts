/**
 * JSON text to values. The engine's own parser does the work; a second look at the text, as cheap as a scan for colons, tells
 * whether fields were given twice (which strict field validation reports) and refuses nesting that would exhaust the stack.
 */
import { scanJson } from './json-scan.ts'
import type { Json } from './object.ts'

/** Text that is no JSON; the message is Go's. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

/** Nesting beyond this is refused. Upstream allows 10,000; nothing of the API comes near either. */
export const MAX_JSON_DEPTH = 1000

export interface ParsedJson {
  readonly value: Json
  /** Paths of fields given more than once, of which the last one counts. */
  readonly duplicates: readonly string[]
  /** Where fields are in the text, when some are given twice. */
  readonly positions?: ReadonlyMap<string, number>
}

const QUOTE = 34
const BACKSLASH = 92

/** The position after the string that starts before `from`. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end + 1
  }
  return text.length
}

/** How many keys the text has, and how deep it nests. */
function measure(text: string): { keys: number; depth: number } {
  let keys = 0
  let depth = 0
  let deepest = 0
  for (let index = 0; index < text.length;) {
    switch (text.charCodeAt(index++)) {
      case QUOTE:
        index = endOfString(text, index)
        break
      case 58: // :
        keys++
        break
      case 123: // {
      case 91: // [
        if (++depth > deepest) deepest = depth
        break
      case 125: // }
      case 93: // ]
        depth--
        break
    }
  }
  return { keys, depth: deepest }
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let keys = 0
  if (Array.isArray(value)) for (const item of value) keys += countKeys(item)
  else for (const key in value) keys += 1 + countKeys((value as Record<string, unknown>)[key])
  return keys
}

const decoder = new TextDecoder()

/** Parses text or its UTF-8 bytes. Throws a JsonSyntaxError. */
export function parseJson(input: string | Uint8Array): ParsedJson {
  const text = typeof input === 'string' ? input : decoder.decode(input)
  const { keys, depth } = measure(text)
  if (depth > MAX_JSON_DEPTH) throw new JsonSyntaxError('exceeded max depth')
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch (error) {
    throw new JsonSyntaxError(scanJson(text).error ?? (error as Error).message)
  }
  if (countKeys(value) === keys) return { value, duplicates: [] }
  const { duplicates, positions } = scanJson(text)
  return { value, duplicates, ...(positions ? { positions } : {}) }
}

/** The same value with the keys of every object in order, as Go writes maps: where clients compare texts. */
export const sortedKeys = <T>(value: T): T => sorted(value) as T

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]))
}
