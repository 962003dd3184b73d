/** Decides on random clusters with proa's scheduler, step by step along decisions that were made elsewhere. */
import type { KubeObject } from '../../src/api/object.ts'
import { seededRandom } from '../../src/base/random.ts'
import { emptyView } from '../../src/scheduler/cluster-view.ts'
import type { ClusterView } from '../../src/scheduler/cluster-view.ts'
import type { Candidate, Profile } from '../../src/scheduler/framework.ts'
import { podInfoOf } from '../../src/scheduler/pod-info.ts'
import { scheduleOne } from '../../src/scheduler/schedule-one.ts'
import { scoreNodes } from '../../src/scheduler/scoring.ts'
import { createDecisionMemory, findFeasible } from '../../src/scheduler/search.ts'
import type { DecisionMemory } from '../../src/scheduler/search.ts'
import { createClusterState } from '../../src/scheduler/snapshot.ts'
import type { RandomCluster } from './clusters.ts'
import type { Outcome } from './recording.ts'

export function viewOf(cluster: RandomCluster): ClusterView {
  const find = <T extends KubeObject>(list: readonly T[], name: string, namespace?: string): T | undefined =>
    list.find(({ metadata }) => metadata?.name === name && metadata.namespace === namespace)
  return {
    ...emptyView,
    namespace: (name) => find(cluster.namespaces, name),
    namespaces: () => cluster.namespaces,
    services: (namespace) => cluster.services.filter(({ metadata }) => metadata?.namespace === namespace),
    claim: (namespace, name) => find(cluster.claims, name, namespace),
    volume: (name) => find(cluster.volumes, name),
    volumes: () => cluster.volumes,
    storageClass: (name) => find(cluster.classes, name),
    csiNode: (name) => find(cluster.csiNodes, name),
  }
}

/** What proa's scheduler thinks of a pod. */
export interface Opinion {
  /** Nodes that fit, the best of them, and all reasons when there are none. */
  readonly feasible: readonly string[]
  readonly best: readonly string[]
  readonly message: string | undefined
  readonly candidates: readonly Candidate[]
  /** The one that it would take. */
  readonly nominated: string | undefined
}

export interface Replay {
  opinionOf(index: number): Opinion
  /** Goes on as it was decided: the pod is on that node, or is gone with its victims. */
  follow(index: number, outcome: Outcome): void
}

export function createReplay(
  cluster: RandomCluster,
  profile: Profile,
  memory: DecisionMemory | undefined = createDecisionMemory(),
): Replay {
  const state = createClusterState(viewOf(cluster))
  for (const node of cluster.nodes) state.setNode(node)
  for (const pod of cluster.placed) state.setPod(podInfoOf(pod), pod.spec!.nodeName!)
  const waiting = cluster.waiting.map((pod) => podInfoOf(pod))
  return {
    opinionOf(index) {
      const snapshot = state.snapshot()
      const pod = waiting[index]!
      const { feasible } = findFeasible(snapshot, pod, profile, { memory })
      const nameOf = (place: number) => snapshot.nodes[place]!.name
      if (feasible.length > 0) {
        const scores = scoreNodes(snapshot, pod, profile, feasible, memory)
        const highest = Math.max(...scores)
        const best = feasible.filter((_, i) => scores[i] === highest)
        return { feasible: feasible.map(nameOf), best: best.map(nameOf), message: undefined, candidates: [], nominated: undefined }
      }
      const decision = scheduleOne(snapshot, pod, profile, seededRandom(index), { memory })
      if (decision.kind !== 'none') throw new Error('a node was found on second thoughts')
      const { message, preemption } = decision
      return { feasible: [], best: [], message, candidates: preemption?.candidates ?? [], nominated: preemption?.nominate }
    },
    follow(index, { text, victims }) {
      if (text.startsWith('node-')) state.assume(waiting[index]!, text)
      for (const uid of victims) state.removePod(uid)
    },
  }
}
