/**
 * Amounts of resources as plain numbers: what a pod requests and what a node has to give. Sums are made in thousandths (a
 * quantity's finest unit that matters) and rounded up once at the end, as upstream's quantities do, so that no sum of
 * requests ever comes out smaller than what the containers may use.
 */
import type { Container, ContainerStatus, Pod } from '../api/generated/core/v1.ts'
import { toMilli } from '../api/quantity.ts'

export interface Resources {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly ephemeralStorageBytes: number
  /** Extended resources and huge pages by name; never holds cpu, memory, ephemeral-storage or pods. */
  readonly scalars: ReadonlyMap<string, number>
}

export type ResourceList = Readonly<Record<string, string>>

const NO_SCALARS: ReadonlyMap<string, number> = new Map()

export const NOTHING: Resources = { cpuMilli: 0, memoryBytes: 0, ephemeralStorageBytes: 0, scalars: NO_SCALARS }

/** What scoring counts for a container that requests nothing (upstream DefaultMilliCPURequest, DefaultMemoryRequest). */
const DEFAULT_CPU_MILLI = 100
const DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024

/** Names the scheduler counts beside the built-in ones: extended, huge pages, attachable volumes, prefixed native. */
function isScalar(name: string): boolean {
  return name.includes('/') ? !name.startsWith('requests.') : name.startsWith('hugepages-') || name.startsWith('attachable-volumes-')
}

/** Names of a domain of their own, outside of kubernetes.io. */
export const isExtendedResource = (name: string): boolean =>
  name.includes('/') && !name.includes('kubernetes.io/') && !name.startsWith('requests.')

/** Thousandths of each resource while summing. */
type Sum = Map<string, number>

function addList(sum: Sum, list: ResourceList | undefined): void {
  for (const name in list) sum.set(name, (sum.get(name) ?? 0) + toMilli(list[name]!))
}

function addSum(sum: Sum, other: Sum): void {
  for (const [name, milli] of other) sum.set(name, (sum.get(name) ?? 0) + milli)
}

function maxSum(sum: Sum, other: Sum): void {
  for (const [name, milli] of other) if (milli > (sum.get(name) ?? 0)) sum.set(name, milli)
}

function toResources(sum: Sum): Resources {
  if (sum.size === 0) return NOTHING
  let scalars: Map<string, number> | undefined
  for (const [name, milli] of sum) if (isScalar(name)) (scalars ??= new Map()).set(name, Math.ceil(milli / 1000))
  return {
    cpuMilli: sum.get('cpu') ?? 0,
    memoryBytes: Math.ceil((sum.get('memory') ?? 0) / 1000),
    ephemeralStorageBytes: Math.ceil((sum.get('ephemeral-storage') ?? 0) / 1000),
    scalars: scalars ?? NO_SCALARS,
  }
}

/** A node's allocatable or a plain resource list. */
export function resourcesOf(list: ResourceList | undefined): Resources {
  const sum: Sum = new Map()
  addList(sum, list)
  return toResources(sum)
}

/** How many pods a node admits: status.allocatable.pods. */
export const podLimitOf = (allocatable: ResourceList | undefined): number =>
  allocatable?.['pods'] === undefined ? 0 : Math.ceil(toMilli(allocatable['pods']) / 1000)

/** The larger of what is asked for, allotted and in force: a resize (KEP-1287) counts until it has shrunk for good. */
function effectiveRequests(container: Container, status: ContainerStatus | undefined, isInfeasible: boolean): Sum {
  const sum: Sum = new Map()
  if (!status?.resources || !isInfeasible) addList(sum, container.resources?.requests)
  if (!status?.resources) return sum
  for (const list of [status.resources.requests, status.allocatedResources]) {
    const other: Sum = new Map()
    addList(other, list)
    maxSum(sum, other)
  }
  return sum
}

interface Filling {
  /** Count a missing cpu or memory request as this, for scoring. */
  readonly cpu: boolean
  readonly memory: boolean
}

function fill(sum: Sum, filling: Filling | undefined): Sum {
  if (filling?.cpu && !sum.has('cpu')) sum.set('cpu', DEFAULT_CPU_MILLI)
  if (filling?.memory && !sum.has('memory')) sum.set('memory', DEFAULT_MEMORY_BYTES * 1000)
  return sum
}

