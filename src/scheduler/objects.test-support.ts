/** Pods and nodes for tests, short to write. */
import type { Node, NodeSpec, Pod, PodSpec, Taint } from '../api/generated/core/v1.ts'
import type { ClusterView } from './cluster-view.ts'
import { emptyView } from './cluster-view.ts'
import { podInfoOf } from './pod-info.ts'
import { createClusterState } from './snapshot.ts'
import type { Snapshot } from './snapshot.ts'

export interface NodeOptions {
  readonly cpu?: string
  readonly memory?: string
  readonly pods?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly taints?: readonly Taint[]
  readonly extra?: Readonly<Record<string, string>>
  readonly spec?: NodeSpec
  readonly images?: readonly { readonly names: readonly string[]; readonly sizeBytes: number }[]
}

export const makeNode = (name: string, options: NodeOptions = {}): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...options.labels } },
  spec: { ...(options.taints ? { taints: options.taints } : {}), ...options.spec },
  status: {
    allocatable: {
      cpu: options.cpu ?? '4',
      memory: options.memory ?? '8Gi',
      pods: options.pods ?? '110',
      'ephemeral-storage': '100Gi',
      ...options.extra,
    },
    ...(options.images ? { images: options.images } : {}),
  },
})

let serial = 0

export interface PodOptions {
  readonly requests?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
  readonly priority?: number
  readonly namespace?: string
  readonly spec?: Partial<PodSpec>
  readonly startTime?: string
}

export function makePod(name: string, options: PodOptions = {}): Pod {
  return {
    metadata: {
      name,
      namespace: options.namespace ?? 'default',
      uid: `${name}-${serial++}`,
      ...(options.labels ? { labels: options.labels } : {}),
    },
    spec: {
      schedulerName: 'default-scheduler',
      containers: [{ name: 'main', image: 'app', ...(options.requests ? { resources: { requests: options.requests } } : {}) }],
      ...(options.priority === undefined ? {} : { priority: options.priority }),
      ...options.spec,
    },
    ...(options.startTime ? { status: { startTime: options.startTime } } : {}),
  }
}

/** A snapshot of these nodes, with these pods on them. */
export function makeSnapshot(
  nodes: readonly Node[],
  placed: readonly (readonly [pod: Pod, nodeName: string])[] = [],
  view: ClusterView = emptyView,
): Snapshot {
  const state = createClusterState(view)
  for (const node of nodes) state.setNode(node)
  for (const [pod, nodeName] of placed) state.setPod(podInfoOf(pod), nodeName)
  return state.snapshot()
}
