/** Kubernetes' authorizer library: `authorizer.group('apps').resource('deployments').namespace('a').check('get').allowed()`. */
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../api/names.ts'
import { constantCost, one, selecting, type Cost } from '../cost.ts'
import { overload, type Overload } from '../function.ts'
import { EvaluationError, Opaque, type Value } from '../values.ts'

/** What is asked: about a path, or a resource. */
export interface AccessQuestion {
  readonly verb: string
  /** Another user than the one who made the request. */
  readonly serviceAccount?: { readonly namespace: string; readonly name: string }
  readonly path?: string
  readonly group?: string
  readonly resource?: string
  readonly subresource?: string
  readonly namespace?: string
  readonly name?: string
  readonly fieldSelector?: string
  readonly labelSelector?: string
}

export interface AccessAnswer {
  readonly isAllowed: boolean
  readonly reason: string
}

type Ask = (question: AccessQuestion) => AccessAnswer

/** Nothing of authorization is compared. */
abstract class Incomparable extends Opaque {
  override equals(): boolean {
    throw new EvaluationError('no such overload')
  }
}

/** An authorizer, or a question that is being put together: each step adds to it. */
class Access extends Incomparable {
  readonly typeName: string
  readonly ask: Ask
  readonly question: Omit<AccessQuestion, 'verb'>
  constructor(typeName: string, ask: Ask, question: Omit<AccessQuestion, 'verb'>) {
    super()
    this.typeName = typeName
    this.ask = ask
    this.question = question
  }
  with(more: Partial<AccessQuestion>, typeName = this.typeName): Access {
    return new Access(typeName, this.ask, { ...this.question, ...more })
  }
}

class Decision extends Incomparable {
  readonly typeName = 'kubernetes.authorization.Decision'
  readonly answer: AccessAnswer
  constructor(answer: AccessAnswer) {
    super()
    this.answer = answer
  }
}

export const AUTHORIZER = 'kubernetes.authorization.Authorizer'
const PATH_CHECK = 'kubernetes.authorization.PathCheck'
const GROUP_CHECK = 'kubernetes.authorization.GroupCheck'
export const RESOURCE_CHECK = 'kubernetes.authorization.ResourceCheck'
const DECISION = 'kubernetes.authorization.Decision'

/** The value of the variable `authorizer`. */
export const authorizerValue = (ask: Ask): Value => new Access(AUTHORIZER, ask, {})
/** The value of `authorizer.requestResource`. */
export const resourceCheckValue = (ask: Ask, question: Omit<AccessQuestion, 'verb'>): Value => new Access(RESOURCE_CHECK, ask, question)

function notBlank(text: string, what: string): string {
  if (text.trim() === '') throw new EvaluationError(`${what} must not be empty`)
  return text
}

function serviceAccount(access: Access, namespace: string, name: string): Access {
  if (dns1123SubdomainFaults(name).length > 0) throw new EvaluationError('Invalid service account name')
  if (dns1123LabelFaults(namespace).length > 0) throw new EvaluationError('Invalid service account namespace')
  return access.with({ serviceAccount: { namespace, name } })
}

const check = (access: Access, verb: string): Decision => new Decision(access.ask({ ...access.question, verb }))

/** An authorization check is priced so that an expression may make two. */
const checkCost = constantCost(350_000)

const setter = (id: string, field: keyof AccessQuestion, cost: Cost): readonly Overload[] => [
  overload(id, `${RESOURCE_CHECK}.(string) ${RESOURCE_CHECK}`, (access: Access, value: string) => access.with({ [field]: value }), cost),
]

export const authorization: Readonly<Record<string, readonly Overload[]>> = {
  path: [
    overload(
      'authorizer_path',
      `${AUTHORIZER}.(string) ${PATH_CHECK}`,
      (a: Access, path: string) => a.with({ path: notBlank(path, 'path') }, PATH_CHECK),
      one,
    ),
  ],
  group: [
    overload(
      'authorizer_group',
      `${AUTHORIZER}.(string) ${GROUP_CHECK}`,
      (a: Access, group: string) => a.with({ group }, GROUP_CHECK),
      one,
    ),
  ],
  serviceAccount: [overload('authorizer_serviceaccount', `${AUTHORIZER}.(string, string) ${AUTHORIZER}`, serviceAccount, one)],
  resource: [
    overload(
      'groupcheck_resource',
      `${GROUP_CHECK}.(string) ${RESOURCE_CHECK}`,
      (a: Access, resource: string) => a.with({ resource: notBlank(resource, 'resource') }, RESOURCE_CHECK),
      one,
    ),
  ],
  subresource: setter('resourcecheck_subresource', 'subresource', one),
  namespace: setter('resourcecheck_namespace', 'namespace', one),
  name: setter('resourcecheck_name', 'name', one),
  fieldSelector: setter('authorizer_fieldselector', 'fieldSelector', selecting),
  labelSelector: setter('authorizer_labelselector', 'labelSelector', selecting),
  check: [
    overload('pathcheck_check', `${PATH_CHECK}.(string) ${DECISION}`, check, checkCost),
    overload('resourcecheck_check', `${RESOURCE_CHECK}.(string) ${DECISION}`, check, checkCost),
  ],
  // Asking is immediate and from memory here: it cannot fail.
  errored: [overload('decision_errored', `${DECISION}.() bool`, () => false, one)],
  error: [overload('decision_error', `${DECISION}.() string`, () => '', one)],
  allowed: [overload('decision_allowed', `${DECISION}.() bool`, ({ answer }: Decision) => answer.isAllowed, one)],
  reason: [overload('decision_reason', `${DECISION}.() string`, ({ answer }: Decision) => answer.reason, one)],
}
