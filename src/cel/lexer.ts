/** Source text to tokens, by the grammar of langdef.md ("Syntax"). */
import type { Issue } from './ast.ts'
import { Uint, utf8, type Value } from './values.ts'

export interface Token {
  readonly kind: 'ident' | 'literal' | 'punctuation' | 'end'
  readonly text: string
  readonly at: number
  readonly value?: Value
  /** An int literal without its sign: -9223372036854775808 only fits together with it. */
  readonly magnitude?: bigint
}

export class SyntaxFault extends Error {
  readonly issue: Issue
  constructor(at: number, message: string) {
    super(message)
    this.issue = { at, message }
  }
}

const SPACE = /(?:[\t\n\f\r ]|\/\/[^\n]*)+/y
const NUMBER =
  /(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+))[uU]?/y
const IDENT = /[_a-zA-Z][_a-zA-Z0-9]*/y
const STRING_START = /(?:[rR][bB]?|[bB][rR]?)?(?:"""|'''|"|')/y
const PUNCTUATION = /==|!=|<=|>=|&&|\|\||[[\]{}().,?:+\-*/%<>!]/y
const UINT_MAX = (1n << 64n) - 1n

/** The text at `at` that a sticky expression finds. */
function match(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(source)?.[0]
}

export function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    at += match(SPACE, source, at)?.length ?? 0
    if (at >= source.length) break
    const token = nextToken(source, at)
    tokens.push(token)
    at += token.text.length
  }
  tokens.push({ kind: 'end', text: '<EOF>', at })
  return tokens
}

function nextToken(source: string, at: number): Token {
  const opening = match(STRING_START, source, at)
  if (opening !== undefined) return stringToken(source, at, opening)
  const number = match(NUMBER, source, at)
  if (number !== undefined) return numberToken(number, at)
  const ident = match(IDENT, source, at)
  if (ident !== undefined) return wordToken(ident, at)
  if (source[at] === '`') throw new SyntaxFault(at, "unsupported syntax: '`'")
  const punctuation = match(PUNCTUATION, source, at)
  if (punctuation !== undefined) return { kind: 'punctuation', text: punctuation, at }
  throw new SyntaxFault(at, `Syntax error: token recognition error at: '${String.fromCodePoint(source.codePointAt(at)!)}'`)
}

function wordToken(text: string, at: number): Token {
  if (text === 'true' || text === 'false') return { kind: 'literal', text, at, value: text === 'true' }
  return text === 'null' ? { kind: 'literal', text, at, value: null } : { kind: 'ident', text, at }
}

function numberToken(text: string, at: number): Token {
  const isHex = /^0x/i.test(text)
  if (/u$/i.test(text)) {
    const digits = text.slice(0, -1)
    if (!isHex && !/^[0-9]+$/.test(digits)) throw new SyntaxFault(at, 'invalid uint literal')
    const value = BigInt(digits)
    if (value > UINT_MAX) throw new SyntaxFault(at, 'invalid uint literal')
    return { kind: 'literal', text, at, value: new Uint(value) }
  }
  if (isHex || /^[0-9]+$/.test(text)) return { kind: 'literal', text, at, magnitude: BigInt(text) }
  const value = Number(text)
  if (!Number.isFinite(value)) throw new SyntaxFault(at, 'invalid double literal')
  return { kind: 'literal', text, at, value }
}

function stringToken(source: string, at: number, opening: string): Token {
  const quote = opening.replace(/^[rRbB]+/, '')
  const prefix = opening.slice(0, opening.length - quote.length).toLowerCase()
  const isRaw = prefix.includes('r')
  let end = at + opening.length
  while (!source.startsWith(quote, end)) {
    if (end >= source.length || (quote.length === 1 && /[\r\n]/.test(source[end]!))) {
      throw new SyntaxFault(at, `Syntax error: token recognition error at: '${source.slice(at, end)}'`)
    }
    end += !isRaw && source[end] === '\\' ? 2 : 1
  }
  const body = source.slice(at + opening.length, end).replaceAll(/\r\n?/g, '\n')
  const text = source.slice(at, end + quote.length)
  const isBytes = prefix.includes('b')
  if (isRaw) return { kind: 'literal', text, at, value: isBytes ? utf8(body) : body }
  return { kind: 'literal', text, at, value: isBytes ? unescapeBytes(body, at) : unescapeString(body, at) }
}

const ESCAPE = /\\(?:([abfnrtv\\?"'`])|x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|)/g
const SIMPLE: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

function codeOf(groups: readonly (string | undefined)[]): number | undefined {
  const [hex, upperHex, short, long, octal] = groups
  const digits = hex ?? upperHex ?? short ?? long
  if (digits !== undefined) return Number.parseInt(digits, 16)
  return octal === undefined ? undefined : Number.parseInt(octal, 8)
}

function unescapeString(body: string, at: number): string {
  return body.replaceAll(ESCAPE, (_, simple: string | undefined, ...rest: (string | undefined)[]) => {
    if (simple !== undefined) return SIMPLE[simple] ?? simple
    const code = codeOf(rest.slice(0, 5))
    const isCharacter = code !== undefined && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
    if (!isCharacter) throw new SyntaxFault(at, 'invalid string literal: unable to unescape string')
    return String.fromCodePoint(code)
  })
}

/** In bytes, an octal or hexadecimal escape is a byte, not a character. */
function unescapeBytes(body: string, at: number): Uint8Array {
  const parts: number[] = []
  let from = 0
  for (const found of body.matchAll(ESCAPE)) {
    parts.push(...utf8(body.slice(from, found.index)))
    from = found.index + found[0].length
    const [, simple, hex, upperHex, short, long, octal] = found
    if (simple !== undefined) parts.push(...utf8(SIMPLE[simple] ?? simple))
    else {
      const code = codeOf([hex, upperHex, undefined, undefined, octal])
      if (code === undefined || short !== undefined || long !== undefined) {
        throw new SyntaxFault(at, 'invalid bytes literal: unable to unescape string')
      }
      parts.push(code)
    }
  }
  parts.push(...utf8(body.slice(from)))
  return Uint8Array.from(parts)
}
