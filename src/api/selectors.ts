/**
 * Label and field selectors: upstream's grammar and words (apimachinery labels, fields). A selector is compiled once to a function,
 * because one list or watch tries it on thousands of objects. Bad text is a BadRequest, as the API answers it.
 */
import type { LabelSelector } from './generated/meta/v1.ts'
import { labelValueFaults, qualifiedNameFaults } from './names.ts'
import { badRequest } from './status.ts'

export type Labels = Readonly<Record<string, string>>
export type LabelMatcher = (labels: Labels) => boolean

export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'exists' | '!' | 'gt' | 'lt'

export interface LabelRequirement {
  readonly key: string
  readonly operator: LabelOperator
  readonly values: readonly string[]
}

export interface FieldRequirement {
  /** "metadata.name" */
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

export const MATCHES_NOTHING: LabelMatcher = () => false
export const MATCHES_EVERYTHING: LabelMatcher = () => true

const INT64 = /^[+-]?\d{1,19}$/

function isBeyond(value: string | undefined, operator: 'gt' | 'lt', limit: string): boolean {
  if (value === undefined || !INT64.test(value)) return false
  return operator === 'gt' ? BigInt(value) > BigInt(limit) : BigInt(value) < BigInt(limit)
}

const own = (labels: Labels, key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)

function compileRequirement({ key, operator, values }: LabelRequirement): LabelMatcher {
  const [only = ''] = values
  switch (operator) {
    case '=':
    case '==':
      return (labels) => own(labels, key) === only
    case '!=':
      return (labels) => own(labels, key) !== only
    case 'in':
    case 'notin': {
      const set = new Set(values)
      const isIn = operator === 'in'
      return (labels) => {
        const value = own(labels, key)
        return (value !== undefined && set.has(value)) === isIn
      }
    }
    case 'exists':
      return (labels) => Object.hasOwn(labels, key)
    case '!':
      return (labels) => !Object.hasOwn(labels, key)
    case 'gt':
    case 'lt':
      return (labels) => isBeyond(own(labels, key), operator, only)
  }
}

/** All requirements together; none match everything. */
export function compileRequirements(requirements: readonly LabelRequirement[]): LabelMatcher {
  const [first, ...rest] = requirements.map(compileRequirement)
  if (!first) return MATCHES_EVERYTHING
  if (rest.length === 0) return first
  return (labels) => first(labels) && rest.every((matches) => matches(labels))
}

/** All of these labels, with these values: what a Service's selector or a nodeSelector asks. */
export function compileLabels(wanted: Labels): LabelMatcher {
  const pairs = Object.entries(wanted)
  return (labels) => {
    for (const [key, value] of pairs) if (own(labels, key) !== value) return false
    return true
  }
}

const EXPRESSION_OPERATORS: Readonly<Record<string, LabelOperator>> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' }

/** A LabelSelector object as requirements, sorted by key. Throws on an operator that does not exist. */
export function requirementsOf(selector: LabelSelector): readonly LabelRequirement[] {
  const labels = Object.entries(selector.matchLabels ?? {}).map(([key, value]): LabelRequirement => ({
    key,
    operator: '=',
    values: [value],
  }))
  const expressions = (selector.matchExpressions ?? []).map(({ key, operator, values = [] }): LabelRequirement => {
    const known = EXPRESSION_OPERATORS[operator]
    if (!known) throw badRequest(`${JSON.stringify(operator)} is not a valid label selector operator`)
    return { key, operator: known, values }
  })
  return [...labels, ...expressions].toSorted(byKey)
}

/** A LabelSelector object: nothing when it is absent, everything when it is empty. */
export const compileLabelSelector = (selector: LabelSelector | undefined): LabelMatcher =>
  selector ? compileRequirements(requirementsOf(selector)) : MATCHES_NOTHING

const byKey = (a: LabelRequirement, b: LabelRequirement): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

function formatRequirement({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'exists':
      return key
    case '!':
      return `!${key}`
    case 'in':
    case 'notin':
      return `${key} ${operator} (${values.toSorted().join(',')})`
    case 'gt':
      return `${key}>${values[0]}`
    case 'lt':
      return `${key}<${values[0]}`
    default:
      return `${key}${operator}${values[0]}`
  }
}

/** The text form that `status.selector` of a scale carries: "a=b,c in (d,e)". */
export const formatRequirements = (requirements: readonly LabelRequirement[]): string => requirements.map(formatRequirement).join(',')
export const formatLabelSelector = (selector: LabelSelector): string => formatRequirements(requirementsOf(selector))

type Token = { readonly text: string; readonly type: 'symbol' | 'identifier' | 'end' | 'error' }

/** The longest symbol first, as upstream's scanner takes them. */
const TOKEN = /\s*(?:(==|!=|[=!(),<>])|([^\s=!(),<>]+)|$)/y

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (;;) {
    const match = TOKEN.exec(text)
    if (match?.[1] !== undefined) tokens.push({ text: match[1], type: 'symbol' })
    else if (match?.[2] !== undefined) tokens.push({ text: match[2], type: 'identifier' })
    else return [...tokens, { text: '', type: 'end' }]
  }
}

