/** One call of one webhook: dry run, review, time-out and what its failure means, the same for mutating and validating ones. */
import { uuid } from '../../../base/random.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import { badRequest, failure, type ApiError } from '../../../api/status.ts'
import type { AdmissionAttributes } from '../../admission.ts'
import { settle } from '../../custom-resources/conversion.ts'
import { Unsettled } from '../../unsettled.ts'
import { webhookTarget, type WebhookCall } from '../../webhook-call.ts'
import { isExempt, matchNamespace, matchObject, matchRules, type Webhook } from './match.ts'
import { PatchFault, readVerdict, refusalOf, reviewOf, reviewVersion, undecodable, type Question, type Verdict } from './review.ts'
import type { Versions } from './versions.ts'

const DEFAULT_TIMEOUT_SECONDS = 10

/** Decides a webhook's matchConditions; throws an Error when one cannot be evaluated. */
export type ConditionCheck = (
  webhook: Webhook,
  question: Pick<Question, 'resource' | 'object' | 'oldObject'>,
  attributes: AdmissionAttributes,
) => boolean

export interface Dispatch {
  readonly versions: Versions
  readonly call: WebhookCall
  readonly conditions: ConditionCheck
}

/** Something between us and the webhook failed: its failurePolicy decides. */
class CallFailure extends Error {}

/** The resource as this webhook wants it; undefined when the webhook is not about the request. May refuse the request. */
export function concerns(
  { versions, conditions }: Dispatch,
  webhook: Webhook,
  attributes: AdmissionAttributes,
): ResourceInfo | undefined | Promise<ResourceInfo | undefined> {
  if (isExempt(attributes)) return undefined
  const resource = matchRules(webhook, attributes, () => versions.equivalents(attributes.resource))
  if (!resource || !matchObject(webhook, attributes) || !matchNamespace(webhook, attributes)) return undefined
  if (!webhook.matchConditions?.length) return resource
  return settle(() => {
    const object = versions.show(attributes.object, resource)
    const oldObject = versions.show(attributes.oldObject, resource)
    try {
      return conditions(webhook, { resource, object, oldObject }, attributes) ? resource : undefined
    } catch (error) {
      if (error instanceof Unsettled) throw error
      if (webhook.failurePolicy === 'Ignore') return undefined
      throw failure('Forbidden', error instanceof Error ? error.message : String(error))
    }
  })
}

/** Asks; undefined when it could not be asked and that is to be ignored. Throws the refusal of the webhook, or of its failure. */
export async function ask(
  { versions, call }: Dispatch,
  webhook: Webhook,
  resource: ResourceInfo,
  attributes: AdmissionAttributes,
  isMutating: boolean,
): Promise<Verdict | undefined> {
  if (attributes.dryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun')
    throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`)
  let verdict: Verdict
  const { runtime, metrics } = attributes.context
  const startMs = runtime.clock.monotonic()
  const told = (code: number, isRejected: boolean, isFailed: boolean): void =>
    metrics?.webhook({
      name: webhook.name,
      operation: attributes.operation,
      type: isMutating ? 'admit' : 'validating',
      seconds: (runtime.clock.monotonic() - startMs) / 1000,
      code,
      isRejected,
      isFailed,
    })
  try {
    verdict = await exchange()
  } catch (error) {
    const isRefusal = webhook.failurePolicy !== 'Ignore'
    told(500, isRefusal, true)
    if (!(error instanceof CallFailure)) throw error
    const message = `failed calling webhook ${JSON.stringify(webhook.name)}: ${error.message}`
    if (isRefusal) throw internalError(message)
    runtime.log.warn('a webhook failed and is ignored, as its failurePolicy says', { webhook: webhook.name, error: error.message })
    return undefined
  }
  for (const text of verdict.warnings) attributes.context.warn(text)
  for (const [key, value] of Object.entries(verdict.auditAnnotations)) attributes.context.annotate?.(`${webhook.name}/${key}`, value)
  const refusal = verdict.isAllowed ? undefined : refusalOf(webhook.name, verdict.result)
  told(refusal?.code ?? 200, refusal !== undefined, false)
  if (refusal) throw refusal
  return verdict

  async function exchange(): Promise<Verdict> {
    const { read } = attributes.context
    const version = reviewVersion(webhook.admissionReviewVersions)
    if (!version)
      throw new CallFailure('could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)')
    const question: Question = {
      uid: uuid(runtime.random),
      version,
      resource,
      object: await settle(() => versions.show(attributes.object, resource)),
      oldObject: await settle(() => versions.show(attributes.oldObject, resource)),
    }
    const timeoutMs = (webhook.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000
    let answer: unknown
    try {
      const target = webhookTarget(webhook.clientConfig, timeoutMs, read, runtime.random)
      answer = await call(target, reviewOf(attributes, question), timeoutMs)
    } catch (error) {
      throw new CallFailure(`failed to call webhook: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    const fault = undecodable(answer, question)
    if (fault !== undefined) throw new CallFailure(`failed to call webhook: ${fault}`)
    try {
      return readVerdict(answer, question, isMutating)
    } catch (error) {
      if (error instanceof PatchFault) throw new CallFailure(error.message, { cause: error })
      throw new CallFailure(`received invalid webhook response: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      })
    }
  }
}

export function internalError(message: string): ApiError {
  return failure('InternalError', `Internal error occurred: ${message}`, { details: { causes: [{ message }] } })
}
