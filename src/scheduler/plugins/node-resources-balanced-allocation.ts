/** Prefers nodes on which the pod makes the use of cpu and memory more even, so that neither is left stranded. */
import { definePlugin, MAXIMUM_SCORE } from '../framework.ts'
import type { Resources } from '../resources.ts'

/** 100 when cpu and memory are used in equal shares, 50 when one is full and the other empty. */
function evenness(cpuMilli: number, memoryBytes: number, allocatable: Resources): number {
  if (allocatable.cpuMilli === 0 || allocatable.memoryBytes === 0) return MAXIMUM_SCORE
  const cpu = Math.min(1, cpuMilli / allocatable.cpuMilli)
  const memory = Math.min(1, memoryBytes / allocatable.memoryBytes)
  return Math.trunc((1 - Math.abs((cpu - memory) / 2)) * MAXIMUM_SCORE)
}

export const nodeResourcesBalancedAllocation = definePlugin({
  name: 'NodeResourcesBalancedAllocation',
  // Pods that request nothing leave the balance as it is: scoring them would heap them up on one node.
  preScore: ({ requests }) => (requests.cpuMilli === 0 && requests.memoryBytes === 0 ? { skip: true } : { state: undefined }),
  score(_state, { requests }, { allocatable, requested }) {
    const after = evenness(requested.cpuMilli + requests.cpuMilli, requested.memoryBytes + requests.memoryBytes, allocatable)
    const before = evenness(requested.cpuMilli, requested.memoryBytes, allocatable)
    return MAXIMUM_SCORE / 2 + Math.trunc((MAXIMUM_SCORE / 2 + after - before) / 2)
  },
})
