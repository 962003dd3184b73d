/**
 * Keeps the scheduler's picture of the cluster and its queue in step with the server: what the informers tell becomes changes of
 * the state and events that may make waiting pods worth another try (upstream pkg/scheduler/eventhandlers.go).
 */
import type { Namespace, Node, NodeCondition, Pod } from '../api/generated/core/v1.ts'
import { keyOf } from '../api/object.ts'
import type { KubeObject } from '../api/object.ts'
import type { InformerHandlers } from '../client/informer.ts'
import type { KindName } from '../client/client.ts'
import type { ClusterEvent, ObjectEventKind } from './framework.ts'
import { podInfoOf } from './pod-info.ts'
import type { PodInfo } from './pod-info.ts'
import { hasScaledDown, sameLabels } from './queue.ts'
import type { SchedulingQueue } from './queue.ts'
import type { ClusterState } from './snapshot.ts'

const isAssigned = (pod: Pod): boolean => Boolean(pod.spec?.nodeName)
/** It gives its resources back, whether or not it was deleted. */
const isFinished = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
const NO_LABELS: Readonly<Record<string, string>> = {}

export interface PodHandlerOptions {
  readonly state: ClusterState
  readonly queue: SchedulingQueue
  /** Whether a profile here answers for the pod. */
  readonly isOurs: (pod: Pod) => boolean
}

export function podHandlers({ state, queue, isOurs }: PodHandlerOptions): InformerHandlers<Pod> {
  /** The pod was promised room that lower and equal priorities respected; they may now have it. */
  function promiseEnded(info: PodInfo): void {
    state.clearNomination(info.uid)
    queue.happened({ kind: 'pod-deleted', pod: info }, (waiting) => waiting.priority <= info.priority)
  }

  function assumptionEnded(info: PodInfo): void {
    if (state.forget(info.uid)) queue.happened({ kind: 'pod-deleted', pod: info })
  }

  function added(pod: Pod): void {
    if (isFinished(pod)) return
    if (isAssigned(pod)) {
      const info = podInfoOf(pod, state.placed(pod.metadata?.uid ?? ''))
      const before = state.nodeOf(info.uid)
      state.setPod(info, pod.spec!.nodeName!)
      queue.happened({ kind: 'pod-added', pod: info })
      // Somebody else was first to bind it: its room where it was assumed is free.
      if (before !== undefined && before !== pod.spec!.nodeName) queue.happened({ kind: 'pod-deleted', pod: info })
      return
    }
    if (!isOurs(pod)) return
    if (pod.status?.nominatedNodeName) state.nominate(podInfoOf(pod), pod.status.nominatedNodeName)
    queue.add(pod)
  }

  function deleted(pod: Pod): void {
    const info = podInfoOf(pod)
    if (isAssigned(pod)) {
      state.removePod(info.uid)
      queue.happened({ kind: 'pod-deleted', pod: info })
      return
    }
    if (!isOurs(pod)) return
    queue.remove(info.uid)
    if (state.isAssumed(info.uid)) assumptionEnded(info)
    else if (state.nominationOf(info.uid)) promiseEnded(info)
  }

  function updateAssigned(pod: Pod, old: Pod): void {
    const before = state.placed(pod.metadata?.uid ?? '') ?? podInfoOf(old)
    const info = podInfoOf(pod, before)
    state.setPod(info, pod.spec!.nodeName!)
    if (!sameLabels(info.labels, before.labels)) queue.happened({ kind: 'pod-labels', pod: info, old: before })
    if (hasScaledDown(info, before)) queue.happened({ kind: 'pod-scaled-down', pod: info, old: before })
  }

  function updateWaiting(pod: Pod, old: Pod): void {
    const uid = pod.metadata?.uid ?? ''
    if (state.isAssumed(uid)) {
      // Its binding is under way and will fail: give the room back at once.
      if (pod.metadata?.deletionTimestamp && !old.metadata?.deletionTimestamp) assumptionEnded(podInfoOf(pod))
      return
    }
    queue.update(pod)
    const [promised, before] = [pod.status?.nominatedNodeName, old.status?.nominatedNodeName]
    if (promised === before) return
    const info = podInfoOf(pod)
    if (before && state.nominationOf(uid) === before) promiseEnded(info)
    if (promised && state.nominationOf(uid) === undefined) state.nominate(info, promised)
  }

  return {
    added,
    deleted(pod) {
      if (!isFinished(pod)) deleted(pod)
      else state.removePod(pod.metadata?.uid ?? '')
    },
    updated(pod, old) {
      if (pod.metadata?.uid !== old.metadata?.uid) {
        if (!isFinished(old)) deleted(old)
        added(pod)
        return
      }
      if (isFinished(pod)) {
        if (!isFinished(old)) deleted(isAssigned(old) ? old : pod)
        return
      }
      if (isAssigned(old)) updateAssigned(pod, old)
      else if (isAssigned(pod)) {
        added(pod)
        queue.remove(pod.metadata?.uid ?? '')
      } else if (isOurs(pod)) updateWaiting(pod, old)
    },
  }
}

