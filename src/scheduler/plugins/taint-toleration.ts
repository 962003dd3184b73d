/** Taints: NoSchedule and NoExecute keep pods away, PreferNoSchedule makes a node less wanted. */
import type { Taint, Toleration } from '../../api/generated/core/v1.ts'
import { definePlugin, impossible, normaliseByMaximum } from '../framework.ts'
import type { PodInfo } from '../pod-info.ts'
import { hasUntoleratedTaint, isTolerated } from '../taints.ts'

const REFUSED = impossible('node(s) had untolerated taint(s)')
const NO_TAINTS: readonly Taint[] = []
const tolerationsOf = (pod: PodInfo): readonly Toleration[] => pod.pod.spec?.tolerations ?? []

export const taintToleration = definePlugin<undefined, readonly Toleration[]>({
  name: 'TaintToleration',
  filter: (_state, pod, node) => (node.taints.length > 0 && hasUntoleratedTaint(node.taints, tolerationsOf(pod)) ? REFUSED : undefined),
  template: (pod) => JSON.stringify(tolerationsOf(pod)),
  preScore: (pod) => ({ state: tolerationsOf(pod).filter(({ effect }) => !effect || effect === 'PreferNoSchedule') }),
  score(tolerations, _pod, node) {
    let count = 0
    for (const taint of node.taints) if (taint.effect === 'PreferNoSchedule' && !isTolerated(taint, tolerations)) count++
    return count
  },
  normalise: (scores) => normaliseByMaximum(scores, true),
  requeueOn: [
    {
      on: ['node-added', 'node-taints'],
      isWorth(pod, event) {
        if (event.kind !== 'node-added' && event.kind !== 'node-taints') return false
        const wasRefused = event.kind === 'node-added' || hasUntoleratedTaint(event.old.spec?.taints ?? NO_TAINTS, tolerationsOf(pod))
        return wasRefused && !hasUntoleratedTaint(event.node.spec?.taints ?? NO_TAINTS, tolerationsOf(pod))
      },
    },
    { on: ['own-tolerations'] },
  ],
})
