/** What a Job asks about its pods. */
import type { Job } from '../../api/generated/batch/v1.ts'
import type { ContainerStatus, Pod } from '../../api/generated/core/v1.ts'
import { findCondition } from '../conditions.ts'
import { timeOf } from '../pods/pod-state.ts'

/** Kept on a pod until the Job has counted it: a pod deleted early must not be lost to the count (KEP-2307). */
export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking'
export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index'
export const FAILURE_COUNT = 'batch.kubernetes.io/job-index-failure-count'
export const IGNORED_FAILURE_COUNT = 'batch.kubernetes.io/job-index-ignored-failure-count'

export const isIndexed = (job: Job): boolean => job.spec?.completionMode === 'Indexed'
export const hasIndexLimit = (job: Job): boolean => isIndexed(job) && job.spec?.backoffLimitPerIndex !== undefined
export const isSuspended = (job: Job): boolean => job.spec?.suspend ?? false
/** Whether a pod is replaced only once it has ended, not already while it is terminating. */
export const replacesOnlyFailed = (job: Job): boolean =>
  job.spec?.podReplacementPolicy === 'Failed' || job.spec?.podFailurePolicy !== undefined

export const isTracked = (pod: Pod): boolean => pod.metadata?.finalizers?.includes(TRACKING_FINALIZER) ?? false

/** -1 when the pod has none. */
export function completionIndexOf(pod: Pod): number {
  const text = pod.metadata?.annotations?.[COMPLETION_INDEX]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : -1
}

/** Deleted pods count as failed: one without a node would never reach the Failed phase. */
export function isPodFailed(pod: Pod, job: Job): boolean {
  if (pod.status?.phase === 'Failed') return true
  return !replacesOnlyFailed(job) && pod.metadata?.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded'
}

const countOf = (pod: Pod, annotation: string): number => {
  const text = pod.metadata?.annotations?.[annotation]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : 0
}
export const indexFailures = (pod: Pod): number => countOf(pod, FAILURE_COUNT)
export const ignoredIndexFailures = (pod: Pod): number => countOf(pod, IGNORED_FAILURE_COUNT)

function latestFinish(statuses: readonly ContainerStatus[] | undefined): number | undefined {
  let latest: number | undefined
  for (const { state } of statuses ?? []) {
    const at = timeOf(state?.terminated?.finishedAt)
    if (at === undefined) return undefined
    latest = Math.max(latest ?? 0, at)
  }
  return latest
}

/** When it ended, as well as can be told. */
export function finishedAt(pod: Pod): number {
  const ofContainers = latestFinish(pod.status?.containerStatuses)
  if (ofContainers !== undefined) return ofContainers
  const ready = findCondition(pod.status?.conditions, 'Ready')
  if (ready?.status === 'False' && ready.lastTransitionTime) return timeOf(ready.lastTransitionTime)!
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, creationTimestamp } = pod.metadata ?? {}
  if (deletionTimestamp) return timeOf(deletionTimestamp)! - deletionGracePeriodSeconds * 1000
  return timeOf(creationTimestamp) ?? 0
}

/** Restarts of pods that are still going, for the OnFailure restart policy. */
export function restartsOf(pods: readonly Pod[]): number {
  let restarts = 0
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue
    for (const container of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += container.restartCount
  }
  return restarts
}