const BINARY: Readonly<Record<string, LabelOperator>> = { in: 'in', notin: 'notin', '=': '=', '==': '==', '!=': '!=', '>': 'gt', '<': 'lt' }

const invalidValue = (path: string, value: string, faults: readonly string[]): string =>
  `${path}: Invalid value: ${JSON.stringify(value)}: ${faults.join('; ')}`

const invalidValues = (path: string, value: string, faults: readonly string[]): string[] =>
  faults.length > 0 ? [invalidValue(path, value, faults)] : []

/** A recursive descent over the tokens; every failure is in upstream's words. */
class LabelParser {
  #position = 0
  readonly #tokens: readonly Token[]

  constructor(text: string) {
    this.#tokens = tokenize(text)
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = []
    for (;;) {
      const token = this.#peek()
      if (token.type === 'end') return requirements
      if (!this.#startsRequirement(token)) throw badRequest(`found '${token.text}', expected: !, identifier, or 'end of string'`)
      requirements.push(this.#requirement())
      const next = this.#take()
      if (next.type === 'end') return requirements
      if (next.text !== ',' || next.type !== 'symbol') throw badRequest(`found '${next.text}', expected: ',' or 'end of string'`)
      const after = this.#peek()
      if (!this.#startsRequirement(after)) throw badRequest(`found '${after.text}', expected: identifier after ','`)
    }
  }

  #peek(): Token {
    return this.#tokens[Math.min(this.#position, this.#tokens.length - 1)] ?? { text: '', type: 'end' }
  }

  #take(): Token {
    const token = this.#peek()
    this.#position++
    return token
  }

  #isSymbol(text: string): boolean {
    const token = this.#peek()
    return token.type === 'symbol' && token.text === text
  }

