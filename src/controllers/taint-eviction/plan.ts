/** Decides whether and when a pod must leave a node because of NoExecute taints. No clock, no I/O. */
import type { Taint, Toleration } from '../../api/generated/core/v1.ts'
import { timeOf } from '../pods/pod-state.ts'

export const evictingTaints = (taints: readonly Taint[] | undefined): readonly Taint[] =>
  taints?.filter((taint) => taint.effect === 'NoExecute') ?? []

export function tolerates({ key, operator, value, effect }: Toleration, taint: Taint): boolean {
  if (effect && effect !== taint.effect) return false
  if (key && key !== taint.key) return false
  if (operator === 'Exists') return true
  return Boolean(key) && (value ?? '') === (taint.value ?? '')
}

/** When the pod must go, in milliseconds since 1970; undefined when it may stay. `sinceMs` stands in where a taint has no time. */
export function evictionTime(taints: readonly Taint[], tolerations: readonly Toleration[], sinceMs: number): number | undefined {
  let earliest: number | undefined
  for (const taint of taints) {
    const toleration = tolerations.find((candidate) => tolerates(candidate, taint))
    if (toleration && toleration.tolerationSeconds === undefined) continue
    const at = (timeOf(taint.timeAdded) ?? sinceMs) + Math.max(0, toleration?.tolerationSeconds ?? 0) * 1000
    if (earliest === undefined || at < earliest) earliest = at
  }
  return earliest
}
