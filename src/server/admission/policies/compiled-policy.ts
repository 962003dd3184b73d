/** A ValidatingAdmissionPolicy with its expressions compiled, and what it says about one request. */
import type { ValidatingAdmissionPolicy, Validation } from '../../../api/generated/admissionregistration/v1.ts'
import type { KubeObject } from '../../../api/object.ts'
import { BOOL, NULL, STRING, type Type } from '../../../cel/types.ts'
import type { Program } from '../../../cel/compile.ts'
import type { AdmissionAttributes } from '../../admission.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import {
  activationOf,
  Budget,
  BudgetExceeded,
  ConditionFailure,
  holds,
  run,
  Variables,
  type Expression,
  type Subject,
} from './evaluation.ts'
import { compileExpression, type ExpressionOptions } from '../../../cel/admission-expressions.ts'
import { compileCondition, CONDITIONS_BUDGET } from './webhook-conditions.ts'

/** What all expressions of a policy may cost for one binding (apiserver/pkg/apis/cel: RuntimeCELCostBudget). */
export const POLICY_BUDGET = 10_000_000
const MAX_MESSAGE_BYTES = 5 * 1024

interface CompiledValidation {
  readonly validation: Validation
  readonly expression: Expression
  readonly message: Expression | undefined
}

export interface CompiledPolicy {
  readonly variables: ReadonlyMap<string, Program>
  readonly conditions: readonly Expression[]
  readonly validations: readonly CompiledValidation[]
  readonly annotations: readonly { readonly key: string; readonly expression: Expression }[]
}

export interface Denial {
  readonly message: string
  readonly reason?: string
  /** Of the validation, for audit annotations. */
  readonly index?: number
}

/** Throws an Error for what does not compile. */
export function compilePolicy({ spec }: ValidatingAdmissionPolicy): CompiledPolicy {
  const hasParams = spec?.paramKind !== undefined
  const variables = new Map<string, Program>()
  const types = new Map<string, Type>()
  const compileOne = (source: string, options: ExpressionOptions): Expression => {
    const program = compileExpression(source, { hasParams, variables: types, ...options })
    if (typeof program === 'string') throw new Error(program)
    return { source, program }
  }
  for (const { name, expression } of spec?.variables ?? []) {
    const { program } = compileOne(expression, { hasAuthorizer: true })
    variables.set(name, program)
    types.set(name, program.type)
  }
  return {
    variables,
    conditions: (spec?.matchConditions ?? []).map(({ expression }) => compileCondition(expression, hasParams)),
    validations: (spec?.validations ?? []).map((validation) => ({
      validation,
      expression: compileOne(validation.expression, { hasAuthorizer: true, returns: [BOOL] }),
      message: validation.messageExpression ? compileOne(validation.messageExpression, { returns: [STRING] }) : undefined,
    })),
    annotations: (spec?.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      expression: compileOne(valueExpression, { hasAuthorizer: true, returns: [STRING, NULL] }),
    })),
  }
}

export interface Judging {
  readonly attributes: AdmissionAttributes
  readonly subject: Subject
  readonly authorizer: Authorizer
  readonly params: KubeObject | null
  /** Whether what cannot be evaluated is passed over (failurePolicy Ignore). */
  readonly ignoresErrors: boolean
}

/** `denials` go by the binding's actions; `failures` refuse the request whatever those are. */
export interface Judgement {
  readonly denials: readonly Denial[]
  readonly failures: readonly Denial[]
  /** For the audit event. */
  readonly annotations: readonly (readonly [key: string, value: string])[]
}

const NOTHING: Judgement = { denials: [], failures: [], annotations: [] }
const MAX_ANNOTATION = 10 * 1024

export function judge(policy: CompiledPolicy, judging: Judging): Judgement {
  const activation = activationOf(judging.attributes, judging.subject, judging.authorizer, judging.params)
  try {
    if (!holds(policy.conditions, activation, new Budget(CONDITIONS_BUDGET))) return NOTHING
    const budget = new Budget(POLICY_BUDGET)
    const variables = new Variables(policy.variables, activation, budget)
    const denials = validate(policy, { ...activation, variables }, budget, judging.ignoresErrors)
    const { annotations, failures } = annotate(policy, activation)
    return { denials, failures: judging.ignoresErrors ? [] : failures, annotations }
  } catch (error) {
    if (!(error instanceof ConditionFailure) && !(error instanceof BudgetExceeded)) throw error
    return judging.ignoresErrors ? NOTHING : { ...NOTHING, denials: [{ message: error.message }] }
  }
}

type Activation = ReturnType<typeof activationOf>

function validate({ validations }: CompiledPolicy, activation: Activation, budget: Budget, ignoresErrors: boolean): readonly Denial[] {
  // Every expression runs before the first message, as the budget is theirs first.
  const outcomes = validations.map((compiled) => ({ compiled, outcome: run(compiled.expression, activation, budget) }))
  return outcomes.flatMap(({ compiled, outcome }, index) => {
    if ('error' in outcome) return ignoresErrors ? [] : [{ message: outcome.error, index }]
    if (outcome.value === true) return []
    return [{ message: messageOf(compiled, activation, budget), reason: compiled.validation.reason ?? 'Invalid', index }]
  })
}

/** The message that was computed, if it is one line and short; else the fixed one, else the expression itself. */
function messageOf({ validation, message }: CompiledValidation, activation: Activation, budget: Budget): string {
  const outcome = message && run(message, activation, budget)
  const computed = outcome && 'value' in outcome && typeof outcome.value === 'string' ? outcome.value.trim() : ''
  if (computed && !computed.includes('\n') && new TextEncoder().encode(computed).length <= MAX_MESSAGE_BYTES) return computed
  return validation.message?.trim() || `failed expression: ${validation.expression.trim()}`
}

/** That an annotation cannot be made refuses the request; one without a value is left out. */
function annotate(policy: CompiledPolicy, activation: Activation): Pick<Judgement, 'annotations' | 'failures'> {
  const annotations: (readonly [string, string])[] = []
  const failures: Denial[] = []
  if (policy.annotations.length === 0) return { annotations, failures }
  const budget = new Budget(POLICY_BUDGET)
  const own = { ...activation, variables: new Variables(policy.variables, activation, budget) }
  for (const { key, expression } of policy.annotations) {
    const outcome = run(expression, own, budget)
    if ('error' in outcome) failures.push({ message: outcome.error })
    else if (typeof outcome.value === 'string' && outcome.value.trim() !== '')
      annotations.push([key, outcome.value.trim().slice(0, MAX_ANNOTATION)])
  }
  return { annotations, failures }
}
