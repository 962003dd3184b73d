/** The status of a Deployment: counts, and the conditions by which `kubectl rollout status` tells progress from failure. */
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../api/generated/apps/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { findCondition, withCondition, withoutCondition } from '../conditions.ts'
import type { SetDraft } from './draft.ts'
import { availableIn, maxUnavailableOf, replicasOf, wantedIn } from './scaling.ts'

export interface Now {
  readonly ms: number
  /** The same as RFC 3339. */
  readonly text: string
}

/** The largest int32 stands for 'no limit'. */
const NO_LIMIT = 0x7fffffff
export const hasProgressDeadline = (deployment: Deployment): boolean => (deployment.spec?.progressDeadlineSeconds ?? NO_LIMIT) !== NO_LIMIT
export const revisionHistoryLimitOf = (deployment: Deployment): number | undefined => {
  const limit = deployment.spec?.revisionHistoryLimit
  return limit === NO_LIMIT ? undefined : limit
}

export const conditionOf = (type: string, status: string, reason: string, message: string, now: Now): DeploymentCondition => ({
  type,
  status,
  lastUpdateTime: now.text,
  lastTransitionTime: now.text,
  reason,
  message,
})

export const isComplete = (deployment: Deployment, status: DeploymentStatus): boolean => {
  const replicas = replicasOf(deployment)
  const { updatedReplicas = 0, replicas: total = 0, availableReplicas = 0, observedGeneration = 0 } = status
  return (
    updatedReplicas === replicas &&
    total === replicas &&
    availableReplicas === replicas &&
    observedGeneration >= (deployment.metadata?.generation ?? 0)
  )
}

const actual = (draft: SetDraft): number => draft.set.status?.replicas ?? 0

/** Undefined when a set that was looked at before does not say. */
function terminatingIn(sets: readonly ReplicaSet[]): number | undefined {
  let total = 0
  for (const { status } of sets) {
    if (status?.terminatingReplicas !== undefined) total += status.terminatingReplicas
    else if (status?.observedGeneration) return undefined
  }
  return total
}

/** Counts and the Available condition; other conditions are taken over. */
export function countStatus(
  deployment: Deployment,
  all: readonly SetDraft[],
  newSet: SetDraft | undefined,
  conditions: readonly DeploymentCondition[] | undefined,
  now: Now,
): DeploymentStatus {
  const available = availableIn(all)
  const terminating = terminatingIn(all.filter((draft) => !draft.isNew).map((draft) => draft.set))
  const isAvailable = available >= replicasOf(deployment) - maxUnavailableOf(deployment)
  const condition = isAvailable
    ? conditionOf('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', now)
    : conditionOf('Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.', now)
  return {
    observedGeneration: deployment.metadata?.generation ?? 0,
    replicas: all.reduce((total, draft) => total + actual(draft), 0),
    updatedReplicas: newSet ? actual(newSet) : 0,
    readyReplicas: all.reduce((total, draft) => total + (draft.set.status?.readyReplicas ?? 0), 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wantedIn(all) - available),
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    ...(deployment.status?.collisionCount === undefined ? {} : { collisionCount: deployment.status.collisionCount }),
    conditions: withCondition(conditions, condition),
  }
}

/** What says that a rollout has come nearer to its end since the last status. */
function hasProgressed(old: DeploymentStatus, next: DeploymentStatus): boolean {
  const oldPods = (status: DeploymentStatus) => (status.replicas ?? 0) - (status.updatedReplicas ?? 0)
  const grew = (name: 'updatedReplicas' | 'readyReplicas' | 'availableReplicas') => (next[name] ?? 0) > (old[name] ?? 0)
  return grew('updatedReplicas') || oldPods(next) < oldPods(old) || grew('readyReplicas') || grew('availableReplicas')
}

function hasTimedOut(deployment: Deployment, progressing: DeploymentCondition | undefined, now: Now): boolean {
  if (!progressing || progressing.reason === 'NewReplicaSetAvailable') return false
  if (progressing.reason === 'ProgressDeadlineExceeded') return true
  return Date.parse(progressing.lastUpdateTime ?? now.text) + deployment.spec!.progressDeadlineSeconds! * 1000 < now.ms
}

/** Adds the Progressing and ReplicaFailure conditions to the counts. */
export function rolloutStatus(
  deployment: Deployment,
  all: readonly SetDraft[],
  newSet: SetDraft | undefined,
  counted: DeploymentStatus,
  now: Now,
): DeploymentStatus {
  const progressing = findCondition(counted.conditions, 'Progressing')
  const conditions = withFailure(progressConditions(deployment, newSet, counted, progressing, now), all, newSet)
  return { ...counted, conditions }
}

