/** Decides, from a snapshot, what a ReplicaSet needs. No clock, no I/O. The same plan serves ReplicationControllers. */
import type { Pod, PodTemplateSpec } from '../../api/generated/core/v1.ts'
import type { ReplicaSetCondition, ReplicaSetStatus } from '../../api/generated/apps/v1.ts'
import { compileLabels } from '../../api/selectors.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { findCondition, withCondition, withoutCondition } from '../conditions.ts'
import { selectPodsToDelete } from '../pods/deletion-order.ts'
import { isPodAvailable, isPodReady } from '../pods/pod-state.ts'

/** Upstream's burstReplicas: what one reconciliation creates or deletes at most. */
export const MAX_BURST = 500

export interface ReplicasPlan {
  readonly create: number
  readonly delete: readonly Pod[]
}

export interface ReplicasInput {
  readonly replicas: number
  readonly isBeingDeleted: boolean
  /** The active pods that it owns. */
  readonly active: readonly Pod[]
  /** The pods of all sets with the same owner: they decide which nodes are crowded. */
  readonly related: () => readonly Pod[]
  readonly nowMs: number
}

export function planReplicas({ replicas, isBeingDeleted, active, related, nowMs }: ReplicasInput): ReplicasPlan {
  const surplus = active.length - replicas
  if (isBeingDeleted || surplus === 0) return { create: 0, delete: [] }
  if (surplus < 0) return { create: Math.min(-surplus, MAX_BURST), delete: [] }
  return { create: 0, delete: selectPodsToDelete(active, related(), Math.min(surplus, MAX_BURST), nowMs) }
}

export interface StatusInput {
  readonly status: ReplicaSetStatus | undefined
  readonly generation: number | undefined
  readonly replicas: number
  readonly minReadySeconds: number
  readonly template: PodTemplateSpec | undefined
  readonly active: readonly Pod[]
  /** How many owned pods are on their way out; undefined for kinds that do not report it. */
  readonly terminating: number | undefined
  /** What went wrong while pods were made or deleted. */
  readonly failure: string | undefined
  readonly nowMs: number
  readonly now: string
}

/** The status as it should be; the very object of the input when nothing differs. */
export function planStatus(input: StatusInput): ReplicaSetStatus | undefined {
  const { status, generation, minReadySeconds, template, active, terminating, nowMs } = input
  const isFullyLabeled = compileLabels(template?.metadata?.labels ?? {})
  let fullyLabeled = 0
  let ready = 0
  let available = 0
  for (const pod of active) {
    if (isFullyLabeled(pod.metadata?.labels ?? {})) fullyLabeled++
    if (!isPodReady(pod)) continue
    ready++
    if (isPodAvailable(pod, minReadySeconds, nowMs)) available++
  }
  const conditions = planConditions(input)
  const next: ReplicaSetStatus = {
    ...status,
    replicas: active.length,
    fullyLabeledReplicas: fullyLabeled,
    readyReplicas: ready,
    availableReplicas: available,
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...(conditions.length > 0 || status?.conditions ? { conditions } : {}),
  }
  return isSameStatus(next, status) ? status : next
}

/** Zero and absent are the same to the API: they must not cause a write. */
function isSameStatus(next: ReplicaSetStatus, status: ReplicaSetStatus | undefined): boolean {
  const counts = ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'] as const
  if (counts.some((name) => (next[name] ?? 0) !== (status?.[name] ?? 0))) return false
  return next.terminatingReplicas === status?.terminatingReplicas && deepEqual(next.conditions ?? [], status?.conditions ?? [])
}

function planConditions({ status, replicas, active, failure, now }: StatusInput): readonly ReplicaSetCondition[] {
  const current = findCondition(status?.conditions, 'ReplicaFailure')
  if (failure === undefined) return withoutCondition(status?.conditions, 'ReplicaFailure')
  if (current) return status!.conditions!
  const reason = active.length < replicas ? 'FailedCreate' : 'FailedDelete'
  return withCondition<ReplicaSetCondition>(status?.conditions, {
    type: 'ReplicaFailure',
    status: 'True',
    lastTransitionTime: now,
    reason,
    message: failure,
  })
}
