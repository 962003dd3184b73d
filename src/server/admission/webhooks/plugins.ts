/**
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook. Mutating webhooks are asked one after the other, each about what the one
 * before made; when one changed something, the whole of mutating admission has a second round, in which those webhooks are asked
 * again that were asked before and have reinvocationPolicy IfNeeded. Validating ones are asked at once; the first refusal counts.
 * Audit annotations tell of each that was asked in its turn, whether it changed something, and what it says itself.
 */
import type { MutatingWebhook, ValidatingWebhook } from '../../../api/generated/admissionregistration/v1.ts'
import { applyJsonPatch, patchFault } from '../../../api/json-patch.ts'
import type { KubeObject } from '../../../api/object.ts'
import { parseApiVersion, type ResourceInfo } from '../../../api/schema.ts'
import { isApiError, plainFailure, type ApiError } from '../../../api/status.ts'
import { deepEqual } from '../../../base/deep-equal.ts'
import type { AdmissionAttributes, AdmissionPlugin } from '../../admission.ts'
import { settle } from '../../custom-resources/conversion.ts'
import { Unsettled } from '../../unsettled.ts'
import type { ResourceRegistry } from '../../resource-registry.ts'
import type { WebhookCall } from '../../webhook-call.ts'
import { ask, concerns, internalError, type ConditionCheck, type Dispatch } from './call.ts'
import type { Webhook } from './match.ts'
import { versionsOf } from './versions.ts'

export interface WebhookAdmissionOptions {
  readonly registry: ResourceRegistry
  readonly call: WebhookCall
  /** Default: a webhook that has matchConditions counts as failed, and its failurePolicy decides. */
  readonly conditions?: ConditionCheck
}

export function createWebhookAdmission({ registry, call, conditions = cannotDecide }: WebhookAdmissionOptions): readonly AdmissionPlugin[] {
  const dispatch: Dispatch = { versions: versionsOf(registry), call, conditions }
  const mutating = webhooksOf<MutatingWebhook>(registry, 'mutatingwebhookconfigurations')
  const validating = webhooksOf<ValidatingWebhook>(registry, 'validatingwebhookconfigurations')
  return [
    {
      name: 'MutatingAdmissionWebhook',
      handles: () => mutating().length > 0,
      admit: (attributes) => mutate(dispatch, mutating(), attributes),
    },
    {
      name: 'ValidatingAdmissionWebhook',
      handles: () => validating().length > 0,
      validate: (attributes) => validate(dispatch, validating(), attributes),
    },
  ]
}

const cannotDecide: ConditionCheck = ({ name }) => {
  throw new Error(`this server does not evaluate the matchConditions of webhook ${JSON.stringify(name)}`)
}

interface Configured<W extends Webhook> {
  /** Tells webhooks of the same name in different configurations apart. */
  readonly id: string
  readonly configuration: string
  readonly webhook: W
}

/** The webhooks of all configurations in the order of their names, kept until one of them changes. */
function webhooksOf<W extends Webhook>(registry: ResourceRegistry, resource: string): () => readonly Configured<W>[] {
  let known: readonly Configured<W>[] = []
  let at = -1
  return () => {
    const cache = registry.find('admissionregistration.k8s.io', 'v1', resource)?.stored.cache
    if (!cache || cache.lastChange === at) return known
    at = cache.lastChange
    const found: Configured<W>[] = []
    cache.walk('', undefined, ({ object }, key) => {
      for (const [i, webhook] of ((object.webhooks ?? []) as readonly W[]).entries())
        found.push({ id: `${key}/${i}/${webhook.name}`, configuration: key, webhook })
    })
    return (known = found)
  }
}

/** What the first round of a write leaves to the second. */
interface Invoked {
  /** Asked so far, and to be asked again when the object changed since. */
  readonly reinvocable: Set<string>
  readonly again: Set<string>
  lastOutput: KubeObject | undefined
}

const PLUGIN = 'MutatingAdmissionWebhook'

