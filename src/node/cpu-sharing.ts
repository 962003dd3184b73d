/**
 * Keeps the CPU of the node divided as its pods come and go: shares of the cgroups above pods, CPUs of their own, and for all other
 * containers the CPUs that are left. One change after the other; what fails is told and put right by the next.
 */
import type { Pod } from '../api/generated/core/v1.ts'
import { CPUS_ANNOTATION } from './cpu-manager.ts'
import { DEVICES_ANNOTATION } from './devices/device-manager.ts'
import { POD_UID_LABEL } from './identity.ts'
import type { NodeContext } from './node-context.ts'
import { allocatable } from './node-status.ts'
import type { PodWorker } from './pod-worker.ts'
import { createQosCgroups } from './qos-cgroups.ts'

export interface CpuSharing {
  /** CPUs and devices that an earlier agent gave stay with their containers. */
  adopt(): Promise<void>
  /** Looks at the pods anew. */
  refresh(): void
  /** A pod that has ended gives back its own. */
  release(podUid: string): void
}

export function createCpuSharing(node: NodeContext, workers: ReadonlyMap<string, PodWorker>, activePods: () => readonly Pod[]): CpuSharing {
  const { containers, cpuManager, devices, facts, configuration } = node
  // What evictions keep free is not kept from the cgroup.
  const { cpuMilli, memoryBytes } = allocatable({ facts, configuration: { ...configuration, evictionHard: {} } })
  const qosCgroups = createQosCgroups(node, { cpuMilli, memoryLimitBytes: memoryBytes })
  /** By container, what it was told last. */
  let told = new Map<string, string>()
  let isWanted = false
  let running: Promise<void> | undefined

  async function shareSets(): Promise<void> {
    if (!cpuManager) return
    const { shared } = cpuManager
    const now = new Map<string, string>()
    for (const worker of workers.values()) {
      for (const { id, metadata, state } of worker.observed.containers) {
        if (state !== 'RUNNING' || cpuManager.cpusOf(worker.pod.metadata?.uid ?? '', metadata.name).isExclusive) continue
        if (told.get(id) !== shared) {
          const unchanged = { cpuPeriod: 0, cpuQuota: 0, cpuShares: 0, memoryLimitBytes: 0, oomScoreAdj: 0 }
          await containers.updateContainerResources(id, { ...unchanged, cpus: shared })
        }
        now.set(id, shared)
      }
    }
    told = now
  }

  async function run(): Promise<void> {
    while (isWanted) {
      isWanted = false
      try {
        await qosCgroups.update(activePods())
        await shareSets()
      } catch (error) {
        node.runtime.log.warn('CPU not shared', { error: String(error) })
      }
    }
  }

  function refresh(): void {
    isWanted = true
    running ??= run().finally(() => (running = undefined))
  }

  cpuManager?.onStarted(refresh)
  return {
    async adopt() {
      for (const { labels, annotations, metadata, state } of await containers.listContainers()) {
        const { [CPUS_ANNOTATION]: cpus, [DEVICES_ANNOTATION]: ids } = annotations
        if (cpus && state !== 'EXITED') cpuManager?.adopt(labels[POD_UID_LABEL] ?? '', metadata.name, cpus)
        // They stay with the container when it runs again.
        if (ids) devices.adopt(labels[POD_UID_LABEL] ?? '', metadata.name, ids)
      }
    },
    refresh,
    release(podUid) {
      cpuManager?.release(podUid)
      devices.release(podUid)
      refresh()
    },
  }
}
