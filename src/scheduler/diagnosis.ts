/** Why a pod fits nowhere, in the text that `kubectl describe` shows and that tools parse (upstream FitError.Error). */
import type { Rejection } from './framework.ts'

export interface Diagnosis {
  readonly nodeCount: number
  /** Holes, and undefined, for nodes that were not refused by themselves. */
  readonly rejections: readonly (Rejection | undefined)[]
  /** Stands for every node without an entry. */
  readonly absent: Rejection | undefined
  /** Set when a preFilter refused the pod on all nodes at once. */
  readonly preFilterMessage: string
  readonly postFilterMessage: string
}

export const rejectionMessage = (rejection: Rejection): string => rejection.reasons.join(', ')

/** Counts each reason over the nodes: "2 Insufficient cpu, 1 node(s) were unschedulable". */
function histogram(diagnosis: Diagnosis): string {
  // Most nodes share a few rejections, so those are counted first and their texts only then.
  const times = new Map<Rejection, number>()
  let refused = 0
  for (const rejection of diagnosis.rejections) {
    if (!rejection) continue
    refused++
    times.set(rejection, (times.get(rejection) ?? 0) + 1)
  }
  const absentCount = diagnosis.nodeCount - refused
  if (diagnosis.absent && absentCount > 0) times.set(diagnosis.absent, (times.get(diagnosis.absent) ?? 0) + absentCount)
  const counts = new Map<string, number>()
  for (const [rejection, count] of times) for (const reason of rejection.reasons) counts.set(reason, (counts.get(reason) ?? 0) + count)
  // Sorted as texts, so that "10 ..." comes before "2 ...": what upstream prints.
  return [...counts]
    .map(([reason, times]) => `${times} ${reason}`)
    .toSorted()
    .join(', ')
}

export function describeDiagnosis(diagnosis: Diagnosis): string {
  let message = `0/${diagnosis.nodeCount} nodes are available:`
  const why = diagnosis.preFilterMessage || histogram(diagnosis)
  if (why) message += ` ${why}.`
  if (diagnosis.postFilterMessage) message += ` ${diagnosis.postFilterMessage}`
  return message
}