function progressConditions(
  deployment: Deployment,
  newSet: SetDraft | undefined,
  counted: DeploymentStatus,
  current: DeploymentCondition | undefined,
  now: Now,
): readonly DeploymentCondition[] {
  const conditions = counted.conditions ?? []
  if (!hasProgressDeadline(deployment)) return withoutCondition(conditions, 'Progressing')
  // A rollout that has ended stays so until the next one begins, whatever becomes of its pods.
  if (counted.replicas === counted.updatedReplicas && current?.reason === 'NewReplicaSetAvailable') return conditions
  const who = newSet ? `ReplicaSet "${newSet.set.metadata?.name}"` : `Deployment "${deployment.metadata?.name}"`
  if (isComplete(deployment, counted)) {
    return withCondition(
      conditions,
      conditionOf('Progressing', 'True', 'NewReplicaSetAvailable', `${who} has successfully progressed.`, now),
    )
  }
  if (hasProgressed(deployment.status ?? {}, counted)) {
    // Unlike others this condition is renewed even with the same reason: its time is what the deadline counts from.
    const condition = conditionOf('Progressing', 'True', 'ReplicaSetUpdated', `${who} is progressing.`, now)
    const lastTransitionTime = current?.status === 'True' && current.lastTransitionTime ? current.lastTransitionTime : now.text
    return [...withoutCondition(conditions, 'Progressing'), { ...condition, lastTransitionTime }]
  }
  if (hasTimedOut(deployment, current, now)) {
    return withCondition(
      conditions,
      conditionOf('Progressing', 'False', 'ProgressDeadlineExceeded', `${who} has timed out progressing.`, now),
    )
  }
  return conditions
}

/** A failure of the new set matters more than those of old ones. */
function withFailure(
  conditions: readonly DeploymentCondition[],
  all: readonly SetDraft[],
  newSet: SetDraft | undefined,
): readonly DeploymentCondition[] {
  const failureOf = (draft: SetDraft) => findCondition(draft.set.status?.conditions, 'ReplicaFailure')
  const failure = (newSet && failureOf(newSet)) ?? all.map(failureOf).find(Boolean)
  if (!failure) return withoutCondition(conditions, 'ReplicaFailure')
  const { status, reason, message, lastTransitionTime } = failure
  return withCondition<DeploymentCondition>(conditions, {
    type: 'ReplicaFailure',
    status,
    ...(reason ? { reason } : {}),
    ...(message ? { message } : {}),
    ...(lastTransitionTime ? { lastTransitionTime, lastUpdateTime: lastTransitionTime } : {}),
  })
}

/** Pausing stops the clock of the progress deadline, resuming starts it anew. */
export function pausedConditions(deployment: Deployment, now: Now): readonly DeploymentCondition[] | undefined {
  const conditions = deployment.status?.conditions
  if (!hasProgressDeadline(deployment)) return conditions
  const current = findCondition(conditions, 'Progressing')
  if (current?.reason === 'ProgressDeadlineExceeded') return conditions
  const isMarked = current?.reason === 'DeploymentPaused'
  if (deployment.spec?.paused && !isMarked)
    return withCondition(conditions, conditionOf('Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused', now))
  if (!deployment.spec?.paused && isMarked)
    return withCondition(conditions, conditionOf('Progressing', 'Unknown', 'DeploymentResumed', 'Deployment is resumed', now))
  return conditions
}

/** When the deadline must be looked at although nothing happens: a second after it, since times are whole seconds. */
export function progressCheckMs(deployment: Deployment, status: DeploymentStatus, now: Now): number | undefined {
  const progressing = findCondition(status.conditions, 'Progressing')
  if (!hasProgressDeadline(deployment) || !progressing || isComplete(deployment, status)) return undefined
  if (progressing.reason === 'ProgressDeadlineExceeded' || progressing.reason === 'NewReplicaSetAvailable') return undefined
  const remaining = Date.parse(progressing.lastUpdateTime ?? now.text) + deployment.spec!.progressDeadlineSeconds! * 1000 - now.ms
  return Math.max(0, remaining) + 1000
}

/** Zero and absent are the same to the API: they must not cause a write. */
export function isSameStatus(a: DeploymentStatus | undefined, b: DeploymentStatus): boolean {
  const counts = [
    'observedGeneration',
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'collisionCount',
  ] as const
  if (counts.some((name) => (a?.[name] ?? 0) !== (b[name] ?? 0))) return false
  return a?.terminatingReplicas === b.terminatingReplicas && deepEqual(a?.conditions ?? [], b.conditions ?? [])
}
