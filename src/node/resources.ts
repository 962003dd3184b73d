/**
 * From resource requests and limits to what the kernel is told: quality of service, CPU shares and quota, memory limit, the
 * order in which the out-of-memory killer chooses. The numbers are upstream's (pkg/kubelet/cm and pkg/kubelet/qos).
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import type { LinuxResources } from './container-runtime.ts'
import { bytesOf, milliOf } from './quantities.ts'
import { isSidecar } from './restart-policy.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

const COMPUTE = ['cpu', 'memory'] as const

/** Guaranteed: every container limits CPU and memory to what it requests. BestEffort: none asks for anything. */
export function qosClass(pod: Pod): QosClass {
  const spec = pod.spec!
  const groups = spec.resources
    ? [spec.resources]
    : [...(spec.initContainers ?? []), ...(spec.containers ?? [])].map((container) => container.resources ?? {})
  let isGuaranteed = true
  let isBestEffort = true
  const totals = { requests: { cpu: 0, memory: 0 }, limits: { cpu: 0, memory: 0 } }
  for (const { requests, limits } of groups) {
    for (const name of COMPUTE) {
      const requested = milliOf(requests?.[name])
      const limited = milliOf(limits?.[name])
      if (requested > 0 || limited > 0) isBestEffort = false
      if (limited === 0) isGuaranteed = false
      totals.requests[name] += requested
      totals.limits[name] += limited
    }
  }
  if (isBestEffort) return 'BestEffort'
  const isEqual = COMPUTE.every((name) => totals.requests[name] === totals.limits[name])
  return isGuaranteed && isEqual ? 'Guaranteed' : 'Burstable'
}

const MINIMUM_SHARES = 2
const MAXIMUM_SHARES = 262_144
export const CPU_PERIOD_US = 100_000
const MINIMUM_QUOTA_US = 1000

export const cpuShares = (milli: number): number =>
  milli === 0 ? MINIMUM_SHARES : Math.min(Math.max(Math.floor((milli * 1024) / 1000), MINIMUM_SHARES), MAXIMUM_SHARES)

/** 0 is no limit. */
export const cpuQuota = (milli: number): number =>
  milli === 0 ? 0 : Math.max(Math.floor((milli * CPU_PERIOD_US) / 1000), MINIMUM_QUOTA_US)

/** A request that is not given is the limit. */
const requestOf = (container: Container, name: 'cpu' | 'memory'): string | number | undefined =>
  container.resources?.requests?.[name] ?? container.resources?.limits?.[name]

export const containerResources = (pod: Pod, container: Container, nodeMemoryBytes: number): LinuxResources => ({
  cpuPeriod: CPU_PERIOD_US,
  cpuQuota: cpuQuota(milliOf(container.resources?.limits?.['cpu'])),
  cpuShares: cpuShares(milliOf(requestOf(container, 'cpu'))),
  memoryLimitBytes: bytesOf(container.resources?.limits?.['memory']),
  oomScoreAdj: oomScoreAdjust(pod, container, nodeMemoryBytes),
})

const GUARANTEED_OOM_SCORE = -997
const BEST_EFFORT_OOM_SCORE = 1000
/** system-node-critical begins here (scheduling.SystemCriticalPriority + 1000). */
const NODE_CRITICAL_PRIORITY = 2_000_001_000

export function oomScoreAdjust(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  if ((pod.spec?.priority ?? 0) >= NODE_CRITICAL_PRIORITY) return GUARANTEED_OOM_SCORE
  const qos = qosClass(pod)
  if (qos === 'Guaranteed') return GUARANTEED_OOM_SCORE
  if (qos === 'BestEffort') return BEST_EFFORT_OOM_SCORE
  const scoreOf = (requestBytes: number) => 1000 - Math.floor((1000 * requestBytes) / nodeMemoryBytes)
  let score = scoreOf(bytesOf(container.resources?.requests?.['memory']))
  if (isSidecar(container)) {
    const smallest = Math.min(...(pod.spec?.containers ?? []).map((other) => bytesOf(other.resources?.requests?.['memory'])))
    score = Math.min(score, scoreOf(smallest))
  }
  return Math.min(Math.max(score, 1000 + GUARANTEED_OOM_SCORE), BEST_EFFORT_OOM_SCORE - 1)
}

/** The limits of the cgroup that holds the pod's containers; a limit holds only when every container has one. */
export function podCgroupResources(pod: Pod): {
  readonly cpuShares: number
  readonly cpuQuota?: number
  readonly memoryLimitBytes?: number
} {
  const spec = pod.spec!
  const lasting = [...(spec.containers ?? []), ...(spec.initContainers ?? []).filter(isSidecar)]
  const passing = (spec.initContainers ?? []).filter((container) => !isSidecar(container))
  const total = (valueOf: (container: Container) => number) =>
    Math.max(
      lasting.reduce((sum, container) => sum + valueOf(container), 0),
      ...passing.map(valueOf),
    )
  const requests = spec.resources?.requests?.['cpu']
  const limits = spec.resources?.limits
  const shares = cpuShares(requests === undefined ? total((container) => milliOf(requestOf(container, 'cpu'))) : milliOf(requests))
  const isLimited = (name: 'cpu' | 'memory') =>
    limits?.[name] !== undefined || [...lasting, ...passing].every((container) => container.resources?.limits?.[name] !== undefined)
  const quota = isLimited('cpu')
    ? cpuQuota(limits?.['cpu'] === undefined ? total((container) => milliOf(container.resources?.limits?.['cpu'])) : milliOf(limits['cpu']))
    : 0
  const memory = isLimited('memory')
    ? limits?.['memory'] === undefined
      ? total((container) => bytesOf(container.resources?.limits?.['memory']))
      : bytesOf(limits['memory'])
    : 0
  return { cpuShares: shares, ...(quota > 0 ? { cpuQuota: quota } : {}), ...(memory > 0 ? { memoryLimitBytes: memory } : {}) }
}