const sameJson = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)

const conditionStates = (conditions: readonly NodeCondition[] | undefined): string =>
  (conditions ?? [])
    .map(({ type, status }) => `${type}=${status}`)
    .toSorted()
    .join()

/** What of a node's change can matter to scheduling; nothing for a heartbeat. */
export function nodeEvents(node: Node, old: Node): readonly ClusterEvent[] {
  const events: ClusterEvent[] = []
  const isUncordoned = Boolean(old.spec?.unschedulable) && !node.spec?.unschedulable
  if (isUncordoned || !sameJson(node.spec?.taints, old.spec?.taints)) events.push({ kind: 'node-taints', node, old })
  if (!sameLabels(node.status?.allocatable ?? NO_LABELS, old.status?.allocatable ?? NO_LABELS))
    events.push({ kind: 'node-allocatable', node, old })
  if (!sameLabels(node.metadata?.labels ?? NO_LABELS, old.metadata?.labels ?? NO_LABELS)) events.push({ kind: 'node-labels', node, old })
  if (conditionStates(node.status?.conditions) !== conditionStates(old.status?.conditions))
    events.push({ kind: 'node-conditions', node, old })
  if (!sameLabels(node.metadata?.annotations ?? NO_LABELS, old.metadata?.annotations ?? NO_LABELS))
    events.push({ kind: 'node-annotations', node, old })
  if (!sameJson(node.status?.declaredFeatures, old.status?.declaredFeatures)) events.push({ kind: 'node-features', node, old })
  return events
}

export function nodeHandlers(state: ClusterState, queue: SchedulingQueue): InformerHandlers<Node> {
  return {
    added(node) {
      state.setNode(node)
      queue.happened({ kind: 'node-added', node })
    },
    updated(node, old) {
      state.setNode(node)
      for (const event of nodeEvents(node, old)) queue.happened(event)
    },
    deleted(node) {
      state.removeNode(keyOf(node))
      queue.happened({ kind: 'node-deleted', node })
    },
  }
}

export function namespaceHandlers(queue: SchedulingQueue): InformerHandlers<Namespace> {
  return {
    updated(namespace, old) {
      if (!sameLabels(namespace.metadata?.labels ?? NO_LABELS, old.metadata?.labels ?? NO_LABELS))
        queue.happened({ kind: 'namespace-labels' })
    },
  }
}

/** Of a kind that pods may wait for: that it came or changed, or `onDeletion` that it went. */
export function objectHandlers(queue: SchedulingQueue, kind: ObjectEventKind, when: ObjectMoments): InformerHandlers<KubeObject> {
  return {
    ...(when.isToldAdded ? { added: (object) => queue.happened({ kind, object }) } : {}),
    ...(when.isToldUpdated ? { updated: (object, old) => queue.happened({ kind, object, old }) } : {}),
    ...(when.isToldDeleted ? { deleted: (object) => queue.happened({ kind, object }) } : {}),
  }
}

export interface ObjectMoments {
  readonly isToldAdded?: boolean
  readonly isToldUpdated?: boolean
  readonly isToldDeleted?: boolean
}

const CHANGES: ObjectMoments = { isToldAdded: true, isToldUpdated: true }

/** What beside nodes, pods and namespaces can make a pod worth another try. */
export const eventKinds: readonly (readonly [kind: KindName, event: ObjectEventKind, when: ObjectMoments])[] = [
  ['v1/PersistentVolumeClaim', 'claim', CHANGES],
  ['v1/PersistentVolume', 'volume', CHANGES],
  ['storage.k8s.io/v1/StorageClass', 'storage-class', CHANGES],
  ['storage.k8s.io/v1/CSIStorageCapacity', 'storage-capacity', CHANGES],
  ['storage.k8s.io/v1/CSINode', 'csi-node', CHANGES],
  ['storage.k8s.io/v1/CSIDriver', 'csi-driver', { isToldUpdated: true }],
  ['storage.k8s.io/v1/VolumeAttachment', 'attachment-deleted', { isToldDeleted: true }],
  ['resource.k8s.io/v1/ResourceClaim', 'resource-claim', { ...CHANGES, isToldDeleted: true }],
  ['resource.k8s.io/v1/ResourceSlice', 'resource-slice', CHANGES],
  ['resource.k8s.io/v1/DeviceClass', 'device-class', CHANGES],
]
