/**
 * ValidatingAdmissionPolicy (KEP-3488): rules in CEL that refuse objects before they are stored. A policy speaks where its
 * constraints and a binding of it match; the first denial is the answer, and every warning is given. Nothing here
 * waits, but for objects that a webhook must convert first.
 */
import type { ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding } from '../../../api/generated/admissionregistration/v1.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import { ApiError, STATUS_CODES } from '../../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../../admission.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import { settle } from '../../custom-resources/conversion.ts'
import { Unsettled } from '../../unsettled.ts'
import type { ResourceRegistry } from '../../resource-registry.ts'
import { isExempt } from '../webhooks/match.ts'
import { versionsOf, type Versions } from '../webhooks/versions.ts'
import { boundPolicies, matchOf, type Bound } from './bound.ts'
import { compilePolicy, judge, type CompiledPolicy, type Denial, type Judgement } from './compiled-policy.ts'
import { collectParams } from './params.ts'

interface Refusal extends Denial {
  readonly policy: string
  readonly binding?: string
}

export function createValidatingPolicies(registry: ResourceRegistry, authorizer: Authorizer): AdmissionPlugin {
  const bound = boundPolicies<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding>(registry, 'validatingadmissionpolic')
  const versions = versionsOf(registry)
  return {
    name: 'ValidatingAdmissionPolicy',
    handles: (attributes) => bound().length > 0 && !isExempt(attributes),
    validate: (attributes) =>
      settle(() => {
        const refusals = bound().flatMap((entry) => refusalsOf(entry, attributes, { registry, authorizer, versions }))
        if (refusals[0]) throw refuse(attributes, refusals[0])
      }),
  }
}

/** Policies of the cache are never changed: what was compiled for one stays right. */
const compiled = new WeakMap<ValidatingAdmissionPolicy, CompiledPolicy | Error>()

function compiledOf(policy: ValidatingAdmissionPolicy): CompiledPolicy | Error {
  let known = compiled.get(policy)
  if (known) return known
  try {
    known = compilePolicy(policy)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    known = error
  }
  compiled.set(policy, known)
  return known
}

interface Dependencies {
  readonly registry: ResourceRegistry
  readonly authorizer: Authorizer
  readonly versions: Versions
}

function refusalsOf(
  { policy, bindings }: Bound<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding>,
  attributes: AdmissionAttributes,
  dependencies: Dependencies,
): readonly Refusal[] {
  const name = policy.metadata?.name ?? ''
  const ignoresErrors = policy.spec?.failurePolicy === 'Ignore'
  const resource = matchOf(policy.spec?.matchConstraints, attributes, dependencies.versions)
  if (!resource) return []
  const program = compiledOf(policy)
  if (program instanceof Error) {
    return ignoresErrors ? [] : [{ policy: name, message: `failed to configure policy: ${program.message}` }]
  }
  return bindings.flatMap((binding) => {
    const bindingName = binding.metadata?.name ?? ''
    if (!matchOf(binding.spec?.matchResources, attributes, dependencies.versions)) return []
    const judgements = judgeBinding(policy, binding, program, resource, attributes, dependencies)
    if (judgements instanceof Error) {
      return ignoresErrors ? [] : [{ policy: name, binding: bindingName, message: `failed to configure binding: ${judgements.message}` }]
    }
    const refusals: Refusal[] = []
    for (const { denials, failures, annotations } of judgements) {
      for (const [key, value] of annotations) attributes.context.annotate?.(`${name}/${key}`, value)
      const denied = act(denials, name, binding, attributes)
      refusals.push(...[...denied, ...failures].map((denial) => ({ ...denial, policy: name, binding: bindingName })))
    }
    return refusals
  })
}

function judgeBinding(
  { spec }: ValidatingAdmissionPolicy,
  binding: ValidatingAdmissionPolicyBinding,
  program: CompiledPolicy,
  resource: ResourceInfo,
  attributes: AdmissionAttributes,
  { registry, authorizer, versions }: Dependencies,
): readonly Judgement[] | Error {
  let params: ReturnType<typeof collectParams>
  try {
    params = collectParams(registry, spec?.paramKind, binding.spec?.paramRef, attributes.namespace)
  } catch (error) {
    if (error instanceof Error && !(error instanceof Unsettled)) return error
    throw error
  }
  const subject = {
    resource,
    object: versions.show(attributes.object, resource),
    oldObject: versions.show(attributes.oldObject, resource),
  }
  const ignoresErrors = spec?.failurePolicy === 'Ignore'
  return params.map((object) => judge(program, { attributes, subject, authorizer, params: object, ignoresErrors }))
}

/** Warns, tells the audit event, and returns what denies. */
function act(
  denials: readonly Denial[],
  policy: string,
  { metadata, spec }: ValidatingAdmissionPolicyBinding,
  { context }: AdmissionAttributes,
): readonly Denial[] {
  const actions = spec?.validationActions ?? []
  if (actions.includes('Warn')) {
    for (const { message } of denials) {
      context.warn(`Validation failed for ValidatingAdmissionPolicy '${policy}' with binding '${metadata?.name ?? ''}': ${message}`)
    }
  }
  if (actions.includes('Audit')) {
    for (const { message, index = 0 } of denials) {
      const failure = { message, policy, binding: metadata?.name ?? '', expressionIndex: index, validationActions: actions }
      context.annotate?.('validation.policy.admission.k8s.io/validation_failure', JSON.stringify([failure]))
    }
  }
  return actions.includes('Deny') ? denials : []
}

function refuse(attributes: AdmissionAttributes, { policy, binding, message, reason }: Refusal): ApiError {
  const by = binding === undefined ? '' : ` with binding '${binding}'`
  const text = `ValidatingAdmissionPolicy '${policy}'${by} denied request: ${message}`
  const { status } = admissionDenied(attributes, text)
  const known = reason === 'Forbidden' || reason === 'Unauthorized' || reason === 'RequestEntityTooLarge' ? reason : 'Invalid'
  return new ApiError({
    ...status,
    reason: known,
    code: STATUS_CODES[known],
    details: { ...status.details, causes: [{ message: text }] },
  })
}
