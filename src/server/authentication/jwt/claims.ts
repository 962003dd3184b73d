/** What the claims of a token make of a user: claims taken as they are, or CEL expressions over them (KEP-3331). */
import type { UserInfo } from '../../../api/exchange.ts'
import type { Expr } from '../../../cel/ast.ts'
import { compile, type Program } from '../../../cel/compile.ts'
import { parse } from '../../../cel/parser.ts'
import { BOOL, DYN, formatType, isSameType, mapOf, objectOf, parseType, STRING, type Type } from '../../../cel/types.ts'
import type { TypeProvider } from '../../../cel/checker.ts'
import { isList, type Value } from '../../../cel/values.ts'

export type Claims = Readonly<Record<string, unknown>>

/** An expression with its text, for messages. */
export interface ClaimExpression {
  readonly source: string
  readonly program: Program
  readonly message?: string
}

const USER = 'kubernetes.UserInfo'
const USER_FIELDS: Readonly<Record<string, string>> = {
  username: 'string',
  uid: 'string',
  groups: 'list(string)',
  extra: 'map(string, list(string))',
}

const userTypes: TypeProvider = {
  fieldOf: (typeName, field) => (typeName === USER && Object.hasOwn(USER_FIELDS, field) ? parseType(USER_FIELDS[field]!) : undefined),
  hasType: (typeName) => typeName === USER,
}

/** The expression, or what is wrong with it. */
function compileFor(source: string, variables: Readonly<Record<string, Type>>, types: TypeProvider | undefined, returns?: Type) {
  const compiled = compile(source, variables, types)
  if ('errors' in compiled) return `compilation failed: ${compiled.errors}`
  return returns && !isSameType(returns, compiled.type) ? `must evaluate to ${formatType(returns)}` : { source, program: compiled }
}

const CLAIMS = { claims: mapOf(STRING, DYN) }

export const compileMapping = (source: string): ClaimExpression | string => compileFor(source, CLAIMS, undefined)
export const compileClaimRule = (source: string): ClaimExpression | string => compileFor(source, CLAIMS, undefined, BOOL)
export const compileUserRule = (source: string): ClaimExpression | string => compileFor(source, { user: objectOf(USER) }, userTypes, BOOL)

/** Whether the expression reads `claims.NAME`, plainly or as an optional. */
export function readsClaim(source: string, name: string): boolean {
  const parsed = parse(source)
  return 'expr' in parsed && reads(parsed.expr, name)
}

const isClaims = (expr: Expr | undefined): boolean => expr?.kind === 'ident' && expr.name === 'claims'

function reads(expr: Expr, name: string): boolean {
  switch (expr.kind) {
    case 'constant':
    case 'ident':
      return false
    case 'select':
      return (expr.field === name && isClaims(expr.operand)) || reads(expr.operand, name)
    case 'call': {
      const [operand, field] = expr.args
      if (expr.name === '_?._' && isClaims(operand) && field?.kind === 'constant' && field.value === name) return true
      return [...(expr.target ? [expr.target] : []), ...expr.args].some((part) => reads(part, name))
    }
    case 'list':
      return expr.elements.some((part) => reads(part, name))
    case 'map':
      return expr.entries.some(({ key, value }) => reads(key, name) || reads(value, name))
    case 'struct':
      return expr.fields.some(({ value }) => reads(value, name))
    case 'fold':
      return [expr.range, expr.init, expr.condition, expr.step, expr.result].some((part) => reads(part, name))
  }
}

/** What is wrong with a token in the words that a reviewer is told. */
export class ClaimFault extends Error {
  override readonly name = 'ClaimFault'
}

function evaluate({ source, program }: ClaimExpression, activation: Readonly<Record<string, unknown>>, what: string): Value {
  const outcome = program.evaluate(activation)
  if ('error' in outcome) throw new ClaimFault(`oidc: error evaluating ${what}: expression '${source}' resulted in error: ${outcome.error}`)
  return outcome.value
}

/** A text that an expression makes. */
export function textOf(expression: ClaimExpression, claims: Claims, what: 'username' | 'uid'): string {
  const value = evaluate(expression, { claims }, `${what} claim expression`)
  if (typeof value === 'string') return value
  throw new ClaimFault(`oidc: error evaluating ${what} claim expression: ${what} claim expression must return a string`)
}

/** One text or several; empty ones and null are none. */
export function textsOf(expression: ClaimExpression, claims: Claims, what: 'group' | 'extra'): readonly string[] {
  const value = evaluate(expression, { claims }, `${what} claim expression`)
  if (value === null) return []
  const values = typeof value === 'string' ? [value] : isList(value) ? value : undefined
  const texts = values?.filter((item) => typeof item === 'string')
  if (!values || texts?.length !== values.length) {
    const which = what === 'extra' ? `${expression.source}: ` : ''
    throw new ClaimFault(`oidc: error evaluating ${what} claim expression: ${which}expression must return a string or a list of strings`)
  }
  return texts.filter((text) => text !== '')
}

/** Throws for the first rule that does not hold. */
export function checkClaimRules(rules: readonly ClaimExpression[], claims: Claims): void {
  checkRules(rules, { claims }, 'claim validation expression')
}

export function checkUserRules(rules: readonly ClaimExpression[], { name, uid = '', groups, extra = {} }: UserInfo): void {
  checkRules(rules, { user: { username: name, uid, groups, extra } }, 'user info validation rule')
}

function checkRules(rules: readonly ClaimExpression[], activation: Readonly<Record<string, unknown>>, what: string): void {
  for (const rule of rules) {
    if (evaluate(rule, activation, what) === true) continue
    throw new ClaimFault(`oidc: error evaluating ${what}: validation expression '${rule.source}' failed: ${rule.message ?? ''}`)
  }
}
