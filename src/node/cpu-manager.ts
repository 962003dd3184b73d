/**
 * CPUs of their own (cpuManagerPolicy: static): a container of a Guaranteed pod that requests whole CPUs gets as many that nobody else runs
 * on; all other containers share what is left. Which container has which CPUs is written on the container itself, where a restarted agent
 * finds it (pkg/kubelet/cm/cpumanager).
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import { cpuSet, type NodeConfiguration } from './configuration.ts'
import { milliOf } from './quantities.ts'
import { qosClass } from './resources.ts'

/** On a container that has CPUs of its own: "2-3". */
export const CPUS_ANNOTATION = 'proa.dev/cpus'

export interface CpuManager {
  /** Gives the pod's containers what is theirs; throws, in upstream's words and having given nothing, when there is not enough. */
  allocate(pod: Pod): void
  /** What an earlier agent gave. */
  adopt(podUid: string, container: string, cpus: string): void
  release(podUid: string): void
  /** The CPUs of a container: its own, or those that are shared. */
  cpusOf(podUid: string, container: string): { readonly cpus: string; readonly isExclusive: boolean }
  /** A container began, by what was to be had when it was made: that may have changed since. */
  started(): void
  onStarted(listener: () => void): void
  /** Those that are shared; changes when somebody gets or gives back his own. */
  readonly shared: string
}

/** How many CPUs of its own a container gets. */
export function exclusiveCpus(pod: Pod, container: Container): number {
  const milli = milliOf(container.resources?.requests?.['cpu'] ?? container.resources?.limits?.['cpu'])
  return qosClass(pod) === 'Guaranteed' && milli > 0 && milli % 1000 === 0 ? milli / 1000 : 0
}

/** As Linux writes a set: "0-2,7". */
export function formatCpus(cpus: readonly number[]): string {
  const parts: string[] = []
  for (let at = 0; at < cpus.length;) {
    let end = at
    while (cpus[end + 1] === cpus[end]! + 1) end++
    parts.push(end > at ? `${cpus[at]}-${cpus[end]}` : `${cpus[at]}`)
    at = end + 1
  }
  return parts.join(',')
}

/** Undefined when no container has CPUs of its own. */
export function createCpuManager(configuration: NodeConfiguration, cpuCount: number): CpuManager | undefined {
  if (configuration.cpuManagerPolicy !== 'static') return undefined
  const all = Array.from({ length: cpuCount }, (_, cpu) => cpu)
  const reserved = reservedCpus(configuration, all)
  const given = new Map<string, Map<string, readonly number[]>>()
  let tell = () => {}

  const taken = (): ReadonlySet<number> => new Set([...given.values()].flatMap((own) => [...own.values()].flat()))
  const free = (): readonly number[] => {
    const busy = taken()
    return all.filter((cpu) => !busy.has(cpu))
  }
  const give = (podUid: string, container: string, cpus: readonly number[]): void => {
    const own = given.get(podUid) ?? new Map<string, readonly number[]>()
    given.set(podUid, own.set(container, cpus))
  }

  return {
    allocate(pod) {
      const uid = pod.metadata?.uid ?? ''
      if (given.has(uid)) return
      try {
        for (const container of pod.spec?.containers ?? []) {
          const wanted = exclusiveCpus(pod, container)
          if (wanted === 0) continue
          const available = free().filter((cpu) => !reserved.has(cpu))
          if (available.length < wanted)
            throw new Error(`not enough cpus available to satisfy request: requested=${wanted}, available=${available.length}`)
          give(uid, container.name, available.slice(0, wanted))
        }
      } catch (error) {
        given.delete(uid)
        throw error
      }
    },
    adopt: (podUid, container, cpus) => give(podUid, container, cpuSet(cpus)),
    release: (podUid) => void given.delete(podUid),
    cpusOf(podUid, container) {
      const own = given.get(podUid)?.get(container)
      return own ? { cpus: formatCpus(own), isExclusive: true } : { cpus: formatCpus(free()), isExclusive: false }
    },
    started: () => tell(),
    onStarted(listener) {
      tell = listener
    },
    get shared() {
      return formatCpus(free())
    },
  }
}

/** Never given to one alone: those that are named, or as many from the first on as are reserved. */
function reservedCpus(
  { reservedSystemCPUs, systemReserved, kubeReserved }: NodeConfiguration,
  all: readonly number[],
): ReadonlySet<number> {
  if (reservedSystemCPUs !== '') return new Set(cpuSet(reservedSystemCPUs))
  const count = Math.ceil((milliOf(systemReserved['cpu']) + milliOf(kubeReserved['cpu'])) / 1000)
  if (count === 0) throw new Error('the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero')
  return new Set(all.slice(0, count))
}
