/** What a pod uses of a quota. A pod that has ended, or outlived its grace period, uses nothing but its place in the store. */
import type { Container, ContainerStatus, Pod } from '../generated/core/v1.ts'
import { podTotals, type ResourceList } from '../pod-resources.ts'
import { compareQuantities } from '../quantity.ts'

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage']
const REQUESTS = 'requests.'
const LIMITS = 'limits.'
const HUGE_PAGES = 'hugepages-'
const DEVICE_CLASS = 'deviceclass.resource.kubernetes.io/'

const POD_NAMES: ReadonlySet<string> = new Set([
  'count/pods',
  'pods',
  ...COMPUTE.flatMap((name) => [name, `${REQUESTS}${name}`, `${LIMITS}${name}`]),
])

/** Upstream's IsNativeResource. */
const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')
const isExtended = (name: string): boolean => name.startsWith(DEVICE_CLASS) || (!isNative(name) && !name.startsWith(REQUESTS))

export function isPodQuotaName(name: string): boolean {
  if (POD_NAMES.has(name) || name.startsWith(HUGE_PAGES) || name.startsWith(`${REQUESTS}${HUGE_PAGES}`)) return true
  return name.startsWith(REQUESTS) && (!isNative(name) || name.startsWith(`${REQUESTS}${DEVICE_CLASS}`))
}

/** Whether it counts for anything but count/pods. */
export function isCharged({ status, metadata }: Pod, nowMs: number): boolean {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return false
  const endMs = chargeEndMs(metadata)
  return endMs === undefined || nowMs <= endMs
}

/** When a pod that is being deleted stops to be charged, should it still be there then (its node is lost). */
export function chargeEndMs(metadata: Pod['metadata']): number | undefined {
  if (metadata?.deletionTimestamp === undefined || metadata.deletionGracePeriodSeconds === undefined) return undefined
  return Date.parse(metadata.deletionTimestamp) + metadata.deletionGracePeriodSeconds * 1000
}

export function podUsage(pod: Pod, nowMs: number): ResourceList {
  if (!pod.spec || !isCharged(pod, nowMs)) return { 'count/pods': '1' }
  const spec = { ...pod.spec, ...inEffect(pod) }
  const requests = podTotals(spec, 'requests', { withOverhead: true })
  return { 'count/pods': '1', ...demandUsage(requests, podTotals(spec, 'limits', { withOverhead: true })) }
}

function demandUsage(requests: ResourceList, limits: ResourceList): ResourceList {
  const used: Record<string, string> = { pods: '1' }
  for (const name of COMPUTE) {
    if (requests[name] !== undefined) used[name] = used[`${REQUESTS}${name}`] = requests[name]
    if (limits[name] !== undefined) used[`${LIMITS}${name}`] = limits[name]
  }
  for (const [name, amount] of Object.entries(requests)) {
    if (name.startsWith(HUGE_PAGES)) used[name] = amount
    if (name.startsWith(HUGE_PAGES) || isExtended(name)) used[`${REQUESTS}${name}`] = amount
  }
  return used
}

/** While a resize is under way the larger of what is asked for and what is given counts (KEP-1287); all of it in the same shape. */
function inEffect({ spec, status }: Pod): { readonly containers: readonly Container[]; readonly initContainers?: readonly Container[] } {
  const isInfeasible = status?.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible') ?? false
  const given = new Map<string, ContainerStatus>()
  for (const one of [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]) given.set(one.name, one)
  const resized = (container: Container): Container => {
    const { resources, allocatedResources } = given.get(container.name) ?? {}
    if (resources === undefined && allocatedResources === undefined) return container
    const asked = isInfeasible ? undefined : container.resources
    const requests = largest(asked?.requests, resources?.requests, allocatedResources)
    return { ...container, resources: { ...container.resources, requests, limits: largest(asked?.limits, resources?.limits) } }
  }
  return {
    containers: spec!.containers.map(resized),
    ...(spec!.initContainers ? { initContainers: spec!.initContainers.map(resized) } : {}),
  }
}

function largest(...lists: readonly (ResourceList | undefined)[]): ResourceList {
  const most: Record<string, string> = {}
  for (const list of lists)
    for (const [name, amount] of Object.entries(list ?? {}))
      if (most[name] === undefined || compareQuantities(amount, most[name]) > 0) most[name] = amount
  return most
}

/** Names that every container must give a value for once a quota limits them: a rule that upstream regrets but keeps. */
const MANDATORY = ['cpu', 'memory'].flatMap((name) => [name, `${REQUESTS}${name}`, `${LIMITS}${name}`])

/** "must specify cpu for: a,b; memory for: a": what containers lack that a quota limits. */
export function missingDemands({ spec }: Pod, limited: readonly string[]): string | undefined {
  if (!spec || hasPodLevelResources(spec.resources)) return undefined
  const containers = [...spec.containers, ...(spec.initContainers ?? [])]
  const missing = MANDATORY.filter((name) => limited.includes(name))
    .sort()
    .map((name) => {
      const lacking = containers.filter(
        ({ resources }) => demandUsage(resources?.requests ?? {}, resources?.limits ?? {})[name] === undefined,
      )
      const names = [...new Set(lacking.map((container) => container.name))].sort()
      return names.length > 0 ? `${name} for: ${names.join(',')}` : ''
    })
    .filter((text) => text !== '')
  return missing.length > 0 ? `must specify ${missing.join('; ')}` : undefined
}

const hasPodLevelResources = (resources: { readonly requests?: ResourceList; readonly limits?: ResourceList } | undefined): boolean =>
  Object.keys({ ...resources?.requests, ...resources?.limits }).some(
    (name) => name === 'cpu' || name === 'memory' || name.startsWith(HUGE_PAGES),
  )
