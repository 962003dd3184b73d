/**
 * ResourceQuota: what a namespace may use in all. A write is charged to every quota that counts it before it is stored, and given
 * back when it comes to nothing. What deletions free, and what a quota newly counts, the controller finds out.
 *
 * Not here: upstream's configuration of resources that need a covering quota (LimitedResources).
 */
import type { Pod, ResourceQuota } from '../../api/generated/core/v1.ts'
import type { ResourceList } from '../../api/pod-resources.ts'
import { compareQuantities } from '../../api/quantity.ts'
import { quotaEvaluatorOf, type QuotaEvaluator } from '../../api/quota/evaluators.ts'
import { missingDemands } from '../../api/quota/pod-usage.ts'
import { addLists, pickNames, printList, subtractLists, withoutZeros } from '../../api/quota/resource-lists.ts'
import { hasDeadline, scopesOf } from '../../api/quota/scopes.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { createQuotaLedger, type Charge } from './quota-ledger.ts'

interface Taken {
  readonly quota: string
  readonly amount: ResourceList
}

export function createResourceQuota(): AdmissionPlugin {
  const ledger = createQuotaLedger()
  /** What each write under way was charged. */
  const taken = new WeakMap<AdmissionAttributes, readonly Taken[]>()

  async function giveBack({ context, namespace }: AdmissionAttributes, charges: readonly Taken[]): Promise<void> {
    for (const { quota, amount } of charges)
      await ledger.post(context.write, namespace!, quota, (current) => withUsage(current, amount, -1))
  }

  return {
    name: 'ResourceQuota',
    handles: (attributes) => attributes.namespace !== undefined && isCounted(attributes),

    validate(attributes) {
      const { context, namespace } = attributes
      const quotas = context.read.list('v1/ResourceQuota', namespace)
      return quotas.length === 0 ? undefined : chargeAll(attributes, quotas)
    },

    async undo(attributes) {
      const charges = taken.get(attributes)
      taken.delete(attributes)
      if (charges) await giveBack(attributes, charges)
    },
  }

  async function chargeAll(attributes: AdmissionAttributes, quotas: readonly ResourceQuota[]): Promise<void> {
    const evaluator = quotaEvaluatorOf(attributes.resource.group, attributes.resource.resource)!
    const done: Taken[] = []
    try {
      for (const quota of quotas) {
        const amount = amountFor(attributes, evaluator, quota)
        if (!amount) continue
        const charge: Charge = (current) => charged(attributes, evaluator, current, amount)
        if (attributes.dryRun) {
          charge(quota)
          continue
        }
        const name = quota.metadata!.name!
        await ledger.post(attributes.context.write, attributes.namespace!, name, charge)
        done.push({ quota: name, amount: pickNames(amount, (counted) => quota.status?.hard?.[counted] !== undefined) })
      }
    } catch (error) {
      await giveBack(attributes, done)
      throw error
    }
    if (done.length > 0) taken.set(attributes, done)
  }
}

/** Whether the write may change what is used. */
function isCounted({ operation, resource, subresource = '', object, oldObject }: AdmissionAttributes): boolean {
  if (operation !== 'CREATE' && operation !== 'UPDATE') return false
  const isUpdate = operation === 'UPDATE'
  switch (resource.group === '' ? resource.resource : `${resource.resource}.${resource.group}`) {
    case 'pods':
      if (subresource === 'resize') return isUpdate
      return subresource === '' && (!isUpdate || hasDeadline(object as Pod) !== hasDeadline(oldObject as Pod))
    case 'services':
    case 'resourceclaims.resource.k8s.io':
      return subresource === ''
    case 'persistentvolumeclaims':
      return subresource === '' || subresource === 'status'
    case 'namespaces':
      return false
    default:
      return subresource === '' && !isUpdate && quotaEvaluatorOf(resource.group, resource.resource) !== undefined
  }
}

function isMatch(evaluator: QuotaEvaluator, quota: ResourceQuota, object: NonNullable<AdmissionAttributes['object']>): boolean {
  const isAnyCounted = Object.keys(quota.status?.hard ?? {}).some((name) => evaluator.counts(name))
  return isAnyCounted && scopesOf(quota).every((scope) => evaluator.matchesScope(object, scope))
}

/** What the write adds to the usage of a quota; undefined when the quota has no part in it. */
function amountFor(attributes: AdmissionAttributes, evaluator: QuotaEvaluator, quota: ResourceQuota): ResourceList | undefined {
  const { object, oldObject, context } = attributes
  if (!object || !isMatch(evaluator, quota, object)) return undefined
  checkAnswerable(attributes, evaluator, quota)
  const nowMs = context.runtime.clock.now()
  const usage = evaluator.usage(object, nowMs)
  const negative = Object.keys(usage).filter((name) => compareQuantities(usage[name]!, '0') < 0)
  if (negative.length > 0) throw admissionDenied(attributes, `quota usage is negative for resource(s): ${negative.sort().join(',')}`)
  const isRelative = attributes.operation === 'UPDATE' && oldObject !== undefined && isMatch(evaluator, quota, oldObject)
  const amount = withoutZeros(isRelative ? subtractLists(usage, evaluator.usage(oldObject, nowMs)) : usage)
  return Object.keys(amount).length > 0 ? amount : undefined
}

/** The object must say what the quota limits, and the quota must know what is used. */
function checkAnswerable(attributes: AdmissionAttributes, evaluator: QuotaEvaluator, { metadata, status }: ResourceQuota): void {
  const limited = Object.keys(status?.hard ?? {}).filter((name) => evaluator.counts(name))
  const missing = attributes.resource.resource === 'pods' ? missingDemands(attributes.object as Pod, limited) : undefined
  if (missing) throw admissionDenied(attributes, `failed quota: ${metadata?.name}: ${missing}`)
  if (limited.some((name) => status?.used?.[name] === undefined))
    throw admissionDenied(attributes, `status unknown for quota: ${metadata?.name}, resources: ${limited.sort().join(',')}`)
}

/** The quota with the amount on it, or a refusal; decided anew for each state of the quota that the charge meets. */
function charged(attributes: AdmissionAttributes, evaluator: QuotaEvaluator, quota: ResourceQuota, amount: ResourceList): ResourceQuota {
  checkAnswerable(attributes, evaluator, quota)
  const { hard = {}, used = {} } = quota.status ?? {}
  const requested = pickNames(amount, (name) => hard[name] !== undefined)
  const next = withUsage(quota, amount, 1)
  // Status updates tell what has happened already.
  if (attributes.subresource === 'status') return next
  const isExceeded = (name: string): boolean =>
    requested[name] !== undefined && compareQuantities(next.status?.used?.[name] ?? '0', hard[name]!) > 0
  const exceeded = (list: ResourceList): string => printList(pickNames(list, isExceeded))
  if (Object.keys(hard).some(isExceeded)) {
    const why = `requested: ${exceeded(requested)}, used: ${exceeded(used)}, limited: ${exceeded(hard)}`
    throw admissionDenied(attributes, `exceeded quota: ${quota.metadata?.name}, ${why}`)
  }
  return next
}

function withUsage(quota: ResourceQuota, amount: ResourceList, sign: 1 | -1): ResourceQuota {
  const { hard = {}, used = {} } = quota.status ?? {}
  const relevant = pickNames(amount, (name) => hard[name] !== undefined)
  return { ...quota, status: { ...quota.status, used: sign > 0 ? addLists(used, relevant) : subtractLists(used, relevant) } }
}
