/**
 * The JSON paths of printed columns, scale and selectable fields (client-go util/jsonpath): fields, quoted fields, indexes, slices,
 * wildcards, filters that compare one field, and recursive descent. Parsed once; a plain path of fields reads without allocating.
 */
import type { Json } from '../../api/object.ts'

type JsonObject = Readonly<Record<string, Json | undefined>>
type Step = (values: readonly Json[]) => readonly Json[]

export type JsonPath = (value: Json) => readonly Json[]

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

const field =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => {
      const found = isObject(value) ? value[name] : undefined
      return found === undefined ? [] : [found]
    })

const wildcard: Step = (values) =>
  values.flatMap((value) =>
    Array.isArray(value)
      ? (value as readonly Json[])
      : isObject(value)
        ? Object.values(value).filter((item): item is Json => item !== undefined)
        : [],
  )

function descend(values: readonly Json[]): readonly Json[] {
  const found: Json[] = []
  const visit = (value: Json): void => {
    if (typeof value !== 'object' || value === null) return
    found.push(value)
    for (const inner of wildcard([value])) visit(inner)
  }
  for (const value of values) visit(value)
  return found
}

function slice(text: string): Step | undefined {
  const match = /^(-?\d*)(?::(-?\d*))?(?::(-?\d*))?$/.exec(text)
  if (!match || text === '') return undefined
  const [, from = '', to, step] = match
  if (to === undefined) {
    return (values) =>
      values.flatMap((value) => {
        const item = Array.isArray(value) ? (value as readonly Json[]).at(Number(from)) : undefined
        return item === undefined ? [] : [item]
      })
  }
  const every = Number(step || 1)
  return (values) =>
    values.flatMap((value) =>
      Array.isArray(value)
        ? (value as readonly Json[])
            .slice(from === '' ? undefined : Number(from), to === '' ? undefined : Number(to))
            .filter((_item, index) => index % every === 0)
        : [],
    )
}

const FILTER = /^\?\(\s*@((?:\.[\w-]+|\['[^']*'\])*)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*\)$/

function filter(text: string): Step | undefined {
  const match = FILTER.exec(text)
  if (!match) return undefined
  const [, path = '', operator, literal] = match
  const read = parseJsonPath(path || '.')
  if (!read) return undefined
  const wanted = literal === undefined ? undefined : parseLiteral(literal)
  const isMet = (item: Json): boolean => {
    const [found] = read(item)
    return operator === undefined ? found !== undefined : found !== undefined && compare(found, operator, wanted!)
  }
  return (values) => values.flatMap((value) => (Array.isArray(value) ? (value as readonly Json[]).filter(isMet) : []))
}

function parseLiteral(text: string): Json {
  if (/^'.*'$/.test(text) || /^".*"$/.test(text)) return text.slice(1, -1)
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
}

function compare(a: Json, operator: string, b: Json): boolean {
  if (operator === '==') return a === b
  if (operator === '!=') return a !== b
  if (typeof a !== typeof b || (typeof a !== 'number' && typeof a !== 'string')) return false
  const [x, y] = [a, b as typeof a]
  if (operator === '<') return x < y
  if (operator === '<=') return x <= y
  return operator === '>' ? x > y : x >= y
}

/** One part in brackets. */
function bracket(inner: string): Step | undefined {
  const text = inner.trim()
  if (text === '*') return wildcard
  if (text.startsWith('?')) return filter(text)
  const quoted = [...text.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)]
  if (quoted.length > 0) {
    const names = quoted.map((match) => (match[1] ?? match[2] ?? '').replaceAll(/\\(.)/g, '$1'))
    return (values) => names.flatMap((name) => field(name)(values))
  }
  return slice(text)
}

/** Undefined when the text is no path. */
export function parseJsonPath(text: string): JsonPath | undefined {
  const steps: Step[] = []
  const names: string[] = []
  let isPlain = true
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at)
    const named = /^\.?((?:[^.[\]\\]|\\.)+)/.exec(rest)
    if (rest.startsWith('..')) {
      steps.push(descend)
      isPlain = false
      at += /^\.\.[^.[]/.test(rest) ? 1 : 2
    } else if (rest.startsWith('[')) {
      const end = endOfBracket(rest)
      const step = end < 0 ? undefined : bracket(rest.slice(1, end))
      if (!step) return undefined
      steps.push(step)
      isPlain = false
      at += end + 1
    } else if (rest === '.') at++
    else if (rest.startsWith('.[')) at++
    else if (named) {
      const name = named[1]!.replaceAll(/\\(.)/g, '$1')
      steps.push(name === '*' ? wildcard : field(name))
      names.push(name)
      isPlain &&= name !== '*'
      at += named[0].length
    } else return undefined
  }
  if (isPlain) return readFields(names)
  return (value) => steps.reduce<readonly Json[]>((values, step) => step(values), [value])
}

const NOTHING: readonly Json[] = []

const readFields =
  (names: readonly string[]): JsonPath =>
  (value) => {
    let found: Json | undefined = value
    for (const name of names) {
      if (!isObject(found)) return NOTHING
      found = found[name]
    }
    return found === undefined ? NOTHING : [found]
  }

/** The bracket that closes the one at the start; quotes may hold others. */
function endOfBracket(text: string): number {
  let quote = ''
  let depth = 0
  for (let index = 0; index < text.length; index++) {
    const character = text[index]!
    if (quote) {
      if (character === '\\') index++
      else if (character === quote) quote = ''
    } else if (character === "'" || character === '"') quote = character
    else if (character === '[') depth++
    else if (character === ']' && --depth === 0) return index
  }
  return -1
}
