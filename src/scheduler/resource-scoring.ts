/**
 * How much of a node's resources would be taken with the pod on it, and what that is worth: shared by NodeResourcesFit and
 * NodeResourcesBalancedAllocation (upstream noderesources/resource_allocation.go).
 */
import { MAXIMUM_SCORE } from './framework.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import type { Resources } from './resources.ts'

export interface ResourceSpec {
  readonly name: string
  readonly weight: number
}

export const CPU_AND_MEMORY: readonly ResourceSpec[] = [
  { name: 'cpu', weight: 1 },
  { name: 'memory', weight: 1 },
]

/** One point of a broken line: utilization in per cent, score from 0 to 10. */
export interface ShapePoint {
  readonly utilization: number
  readonly score: number
}

export type ScoringStrategy =
  | { readonly type: 'LeastAllocated' | 'MostAllocated'; readonly resources: readonly ResourceSpec[] }
  | { readonly type: 'RequestedToCapacityRatio'; readonly resources: readonly ResourceSpec[]; readonly shape: readonly ShapePoint[] }

/** The amount of a resource, cpu in thousandths. */
export function amountOf(resources: Resources, name: string): number {
  switch (name) {
    case 'cpu':
      return resources.cpuMilli
    case 'memory':
      return resources.memoryBytes
    case 'ephemeral-storage':
      return resources.ephemeralStorageBytes
    default:
      return resources.scalars.get(name) ?? 0
  }
}

const isBuiltIn = (name: string): boolean => name === 'cpu' || name === 'memory' || name === 'ephemeral-storage'

/** What the pod asks for, as scoring counts it: `isFilled` has defaults stand in for cpu and memory that nobody asks for. */
export function podAmount(pod: PodInfo, name: string, isFilled: boolean): number {
  if (isFilled && name === 'cpu') return pod.scoredCpuMilli
  if (isFilled && name === 'memory') return pod.scoredMemoryBytes
  return amountOf(pod.requests, name)
}

export function nodeAmount(node: NodeInfo, name: string, isFilled: boolean): number {
  if (isFilled && name === 'cpu') return node.nonZeroCpuMilli
  if (isFilled && name === 'memory') return node.nonZeroMemoryBytes
  return amountOf(node.requested, name)
}

/** Other resources than the built-in ones count only for pods that ask for them. */
export const counts = (pod: PodInfo, name: string): boolean => isBuiltIn(name) || amountOf(pod.requests, name) > 0

const least = (requested: number, capacity: number): number =>
  requested > capacity ? 0 : Math.trunc(((capacity - requested) * MAXIMUM_SCORE) / capacity)

const most = (requested: number, capacity: number): number => Math.trunc((Math.min(requested, capacity) * MAXIMUM_SCORE) / capacity)

/** The line through the points, their scores brought to 0 to 100. */
function brokenLine(shape: readonly ShapePoint[]): (utilization: number) => number {
  const points = shape.map(({ utilization, score }) => ({ utilization, score: score * (MAXIMUM_SCORE / 10) }))
  return (utilization) => {
    const after = points.findIndex((point) => utilization <= point.utilization)
    if (after < 0) return points.at(-1)!.score
    if (after === 0) return points[0]!.score
    const [from, to] = [points[after - 1]!, points[after]!]
    return from.score + Math.trunc(((to.score - from.score) * (utilization - from.utilization)) / (to.utilization - from.utilization))
  }
}

/** The score of a node by the strategy: a mean over its resources, weighted. */
export function createResourceScore(strategy: ScoringStrategy): (pod: PodInfo, node: NodeInfo) => number {
  const { resources, type } = strategy
  const line = type === 'RequestedToCapacityRatio' ? brokenLine(strategy.shape) : undefined
  const scoreOf = (requested: number, capacity: number): number => {
    if (type === 'LeastAllocated') return least(requested, capacity)
    if (type === 'MostAllocated') return most(requested, capacity)
    return line!(requested > capacity ? 100 : Math.trunc((requested * 100) / capacity))
  }
  return (pod, node) => {
    let sum = 0
    let weights = 0
    for (const { name, weight } of resources) {
      const capacity = amountOf(node.allocatable, name)
      if (capacity === 0 || !counts(pod, name)) continue
      const score = scoreOf(nodeAmount(node, name, true) + podAmount(pod, name, true), capacity)
      // A ratio of no worth leaves the resource out of the mean.
      if (line && score <= 0) continue
      sum += score * weight
      weights += weight
    }
    if (weights === 0) return 0
    return line ? Math.round(sum / weights) : Math.trunc(sum / weights)
  }
}

/** 100 when all resources are used in equal shares. */
export function evenness(shares: readonly number[]): number {
  let deviation = 0
  if (shares.length === 2) deviation = Math.abs((shares[0]! - shares[1]!) / 2)
  else if (shares.length > 2) {
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
    deviation = Math.sqrt(shares.reduce((sum, share) => sum + (share - mean) * (share - mean), 0) / shares.length)
  }
  return Math.trunc((1 - deviation) * MAXIMUM_SCORE)
}
