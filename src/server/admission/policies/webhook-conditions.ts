/** The matchConditions of webhooks: what a webhook is not to be asked about although its rules name it. */
import { BOOL } from '../../../cel/types.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import type { ConditionCheck } from '../webhooks/call.ts'
import type { Webhook } from '../webhooks/match.ts'
import { activationOf, Budget, holds, type Expression } from './evaluation.ts'
import { compileExpression } from '../../../cel/admission-expressions.ts'

/** What all conditions of one webhook or policy may cost (apiserver/pkg/apis/cel: RuntimeCELCostBudgetMatchConditions). */
export const CONDITIONS_BUDGET = 2_500_000

export function createConditionCheck(authorizer: Authorizer): ConditionCheck {
  /** Objects of the cache are never changed, so what was compiled for one stays right. */
  const compiled = new WeakMap<Webhook, readonly Expression[]>()
  return (webhook, subject, attributes) => {
    let conditions = compiled.get(webhook)
    if (!conditions) {
      conditions = (webhook.matchConditions ?? []).map(({ expression }) => compileCondition(expression, false))
      compiled.set(webhook, conditions)
    }
    return holds(conditions, activationOf(attributes, subject, authorizer), new Budget(CONDITIONS_BUDGET))
  }
}

/** Throws an Error for what does not compile. */
export function compileCondition(source: string, hasParams: boolean): Expression {
  const program = compileExpression(source, { hasParams, hasAuthorizer: true, returns: [BOOL] })
  if (typeof program === 'string') throw new Error(`compilation error: ${program}`)
  return { source, program }
}
