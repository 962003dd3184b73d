/**
 * What is wrong with the CEL rules of a definition (apiextensions-apiserver pkg/apis/apiextensions/validation): what does not compile,
 * what compares with an item that cannot be told again, and what may cost too much. Costs are estimated for the largest object that
 * the schema lets through: a list without `maxItems` holds as much as a request.
 */
import type { JSONSchemaProps, ValidationRule } from '../../api/generated/apiextensions/v1.ts'
import type { FieldError } from '../../api/status.ts'
import type { Program } from '../../cel/compile.ts'
import { MOST } from '../../cel/ranges.ts'
import { escaped } from '../resources/internal-form.ts'
import { forbidden, invalid } from '../resources/rules.ts'
import { compileRule, type CompiledRule, type RuleFault } from './rule-compilation.ts'
import { additionalSchemaOf, declareType, isEmbedded, itemsOf } from '../../cel/json-schema.ts'

/** What one expression may cost, and all of a schema together (StaticEstimatedCostLimit, StaticEstimatedCRDCostLimit). */
const RULE_LIMIT = 10_000_000
const SCHEMA_LIMIT = 100_000_000
/** Rules that are named when a schema costs too much. */
const MAX_NAMED = 4

/** Rules are validated from the root down, which is at `path`. */
export function validateRules(schema: JSONSchemaProps, path: string): readonly FieldError[] {
  const costs = new Costs()
  const errors = validateNode({ props: schema, path, isResource: true, uncorrelated: undefined, count: 1, costs })
  return [...errors, ...costs.excess(path)]
}

/** A schema within that of a definition. */
interface Place {
  readonly props: JSONSchemaProps
  readonly path: string
  readonly isResource: boolean
  /** The list around within which old items cannot be told. */
  readonly uncorrelated: string | undefined
  /** How often it may be in an object; undefined when lists or maps around have no bound. */
  readonly count: number | undefined
  readonly costs: Costs
}

function validateNode(place: Place): readonly FieldError[] {
  const { props, path, uncorrelated, count } = place
  const errors: FieldError[] = []
  const items = itemsOf(props)
  const additional = additionalSchemaOf(props)
  const most = props.type === 'array' ? props.maxItems : props.type === 'object' && additional ? props.maxProperties : 1
  const within = (child: JSONSchemaProps, step: string, list = uncorrelated): void => {
    const inner = count === undefined || most === undefined ? undefined : Math.min(MOST, count * Math.max(0, most))
    const at = { props: child, path: `${path}.${step}`, isResource: isEmbedded(child), uncorrelated: list, count: inner }
    errors.push(...validateNode({ ...place, ...at }))
  }
  if (additional) within(additional, 'additionalProperties')
  for (const [name, field] of Object.entries(props.properties ?? {})) within(field, `properties[${name}]`)
  if (items) within(items, 'items', uncorrelated ?? (props['x-kubernetes-list-type'] === 'map' ? undefined : path))
  errors.push(...rulesOf(place))
  return errors
}

function rulesOf({ props, path, isResource, uncorrelated, count, costs }: Place): readonly FieldError[] {
  const rules = props['x-kubernetes-validations'] ?? []
  if (rules.length === 0) return []
  const at = `${path}.x-kubernetes-validations`
  const declared = declareType(props, isResource)
  if (!declared) {
    const text = 'internal error: failed to retrieve type information for x-kubernetes-validations'
    return [{ type: 'InternalError', field: at, detail: `Internal error: ${text}` }]
  }
  return rules.flatMap((rule, index) => {
    const compiled = compileRule(rule, props, declared)
    const faults = ruleErrors(rule, compiled, `${at}[${index}]`, uncorrelated)
    if (!('program' in compiled)) return faults
    const cost = Math.min(MOST, mostOf(compiled.program) * (count ?? declared.maxCount))
    return [
      ...costs.add(`${at}[${index}].rule`, cost, 'estimated rule cost'),
      ...(compiled.message
        ? costs.add(`${at}[${index}].messageExpression`, mostOf(compiled.message), 'estimated messageExpression cost')
        : []),
      ...faults,
    ]
  })
}

const mostOf = ({ estimatedCost }: Program): number => estimatedCost?.max ?? 0

/** What the rules of a schema cost together. */
class Costs {
  #total = 0
  readonly #expensive: { readonly field: string; readonly cost: number }[] = []

  add(field: string, cost: number, what: string): readonly FieldError[] {
    this.#total = Math.min(MOST, this.#total + cost)
    // What costs less than a hundredth of all is no cause.
    if (cost >= SCHEMA_LIMIT / 100) this.#expensive.push({ field, cost })
    return cost > RULE_LIMIT ? [forbidden(field, exceeds(what, cost, RULE_LIMIT))] : []
  }

  excess(path: string): readonly FieldError[] {
    if (this.#total <= SCHEMA_LIMIT) return []
    const named = this.#expensive.toSorted((a, b) => b.cost - a.cost).slice(0, MAX_NAMED)
    const what = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema'
    return [
      ...named.map(({ field }) =>
        forbidden(field, 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema'),
      ),
      forbidden(path, exceeds(what, this.#total, SCHEMA_LIMIT)),
    ]
  }
}

function exceeds(what: string, cost: number, limit: number): string {
  const factor = cost / limit
  // Close to the limit one digit would read as if it were met.
  const shown = factor > 100 ? 'more than 100' : factor < 1.5 ? factor.toFixed(6) : factor.toFixed(1)
  const hint = 'try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared'
  return `${what} exceeds budget by factor of ${shown}x (${hint})`
}

/** A rule as Go's JSON shows upstream's internal form. */
const internalForm = ({ rule, message = '', messageExpression = '', reason, fieldPath = '', optionalOldSelf }: ValidationRule): object => ({
  Rule: rule,
  Message: message,
  MessageExpression: messageExpression,
  Reason: reason ?? null,
  FieldPath: fieldPath,
  OptionalOldSelf: optionalOldSelf ?? null,
})

function ruleErrors(
  rule: ValidationRule,
  compiled: CompiledRule | RuleFault,
  at: string,
  uncorrelated: string | undefined,
): readonly FieldError[] {
  const unused =
    rule.optionalOldSelf === undefined
      ? []
      : [invalid(`${at}.optionalOldSelf`, rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule')]
  if (!('program' in compiled)) {
    const value = internalForm(rule)
    // What does not compile uses nothing.
    if (compiled.rule !== undefined) return [invalidUnsorted(`${at}.rule`, value, compiled.rule), ...unused]
    return [invalidUnsorted(`${at}.messageExpression`, value, compiled.message ?? '')]
  }
  if (compiled.usesOld && uncorrelated !== undefined)
    return [invalid(`${at}.rule`, rule.rule, `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelated}`)]
  return compiled.usesOld ? [] : unused
}

/** The fields of Go's structs come in their own order. */
const invalidUnsorted = (field: string, value: object, detail: string): FieldError => ({
  type: 'FieldValueInvalid',
  field,
  detail: `Invalid value: ${escaped(JSON.stringify(value))}: ${detail}`,
})
