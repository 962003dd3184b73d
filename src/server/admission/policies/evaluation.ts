/**
 * Running the expressions of one policy or webhook about one request: the variables they see, and one budget that all of them
 * share (upstream: apiserver/pkg/admission/plugin/cel/activation.go, composition.go).
 */
import type { KubeObject } from '../../../api/object.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import type { Namespace } from '../../../api/generated/core/v1.ts'
import { PER_CALL_LIMIT, type Program } from '../../../cel/compile.ts'
import { authorizerValue, resourceCheckValue, type AccessAnswer, type AccessQuestion } from '../../../cel/library/authz.ts'
import { CelMap, EvaluationError, type Value } from '../../../cel/values.ts'
import type { AdmissionAttributes, AdmissionContext } from '../../admission.ts'
import { MASTERS, type Authorizer } from '../../authorization/authorizer.ts'
import { Unsettled } from '../../unsettled.ts'
import { reviewOf } from '../webhooks/review.ts'

/** An expression with its text, for messages. */
export interface Expression {
  readonly source: string
  readonly program: Program
}

/** What one request has spent of what it may. */
export class Budget {
  #left: number
  constructor(limit: number) {
    this.#left = limit
  }
  /** Throws BudgetExceeded. */
  spend(cost: number): void {
    this.#left -= cost
    if (this.#left < 0) throw new BudgetExceeded()
  }
}

export class BudgetExceeded extends Error {
  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run')
  }
}

export type Outcome = { readonly value: Value } | { readonly error: string }

export function run({ source, program }: Expression, activation: Activation, budget: Budget): Outcome {
  const outcome = program.evaluate(activation, { costLimit: PER_CALL_LIMIT })
  budget.spend(outcome.cost)
  return 'error' in outcome ? { error: `expression '${source}' resulted in error: ${outcome.error}` } : outcome
}

type Activation = Readonly<Record<string, unknown>>

/** What the request is about, in the version in which the rule named it. */
export interface Subject {
  readonly resource: ResourceInfo
  readonly object: KubeObject | undefined
  readonly oldObject: KubeObject | undefined
}

export function activationOf(
  attributes: AdmissionAttributes,
  subject: Subject,
  authorizer: Authorizer,
  params: KubeObject | null = null,
): Activation {
  const { resource, object, oldObject } = subject
  const { request } = reviewOf(attributes, { uid: '', version: 'v1', resource, object, oldObject }) as { request: KubeObject }
  const ask = (question: AccessQuestion): AccessAnswer => answer(attributes, authorizer, question)
  const { group, resource: name } = attributes.resource
  return {
    object: object ?? null,
    oldObject: oldObject ?? null,
    // Strings that the type declares are there even when they are empty.
    request: { subResource: '', requestSubResource: '', name: '', namespace: '', ...request },
    namespaceObject: namespaceOf(attributes),
    params,
    authorizer: authorizerValue(ask),
    'authorizer.requestResource': resourceCheckValue(ask, {
      group,
      resource: name,
      subresource: attributes.subresource ?? '',
      namespace: attributes.namespace ?? '',
      name: attributes.name,
    }),
  }
}

function namespaceOf({ namespace, resource, context }: AdmissionAttributes): object | null {
  if (namespace === undefined || (resource.group === '' && resource.resource === 'namespaces')) return null
  const found: Namespace | undefined = context.read.get('v1/Namespace', undefined, namespace)
  if (!found) return null
  // Owners and managers are not shown.
  const { ownerReferences: _owners, managedFields: _managers, ...metadata } = found.metadata ?? {}
  return { ...found, metadata }
}

/** What others have answered about a request, for the expressions that ask it again. */
const decided = new WeakMap<AdmissionContext, Map<string, AccessAnswer>>()

/** Leave is another program's to give: it is asked, and the expressions run again. */
class Undecided extends Unsettled {
  readonly #decision: Promise<AccessAnswer>
  readonly #remember: (answer: AccessAnswer) => void
  constructor(decision: Promise<AccessAnswer>, remember: (answer: AccessAnswer) => void) {
    super('an authorizer has not answered yet')
    this.#decision = decision
    this.#remember = remember
  }
  async settle(): Promise<void> {
    this.#remember(await this.#decision)
  }
}

function answer({ user, context }: AdmissionAttributes, authorizer: Authorizer, question: AccessQuestion): AccessAnswer {
  const { serviceAccount } = question
  const asker = serviceAccount
    ? {
        name: `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`,
        groups: ['system:serviceaccounts', `system:serviceaccounts:${serviceAccount.namespace}`],
      }
    : user
  if (asker.groups.includes(MASTERS)) return { isAllowed: true, reason: '' }
  const verdict = authorizer.authorize({
    user: asker,
    verb: question.verb,
    isResource: question.path === undefined,
    path: question.path ?? '',
    group: question.group ?? '',
    version: question.path === undefined ? '*' : '',
    resource: question.resource ?? '',
    subresource: question.subresource ?? '',
    namespace: question.namespace ?? '',
    name: question.name ?? '',
    ...(question.fieldSelector ? { fieldSelector: question.fieldSelector } : {}),
    ...(question.labelSelector ? { labelSelector: question.labelSelector } : {}),
  })
  if (!(verdict instanceof Promise)) return verdict
  const key = JSON.stringify(question)
  const known = decided.get(context) ?? new Map<string, AccessAnswer>()
  decided.set(context, known)
  const answered = known.get(key)
  if (answered) return answered
  throw new Undecided(verdict, (settled) => known.set(key, settled))
}

/** The variables of a policy: each is evaluated when it is first read, at most once, and paid from the same budget. */
export class Variables extends CelMap {
  readonly #programs: ReadonlyMap<string, Program>
  readonly #activation: Activation
  readonly #budget: Budget
  readonly #known = new Map<string, Value | EvaluationError>()

  constructor(programs: ReadonlyMap<string, Program>, activation: Activation, budget: Budget) {
    super()
    this.#programs = programs
    this.#activation = { ...activation, variables: this }
    this.#budget = budget
  }

  get size(): number {
    return this.#programs.size
  }

  keys(): readonly string[] {
    return [...this.#programs.keys()]
  }

  get(key: Value): Value | undefined {
    if (typeof key !== 'string') return undefined
    const found = this.#known.get(key) ?? this.#evaluate(key)
    if (found instanceof EvaluationError) throw found
    return found
  }

  #evaluate(name: string): Value | EvaluationError | undefined {
    const program = this.#programs.get(name)
    if (!program) return undefined
    const outcome = program.evaluate(this.#activation)
    this.#budget.spend(outcome.cost)
    const found =
      'error' in outcome
        ? new EvaluationError(`composited variable ${JSON.stringify(name)} fails to evaluate: ${outcome.error}`)
        : outcome.value
    this.#known.set(name, found)
    return found
  }
}

/**
 * Whether all conditions hold. One that is false decides; otherwise an error of any is thrown, and the failure policy decides
 * (upstream: webhook/matchconditions).
 */
export function holds(conditions: readonly Expression[], activation: Activation, budget: Budget): boolean {
  const errors: string[] = []
  for (const condition of conditions) {
    const outcome = run(condition, activation, budget)
    if ('error' in outcome) errors.push(outcome.error)
    else if (outcome.value === false) return false
  }
  if (errors.length > 0) throw new ConditionFailure(errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`)
  return true
}

export class ConditionFailure extends Error {}
