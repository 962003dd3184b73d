/**
 * Whether this node takes a pod at all, as upstream's kubelet asks before it starts one: a pod that was bound past the scheduler,
 * or before it knew, is rejected, which is final for it. Pure. Node affinity and taints are left to the scheduler.
 */
import type { Pod } from '../api/generated/core/v1.ts'
import { hostPortsOf, portsConflict } from '../api/host-ports.ts'
import { isCritical } from './eviction/rank.ts'
import type { Pressure } from './eviction/thresholds.ts'
import { bytesOf, milliOf } from './quantities.ts'
import { qosClass } from './resources.ts'
import { isSidecar } from './restart-policy.ts'

export interface Rejection {
  readonly reason: string
  readonly message: string
}

export interface NodeRoom {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly pods: number
  /** What the node is short of just now. */
  readonly pressure: readonly Pressure[]
  /** Kernel parameters beyond the safe ones; one that ends with "*" stands for all that begin so. */
  readonly allowedSysctls: readonly string[]
}

/** Kernel parameters that belong to the pod alone and cannot hurt its neighbours. */
const SAFE_SYSCTLS: ReadonlyMap<string, 'network' | 'IPC'> = new Map([
  ['kernel.shm_rmid_forced', 'IPC'],
  ['net.ipv4.ip_local_port_range', 'network'],
  ['net.ipv4.tcp_syncookies', 'network'],
  ['net.ipv4.ping_group_range', 'network'],
  ['net.ipv4.ip_unprivileged_port_start', 'network'],
  ['net.ipv4.ip_local_reserved_ports', 'network'],
  ['net.ipv4.tcp_keepalive_time', 'network'],
  ['net.ipv4.tcp_fin_timeout', 'network'],
  ['net.ipv4.tcp_keepalive_intvl', 'network'],
  ['net.ipv4.tcp_keepalive_probes', 'network'],
  ['net.ipv4.tcp_rmem', 'network'],
  ['net.ipv4.tcp_wmem', 'network'],
])

/** Of the status' message alone: events say only what follows. */
export const REJECTED_PREFIX = 'Pod was rejected: '

const rejected = (reason: string, message: string): Rejection => ({ reason, message: `${REJECTED_PREFIX}${message}` })

const lack = (name: string, requested: number, used: number, capacity: number): Rejection | undefined =>
  requested > 0 && requested + used > capacity
    ? rejected(`OutOf${name}`, `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`)
    : undefined

/** What the scheduler counted on was not to be had after all. */
export const allocationFailed = (error: unknown): Rejection =>
  rejected(
    'UnexpectedAdmissionError',
    `Allocate failed due to ${error instanceof Error ? error.message : String(error)}, which is unexpected`,
  )

/** Undefined when the pod may run. `others` are the pods that have their place already. */
export function rejectionOf(pod: Pod, others: readonly Pod[], room: NodeRoom): Rejection | undefined {
  for (const { name } of pod.spec?.securityContext?.sysctls ?? []) {
    const sysctl = name.replaceAll('/', '.')
    const namespace = SAFE_SYSCTLS.get(sysctl)
    if (
      !namespace &&
      room.allowedSysctls.some((allowed) => (allowed.endsWith('*') ? sysctl.startsWith(allowed.slice(0, -1)) : sysctl === allowed))
    )
      continue
    if (!namespace) return rejected('SysctlForbidden', `forbidden sysctl: "${sysctl}" not allowlisted`)
    if (namespace === 'network' ? pod.spec?.hostNetwork : pod.spec?.hostIPC)
      return rejected(
        'SysctlForbidden',
        `forbidden sysctl: "${sysctl}" not allowed with host ${namespace === 'network' ? 'net' : 'ipc'} enabled`,
      )
  }
  const strained = pressureRejection(pod, room.pressure)
  if (strained) return strained
  const used = others.map(requestsOf)
  const wanted = requestsOf(pod)
  const sum = (of: (one: Requests) => number) => used.reduce((total, one) => total + of(one), 0)
  return (
    lack('pods', 1, others.length, room.pods) ??
    lack(
      'cpu',
      wanted.cpuMilli,
      sum((one) => one.cpuMilli),
      room.cpuMilli,
    ) ??
    lack(
      'memory',
      wanted.memoryBytes,
      sum((one) => one.memoryBytes),
      room.memoryBytes,
    ) ??
    portRejection(pod, others)
  )
}

function portRejection(pod: Pod, others: readonly Pod[]): Rejection | undefined {
  const wanted = hostPortsOf(pod.spec)
  if (wanted.length === 0 || !others.some((other) => portsConflict(wanted, hostPortsOf(other.spec)))) return undefined
  return rejected('NodePorts', "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
}

interface Requests {
  readonly cpuMilli: number
  readonly memoryBytes: number
}

/** Of pods that have their place: asked again for each that comes. Specs are immutable. */
const known = new WeakMap<object, Requests>()

/** The sum of what runs together, or the largest init container on top of the sidecars, whichever is more. */
export function requestsOf(pod: Pod): Requests {
  const spec = pod.spec ?? {}
  let requests = known.get(spec)
  if (!requests) known.set(spec, (requests = sumOf(pod)))
  return requests
}

function sumOf(pod: Pod): Requests {
  const total = (valueOf: (quantity: string | number | undefined) => number, name: 'cpu' | 'memory'): number => {
    const own = pod.spec?.resources?.requests?.[name]
    if (own !== undefined) return valueOf(own)
    const sum = (pod.spec?.containers ?? []).reduce((all, container) => all + valueOf(container.resources?.requests?.[name]), 0)
    let sidecars = 0
    let peak = 0
    for (const container of pod.spec?.initContainers ?? []) {
      const value = valueOf(container.resources?.requests?.[name])
      if (isSidecar(container)) sidecars += value
      peak = Math.max(peak, isSidecar(container) ? sidecars : sidecars + value)
    }
    return Math.max(sum + sidecars, peak) + valueOf(pod.spec?.overhead?.[name])
  }
  return { cpuMilli: total(milliOf, 'cpu'), memoryBytes: total(bytesOf, 'memory') }
}

/** Critical pods come in all the same; when only memory is short, so do pods that said what they need, or that bear with it. */
function pressureRejection(pod: Pod, pressure: readonly Pressure[]): Rejection | undefined {
  if (pressure.length === 0 || isCritical(pod)) return undefined
  if (pressure.length === 1 && pressure[0] === 'MemoryPressure') {
    if (qosClass(pod) !== 'BestEffort') return undefined
    const tolerates = pod.spec?.tolerations?.some(
      ({ key = '', effect = '', operator = 'Equal', value = '' }) =>
        (effect === '' || effect === 'NoSchedule') &&
        ((key === '' && operator === 'Exists') ||
          (key === 'node.kubernetes.io/memory-pressure' && (operator === 'Exists' || (operator === 'Equal' && value === '')))),
    )
    if (tolerates) return undefined
  }
  return rejected('Evicted', `The node had condition: [${pressure.join(' ')}]. `)
}
