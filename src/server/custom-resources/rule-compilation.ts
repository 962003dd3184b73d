/** CEL rules of schemas (x-kubernetes-validations) made ready to run, each against the types of the schema that it stands in. */
import { compile, type Program } from '../../cel/compile.ts'
import { BOOL, isSameType, optionalOf, STRING, type Type } from '../../cel/types.ts'
import type { JSONSchemaProps, ValidationRule } from '../../api/generated/apiextensions/v1.ts'
import { fieldAt } from './field-path.ts'
import type { DeclaredType } from '../../cel/json-schema.ts'

export interface CompiledRule {
  readonly rule: ValidationRule
  readonly program: Program
  readonly message: Program | undefined
  readonly usesOld: boolean
  readonly isOldOptional: boolean
  /** Where the error is told, below the place of the schema. */
  readonly fieldPath: string
}

/** Faults as they are told where the rule is written. */
export interface RuleFault {
  readonly rule?: string
  readonly message?: string
}

/** By rule, while the definition lives: it is compiled when the definition is written, and run from then on. */
const compiledRules = new WeakMap<ValidationRule, { readonly props: JSONSchemaProps; readonly compiled: CompiledRule | RuleFault }>()

export function compileRule(rule: ValidationRule, props: JSONSchemaProps, declared: DeclaredType): CompiledRule | RuleFault {
  const known = compiledRules.get(rule)
  if (known?.props === props) return known.compiled
  const compiled = compileAnew(rule, props, declared)
  compiledRules.set(rule, { props, compiled })
  return compiled
}

function compileAnew(rule: ValidationRule, props: JSONSchemaProps, { type, provider, sizes }: DeclaredType): CompiledRule | RuleFault {
  const isOldOptional = rule.optionalOldSelf === true
  const compileWith = (source: string, old: Type | undefined) =>
    compile(source, { self: type, ...(old ? { oldSelf: old } : {}) }, provider, { sizes })
  const oldType = isOldOptional ? optionalOf(type) : type
  // A rule that compiles without oldSelf does not use it.
  const plain = compileWith(rule.rule, undefined)
  const program = 'errors' in plain ? compileWith(rule.rule, oldType) : plain
  if ('errors' in program) return { rule: `${program.isConstant ? 'program instantiation' : 'compilation'} failed: ${program.errors}` }
  if (!isSameType(program.type, BOOL)) return { rule: 'cel expression must evaluate to a bool' }
  const message = rule.messageExpression ? compileWith(rule.messageExpression, oldType) : undefined
  if (message && 'errors' in message)
    return { message: `messageExpression ${message.isConstant ? 'instantiation' : 'compilation'} failed: ${message.errors}` }
  if (message && !isSameType(message.type, STRING)) return { message: 'messageExpression must evaluate to a string' }
  const found = rule.fieldPath ? fieldAt(rule.fieldPath, props) : undefined
  return {
    rule,
    program,
    message,
    usesOld: 'errors' in plain,
    isOldOptional,
    fieldPath: found && 'names' in found ? found.names.join('.') : '',
  }
}
