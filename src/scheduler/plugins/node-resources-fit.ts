/** Room for the pod's requests; scores prefer, by the profile's strategy, the emptier node, the fuller one or a wanted share. */
import type { DeviceClass } from '../../api/generated/resource/v1.ts'
import { CLASS_PREFIX, extendedResourcesOf, isCandidate, isFromDevices } from '../devices/extended-resources.ts'
import { definePlugin } from '../framework.ts'
import type { Plugin, Rejection } from '../framework.ts'
import type { PodInfo } from '../pod-info.ts'
import { createResourceScore, CPU_AND_MEMORY } from '../resource-scoring.ts'
import type { ScoringStrategy } from '../resource-scoring.ts'
import { isExtendedResource, podLimitOf, requestsKey, resourcesOf } from '../resources.ts'
import type { Resources } from '../resources.ts'

export interface NodeResourcesFitArgs {
  /** Extended resources that somebody else looks after, by name or by what stands before the slash. */
  readonly ignoredResources: readonly string[]
  readonly ignoredResourceGroups: readonly string[]
  readonly scoringStrategy: ScoringStrategy
}

export const NODE_RESOURCES_FIT_ARGS: NodeResourcesFitArgs = {
  ignoredResources: [],
  ignoredResourceGroups: [],
  scoringStrategy: { type: 'LeastAllocated', resources: CPU_AND_MEMORY },
}

/** Counts the reasons why a request does not fit, most pods fitting, without allocating for those that do. */
function refusalFor(
  { requests }: PodInfo,
  allocatable: Resources,
  podLimit: number,
  requested: Resources,
  podCount: number,
  isIgnored?: (name: string) => boolean,
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
  for (const [name, wanted] of requests.scalars) {
    const capacity = allocatable.scalars.get(name) ?? 0
    if (!isIgnored?.(name)) check(name, wanted, capacity, requested.scalars.get(name) ?? 0)
  }
  return reasons ? { reasons, canPreempt } : undefined
}

const NOTHING_REQUESTED: Resources = resourcesOf(undefined)

/** Would the pod fit on the node if nothing else ran there? What the node does not offer may come from devices. */
function fitsEmpty(pod: PodInfo, list: Readonly<Record<string, string>> | undefined): boolean {
  const allocatable = resourcesOf(list)
  const isElsewhere = (name: string) => isCandidate(name) && !allocatable.scalars.has(name)
  return refusalFor(pod, allocatable, podLimitOf(list), NOTHING_REQUESTED, 0, isElsewhere) === undefined
}

/** Does the class stand for something that the pod asks for? */
const isAskedFor = ({ requests }: PodInfo, { metadata, spec }: DeviceClass): boolean =>
  requests.scalars.has(`${CLASS_PREFIX}${metadata?.name}`) || requests.scalars.has(spec.extendedResourceName ?? '')

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

const groupOf = (name: string): string => name.slice(0, Math.max(0, name.indexOf('/')))

const MAXIMUM_REFUSALS = 1_000

/** Of equal refusals one value, so that thousands of nodes refused alike are counted as one. */
function createInterning(): (refusal: Rejection | undefined) => Rejection | undefined {
  const known = new Map<string, Rejection>()
  return (refusal) => {
    if (!refusal) return undefined
    const key = `${refusal.canPreempt} ${refusal.reasons.join()}`
    const found = known.get(key)
    if (found) return found
    if (known.size >= MAXIMUM_REFUSALS) known.clear()
    known.set(key, refusal)
    return refusal
  }
}

export function createNodeResourcesFit(args: NodeResourcesFitArgs = NODE_RESOURCES_FIT_ARGS): Plugin {
  const scoreOf = createResourceScore(args.scoringStrategy)
  const interned = createInterning()
  const names = new Set(args.ignoredResources)
  const groups = new Set(args.ignoredResourceGroups)
  const isLeftOut = (name: string): boolean => isExtendedResource(name) && (names.has(name) || groups.has(groupOf(name)))
  return definePlugin({
    name: 'NodeResourcesFit',
    filter(_state, pod, node, { view }) {
      const isElsewhere = (name: string) => isLeftOut(name) || isFromDevices(name, node.allocatable, view)
      return interned(refusalFor(pod, node.allocatable, node.podLimit, node.requested, node.pods.length, isElsewhere))
    },
    score: (_state, pod, node) => scoreOf(pod, node),
    // Which classes stand for something is not the node's to tell.
    template: (pod, { view }) => (extendedResourcesOf(pod, view).length > 0 ? undefined : requestsKey(pod)),
    requeueOn: [
      { on: ['pod-deleted', 'own-scaled-down'] },
      {
        on: ['pod-scaled-down'],
        isWorth: (pod, event) => event.kind === 'pod-scaled-down' && freedSome(pod.requests, event.pod.requests, event.old.requests),
      },
      { on: ['node-added'], isWorth: (pod, event) => event.kind === 'node-added' && fitsEmpty(pod, event.node.status?.allocatable) },
      {
        on: ['device-class'],
        isWorth: (pod, event) => event.kind === 'device-class' && isAskedFor(pod, event.object as unknown as DeviceClass),
      },
      {
        on: ['node-allocatable'],
        isWorth: (pod, event) =>
          event.kind === 'node-allocatable' &&
          fitsEmpty(pod, event.node.status?.allocatable) &&
          hasGrown(pod, event.node.status?.allocatable, event.old.status?.allocatable),
      },
    ],
  })
}
