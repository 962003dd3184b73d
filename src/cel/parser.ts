/**
 * The grammar of langdef.md by recursive descent, with cel-go's optional syntax (`a.?b`, `a[?k]`, `[?x]`, `{?k: v}`). Depth and
 * length are limited as cel-go limits them, so that no source can exhaust the stack.
 */
import type { Expr, Issue, MapEntry, StructField } from './ast.ts'
import { SyntaxFault, tokenize, type Token } from './lexer.ts'
import { expandMacro, type ParseOptions } from './macros.ts'

const MAX_DEPTH = 250
const MAX_CODE_POINTS = 100_000
const INT_MAX = (1n << 63n) - 1n

const RESERVED: ReadonlySet<string> = new Set([
  'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'in', 'let', 'loop', 'package', 'namespace',
  'return', 'var', 'void', 'while',
]) // prettier-ignore

/** Binary operators, weakest first. */
const LEVELS: readonly (readonly string[])[] = [['||'], ['&&'], ['<', '<=', '>', '>=', '==', '!=', 'in'], ['+', '-'], ['*', '/', '%']]
const OPERATOR_NAMES: Readonly<Record<string, string>> = { in: '@in' }
const EXPRESSION_START = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"

/** A tree, or what is wrong with the text. */
export function parse(source: string, options: ParseOptions = {}): { readonly expr: Expr } | { readonly issues: readonly Issue[] } {
  if (source.length > MAX_CODE_POINTS && Array.from(source).length > MAX_CODE_POINTS) {
    const message = `expression code point size exceeds limit: size: ${Array.from(source).length}, limit ${MAX_CODE_POINTS}`
    return { issues: [{ at: 0, message }] }
  }
  try {
    return { expr: new Parser(tokenize(source), options).parseAll() }
  } catch (error) {
    if (error instanceof SyntaxFault) return { issues: [error.issue] }
    throw error
  }
}

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  readonly #options: ParseOptions

  constructor(tokens: readonly Token[], options: ParseOptions) {
    this.#tokens = tokens
    this.#options = options
  }

  parseAll(): Expr {
    const expr = this.#expression()
    const token = this.#peek()
    if (token.kind !== 'end') this.#unexpected(token, '<EOF>')
    return expr
  }

  #peek(): Token {
    return this.#tokens[Math.min(this.#next, this.#tokens.length - 1)]!
  }

  #take(): Token {
    const token = this.#peek()
    this.#next++
    return token
  }

  #isNext(text: string): boolean {
    const { kind, text: found } = this.#peek()
    return found === text && (kind === 'punctuation' || kind === 'ident')
  }

  #accept(text: string): Token | undefined {
    return this.#isNext(text) ? this.#take() : undefined
  }

  #expect(text: string): Token {
    return this.#accept(text) ?? this.#unexpected(this.#peek(), `'${text}'`)
  }

  /** Upstream's parser calls a token extraneous where all would be well without it. */
  #unexpected({ at, text }: Token, expected: string): never {
    const isExtraneous = expected === '<EOF>' && this.#tokens[this.#next + 1]?.kind === 'end'
    throw new SyntaxFault(at, `Syntax error: ${isExtraneous ? 'extraneous' : 'mismatched'} input '${text}' expecting ${expected}`)
  }

  #deeper<T>(at: number, parseInner: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxFault(at, `expression recursion limit exceeded: ${MAX_DEPTH}`)
    const result = parseInner()
    this.#depth--
    return result
  }

  #expression(): Expr {
    return this.#deeper(this.#peek().at, () => {
      const condition = this.#binary(0)
      const question = this.#accept('?')
      if (!question) return condition
      const whenTrue = this.#binary(0)
      this.#expect(':')
      const whenFalse = this.#expression()
      return this.#call(question.at, '_?_:_', undefined, [condition, whenTrue, whenFalse])
    })
  }

  #binary(level: number): Expr {
    const operators = LEVELS[level]
    if (!operators) return this.#unary()
    let left = this.#binary(level + 1)
    for (let operator = this.#operator(operators); operator; operator = this.#operator(operators)) {
      const right = this.#binary(level + 1)
      left = this.#call(operator.at, OPERATOR_NAMES[operator.text] ?? `_${operator.text}_`, undefined, [left, right])
    }
    return left
  }

  #operator(operators: readonly string[]): Token | undefined {
    return operators.some((operator) => this.#isNext(operator)) ? this.#take() : undefined
  }

  #unary(): Expr {
    const sign = this.#accept('!') ?? this.#accept('-')
    if (!sign) return this.#member(this.#primary())
    const operand = this.#peek()
    if (sign.text === '-' && operand.kind === 'literal' && (operand.magnitude !== undefined || typeof operand.value === 'number')) {
      return this.#member(this.#number(this.#take(), sign.at, -1n))
    }
    // Two are none.
    let isOdd = true
    while (sign.text === '!' && this.#accept('!')) isOdd = !isOdd
    const inner = this.#deeper(sign.at, () => this.#unary())
    return isOdd ? this.#call(sign.at, sign.text === '!' ? '!_' : '-_', undefined, [inner]) : inner
  }

  #number({ magnitude, value }: Token, at: number, sign: bigint): Expr {
    if (magnitude === undefined) return { kind: 'constant', at, value: typeof value === 'number' ? Number(sign) * value : value! }
    const signed = sign * magnitude
    if (signed > INT_MAX || signed < -INT_MAX - 1n) throw new SyntaxFault(at, 'invalid int literal')
    return { kind: 'constant', at, value: signed }
  }

  #member(operand: Expr): Expr {
    let expr = operand
    for (let steps = 0; ; steps++) {
      if (steps > MAX_DEPTH) throw new SyntaxFault(expr.at, `expression recursion limit exceeded: ${MAX_DEPTH}`)
      const dot = this.#accept('.')
      const bracket = dot ? undefined : this.#accept('[')
      if (dot) expr = this.#dotted(expr, dot)
      else if (bracket) {
        const isOptional = this.#accept('?') !== undefined
        const index = this.#expression()
        this.#expect(']')
        expr = this.#call(bracket.at, isOptional ? '_[?_]' : '_[_]', undefined, [expr, index])
      } else return expr
    }
  }

  #dotted(operand: Expr, dot: Token): Expr {
    const isOptional = this.#accept('?') !== undefined
    const name = this.#fieldName()
    if (isOptional) {
      return { kind: 'call', at: dot.at, name: '_?._', target: undefined, args: [operand, { kind: 'constant', at: dot.at, value: name }] }
    }
    const open = this.#accept('(')
    if (open) return this.#call(open.at, name, operand, this.#arguments(')'))
    return this.#structOr({ kind: 'select', at: dot.at, operand, field: name, isTest: false })
  }

  #fieldName(): string {
    const token = this.#take()
    if (token.kind !== 'ident') return this.#unexpected(token, 'IDENTIFIER')
    return token.text
  }

  #arguments(close: string): Expr[] {
    const args: Expr[] = []
    if (this.#accept(close)) return args
    do args.push(this.#expression())
    while (this.#accept(','))
    this.#expect(close)
    return args
  }

  #primary(): Expr {
    const token = this.#take()
    if (token.kind === 'literal') return this.#number(token, token.at, 1n)
    if (token.kind === 'ident') return this.#name(token, '')
    switch (token.kind === 'punctuation' ? token.text : '') {
      case '.': {
        const name = this.#take()
        return name.kind === 'ident' ? this.#name(name, '.') : this.#unexpected(name, 'IDENTIFIER')
      }
      case '(': {
        const inner = this.#expression()
        this.#expect(')')
        return inner
      }
      case '[':
        return this.#list(token.at)
      case '{':
        return { kind: 'map', at: token.at, entries: this.#entries() }
      default:
        return this.#unexpected(token, EXPRESSION_START)
    }
  }

  #name({ at, text }: Token, prefix: string): Expr {
    const open = this.#accept('(')
    if (RESERVED.has(text)) throw new SyntaxFault(at, `reserved identifier: ${text}`)
    if (open) return this.#call(open.at, prefix + text, undefined, this.#arguments(')'))
    return this.#structOr({ kind: 'ident', at, name: prefix + text })
  }

  /** A dotted name followed by a brace is a message. */
  #structOr(expr: Expr): Expr {
    const type = this.#isNext('{') ? dottedName(expr) : undefined
    if (type === undefined) return expr
    const { at } = this.#take()
    return { kind: 'struct', at, type, fields: this.#fields() }
  }

  #list(at: number): Expr {
    const elements: Expr[] = []
    const optional = new Set<number>()
    while (!this.#accept(']')) {
      if (this.#accept('?')) optional.add(elements.length)
      elements.push(this.#expression())
      if (!this.#accept(',')) {
        this.#expect(']')
        break
      }
    }
    return { kind: 'list', at, elements, optional }
  }

  #entries(): readonly MapEntry[] {
    const entries: MapEntry[] = []
    while (!this.#accept('}')) {
      const isOptional = this.#accept('?') !== undefined
      const key = this.#expression()
      this.#expect(':')
      entries.push({ key, value: this.#expression(), isOptional })
      if (!this.#accept(',')) {
        this.#expect('}')
        break
      }
    }
    return entries
  }

  #fields(): readonly StructField[] {
    const fields: StructField[] = []
    while (!this.#accept('}')) {
      const isOptional = this.#accept('?') !== undefined
      const name = this.#fieldName()
      const { at } = this.#expect(':')
      fields.push({ at, name, value: this.#expression(), isOptional })
      if (!this.#accept(',')) {
        this.#expect('}')
        break
      }
    }
    return fields
  }

  #call(at: number, name: string, target: Expr | undefined, args: readonly Expr[]): Expr {
    const expanded = expandMacro(at, name, target, args, this.#options)
    if (!expanded) return { kind: 'call', at, name, target, args }
    if ('message' in expanded) throw new SyntaxFault(expanded.at, expanded.message)
    return expanded
  }
}

/** `a.b.c` for what is only identifiers and selections. */
export function dottedName(expr: Expr): string | undefined {
  if (expr.kind === 'ident') return expr.name
  if (expr.kind !== 'select' || expr.isTest) return undefined
  const operand = dottedName(expr.operand)
  return operand === undefined ? undefined : `${operand}.${expr.field}`
}
