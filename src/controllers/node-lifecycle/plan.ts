/** Decides what a node's heartbeats and conditions mean for its status and its taints. No clock, no I/O. */
import type { Node, NodeCondition, Taint } from '../../api/generated/core/v1.ts'
import { findCondition } from '../conditions.ts'

/** A node is taken for lost after this long without a sign of life (upstream's node-monitor-grace-period). */
export const GRACE_MS = 50_000
/** A node that has only just registered may take a little longer until its first sign. */
export const STARTUP_GRACE_MS = 60_000

export const NOT_READY = 'node.kubernetes.io/not-ready'
export const UNREACHABLE = 'node.kubernetes.io/unreachable'
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

/** Which status of which condition keeps new pods away, by which taint. */
const CONDITION_TAINTS: readonly (readonly [type: string, status: string, taint: string])[] = [
  ['Ready', 'False', NOT_READY],
  ['Ready', 'Unknown', UNREACHABLE],
  ['MemoryPressure', 'True', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'True', 'node.kubernetes.io/disk-pressure'],
  ['NetworkUnavailable', 'True', 'node.kubernetes.io/network-unavailable'],
  ['PIDPressure', 'True', 'node.kubernetes.io/pid-pressure'],
]
const NO_SCHEDULE_KEYS = new Set([...CONDITION_TAINTS.map(([, , taint]) => taint), UNSCHEDULABLE])
const HEARTBEAT_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']

export const readyStatusOf = (node: Node): string => findCondition(node.status?.conditions, 'Ready')?.status ?? 'Unknown'

export const graceOf = (node: Node): number => (findCondition(node.status?.conditions, 'Ready') ? GRACE_MS : STARTUP_GRACE_MS)

/** The conditions of a node that gives no sign of life; the same list when they say so already. */
export function lostConditions(node: Node, now: string): readonly NodeCondition[] {
  let conditions = node.status?.conditions ?? []
  for (const type of HEARTBEAT_CONDITIONS) {
    const current = findCondition(conditions, type)
    if (current?.status === 'Unknown') continue
    const lost: NodeCondition = current
      ? {
          ...current,
          status: 'Unknown',
          reason: 'NodeStatusUnknown',
          message: 'Kubelet stopped posting node status.',
          lastTransitionTime: now,
        }
      : {
          type,
          status: 'Unknown',
          reason: 'NodeStatusNeverUpdated',
          message: 'Kubelet never posted node status.',
          ...(node.metadata?.creationTimestamp ? { lastHeartbeatTime: node.metadata.creationTimestamp } : {}),
          lastTransitionTime: now,
        }
    conditions = current ? conditions.map((condition) => (condition === current ? lost : condition)) : [...conditions, lost]
  }
  return conditions
}

/** Nodes in a failure domain of their own are judged together: a zone that is ill as a whole says less about each of them. */
export const zoneOf = ({ metadata }: Node): string =>
  `${metadata?.labels?.['topology.kubernetes.io/region'] ?? ''}:${metadata?.labels?.['topology.kubernetes.io/zone'] ?? ''}`

/** Upstream's unhealthy-zone-threshold, large-cluster-size-threshold and (secondary-)node-eviction-rate. */
const UNHEALTHY_SHARE = 0.55
const LARGE_ZONE = 50
const EVICTIONS_PER_SECOND = 0.1
const SECONDARY_EVICTIONS_PER_SECOND = 0.01

/**
 * How long after the last node of a zone the next one's pods may be evicted; Infinity for not at all. Where most nodes are lost
 * at once the network is the likelier culprit: then evictions are slow, and in a small zone there are none. A zone that is lost
 * altogether is evicted at the normal pace: other zones, which are well, take its pods.
 */
export function evictionIntervalMs(zone: Iterable<Node>): number {
  let [ready, lost] = [0, 0]
  for (const node of zone)
    if (readyStatusOf(node) === 'True') ready++
    else lost++
  const isPartial = ready > 0 && lost > 2 && lost / (lost + ready) >= UNHEALTHY_SHARE
  if (!isPartial) return 1000 / EVICTIONS_PER_SECOND
  return ready + lost > LARGE_ZONE ? 1000 / SECONDARY_EVICTIONS_PER_SECOND : Infinity
}

const isEvicting = ({ key, effect }: Taint): boolean => effect === 'NoExecute' && (key === NOT_READY || key === UNREACHABLE)

/** Whether the node is to be evicted from and is not yet: a change from one reason to the other does not count. */
export const awaitsEviction = (node: Node): boolean =>
  findCondition(node.status?.conditions, 'Ready') !== undefined &&
  readyStatusOf(node) !== 'True' &&
  !(node.spec?.taints ?? []).some(isEvicting)

/**
 * The taints as they should be; the same list when nothing differs. `mayEvict` is false while no node at all is ready: then the
 * network of the control plane is the likelier culprit, and no pod would find another place anyway.
 */
export function planTaints(node: Node, mayEvict: boolean, now: string): readonly Taint[] {
  const current = node.spec?.taints ?? []
  const hasReady = findCondition(node.status?.conditions, 'Ready') !== undefined
  const wanted = new Set<string>()
  for (const [type, status, taint] of CONDITION_TAINTS)
    if (findCondition(node.status?.conditions, type)?.status === status) wanted.add(`${taint}:NoSchedule`)
  if (node.spec?.unschedulable) wanted.add(`${UNSCHEDULABLE}:NoSchedule`)
  const ready = readyStatusOf(node)
  if (hasReady && ready !== 'True' && mayEvict) wanted.add(`${ready === 'False' ? NOT_READY : UNREACHABLE}:NoExecute`)

  const nameOf = ({ key, effect }: Taint): string => `${key}:${effect}`
  const isOurs = ({ key, effect }: Taint): boolean => (effect === 'NoSchedule' ? NO_SCHEDULE_KEYS.has(key) : isEvicting({ key, effect }))
  // A node that has no Ready condition yet keeps the taint that it registered with.
  const kept = current.filter((taint) => !isOurs(taint) || wanted.has(nameOf(taint)) || !hasReady)
  const missing = [...wanted].filter((name) => !current.some((taint) => nameOf(taint) === name))
  if (kept.length === current.length && missing.length === 0) return current
  const added = missing.map((name): Taint => {
    const colon = name.lastIndexOf(':')
    return { key: name.slice(0, colon), effect: name.slice(colon + 1), timeAdded: now }
  })
  return [...kept, ...added]
}
