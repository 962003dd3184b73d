/** Room for the pod's requests; scores prefer the emptier node (LeastAllocated over cpu and memory, weights 1 and 1). */
import { definePlugin, MAXIMUM_SCORE } from '../framework.ts'
import type { Rejection } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import { podLimitOf, resourcesOf } from '../resources.ts'
import type { Resources } from '../resources.ts'

/** Counts the reasons why a request does not fit, most pods fitting, without allocating for those that do. */
function refusalFor(
  { requests }: PodInfo,
  allocatable: Resources,
  podLimit: number,
  requested: Resources,
  podCount: number,
): Rejection | undefined {
  let reasons: string[] | undefined
  let canPreempt = true
  const check = (name: string, wanted: number, capacity: number, used: number) => {
    if (wanted <= 0 || wanted <= capacity - used) return
    ;(reasons ??= []).push(`Insufficient ${name}`)
    if (wanted > capacity) canPreempt = false
  }
  if (podCount + 1 > podLimit) reasons = ['Too many pods']
  check('cpu', requests.cpuMilli, allocatable.cpuMilli, requested.cpuMilli)
  check('memory', requests.memoryBytes, allocatable.memoryBytes, requested.memoryBytes)
  check('ephemeral-storage', requests.ephemeralStorageBytes, allocatable.ephemeralStorageBytes, requested.ephemeralStorageBytes)
  for (const [name, wanted] of requests.scalars) check(name, wanted, allocatable.scalars.get(name) ?? 0, requested.scalars.get(name) ?? 0)
  return reasons ? { reasons, canPreempt } : undefined
}

const NOTHING_REQUESTED: Resources = resourcesOf(undefined)

/** Would the pod fit on the node if nothing else ran there? */
const fitsEmpty = (pod: PodInfo, allocatable: Readonly<Record<string, string>> | undefined): boolean =>
  refusalFor(pod, resourcesOf(allocatable), podLimitOf(allocatable), NOTHING_REQUESTED, 0) === undefined

/** Did any amount grow that the pod asks for? */
function hasGrown(
  { requests }: PodInfo,
  now: Readonly<Record<string, string>> | undefined,
  before: Readonly<Record<string, string>> | undefined,
): boolean {
  if (podLimitOf(now) > podLimitOf(before)) return true
  const [a, b] = [resourcesOf(now), resourcesOf(before)]
  if (requests.cpuMilli > 0 && a.cpuMilli > b.cpuMilli) return true
  if (requests.memoryBytes > 0 && a.memoryBytes > b.memoryBytes) return true
  if (requests.ephemeralStorageBytes > 0 && a.ephemeralStorageBytes > b.ephemeralStorageBytes) return true
  for (const [name, wanted] of requests.scalars) if (wanted > 0 && (a.scalars.get(name) ?? 0) > (b.scalars.get(name) ?? 0)) return true
  return false
}

const freedSome = (wanted: Resources, now: Resources, before: Resources): boolean =>
  (wanted.cpuMilli > 0 && before.cpuMilli > now.cpuMilli) ||
  (wanted.memoryBytes > 0 && before.memoryBytes > now.memoryBytes) ||
  (wanted.ephemeralStorageBytes > 0 && before.ephemeralStorageBytes > now.ephemeralStorageBytes) ||
  [...wanted.scalars].some(([name, amount]) => amount > 0 && (before.scalars.get(name) ?? 0) > (now.scalars.get(name) ?? 0))

const leastRequested = (requested: number, capacity: number): number =>
  requested > capacity ? 0 : Math.trunc(((capacity - requested) * MAXIMUM_SCORE) / capacity)

function leastAllocated(pod: PodInfo, { allocatable, nonZeroCpuMilli, nonZeroMemoryBytes }: NodeInfo): number {
  let sum = 0
  let weights = 0
  if (allocatable.cpuMilli > 0) {
    sum += leastRequested(nonZeroCpuMilli + pod.nonZeroCpuMilli, allocatable.cpuMilli)
    weights++
  }
  if (allocatable.memoryBytes > 0) {
    sum += leastRequested(nonZeroMemoryBytes + pod.nonZeroMemoryBytes, allocatable.memoryBytes)
    weights++
  }
  return weights === 0 ? 0 : Math.trunc(sum / weights)
}

export const nodeResourcesFit = definePlugin({
  name: 'NodeResourcesFit',
  filter: (_state, pod, node) => refusalFor(pod, node.allocatable, node.podLimit, node.requested, node.pods.length),
  score: (_state, pod, node) => leastAllocated(pod, node),
  requeueOn: [
    { on: ['pod-deleted', 'own-scaled-down'] },
    {
      on: ['pod-scaled-down'],
      isWorth: (pod, event) => event.kind === 'pod-scaled-down' && freedSome(pod.requests, event.pod.requests, event.old.requests),
    },
    { on: ['node-added'], isWorth: (pod, event) => event.kind === 'node-added' && fitsEmpty(pod, event.node.status?.allocatable) },
    {
      on: ['node-allocatable'],
      isWorth: (pod, event) =>
        event.kind === 'node-allocatable' &&
        fitsEmpty(pod, event.node.status?.allocatable) &&
        hasGrown(pod, event.node.status?.allocatable, event.old.status?.allocatable),
    },
  ],
})
