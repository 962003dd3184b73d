/** Taints and tolerations (core/v1): what keeps a pod off a node, and what lets it on all the same. */
import type { Taint, Toleration } from '../api/generated/core/v1.ts'

/** The comparison operators Lt and Gt (KEP-5471) are off in v1.36 and so tolerate nothing. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  switch (toleration.operator || 'Equal') {
    case 'Equal':
      return (toleration.value ?? '') === (taint.value ?? '')
    case 'Exists':
      return true
    default:
      return false
  }
}

export const isTolerated = (taint: Taint, tolerations: readonly Toleration[]): boolean =>
  tolerations.some((toleration) => tolerates(toleration, taint))

export const isHard = (taint: Taint): boolean => taint.effect === 'NoSchedule' || taint.effect === 'NoExecute'

/** Is there a NoSchedule or NoExecute taint that the tolerations do not cover? */
export const hasUntoleratedTaint = (taints: readonly Taint[], tolerations: readonly Toleration[]): boolean =>
  taints.some((taint) => isHard(taint) && !isTolerated(taint, tolerations))
