/**
 * The cgroups above those of pods, one for each quality of service: all pods together get no more than the node gives them, Burstable ones
 * share CPU by what they request together, BestEffort ones by the least (pkg/kubelet/cm/qos_container_manager_linux.go). Guaranteed pods
 * are directly below the first.
 */
import type { Pod } from '../api/generated/core/v1.ts'
import { requestsOf, type NodeRoom } from './admission.ts'
import type { NodeContext } from './node-context.ts'
import { cpuShares, qosClass } from './resources.ts'

const LEAST_SHARES = 2

export interface QosCgroups {
  /** Brings the shares in line with the pods that are there. */
  update(pods: readonly Pod[]): Promise<void>
}

export function createQosCgroups(
  node: Pick<NodeContext, 'host' | 'cgroupRoot'>,
  room: Pick<NodeRoom, 'cpuMilli'> & { readonly memoryLimitBytes: number },
): QosCgroups {
  const top = `${node.cgroupRoot}/kubepods`
  let burstable: number | undefined
  return {
    async update(pods) {
      const milli = pods.filter((pod) => qosClass(pod) === 'Burstable').reduce((sum, pod) => sum + requestsOf(pod).cpuMilli, 0)
      const shares = cpuShares(milli)
      if (shares === burstable) return
      if (burstable === undefined) {
        await node.host.createPodCgroup(top, { cpuShares: cpuShares(room.cpuMilli), memoryLimitBytes: room.memoryLimitBytes })
        await node.host.createPodCgroup(`${top}/besteffort`, { cpuShares: LEAST_SHARES })
      }
      await node.host.createPodCgroup(`${top}/burstable`, { cpuShares: shares })
      burstable = shares
    },
  }
}
