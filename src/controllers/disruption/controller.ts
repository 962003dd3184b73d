/**
 * Keeps count for the PodDisruptionBudgets, which evictions ask (server/subresources/eviction.ts). When counting fails the budget
 * allows nothing. Also takes back marks of disruptions that did not come.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { PodDisruptionBudget } from '../../api/generated/policy/v1.ts'
import { keyOf } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { read, watch } from '../controller.ts'
import type { Caches, Change, Controller, Outcome, ReconcileContext } from '../controller.ts'
import { controllerOf } from '../owner-references.ts'
import { messageOf } from '../pods/pod-control.ts'
import { isPodReady } from '../pods/pod-state.ts'
import { failedStatus, needsScale, planBudget, printSelector, staleMarkAfterMs } from './plan.ts'
import { scaleOfOwners } from './scale.ts'

const KIND = 'policy/v1/PodDisruptionBudget'
/** Before the key of a pod whose mark may be stale; names never hold a colon. */
const MARK_PREFIX = 'mark:'

function isRelevant(pod: Pod, old: Pod): boolean {
  return (
    isPodReady(pod) !== isPodReady(old) ||
    pod.metadata?.deletionTimestamp !== old.metadata?.deletionTimestamp ||
    controllerOf(pod)?.uid !== controllerOf(old)?.uid ||
    !deepEqual(pod.metadata?.labels, old.metadata?.labels)
  )
}

function keysOfPod({ type, object: pod, old }: Change<Pod>, caches: Caches): readonly string[] {
  // Whether the time is over is decided when the key is looked at.
  const mark = type !== 'deleted' && staleMarkAfterMs(pod, 0) !== undefined ? [`${MARK_PREFIX}${keyOf(pod)}`] : []
  if (old && !isRelevant(pod, old)) return mark
  const labels = [pod.metadata?.labels ?? {}, ...(old ? [old.metadata?.labels ?? {}] : [])]
  const budgets = caches.of(KIND).byNamespace(pod.metadata!.namespace!)
  return [...mark, ...budgets.filter(({ spec }) => labels.some(compileLabelSelector(spec?.selector))).map(keyOf)]
}

export const disruptionController: Controller = {
  name: 'disruption',
  component: 'disruption-controller',
  eventSource: 'controllermanager',
  reads: [KIND, 'v1/Pod', 'v1/ReplicationController', 'apps/v1/ReplicaSet', 'apps/v1/Deployment', 'apps/v1/StatefulSet'],
  writes: ['policy/v1/PodDisruptionBudget/status', 'v1/Pod/status'],
  watches: [
    watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object))),
    watch('v1/Pod', keysOfPod),
    read('v1/ReplicationController'),
    read('apps/v1/ReplicaSet'),
    read('apps/v1/Deployment'),
    read('apps/v1/StatefulSet'),
  ],

  async reconcile(key, context) {
    if (key.startsWith(MARK_PREFIX)) return takeBackMark(context, key.slice(MARK_PREFIX.length))
    const budget = context.caches.of(KIND).get(key)
    if (!budget) return
    try {
      return await count(context, budget)
    } catch (error) {
      if (isApiError(error, 'Conflict')) throw error
      context.runtime.log.debug('a disruption budget cannot be counted', { key, error })
      const status = failedStatus(budget, messageOf(error), timestamp(context.runtime.clock))
      if (!deepEqual(status, budget.status)) await context.client.update(KIND, { ...budget, status }, { subresource: 'status' })
    }
  },
}

async function count(context: ReconcileContext, budget: PodDisruptionBudget): Promise<Outcome> {
  const { client, caches, events, runtime } = context
  const reference = referenceTo(KIND, budget)
  const namespace = budget.metadata!.namespace!
  const matches = compileLabelSelector(budget.spec?.selector)
  const pods = caches
    .of('v1/Pod')
    .byNamespace(namespace)
    .filter(({ metadata }) => matches(metadata?.labels ?? {}))
  if (pods.length === 0) events.record(reference, 'Normal', 'NoPods', 'No matching pods found')
  const scale = needsScale(budget) ? await expectedScale(context, budget, pods) : 0
  const plan = planBudget({ budget, pods, scale, nowMs: runtime.clock.now(), now: timestamp(runtime.clock) })
  for (const pod of plan.notDeleted)
    events.record(
      referenceTo('v1/Pod', pod),
      'Warning',
      'NotDeleted',
      `Pod was expected by PDB ${namespace}/${namespace} to be deleted but it wasn't`,
    )
  if (plan.status !== budget.status) await client.update(KIND, { ...budget, status: plan.status! }, { subresource: 'status' })
  return { afterMs: plan.afterMs }
}

async function expectedScale(context: ReconcileContext, budget: PodDisruptionBudget, pods: readonly Pod[]): Promise<number> {
  const { events } = context
  const reference = referenceTo(KIND, budget)
  try {
    const { scale, hasUnmanaged } = await scaleOfOwners(context, budget.metadata!.namespace!, pods)
    if (hasUnmanaged) {
      const message =
        `Pods selected by this PodDisruptionBudget (selector: ${printSelector(budget.spec?.selector)}) were found to be unmanaged. ` +
        'As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. ' +
        'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
      events.record(reference, 'Warning', 'UnmanagedPods', message)
    }
    return scale
  } catch (error) {
    const message = `Failed to calculate the number of expected pods: ${messageOf(error)}`
    events.record(reference, 'Warning', 'CalculateExpectedPodCountFailed', message)
    throw error
  }
}

/** A pod that was to be disrupted and lives on must not look as if it were about to go. */
async function takeBackMark({ client, caches, runtime }: ReconcileContext, key: string): Promise<Outcome | undefined> {
  const pod = caches.of('v1/Pod').get(key)
  const afterMs = staleMarkAfterMs(pod, runtime.clock.now())
  if (!pod || afterMs === undefined) return undefined
  if (afterMs > 0) return { afterMs }
  const withdrawn = { type: 'DisruptionTarget', status: 'False', lastTransitionTime: timestamp(runtime.clock) }
  const conditions = pod.status!.conditions!.map((condition) => (condition.type === withdrawn.type ? withdrawn : condition))
  await client.update('v1/Pod', { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' })
  return undefined
}