const statusOf = (statuses: readonly ContainerStatus[] | undefined, name: string): ContainerStatus | undefined =>
  statuses?.find((status) => status.name === name)

/**
 * Containers run together, so they add up; init containers run one after the other beside the sidecars started before them
 * (KEP-753), so the widest moment counts.
 */
function containerRequests(pod: Pod, filling: Filling | undefined): Sum {
  const total: Sum = new Map()
  const isInfeasible = pod.status?.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible') ?? false
  for (const container of pod.spec?.containers ?? [])
    addSum(total, fill(effectiveRequests(container, statusOf(pod.status?.containerStatuses, container.name), isInfeasible), filling))
  if (!pod.spec?.initContainers?.length) return total
  const sidecars: Sum = new Map()
  const widest: Sum = new Map()
  for (const container of pod.spec.initContainers) {
    if (container.restartPolicy === 'Always') {
      const requests = fill(
        effectiveRequests(container, statusOf(pod.status?.initContainerStatuses, container.name), isInfeasible),
        filling,
      )
      addSum(total, requests)
      addSum(sidecars, requests)
      maxSum(widest, sidecars)
    } else {
      const requests = fill(effectiveRequests(container, undefined, isInfeasible), filling)
      addSum(requests, sidecars)
      maxSum(widest, requests)
    }
  }
  maxSum(total, widest)
  return total
}

/** Requests for the pod as a whole (KEP-2837) stand in for those of its containers. */
const isPodLevel = (name: string): boolean => name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')

function podRequests(pod: Pod, filling: Filling | undefined, withPodLevel = true): Sum {
  const total = containerRequests(pod, filling)
  const podLevel = withPodLevel ? pod.spec?.resources?.requests : undefined
  for (const name in podLevel) if (isPodLevel(name)) total.set(name, toMilli(podLevel[name]!))
  addList(total, pod.spec?.overhead)
  return total
}

export interface PodRequests {
  readonly requests: Resources
  /** With defaults where nothing is requested, so that many best-effort pods still count when nodes are scored. */
  readonly nonZeroCpuMilli: number
  readonly nonZeroMemoryBytes: number
  /** As NodeResourcesFit scores the pod: upstream leaves out there what is asked for the pod as a whole. */
  readonly scoredCpuMilli: number
  readonly scoredMemoryBytes: number
}

export function requestsOf(pod: Pod): PodRequests {
  const sum = podRequests(pod, undefined)
  const podLevel = pod.spec?.resources?.requests
  const isPodLevelSet = podLevel !== undefined && Object.keys(podLevel).some(isPodLevel)
  const filled = podRequests(pod, { cpu: !isPodLevelSet || !sum.has('cpu'), memory: !isPodLevelSet || !sum.has('memory') })
  const scored = isPodLevelSet ? podRequests(pod, { cpu: true, memory: true }, false) : filled
  return {
    requests: toResources(sum),
    nonZeroCpuMilli: filled.get('cpu') ?? 0,
    nonZeroMemoryBytes: Math.ceil((filled.get('memory') ?? 0) / 1000),
    scoredCpuMilli: scored.get('cpu') ?? 0,
    scoredMemoryBytes: Math.ceil((scored.get('memory') ?? 0) / 1000),
  }
}

/** `base` plus (or, with sign -1, minus) `change`. */
export function addResources(base: Resources, change: Resources, sign: 1 | -1): Resources {
  let scalars = base.scalars
  if (change.scalars.size > 0) {
    const sum = new Map(base.scalars)
    for (const [name, amount] of change.scalars) sum.set(name, (sum.get(name) ?? 0) + sign * amount)
    scalars = sum
  }
  return {
    cpuMilli: base.cpuMilli + sign * change.cpuMilli,
    memoryBytes: base.memoryBytes + sign * change.memoryBytes,
    ephemeralStorageBytes: base.ephemeralStorageBytes + sign * change.ephemeralStorageBytes,
    scalars,
  }
}

/** Text that tells requests from others: of equal ones filters and scores of resources are the same. */
export function requestsKey({ requests, scoredCpuMilli, scoredMemoryBytes }: PodRequests): string {
  let key = `${requests.cpuMilli} ${requests.memoryBytes} ${requests.ephemeralStorageBytes} ${scoredCpuMilli} ${scoredMemoryBytes}`
  for (const [name, amount] of requests.scalars) key += ` ${name}=${amount}`
  return key
}
