/**
 * CEL rules of schemas (x-kubernetes-validations; apiextensions-apiserver pkg/apiserver/schema/cel): compiled once with the types of
 * the schema they stand in, run on every write within one budget for the whole object.
 */
import { PER_CALL_LIMIT } from '../../cel/compile.ts'
import { EvaluationError, Optional } from '../../cel/values.ts'
import type { JSONSchemaProps, ValidationRule } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { forbidden, invalid, required } from '../resources/rules.ts'
import { compileRule, type CompiledRule } from './rule-compilation.ts'
import { validateRules } from './rule-validation.ts'
import { additionalSchemaOf, declareType, isEmbedded, itemsOf, type Typed, typedBy } from '../../cel/json-schema.ts'
import { someSchema } from './structural.ts'
import type { ValidationRules } from './validation-rules.ts'

/** What all rules of one object may cost together (apiserver pkg/apis/cel: RuntimeCELCostBudget). */
const BUDGET = 10_000_000
const MAX_MESSAGE_BYTES = 5 * 1024
const OUT_OF_BUDGET = 'validation failed due to running out of cost budget, no further validation rules will be run'

type JsonObject = Readonly<Record<string, Json | undefined>>

interface RuleNode {
  readonly props: JSONSchemaProps
  readonly rules: readonly CompiledRule[]
  readonly typed: Typed
  readonly items: RuleNode | undefined
  readonly properties: ReadonlyMap<string, RuleNode>
  readonly additional: RuleNode | undefined
}

export const celRules: ValidationRules = {
  compile(schema, isResource = true) {
    if (!someSchema(schema, hasRules)) return undefined
    // Most kinds are defined long before an object of them is written, if ever one is.
    let root: RuleNode | undefined
    return (value, old, path) => {
      root ??= compileNode(schema, isResource)
      const run = new Run()
      if (root) run.visit(root, value, old, path, old === undefined ? undefined : { value, old })
      return run.errors
    }
  },
  validate: validateRules,
}

const hasRules = ({ 'x-kubernetes-validations': rules }: JSONSchemaProps): boolean => (rules?.length ?? 0) > 0

/** Undefined when there is no rule here or within. */
function compileNode(props: JSONSchemaProps, isResource: boolean): RuleNode | undefined {
  const items = itemsOf(props)
  const additional = additionalSchemaOf(props)
  const node = {
    items: items && compileNode(items, isEmbedded(items)),
    additional: additional && compileNode(additional, isEmbedded(additional)),
    properties: new Map(
      Object.entries(props.properties ?? {}).flatMap(([name, field]) => {
        const compiled = compileNode(field, isEmbedded(field))
        return compiled ? [[name, compiled] as const] : []
      }),
    ),
  }
  if (!hasRules(props) && !node.items && !node.additional && node.properties.size === 0) return undefined
  const declared = hasRules(props) ? declareType(props, isResource) : undefined
  const rules = (declared ? (props['x-kubernetes-validations'] ?? []) : []).flatMap((rule) => {
    const compiled = compileRule(rule, props, declared!)
    return 'program' in compiled ? [compiled] : []
  })
  return { ...node, props, rules, typed: typedBy(props, isResource) }
}

/** The nearest part of the object that can be compared with how it was. */
type Correlated = { readonly value: Json; readonly old: Json } | undefined

/** One pass over an object. */
class Run {
  readonly errors: FieldError[] = []
  #budget = BUDGET

  visit(node: RuleNode, value: Json, old: Json | undefined, path: string, correlated: Correlated): void {
    if (value === null || this.#budget < 0) return
    if (node.rules.length > 0) this.#rules(node, value, old, path, correlated)
    if (Array.isArray(value)) this.#items(node, value as readonly Json[], old, path, correlated)
    else if (typeof value === 'object') this.#fields(node, value as JsonObject, old, path, correlated)
  }

  #items({ items, props }: RuleNode, value: readonly Json[], old: Json | undefined, path: string, correlated: Correlated): void {
    if (!items) return
    const keys = props['x-kubernetes-list-type'] === 'map' ? props['x-kubernetes-list-map-keys'] : undefined
    const keyOf = (item: Json): string => JSON.stringify(keys!.map((key) => (item as JsonObject | null)?.[key] ?? null))
    const before = keys && Array.isArray(old) ? new Map((old as readonly Json[]).map((item) => [keyOf(item), item])) : undefined
    value.forEach((item, index) => {
      const was = before?.get(keyOf(item))
      this.visit(items, item, was, `${path}[${index}]`, was === undefined ? correlated : { value: item, old: was })
    })
  }

