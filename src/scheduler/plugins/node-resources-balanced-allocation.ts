/** Prefers nodes on which the pod makes the use of resources more even, so that none of them is left stranded. */
import { definePlugin, MAXIMUM_SCORE } from '../framework.ts'
import type { Plugin } from '../framework.ts'
import { requestsKey } from '../resources.ts'
import { amountOf, counts, CPU_AND_MEMORY, evenness, nodeAmount, podAmount } from '../resource-scoring.ts'
import type { ResourceSpec } from '../resource-scoring.ts'

export interface BalancedAllocationArgs {
  readonly resources: readonly ResourceSpec[]
}

export function createNodeResourcesBalancedAllocation({ resources }: BalancedAllocationArgs = { resources: CPU_AND_MEMORY }): Plugin {
  return definePlugin({
    name: 'NodeResourcesBalancedAllocation',
    // Pods that request nothing leave the balance as it is: scoring them would heap them up on one node.
    preScore: (pod) => (resources.every(({ name }) => podAmount(pod, name, false) === 0) ? { skip: true } : { state: undefined }),
    score(_state, pod, node) {
      const before: number[] = []
      const after: number[] = []
      for (const { name } of resources) {
        const capacity = amountOf(node.allocatable, name)
        if (capacity === 0 || !counts(pod, name)) continue
        const used = nodeAmount(node, name, false)
        before.push(Math.min(1, used / capacity))
        after.push(Math.min(1, (used + podAmount(pod, name, false)) / capacity))
      }
      return MAXIMUM_SCORE / 2 + Math.trunc((MAXIMUM_SCORE / 2 + evenness(after) - evenness(before)) / 2)
    },
    template: (pod) => requestsKey(pod),
  })
}
