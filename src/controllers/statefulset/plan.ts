/**
 * Decides the next step of a StatefulSet. No clock, no I/O.
 *
 * What stays true with ordered management: a pod is made only when all before it run and are available, and one is ended only
 * when all others are well, the highest first; so at most one pod is in transition at a time.
 */
import type { StatefulSet, StatefulSetStatus } from '../../api/generated/apps/v1.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import { REVISION_HASH_LABEL } from '../history/controller-revisions.ts'
import { scaledValue } from '../int-or-percent.ts'
import { isPodAvailable, isPodReady } from '../pods/pod-state.ts'
import { isInRange, ordinalOf, startOrdinalOf } from './identity.ts'

export interface StatefulInput {
  readonly set: StatefulSet
  /** The pods that it owns, terminating ones too. */
  readonly pods: readonly Pod[]
  /** Names of revisions. */
  readonly currentRevision: string
  readonly updateRevision: string
  readonly nowMs: number
}

export interface StatefulPlan {
  readonly create: readonly { readonly ordinal: number; readonly revision: string }[]
  readonly delete: readonly Pod[]
  readonly status: StatefulSetStatus
}

const isTerminating = (pod: Pod): boolean => pod.metadata?.deletionTimestamp !== undefined
const isEnded = (pod: Pod): boolean => pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
const revisionOf = (pod: Pod): string | undefined => pod.metadata?.labels?.[REVISION_HASH_LABEL]

export function planStatefulSet(input: StatefulInput): StatefulPlan {
  const { set, pods, nowMs } = input
  const minReadySeconds = set.spec?.minReadySeconds ?? 0
  const isWell = (pod: Pod): boolean => pod.status?.phase === 'Running' && isPodAvailable(pod, minReadySeconds, nowMs)
  const isUnavailable = (pod: Pod): boolean => !isPodAvailable(pod, minReadySeconds, nowMs) || isTerminating(pod)
  const step = set.metadata?.deletionTimestamp ? { create: [], delete: [], updated: [] } : nextStep(input, isWell, isUnavailable)
  return { create: step.create, delete: [...step.delete, ...step.updated], status: statusOf(input, step.updated, minReadySeconds, pods) }
}

interface Step {
  readonly create: readonly { readonly ordinal: number; readonly revision: string }[]
  readonly delete: readonly Pod[]
  /** Pods that end to make way for the new template. */
  readonly updated: readonly Pod[]
}

function nextStep(input: StatefulInput, isWell: (pod: Pod) => boolean, isUnavailable: (pod: Pod) => boolean): Step {
  const { set, pods } = input
  const isOrdered = (set.spec?.podManagementPolicy ?? 'OrderedReady') === 'OrderedReady'
  const start = startOrdinalOf(set)
  const byOrdinal = new Map(pods.filter((pod) => isInRange(set, ordinalOf(pod))).map((pod) => [ordinalOf(pod), pod]))
  const condemned = pods
    .filter((pod) => ordinalOf(pod) >= 0 && !isInRange(set, ordinalOf(pod)))
    .toSorted((a, b) => ordinalOf(b) - ordinalOf(a))
  const create: { ordinal: number; revision: string }[] = []
  const doomed: Pod[] = []

  for (let ordinal = start; ordinal < start + (set.spec?.replicas ?? 1); ordinal++) {
    const pod = byOrdinal.get(ordinal)
    if (!pod) create.push({ ordinal, revision: revisionFor(input, ordinal) })
    else if (isEnded(pod) && !isTerminating(pod)) doomed.push(pod)
    // Whatever is made, ends, or is not well yet holds up all that come after it.
    if (isOrdered && (!pod || isEnded(pod) || isTerminating(pod) || !isWell(pod))) return { create, delete: doomed, updated: [] }
  }
  if (create.length > 0 || doomed.length > 0)
    return { create, delete: [...doomed, ...(isOrdered ? [] : condemned.filter((pod) => !isTerminating(pod)))], updated: [] }

  if (condemned.length > 0) {
    if (!isOrdered) doomed.push(...condemned.filter((pod) => !isTerminating(pod)))
    else {
      const [highest] = condemned
      const firstUnwell = condemned.findLast(isUnavailable)
      if (isTerminating(highest!) || (!isWell(highest!) && highest !== firstUnwell)) return { create, delete: [], updated: [] }
      return { create, delete: [highest!], updated: [] }
    }
  }
  return { create, delete: doomed, updated: doomed.length > 0 ? [] : nextUpdate(input, byOrdinal, isUnavailable) }
}

