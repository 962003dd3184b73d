/** pods/eviction: a delete that asks the pod's disruption budget first (pkg/registry/core/pod/storage/eviction.go). */
import { timestamp } from '../../base/clock.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import type { ApiResponse } from '../../api/exchange.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { PodDisruptionBudget } from '../../api/generated/policy/v1.ts'
import { badRequest, failure, invalid, isApiError, plainFailure, type ApiError } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import { deleteObject } from '../delete.ts'
import { checkedDeleteOptions, isDryRun, writeOptions, type DeleteOptions } from '../options.ts'
import { admitOnly } from '../pipeline.ts'
import { get } from '../read.ts'
import { Computed, type Revision } from '../revision.ts'
import { withCondition } from './binding.ts'
import { changeInternally } from './internal-change.ts'
import { checkVerb, decodeAs, success } from './verbs.ts'

const EVICTION = { group: 'policy', version: 'v1', kind: 'Eviction' } as const
/** More evictions than this unconfirmed by the controller: something is wrong with it. */
const MAX_DISRUPTED_PODS = 2000

export async function evict(core: Core, call: ResourceCall): Promise<ApiResponse> {
  checkVerb(call)
  const { info, served } = call
  const eviction = decodeAs(call, EVICTION, ['policy/v1beta1'])
  if (eviction.metadata?.name !== info.name) throw badRequest('name in URL does not match name in Eviction object')
  const createOptions = writeOptions('CreateOptions', call.request.query)
  const given = (eviction.deleteOptions ?? {}) as DeleteOptions
  if (given.ignoreStoreReadErrorWithClusterBreakingPotential) {
    const field = 'deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential'
    const detail = 'Invalid value: true: can not be set for pod eviction, try after removing the option'
    throw invalid(EVICTION.group, EVICTION.kind, info.name, [{ type: 'FieldValueInvalid', field, detail }])
  }
  const isDry = isDryRun(createOptions)
  if (isDry && given.dryRun?.length && given.dryRun.join() !== 'All')
    throw plainFailure(`Non-matching dry-run options in request and content: [All] and [${given.dryRun.join(' ')}]`)
  const options = checkedDeleteOptions({ ...given, ...(given.dryRun?.length ? {} : isDry ? { dryRun: ['All'] } : {}) })
  await admitOnly(
    core,
    {
      call,
      served,
      subresource: 'eviction',
      operation: 'CREATE',
      namespace: info.namespace,
      name: info.name,
      old: undefined,
      isDryRun: isDryRun(options),
      options: createOptions,
    },
    eviction,
  )
  const revision = await get(core, served, `${info.namespace}/${info.name}`, info.name, '')
  const verdict = isPastBudgets(revision.object) ? 'free' : await askBudget(core, revision.object, isDryRun(options))
  if (verdict === 'ambiguous') return ambiguous()
  await addConditionAndDelete(core, call, revision, options, verdict)
  return success(201)
}

/** A pod that is over, going or not yet begun disrupts nothing by being deleted. */
const isPastBudgets = ({ metadata, status }: Pod): boolean =>
  metadata?.deletionTimestamp !== undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed' || status?.phase === 'Pending'

const ambiguous = (): ApiResponse => ({
  type: 'object',
  status: 500,
  stored: new Computed({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    code: 500,
  }),
})

const isReady = (pod: Pod): boolean => pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

/**
 * Takes one disruption from the pod's budget. 'unhealthy': none is taken, as the pod counts for nothing, so long as it stays as
 * it was seen.
 */