  #fields(node: RuleNode, value: JsonObject, old: Json | undefined, path: string, correlated: Correlated): void {
    const before = typeof old === 'object' && old !== null && !Array.isArray(old) ? (old as JsonObject) : undefined
    for (const name in value) {
      const field = node.properties.get(name)
      const child = field ?? node.additional
      const given = value[name]
      if (!child || given === undefined) continue
      const was = before?.[name]
      const at = field ? (path ? `${path}.${name}` : name) : `${path}[${name}]`
      this.visit(child, given, was, at, was === undefined ? correlated : { value: given, old: was })
    }
  }

  #rules(node: RuleNode, value: Json, old: Json | undefined, path: string, correlated: Correlated): void {
    const type = node.props.type ?? ''
    const at = path || '<nil>'
    if (this.#budget === 0) {
      this.#stop(invalid(at, type, OUT_OF_BUDGET))
      return
    }
    for (const compiled of node.rules) {
      if (compiled.usesOld && old === undefined && !compiled.isOldOptional) continue
      this.#rule(compiled, node, value, old, path, correlated)
      if (this.#budget < 0) return
    }
  }

  #stop(error: FieldError): void {
    this.errors.push(error)
    this.#budget = -1
  }

  #rule(compiled: CompiledRule, node: RuleNode, value: Json, old: Json | undefined, path: string, correlated: Correlated): void {
    const { rule, program, isOldOptional, usesOld } = compiled
    const type = node.props.type ?? ''
    const at = path || '<nil>'
    const told = rule.message?.trim() || rule.rule.trim()
    let activation: Record<string, unknown>
    try {
      const before = usesOld && old !== undefined && old !== null ? node.typed(old) : undefined
      const oldSelf = isOldOptional ? (before === undefined ? Optional.none : new Optional(before)) : before
      activation = { self: node.typed(value), ...(oldSelf === undefined ? {} : { oldSelf }) }
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error
      this.errors.push(invalid(at, type, `${error.message} evaluating rule: ${told}`))
      return
    }
    const result = program.evaluate(activation, { costLimit: PER_CALL_LIMIT })
    if (result.cost > this.#budget) {
      this.#stop(invalid(at, type, OUT_OF_BUDGET))
      return
    }
    this.#budget -= result.cost
    if ('error' in result) {
      this.#failed(result.error, told, at, type)
      return
    }
    if (result.value === true) return
    // What a part that did not change breaks was accepted before (KEP-4008).
    if (!usesOld && correlated && deepEqual(correlated.value, correlated.old)) return
    const place = compiled.fieldPath ? (path ? `${path}.${compiled.fieldPath}` : compiled.fieldPath) : at
    const message = this.#message(compiled, activation, place, type)
    if (message === undefined) return
    this.errors.push(asError(place, rule, type === 'object' || type === 'array' ? undefined : value, message))
  }

  #failed(error: string, told: string, at: string, type: string): void {
    if (error.startsWith('no such overload'))
      this.errors.push(
        invalid(at, type, `'${error}': call arguments did not match a supported operator, function or macro signature for rule: ${told}`),
      )
    else if (error.startsWith('operation cancelled: actual cost limit exceeded'))
      this.#stop(invalid(at, type, `'${error}': no further validation rules will be run due to call cost exceeds limit for rule: ${told}`))
    else this.errors.push(invalid(at, type, `${error} evaluating rule: ${told}`))
  }

  /** The text of a broken rule; undefined when the budget ended on the way to it. */
  #message({ rule, message }: CompiledRule, activation: Readonly<Record<string, unknown>>, at: string, type: string): string | undefined {
    const otherwise = rule.message?.trim() || `failed rule: ${rule.rule.trim()}`
    if (!message) return otherwise
    const result = message.evaluate(activation, { costLimit: PER_CALL_LIMIT })
    if (result.cost > this.#budget) {
      this.#stop(
        invalid(at, type, 'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run'),
      )
      return undefined
    }
    this.#budget -= result.cost
    if ('error' in result) {
      if (!result.error.startsWith('operation cancelled: actual cost limit exceeded')) return otherwise
      const text = `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(rule.messageExpression)}`
      this.#stop(invalid(at, type, text))
      return undefined
    }
    const text = typeof result.value === 'string' ? result.value.trim() : ''
    const isFit = text !== '' && !text.includes('\n') && new TextEncoder().encode(text).length <= MAX_MESSAGE_BYTES
    return isFit ? text : otherwise
  }
}

/** Objects and lists are not shown in errors. */
function asError(field: string, { reason }: ValidationRule, value: Json | undefined, message: string): FieldError {
  if (reason === 'FieldValueForbidden') return forbidden(field, message)
  if (reason === 'FieldValueRequired') return required(field, message)
  if (reason === 'FieldValueDuplicate') {
    const shown = value === undefined ? '' : `: ${JSON.stringify(value)}`
    return { type: 'FieldValueDuplicate', field, detail: `Duplicate value${shown}` }
  }
  return value === undefined ? { type: 'FieldValueInvalid', field, detail: `Invalid value: ${message}` } : invalid(field, value, message)
}
