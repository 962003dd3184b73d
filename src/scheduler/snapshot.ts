/**
 * The scheduler's picture of the cluster: every node with the pods on it, kept up event by event, and handed out as immutable
 * snapshots. A pod that was just placed is assumed on its node at once, before the server knows, so that the next decision sees
 * the room as taken.
 *
 * What stays true: a pod counts on at most one node; an assumed pod counts until the server confirms it, the binding fails, or
 * it is found not to exist any more. Node order is the order of arrival, with names never repeated.
 */
import type { Node } from '../api/generated/core/v1.ts'
import type { ClusterView } from './cluster-view.ts'
import { nodeInfoOf, withNode, withoutPod, withPod, withPodReplaced } from './node-info.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'

export interface Snapshot {
  readonly nodes: readonly NodeInfo[]
  node(name: string): NodeInfo | undefined
  /** The node's place in `nodes`. */
  indexOf(name: string): number | undefined
  /** Does any pod on a node have (anti-)affinity terms, or required anti-affinity? */
  readonly hasAffinity: boolean
  readonly hasRequiredAntiAffinity: boolean
  /** On how many nodes an image lies, by normalised name. */
  imageSpread(name: string): number
  /** Pods that wait for room being made for them on this node by preemption. */
  nominated(nodeName: string): readonly PodInfo[]
  readonly hasNominated: boolean
  /** Other objects that decisions depend on. */
  readonly view: ClusterView
}

interface Placement {
  readonly info: PodInfo
  readonly nodeName: string
  /** When to ask whether the pod still exists; undefined for pods that the server has confirmed or that are being bound. */
  readonly checkAt: number | undefined
  readonly isAssumed: boolean
}

export interface ClusterState {
  setNode(node: Node): void
  removeNode(name: string): void
  /** A pod as the server has it; it replaces what was assumed about it. */
  setPod(info: PodInfo, nodeName: string): void
  removePod(uid: string): void
  assume(info: PodInfo, nodeName: string): void
  /** The binding was accepted: from `checkAt` on, `overdue` names the pod unless the server's event has come. */
  bound(uid: string, checkAt: number): void
  /** Gives up the assumption; false when there was none (the server has confirmed the pod, or it is gone). */
  forget(uid: string): boolean
  isAssumed(uid: string): boolean
  /** Where the pod counts. */
  nodeOf(uid: string): string | undefined
  /** The pod as it counts on its node. */
  placed(uid: string): PodInfo | undefined
  readonly hasAssumed: boolean
  readonly sizes: { readonly nodes: number; readonly pods: number; readonly assumed: number }
  /** Assumed pods whose confirmation is overdue. */
  overdue(now: number): readonly PodInfo[]
  nominate(info: PodInfo, nodeName: string): void
  clearNomination(uid: string): void
  /** Where the pod is nominated to, by what the scheduler knows last. */
  nominationOf(uid: string): string | undefined
  snapshot(): Snapshot
}

const NO_PODS: readonly PodInfo[] = []