async function askBudget(core: Core, pod: Pod, isDry: boolean): Promise<'free' | 'unhealthy' | 'ambiguous'> {
  const namespace = pod.metadata!.namespace!
  const budgets = core.reader
    .list('policy/v1/PodDisruptionBudget', namespace)
    .filter(({ spec }) => compileLabelSelector(spec?.selector)(pod.metadata?.labels ?? {}))
  if (budgets.length > 1) return 'ambiguous'
  const [budget] = budgets
  if (!budget) return 'free'
  if (!isReady(pod)) {
    const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {}
    if (budget.spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow' || (currentHealthy >= desiredHealthy && desiredHealthy > 0))
      return 'unhealthy'
  }
  const name = budget.metadata!.name!
  const take = (current: PodDisruptionBudget) => taken(current, pod.metadata!.name!, timestamp(core.runtime.clock))
  if (isDry) take(budget)
  else await core.writer.update('policy/v1/PodDisruptionBudget', namespace, name, take)
  return 'free'
}

function taken(budget: PodDisruptionBudget, podName: string, now: string): PodDisruptionBudget {
  const name = budget.metadata!.name!
  const status = budget.status
  if ((status?.observedGeneration ?? 0) < (budget.metadata!.generation ?? 0)) {
    throw tooManyRequests(`The disruption budget ${name} is still being processed by the server.`, 10)
  }
  const allowed = status?.disruptionsAllowed ?? 0
  if (allowed < 0) throw budgetForbidden(name, 'pdb disruptions allowed is negative')
  if (Object.keys(status?.disruptedPods ?? {}).length > MAX_DISRUPTED_PODS)
    throw budgetForbidden(name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller')
  if (allowed === 0) throw tooManyRequests(whyNot(budget), 0)
  const conditions = allowed === 1 ? withoutDisruption(status!, budget.metadata!.generation ?? 0, now) : status!.conditions
  return {
    ...budget,
    status: {
      ...status!,
      ...(conditions ? { conditions } : {}),
      disruptionsAllowed: allowed - 1,
      disruptedPods: { ...status!.disruptedPods, [podName]: now },
    },
  }
}

function withoutDisruption(status: NonNullable<PodDisruptionBudget['status']>, generation: number, now: string) {
  const condition = {
    type: 'DisruptionAllowed',
    status: 'False',
    reason: 'InsufficientPods',
    message: '',
    observedGeneration: generation,
    lastTransitionTime: now,
  }
  return [...(status.conditions ?? []).filter(({ type }) => type !== 'DisruptionAllowed'), condition]
}

function whyNot({ metadata, status }: PodDisruptionBudget): string {
  const name = metadata!.name!
  const condition = status?.conditions?.find(({ type }) => type === 'DisruptionAllowed')
  const refusal = condition?.status === 'False' && condition.message ? condition : undefined
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {}
  if (refusal?.reason === 'SyncFailed')
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${refusal.message}`
  if (currentHealthy <= desiredHealthy)
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`
  if (refusal) return `The disruption budget ${name} does not allow evicting pods currently (${refusal.reason}): ${refusal.message}`
  return `The disruption budget ${name} does not allow evicting pods currently`
}

function tooManyRequests(message: string, retryAfterSeconds: number): ApiError {
  const causes = [{ reason: 'DisruptionBudget', message }]
  return failure('TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
    details: { causes, ...(retryAfterSeconds ? { retryAfterSeconds } : {}) },
  })
}

const budgetForbidden = (name: string, why: string): ApiError =>
  failure('Forbidden', `poddisruptionbudget.policy ${JSON.stringify(name)} is forbidden: ${why}`, {
    details: { name, group: 'policy', kind: 'poddisruptionbudget' },
  })

async function addConditionAndDelete(
  core: Core,
  call: ResourceCall,
  seen: Revision,
  options: DeleteOptions,
  verdict: 'free' | 'unhealthy',
): Promise<void> {
  const { info, served } = call
  const isDry = isDryRun(options)
  const now = timestamp(core.runtime.clock)
  const condition = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' }
  const marked = isDry
    ? seen
    : await changeInternally(
        core,
        call,
        (pod) => {
          if (verdict === 'unhealthy' && pod.metadata!.resourceVersion !== String(seen.revision))
            throw tooManyRequests('The pod has changed since it was looked at.', 10)
          return { ...pod, status: { ...pod.status, conditions: withCondition(pod.status?.conditions, condition, now) } }
        },
        { options: { kind: 'UpdateOptions', apiVersion: 'meta.k8s.io/v1' }, isDryRun: false },
      )
  const isBound = verdict === 'unhealthy' && options.preconditions?.resourceVersion === undefined
  const preconditions = isBound ? { ...options.preconditions, resourceVersion: String(marked.revision) } : options.preconditions
  try {
    await deleteObject(core, call, served, info.namespace, info.name, preconditions ? { ...options, preconditions } : options)
  } catch (error) {
    if (isBound && isApiError(error, 'Conflict')) throw tooManyRequests('The pod has changed since it was looked at.', 10)
    throw error
  }
}
