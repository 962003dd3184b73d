/**
 * Which pods go first when there are too many: those that serve least, then those whose loss spreads best, then the youngest
 * (upstream's ActivePodsWithRanks; ages are compared on a logarithmic scale, KEP-2185).
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { isPodActive, isPodReady, readySince, timeOf } from './pod-state.ts'

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const INT32 = /^(0|-?[1-9]\d{0,9})$/
const PHASE_ORDER: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }

interface Ranked {
  readonly pod: Pod
  readonly isAssigned: boolean
  readonly phase: number
  readonly isReady: boolean
  readonly cost: number
  /** Active pods of the same owner's family on its node. */
  readonly neighbours: number
  readonly readySince: number | undefined
  readonly restarts: number
  readonly sidecarRestarts: number
  readonly createdAt: number | undefined
}

/** The first `count` pods to delete. `related` are the pods of all sets with the same owner: they count as neighbours on a node. */
export function selectPodsToDelete(pods: readonly Pod[], related: readonly Pod[], count: number, nowMs: number): readonly Pod[] {
  if (count >= pods.length) return pods
  const onNode = new Map<string, number>()
  for (const pod of related) {
    if (!isPodActive(pod)) continue
    const node = pod.spec?.nodeName ?? ''
    onNode.set(node, (onNode.get(node) ?? 0) + 1)
  }
  const ranked = pods.map((pod) => rank(pod, onNode.get(pod.spec?.nodeName ?? '') ?? 0))
  ranked.sort((a, b) => compare(a, b, nowMs))
  return ranked.slice(0, count).map((entry) => entry.pod)
}

function rank(pod: Pod, neighbours: number): Ranked {
  const sidecars = new Set(
    pod.spec?.initContainers?.filter((container) => container.restartPolicy === 'Always').map((container) => container.name),
  )
  const cost = pod.metadata?.annotations?.[DELETION_COST] ?? '0'
  return {
    pod,
    isAssigned: Boolean(pod.spec?.nodeName),
    phase: PHASE_ORDER[pod.status?.phase ?? ''] ?? 0,
    isReady: isPodReady(pod),
    cost: INT32.test(cost) ? Number(cost) : 0,
    neighbours,
    readySince: readySince(pod),
    restarts: Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount)),
    sidecarRestarts: Math.max(
      0,
      ...(pod.status?.initContainerStatuses ?? []).filter((status) => sidecars.has(status.name)).map((status) => status.restartCount),
    ),
    createdAt: timeOf(pod.metadata?.creationTimestamp),
  }
}

function compare(a: Ranked, b: Ranked, nowMs: number): number {
  if (a.isAssigned !== b.isAssigned) return a.isAssigned ? 1 : -1
  if (a.phase !== b.phase) return a.phase - b.phase
  if (a.isReady !== b.isReady) return a.isReady ? 1 : -1
  if (a.cost !== b.cost) return a.cost - b.cost
  if (a.neighbours !== b.neighbours) return b.neighbours - a.neighbours
  if (a.isReady && b.isReady && a.readySince !== b.readySince) return compareAges(a, b, a.readySince, b.readySince, nowMs)
  if (a.restarts !== b.restarts) return b.restarts - a.restarts
  if (a.sidecarRestarts !== b.sidecarRestarts) return b.sidecarRestarts - a.sidecarRestarts
  if (a.createdAt !== b.createdAt) return compareAges(a, b, a.createdAt, b.createdAt, nowMs)
  return 0
}

/** The younger first; no time at all before any. Ages of the same power of two are equal, so that chance (the uid) decides. */
function compareAges(a: Ranked, b: Ranked, timeA: number | undefined, timeB: number | undefined, nowMs: number): number {
  if (timeA === undefined || timeB === undefined) return timeA === undefined ? -1 : 1
  const difference = magnitude(nowMs - timeA) - magnitude(nowMs - timeB)
  if (difference !== 0) return difference
  return (a.pod.metadata?.uid ?? '') < (b.pod.metadata?.uid ?? '') ? -1 : 1
}

const NANOSECONDS_PER_MS = 1e6
const magnitude = (ageMs: number): number => (ageMs > 0 ? Math.floor(Math.log2(ageMs * NANOSECONDS_PER_MS)) : -1)
