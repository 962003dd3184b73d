/** Whether a DaemonSet's pod belongs on a node: its node selector and affinity, and the node's taints. Other obstacles are the scheduler's. */
import type { Affinity, Node, NodeSelectorTerm, PodSpec, Taint, Toleration } from '../../api/generated/core/v1.ts'
import { matchesRequiredNodeAffinity } from '../../api/node-selector.ts'
import { tolerates } from '../taint-eviction/plan.ts'

export interface NodeFit {
  readonly shouldRun: boolean
  /** Pods that are there already may stay where new ones would not go (NoSchedule taints). */
  readonly shouldContinue: boolean
}

/** `spec` with the tolerations of daemon pods already added. */
export function fitNode(spec: PodSpec, node: Node): NodeFit {
  if (spec.nodeName && spec.nodeName !== node.metadata?.name) return { shouldRun: false, shouldContinue: false }
  if (!matchesRequiredNodeAffinity(spec, node)) return { shouldRun: false, shouldContinue: false }
  const untolerated = (node.spec?.taints ?? []).filter(
    (taint: Taint) => taint.effect !== 'PreferNoSchedule' && !spec.tolerations?.some((toleration) => tolerates(toleration, taint)),
  )
  return { shouldRun: untolerated.length === 0, shouldContinue: untolerated.every((taint) => taint.effect !== 'NoExecute') }
}

const DAEMON_TOLERATIONS: readonly (readonly [key: string, effect: string])[] = [
  ['node.kubernetes.io/not-ready', 'NoExecute'],
  ['node.kubernetes.io/unreachable', 'NoExecute'],
  ['node.kubernetes.io/disk-pressure', 'NoSchedule'],
  ['node.kubernetes.io/memory-pressure', 'NoSchedule'],
  ['node.kubernetes.io/pid-pressure', 'NoSchedule'],
  ['node.kubernetes.io/unschedulable', 'NoSchedule'],
]

/** Daemons stay on nodes in trouble: they may be what helps them. */
export function withDaemonTolerations(spec: PodSpec): PodSpec {
  const added: Toleration[] = DAEMON_TOLERATIONS.map(([key, effect]) => ({ key, operator: 'Exists', effect }))
  if (spec.hostNetwork) added.push({ key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' })
  const isSame = (a: Toleration, b: Toleration) =>
    a.key === b.key && a.effect === b.effect && (a.operator ?? 'Equal') === b.operator && !a.value
  const own = (spec.tolerations ?? []).filter((toleration) => !added.some((other) => isSame(toleration, other)))
  return { ...spec, tolerations: [...own, ...added] }
}

/** Binds a pod to one node, so that the scheduler places it there or nowhere. */
export function onNode(affinity: Affinity | undefined, nodeName: string): Affinity {
  const term: NodeSelectorTerm = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }
  return {
    ...affinity,
    nodeAffinity: { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
  }
}

/** The node that a daemon pod is on or bound for. */
export function targetNodeOf(spec: PodSpec | undefined): string | undefined {
  if (spec?.nodeName) return spec.nodeName
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  for (const { matchFields = [] } of terms) {
    for (const { key, operator, values = [] } of matchFields)
      if (key === 'metadata.name' && operator === 'In' && values.length === 1) return values[0]
  }
  return undefined
}
