/**
 * A node and what runs on it, as one immutable value: adding or removing a pod makes a new one. So a snapshot is a list of
 * references, and trying out a preemption is the same two functions on a value nobody else sees.
 */
import type { Node, Taint } from '../api/generated/core/v1.ts'
import type { Labels } from '../api/selectors.ts'
import type { PodInfo } from './pod-info.ts'
import { addResources, NOTHING, podLimitOf, resourcesOf } from './resources.ts'
import type { Resources } from './resources.ts'

export interface NodeInfo {
  readonly node: Node
  readonly name: string
  readonly labels: Labels
  readonly taints: readonly Taint[]
  readonly allocatable: Resources
  readonly podLimit: number
  /** By normalised name: bytes. */
  readonly images: ReadonlyMap<string, number>
  readonly requested: Resources
  readonly nonZeroCpuMilli: number
  readonly nonZeroMemoryBytes: number
  readonly pods: readonly PodInfo[]
  readonly podsWithAffinity: readonly PodInfo[]
  readonly podsWithRequiredAntiAffinity: readonly PodInfo[]
}

const NONE: readonly never[] = []
const NO_LABELS: Labels = {}

/** As the node's status may leave out what the pod spec spells out: a name without a tag means latest. */
export const normalisedImage = (name: string): string => (name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name)

function imagesOf(node: Node): ReadonlyMap<string, number> {
  const images = new Map<string, number>()
  for (const { names, sizeBytes } of node.status?.images ?? []) for (const name of names ?? []) images.set(name, sizeBytes ?? 0)
  return images
}

export function nodeInfoOf(node: Node, pods: readonly PodInfo[] = NONE): NodeInfo {
  const empty: NodeInfo = {
    node,
    name: node.metadata?.name ?? '',
    labels: node.metadata?.labels ?? NO_LABELS,
    taints: node.spec?.taints ?? NONE,
    allocatable: resourcesOf(node.status?.allocatable),
    podLimit: podLimitOf(node.status?.allocatable),
    images: imagesOf(node),
    requested: NOTHING,
    nonZeroCpuMilli: 0,
    nonZeroMemoryBytes: 0,
    pods: NONE,
    podsWithAffinity: NONE,
    podsWithRequiredAntiAffinity: NONE,
  }
  return pods.reduce(withPod, empty)
}

/** The same pods on the node's new revision; what a mere heartbeat leaves as it was is shared. */
export function withNode(info: NodeInfo, node: Node): NodeInfo {
  const old = info.node
  return {
    ...info,
    node,
    labels: node.metadata?.labels ?? NO_LABELS,
    taints: node.spec?.taints ?? NONE,
    allocatable: node.status?.allocatable === old.status?.allocatable ? info.allocatable : resourcesOf(node.status?.allocatable),
    podLimit: podLimitOf(node.status?.allocatable),
    images: node.status?.images === old.status?.images ? info.images : imagesOf(node),
  }
}

function counted(info: NodeInfo, pod: PodInfo, sign: 1 | -1): Pick<NodeInfo, 'requested' | 'nonZeroCpuMilli' | 'nonZeroMemoryBytes'> {
  return {
    requested: addResources(info.requested, pod.requests, sign),
    nonZeroCpuMilli: info.nonZeroCpuMilli + sign * pod.nonZeroCpuMilli,
    nonZeroMemoryBytes: info.nonZeroMemoryBytes + sign * pod.nonZeroMemoryBytes,
  }
}

export function withPod(info: NodeInfo, pod: PodInfo): NodeInfo {
  return {
    ...info,
    ...counted(info, pod, 1),
    pods: [...info.pods, pod],
    podsWithAffinity: pod.hasAffinity ? [...info.podsWithAffinity, pod] : info.podsWithAffinity,
    podsWithRequiredAntiAffinity: pod.requiredAntiAffinity.length
      ? [...info.podsWithRequiredAntiAffinity, pod]
      : info.podsWithRequiredAntiAffinity,
  }
}

/** Without this very PodInfo; the node unchanged when it is not there. */
export function withoutPod(info: NodeInfo, pod: PodInfo): NodeInfo {
  if (!info.pods.includes(pod)) return info
  const others = (list: readonly PodInfo[]) => list.filter((other) => other !== pod)
  return {
    ...info,
    ...counted(info, pod, -1),
    pods: others(info.pods),
    podsWithAffinity: pod.hasAffinity ? others(info.podsWithAffinity) : info.podsWithAffinity,
    podsWithRequiredAntiAffinity: pod.requiredAntiAffinity.length
      ? others(info.podsWithRequiredAntiAffinity)
      : info.podsWithRequiredAntiAffinity,
  }
}

/** With a newer revision of a pod that is there; it keeps its place, so that what was worked out of the others holds. */
export function withPodReplaced(info: NodeInfo, old: PodInfo, pod: PodInfo): NodeInfo {
  const haveSameNeeds =
    old.requests === pod.requests &&
    old.nonZeroCpuMilli === pod.nonZeroCpuMilli &&
    old.nonZeroMemoryBytes === pod.nonZeroMemoryBytes &&
    old.hasAffinity === pod.hasAffinity &&
    old.requiredAntiAffinity.length > 0 === pod.requiredAntiAffinity.length > 0
  if (!haveSameNeeds) return withPod(withoutPod(info, old), pod)
  const replace = (list: readonly PodInfo[]) => list.map((other) => (other === old ? pod : other))
  return {
    ...info,
    pods: replace(info.pods),
    podsWithAffinity: pod.hasAffinity ? replace(info.podsWithAffinity) : info.podsWithAffinity,
    podsWithRequiredAntiAffinity:
      pod.requiredAntiAffinity.length > 0 ? replace(info.podsWithRequiredAntiAffinity) : info.podsWithRequiredAntiAffinity,
  }
}