/** New pods below the partition, or not reached by a rollout yet, are made as the old ones were. */
function revisionFor({ set, currentRevision, updateRevision }: StatefulInput, ordinal: number): string {
  const { type = 'RollingUpdate', rollingUpdate } = set.spec?.updateStrategy ?? {}
  if (type !== 'RollingUpdate') return updateRevision
  const limit = startOrdinalOf(set) + (rollingUpdate ? (rollingUpdate.partition ?? 0) : (set.status?.currentReplicas ?? 0))
  return ordinal < limit ? currentRevision : updateRevision
}

/**
 * Pods that are out of date, from the highest ordinal on: one at a time, once all above it are up to date and well; or as many as
 * may be unavailable (KEP-961) where the set says so.
 */
function nextUpdate(
  { set, updateRevision }: StatefulInput,
  byOrdinal: ReadonlyMap<number, Pod>,
  isUnavailable: (pod: Pod) => boolean,
): readonly Pod[] {
  if (set.spec?.updateStrategy?.type === 'OnDelete') return []
  const { partition = 0, maxUnavailable } = set.spec?.updateStrategy?.rollingUpdate ?? {}
  const [start, replicas] = [startOrdinalOf(set), set.spec?.replicas ?? 1]
  const isStale = (pod: Pod): boolean => revisionOf(pod) !== updateRevision && !isTerminating(pod)
  if (maxUnavailable !== undefined) {
    const missing = replicas - byOrdinal.size
    const unavailable = [...byOrdinal.values()].filter(isUnavailable).length + missing
    const room = Math.max(1, scaledValue(maxUnavailable, replicas, 'down')) - unavailable
    const stale = [...byOrdinal].filter(([ordinal, pod]) => ordinal >= start + partition && isStale(pod))
    const sorted = stale.toSorted(([a], [b]) => b - a).map(([, pod]) => pod)
    return sorted.slice(0, Math.max(0, room))
  }
  for (let ordinal = start + replicas - 1; ordinal >= start + partition; ordinal--) {
    const pod = byOrdinal.get(ordinal)
    if (!pod) return []
    if (isStale(pod)) return [pod]
    if (isUnavailable(pod)) return []
  }
  return []
}

function statusOf(
  { set, currentRevision, updateRevision, nowMs }: StatefulInput,
  updated: readonly Pod[],
  minReadySeconds: number,
  pods: readonly Pod[],
): StatefulSetStatus {
  const counts = { replicas: 0, ready: 0, available: 0, current: 0, updated: 0 }
  for (const pod of pods) {
    counts.replicas++
    if (pod.status?.phase === 'Running' && isPodReady(pod)) {
      counts.ready++
      if (isPodAvailable(pod, minReadySeconds, nowMs)) counts.available++
    }
    if (isTerminating(pod)) continue
    if (revisionOf(pod) === currentRevision) counts.current++
    if (revisionOf(pod) === updateRevision) counts.updated++
  }
  const replicas = set.spec?.replicas ?? 1
  const isComplete =
    (set.spec?.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate' &&
    counts.updated === replicas &&
    counts.ready === replicas &&
    counts.replicas === replicas
  return {
    ...set.status,
    observedGeneration: set.metadata?.generation ?? 0,
    replicas: counts.replicas,
    readyReplicas: counts.ready,
    availableReplicas: counts.available,
    currentReplicas: isComplete ? counts.updated : counts.current - updated.length,
    updatedReplicas: counts.updated,
    currentRevision: isComplete ? updateRevision : currentRevision,
    updateRevision,
  }
}

/** Zero and absent are the same to the API: they must not cause a write. */
export function isSameStatus(a: StatefulSetStatus | undefined, b: StatefulSetStatus): boolean {
  const counts = ['observedGeneration', 'replicas', 'readyReplicas', 'availableReplicas', 'currentReplicas', 'updatedReplicas'] as const
  return (
    a?.currentRevision === b.currentRevision &&
    a?.updateRevision === b.updateRevision &&
    counts.every((name) => (a?.[name] ?? 0) === (b[name] ?? 0))
  )
}