async function mutate(
  dispatch: Dispatch,
  webhooks: readonly Configured<MutatingWebhook>[],
  attributes: AdmissionAttributes,
): Promise<KubeObject | undefined> {
  const { rounds } = attributes
  const kept = rounds?.state.get(PLUGIN) as Invoked | undefined
  const invoked: Invoked = kept ?? { reinvocable: new Set(), again: new Set(), lastOutput: undefined }
  rounds?.state.set(PLUGIN, invoked)
  const remember = () => {
    for (const id of invoked.reinvocable) invoked.again.add(id)
  }
  // The built-in plugins of the second round changed something that the webhooks have not seen.
  if (rounds?.isSecond && !isSame(invoked.lastOutput, attributes.object)) remember()
  let next = attributes
  for (const [index, { id, webhook, configuration }] of webhooks.entries()) {
    if (rounds?.isSecond && !invoked.again.has(id)) continue
    const about = next
    const resource = await concerns(dispatch, webhook, about)
    if (!resource) continue
    const verdict = await ask(dispatch, webhook, resource, next, true)
    const changes = verdict?.patch
    const patched = changes === undefined ? next.object : await settle(() => patch(dispatch, webhook, resource, about, changes))
    const isMutated = !isSame(patched, next.object)
    const place = `mutation.webhook.admission.k8s.io/round_${rounds?.isSecond ? 1 : 0}_index_${index}`
    if (verdict) attributes.context.annotate?.(place, JSON.stringify({ configuration, webhook: webhook.name, mutated: isMutated }))
    else attributes.context.annotate?.(`failed-open.${place}`, webhook.name)
    if (Array.isArray(changes) && changes.length > 0 && attributes.context.annotate) {
      const told = { configuration, webhook: webhook.name, patch: changes, patchType: 'JSONPatch' }
      attributes.context.annotate(place.replace('mutation', 'patch'), JSON.stringify(told), 'Request')
    }
    if (isMutated) {
      next = { ...next, object: patched }
      remember()
      rounds?.wantSecond()
    }
    if (webhook.reinvocationPolicy === 'IfNeeded') invoked.reinvocable.add(id)
  }
  invoked.lastOutput = next.object
  return next.object
}

const isSame = (a: KubeObject | undefined, b: KubeObject | undefined): boolean => a === b || deepEqual(a, b)

function patch(
  { versions }: Dispatch,
  { name }: Webhook,
  resource: ResourceInfo,
  { object, resource: requested }: AdmissionAttributes,
  changes: Parameters<typeof applyJsonPatch>[1],
): KubeObject | undefined {
  if (Array.isArray(changes) && changes.length === 0) return object
  const shown = versions.show(object, resource)
  if (!shown)
    throw internalError(
      `admission webhook ${JSON.stringify(name)} attempted to modify the object, which is not supported for this operation`,
    )
  try {
    const patched = applyJsonPatch(shown, changes)
    if (patched.kind !== undefined && patched.kind !== shown.kind) throw otherKind(patched, resource)
    return versions.store(patched, resource, requested)
  } catch (error) {
    if (error instanceof Unsettled || (isApiError(error) && error.status.code === 500)) throw error
    throw internalError(patchFault(shown, changes) ?? (error instanceof Error ? error.message : String(error)))
  }
}

/** What upstream says when the object has become one of another kind. */
function otherKind({ kind, apiVersion = '' }: KubeObject, resource: ResourceInfo): ApiError {
  const group = resource.group.split('.')[0] || 'core'
  return plainFailure(`converting (${parseApiVersion(apiVersion).version}.${kind}) to (${group}.${resource.kind}): unknown conversion`)
}

async function validate(
  dispatch: Dispatch,
  webhooks: readonly Configured<ValidatingWebhook>[],
  attributes: AdmissionAttributes,
): Promise<void> {
  const asked: Promise<unknown>[] = []
  for (const { webhook } of webhooks) {
    const resource = concerns(dispatch, webhook, attributes)
    if (resource instanceof Promise) asked.push(resource.then((found) => found && ask(dispatch, webhook, found, attributes, false)))
    else if (resource) asked.push(ask(dispatch, webhook, resource, attributes, false))
  }
  if (asked.length > 0) await Promise.all(asked)
}