export function createClusterState(view: ClusterView): ClusterState {
  let nodes: NodeInfo[] = []
  let indexOf = new Map<string, number>()
  /** Pods on nodes that are not, or no longer, known. */
  const homeless = new Map<string, Map<string, PodInfo>>()
  const placements = new Map<string, Placement>()
  const assumed = new Set<string>()
  const nominations = new Map<string, { readonly info: PodInfo; readonly nodeName: string }>()
  const nominatedByNode = new Map<string, readonly PodInfo[]>()
  const imageSpread = new Map<string, number>()
  let current: Snapshot | undefined
  /** A snapshot that was handed out holds `nodes`: copy before the next change. */
  let isShared = false
  let isIndexShared = false
  /** Nodes with pods that have such terms. */
  let affinityNodes = 0
  let antiAffinityNodes = 0

  function countImages(images: ReadonlyMap<string, number>, sign: 1 | -1): void {
    for (const name of images.keys()) {
      const count = (imageSpread.get(name) ?? 0) + sign
      if (count > 0) imageSpread.set(name, count)
      else imageSpread.delete(name)
    }
  }

  function countAffinity(info: NodeInfo | undefined, sign: 1 | -1): void {
    if (info && info.podsWithAffinity.length > 0) affinityNodes += sign
    if (info && info.podsWithRequiredAntiAffinity.length > 0) antiAffinityNodes += sign
  }

  function replaceNode(index: number, info: NodeInfo): void {
    countAffinity(nodes[index], -1)
    countAffinity(info, 1)
    if (isShared) nodes = nodes.slice()
    isShared = false
    current = undefined
    nodes[index] = info
  }

  function put(placement: Placement): void {
    const { info, nodeName } = placement
    placements.set(info.uid, placement)
    if (placement.isAssumed) assumed.add(info.uid)
    else assumed.delete(info.uid)
    const index = indexOf.get(nodeName)
    if (index !== undefined) return replaceNode(index, withPod(nodes[index]!, info))
    let pods = homeless.get(nodeName)
    if (!pods) homeless.set(nodeName, (pods = new Map()))
    pods.set(info.uid, info)
  }

  function take(uid: string): void {
    const placement = placements.get(uid)
    if (!placement) return
    placements.delete(uid)
    assumed.delete(uid)
    const index = indexOf.get(placement.nodeName)
    if (index !== undefined) return replaceNode(index, withoutPod(nodes[index]!, placement.info))
    const pods = homeless.get(placement.nodeName)
    if (pods?.delete(uid) && pods.size === 0) homeless.delete(placement.nodeName)
  }

  function clearNomination(uid: string): void {
    const nomination = nominations.get(uid)
    if (!nomination) return
    nominations.delete(uid)
    const rest = (nominatedByNode.get(nomination.nodeName) ?? NO_PODS).filter((info) => info.uid !== uid)
    if (rest.length) nominatedByNode.set(nomination.nodeName, rest)
    else nominatedByNode.delete(nomination.nodeName)
    current = undefined
  }

  function makeSnapshot(): Snapshot {
    isShared = true
    isIndexShared = true
    const list = nodes
    const index = indexOf
    const byNode = nominatedByNode.size > 0 ? new Map(nominatedByNode) : nominatedByNode
    return {
      nodes: list,
      node: (name) => {
        const at = index.get(name)
        return at === undefined ? undefined : list[at]
      },
      indexOf: (name) => index.get(name),
      hasNominated: byNode.size > 0,
      hasAffinity: affinityNodes > 0,
      hasRequiredAntiAffinity: antiAffinityNodes > 0,
      imageSpread: (name) => imageSpread.get(name) ?? 0,
      nominated: (name) => byNode.get(name) ?? NO_PODS,
      view,
    }
  }

  return {
    setNode(node) {
      const name = node.metadata?.name ?? ''
      const index = indexOf.get(name)
      if (index !== undefined) {
        const old = nodes[index]!
        const info = withNode(old, node)
        if (info.images !== old.images) {
          countImages(old.images, -1)
          countImages(info.images, 1)
        }
        return replaceNode(index, info)
      }
      const info = nodeInfoOf(node, [...(homeless.get(name)?.values() ?? NO_PODS)])
      homeless.delete(name)
      countImages(info.images, 1)
      if (isIndexShared) indexOf = new Map(indexOf)
      isIndexShared = false
      indexOf.set(name, nodes.length)
      replaceNode(nodes.length, info)
    },
    removeNode(name) {
      const index = indexOf.get(name)
      if (index === undefined) return
      const info = nodes[index]!
      countImages(info.images, -1)
      countAffinity(info, -1)
      if (info.pods.length > 0) homeless.set(name, new Map(info.pods.map((pod) => [pod.uid, pod])))
      nodes = nodes.toSpliced(index, 1)
      isShared = false
      indexOf = new Map(nodes.map((other, position) => [other.name, position]))
      isIndexShared = false
      current = undefined
    },
    setPod(info, nodeName) {
      const known = placements.get(info.uid)
      const index = indexOf.get(nodeName)
      if (known?.nodeName === nodeName && index !== undefined) {
        placements.set(info.uid, { info, nodeName, isAssumed: false, checkAt: undefined })
        assumed.delete(info.uid)
        replaceNode(index, withPodReplaced(nodes[index]!, known.info, info))
        return clearNomination(info.uid)
      }
      take(info.uid)
      put({ info, nodeName, isAssumed: false, checkAt: undefined })
      clearNomination(info.uid)
    },
    removePod(uid) {
      take(uid)
      clearNomination(uid)
    },
    assume(info, nodeName) {
      take(info.uid)
      put({ info, nodeName, isAssumed: true, checkAt: undefined })
      clearNomination(info.uid)
    },
    bound(uid, checkAt) {
      const placement = placements.get(uid)
      if (placement?.isAssumed) placements.set(uid, { ...placement, checkAt })
    },
    forget(uid) {
      if (!assumed.has(uid)) return false
      take(uid)
      return true
    },
    isAssumed: (uid) => assumed.has(uid),
    nodeOf: (uid) => placements.get(uid)?.nodeName,
    placed: (uid) => placements.get(uid)?.info,
    get hasAssumed() {
      return assumed.size > 0
    },
    get sizes() {
      return { nodes: nodes.length, pods: placements.size, assumed: assumed.size }
    },
    overdue(now) {
      const found: PodInfo[] = []
      for (const uid of assumed) {
        const { info, checkAt } = placements.get(uid)!
        if (checkAt !== undefined && checkAt <= now) found.push(info)
      }
      return found
    },
    nominate(info, nodeName) {
      clearNomination(info.uid)
      nominations.set(info.uid, { info, nodeName })
      nominatedByNode.set(nodeName, [...(nominatedByNode.get(nodeName) ?? NO_PODS), info])
      current = undefined
    },
    clearNomination,
    nominationOf: (uid) => nominations.get(uid)?.nodeName,
    snapshot: () => (current ??= makeSnapshot()),
  }
}