  #startsRequirement(token: Token): boolean {
    return token.type === 'identifier' || (token.type === 'symbol' && token.text === '!')
  }

  #fail(message: string): never {
    throw badRequest(`unable to parse requirement: ${message}`)
  }

  #requirement(): LabelRequirement {
    const isNegated = this.#isSymbol('!')
    if (isNegated) this.#take()
    const key = this.#take()
    if (key.type !== 'identifier') this.#fail(`found '${key.text}', expected: identifier`)
    this.#check(invalidValues('<nil>', key.text, qualifiedNameFaults(key.text)))
    const isAlone = this.#peek().type === 'end' || this.#isSymbol(',')
    if (isNegated || isAlone) return { key: key.text, operator: isNegated ? '!' : 'exists', values: [] }

    const operator = this.#take()
    const known = BINARY[operator.text]
    if (!known || operator.type === 'end') this.#fail(`found '${operator.text}', expected: in, notin, =, ==, !=, gt, lt`)
    const values = known === 'in' || known === 'notin' ? this.#values() : [this.#exactValue()]
    const faults = values.flatMap((value, index) => [
      ...((known === 'gt' || known === 'lt') && !INT64.test(value)
        ? [invalidValue(`values[${index}]`, value, ["for 'Gt', 'Lt' operators, the value must be an integer"])]
        : []),
      ...invalidValues(`values[${index}][${key.text}]`, value, labelValueFaults(value)),
    ])
    this.#check(faults)
    return { key: key.text, operator: known, values }
  }

  /** Several faults stand in brackets. */
  #check(faults: readonly string[]): void {
    const [first] = faults
    if (first !== undefined) this.#fail(faults.length === 1 ? first : `[${faults.join(', ')}]`)
  }

  #exactValue(): string {
    if (this.#peek().type === 'end' || this.#isSymbol(',')) return ''
    const token = this.#take()
    if (token.type !== 'identifier') this.#fail(`found '${token.text}', expected: identifier`)
    return token.text
  }

  /** "(a,b)"; an empty place, as in "()" or "(a,)", is the empty value. */
  #values(): string[] {
    const open = this.#take()
    if (open.text !== '(' || open.type !== 'symbol') this.#fail(`found '${open.text}' expected: '('`)
    const values = new Set<string>()
    for (let expectsValue = true; ;) {
      const token = this.#take()
      const isSymbol = token.type === 'symbol'
      if (isSymbol && token.text === ')') {
        if (expectsValue) values.add('')
        return [...values].toSorted()
      }
      if (isSymbol && token.text === ',') {
        if (expectsValue) values.add('')
        expectsValue = true
      } else if (token.type === 'identifier' && expectsValue) {
        values.add(token.text)
        expectsValue = false
      } else if (values.size === 0) this.#fail(`found '${token.text}', expected: ',', ')' or identifier`)
      else this.#fail(`found '${token.text}', expected: ${expectsValue ? "',', or identifier" : "',' or ')'"}`)
    }
  }
}

/** "a=b,c!=d,e in (f,g),h,!i" as requirements, sorted by key. Throws a BadRequest. */
export const parseLabelRequirements = (text: string): readonly LabelRequirement[] => new LabelParser(text).parse().toSorted(byKey)

/** The same, compiled. */
export const parseLabelSelector = (text: string): LabelMatcher => compileRequirements(parseLabelRequirements(text))

/** Splits at commas that no backslash escapes. */
const splitTerms = (text: string): string[] => text.match(/(?:\\[^]|[^\\,])+\\?|\\$/g) ?? []

function unescapeValue(text: string): string {
  let result = ''
  for (let index = 0; index < text.length; index++) {
    const character = text[index] ?? ''
    if (character === '\\') {
      const next = text[++index] ?? ''
      if (next === '' || !'\\,='.includes(next)) throw badRequest(`invalid field selector: invalid escape sequence: \\${next}`)
      result += next
    } else if (character === ',' || character === '=') {
      throw badRequest(`invalid field selector: unescaped character in value: ${character.charCodeAt(0)}`)
    } else result += character
  }
  return result
}

/** "metadata.name=a,status.phase!=Running" as requirements. Throws a BadRequest. */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  return splitTerms(text)
    .toSorted()
    .map((term) => {
      const match = /^(.*?)(!=|==|=)([^]*)$/.exec(term)
      if (!match) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
      const [, field = '', operator, value = ''] = match
      return { field, operator: operator === '!=' ? '!=' : '=', value: unescapeValue(value) } as const
    })
    .filter(({ field, value }) => field !== '' || value !== '')
}

/** The inverse of the escape in values. */
export const escapeFieldValue = (value: string): string => value.replace(/[\\,=]/g, '\\$&')

export const formatFieldSelector = (requirements: readonly FieldRequirement[]): string =>
  requirements.map(({ field, operator, value }) => `${field}${operator}${escapeFieldValue(value)}`).join(',')
