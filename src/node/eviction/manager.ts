/**
 * Keeps the node alive when its pods take more than it has: looks every ten seconds, tells the pressure as node conditions, frees what
 * nobody uses, and ends one pod at a time until enough is left. A pod that writes more than it limits itself to goes whatever is left.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { durationMs } from '../configuration.ts'
import type { ContainerUsage } from '../container-runtime.ts'
import type { MachineUsage } from '../host.ts'
import { CONTAINER_NAME_LABEL, identityOf, podDirectory, podLogDirectory, POD_UID_LABEL } from '../identity.ts'
import type { NodeContext } from '../node-context.ts'
import { isTerminalPhase } from '../pod-phase.ts'
import type { PodWorker } from '../pod-worker.ts'
import { evictionMessage, isCritical, limitsStorage, rankPods, storageOverrun, type PodUse } from './rank.ts'
import {
  CALM,
  isMet,
  mostUrgent,
  nextPressure,
  observationsOf,
  RESOURCE_OF,
  thresholdsOf,
  type Pressure,
  type StarvedResource,
  type Threshold,
} from './thresholds.ts'

export const EVICTION_PERIOD_MS = 10_000
/** What a pod gets to end when there is no time. */
const IMMEDIATE_GRACE_SECONDS = 1

export interface EvictionManagerOptions {
  readonly workers: ReadonlyMap<string, PodWorker>
  /** Frees what nobody uses of the node's disk. */
  reclaimDisk(): Promise<void>
  onPressure(conditions: readonly Pressure[]): void
}

export interface EvictionManager {
  /** One look at the node, and what follows from it. */
  look(): Promise<void>
}

export function createEvictionManager(
  node: NodeContext,
  machineUsage: () => Promise<MachineUsage>,
  options: EvictionManagerOptions,
): EvictionManager {
  const { configuration, containers, host } = node
  const { clock, log } = node.runtime
  const thresholds = thresholdsOf(configuration)
  const transitionMs = durationMs(configuration.evictionPressureTransitionPeriod)
  const about = { kind: 'Node', apiVersion: 'v1', name: node.nodeName, uid: node.nodeName }
  let state = CALM

  const active = (): readonly PodWorker[] =>
    [...options.workers.values()].filter((worker) => worker.state === 'running' && !isTerminalPhase(worker.status.phase))

  /** By pod: what each of its containers takes. */
  async function containerUsages(): Promise<ReadonlyMap<string, readonly ContainerUsage[]>> {
    return Map.groupBy((await containers.usage?.()) ?? [], ({ labels }) => labels[POD_UID_LABEL] ?? '')
  }

  const nameOf = ({ labels }: ContainerUsage): string => labels[CONTAINER_NAME_LABEL] ?? ''

  /** What a pod has on the node's disk: writable layers, logs and emptyDirs. */
  async function diskUse(pod: Pod, own: readonly ContainerUsage[], of: 'usedBytes' | 'inodesUsed') {
    const identity = identityOf(pod)
    const emptyDirs = new Map<string, number>()
    let total = 0
    for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
      if (!emptyDir) continue
      const use = await host.treeUsage(`${podDirectory(node.dataDirectory, identity.uid)}/volumes/kubernetes.io~empty-dir/${name}`)
      emptyDirs.set(name, use.usedBytes)
      if (emptyDir.medium !== 'Memory') total += use[of]
    }
    const perContainer = new Map<string, number>()
    for (const usage of own) {
      const name = nameOf(usage)
      const logs = await host.treeUsage(`${podLogDirectory(node.logsDirectory, identity)}/${name}`)
      const used = logs[of] + (usage.writableLayer?.[of] ?? 0)
      perContainer.set(name, used)
      total += used
    }
    return { emptyDirs, containers: perContainer, total }
  }

  async function usesOf(workers: readonly PodWorker[], resource: StarvedResource): Promise<ReadonlyMap<Pod, PodUse>> {
    const usages = await containerUsages()
    const found = new Map<Pod, PodUse>()
    for (const { pod } of workers) {
      const own = usages.get(pod.metadata?.uid ?? '') ?? []
      if (resource === 'memory') {
        const each = own.map((usage) => ({ name: nameOf(usage), used: usage.workingSetBytes }))
        found.set(pod, { total: each.reduce((sum, { used }) => sum + used, 0), containers: each })
      } else if (resource !== 'pids') {
        const use = await diskUse(pod, own, resource === 'inodes' ? 'inodesUsed' : 'usedBytes')
        found.set(pod, { total: use.total, containers: Array.from(use.containers, ([name, used]) => ({ name, used })) })
      }
    }
    return found
  }

  /** True when somebody went. */
  async function evictOverrun(): Promise<boolean> {
    const limited = active().filter(({ pod }) => limitsStorage(pod))
    if (limited.length === 0) return false
    const usages = await containerUsages()
    let isAnyEvicted = false
    for (const worker of limited) {
      const overrun = storageOverrun(worker.pod, await diskUse(worker.pod, usages.get(worker.pod.metadata?.uid ?? '') ?? [], 'usedBytes'))
      if (!overrun || isCritical(worker.pod)) continue
      worker.evict({ reason: 'Evicted', message: overrun.message, graceSeconds: IMMEDIATE_GRACE_SECONDS })
      node.counters.increment('kubelet_evictions', { eviction_signal: overrun.signal })
      isAnyEvicted = true
    }
    return isAnyEvicted
  }

  async function reclaim(threshold: Threshold): Promise<void> {
    const resource = RESOURCE_OF[threshold.signal]
    node.events.record(about, 'Warning', 'EvictionThresholdMet', `Attempting to reclaim ${resource}`)
    if (resource === 'ephemeral-storage' || resource === 'inodes') {
      await options.reclaimDisk()
      const now = observationsOf(await machineUsage())
      if (!thresholds.some((one) => isMet(one, now, true))) return
    }
    const workers = active()
    const uses = await usesOf(workers, resource)
    const observations = observationsOf(await machineUsage())
    const ranked = rankPods(
      workers.map(({ pod }) => pod),
      resource,
      (pod) => (resource === 'pids' ? { total: 0, containers: [] } : uses.get(pod)),
    )
    const victim = ranked.find((pod) => !isCritical(pod))
    const worker = workers.find(({ pod }) => pod === victim)
    if (!victim || !worker) {
      log.warn('no pod can be evicted', { resource })
      return
    }
    const own = victim.spec?.terminationGracePeriodSeconds ?? configuration.evictionMaxPodGracePeriod
    const message = evictionMessage(victim, resource, uses.get(victim), state.due, observations)
    worker.evict({
      reason: 'Evicted',
      message,
      graceSeconds: threshold.isHard ? IMMEDIATE_GRACE_SECONDS : Math.min(configuration.evictionMaxPodGracePeriod, own),
      disruption: message,
    })
    node.counters.increment('kubelet_evictions', { eviction_signal: threshold.signal })
    log.warn('pod evicted', { pod: victim.metadata?.name, namespace: victim.metadata?.namespace, resource })
  }

  return {
    async look() {
      const observations = observationsOf(await machineUsage())
      const next = nextPressure(state, thresholds, observations, clock.now(), transitionMs)
      const hasChanged = next.conditions.join() !== state.conditions.join()
      state = next
      if (hasChanged) options.onPressure(next.conditions)
      if (await evictOverrun()) return
      const threshold = mostUrgent(next.due)
      if (threshold) await reclaim(threshold)
    },
  }
}
