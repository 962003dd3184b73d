/**
 * Which pods make room for a critical one that must run on this node: as few and as unimportant as will do, by quality of service, each
 * time the one that comes closest to what is still missing (pkg/kubelet/preemption). Pure.
 */
import type { Pod } from '../api/generated/core/v1.ts'
import { requestsOf, type NodeRoom } from './admission.ts'
import { isCritical } from './eviction/rank.ts'
import { qosClass, type QosClass } from './resources.ts'

/** What is missing, all of it above zero. */
interface Need {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly pods: number
}
type Name = keyof Need
const NAMES: readonly Name[] = ['cpuMilli', 'memoryBytes', 'pods']

const takes = (pod: Pod): Need => ({ ...requestsOf(pod), pods: 1 })

const without = (need: Need, pods: readonly Pod[]): Need => {
  const left = (name: Name) => Math.max(0, need[name] - pods.reduce((sum, pod) => sum + takes(pod)[name], 0))
  return { cpuMilli: left('cpuMilli'), memoryBytes: left('memoryBytes'), pods: left('pods') }
}

const isMet = (need: Need): boolean => NAMES.every((name) => need[name] <= 0)

/** How far a pod is from giving all that is needed; 0 when it gives it. */
function distance(need: Need, pod: Pod): number {
  const given = takes(pod)
  return NAMES.reduce((sum, name) => {
    if (need[name] <= 0) return sum
    const missing = Math.max(0, need[name] - given[name]) / need[name]
    return sum + missing * missing
  }, 0)
}

const isSmaller = (a: Pod, b: Pod): boolean => {
  const [x, y] = [takes(a), takes(b)]
  return x.memoryBytes !== y.memoryBytes ? x.memoryBytes < y.memoryBytes : x.cpuMilli < y.cpuMilli
}

function closest(candidates: readonly Pod[], need: Need): readonly Pod[] {
  const chosen: Pod[] = []
  let left = need
  let others = [...candidates]
  while (!isMet(left) && others.length > 0) {
    const best = others.reduce((a, b) => {
      const difference = distance(left, b) - distance(left, a)
      return difference < 0 || (difference === 0 && isSmaller(b, a)) ? b : a
    })
    chosen.push(best)
    others = others.filter((pod) => pod !== best)
    left = without(left, [best])
  }
  return chosen
}

const isPreemptable = (by: Pod, pod: Pod): boolean =>
  (isCritical(by) && !isCritical(pod)) || (by.spec?.priority ?? 0) > (pod.spec?.priority ?? 0)

/** The pods to end so that `pod` fits; none when it fits, is not critical, or nothing helps. */
export function podsToPreempt(pod: Pod, others: readonly Pod[], room: Pick<NodeRoom, 'cpuMilli' | 'memoryBytes' | 'pods'>): readonly Pod[] {
  if (!isCritical(pod)) return []
  const wanted = takes(pod)
  const missing = (name: Name) =>
    wanted[name] === 0 ? 0 : Math.max(0, others.reduce((sum, other) => sum + takes(other)[name], 0) + wanted[name] - room[name])
  const need: Need = { cpuMilli: missing('cpuMilli'), memoryBytes: missing('memoryBytes'), pods: missing('pods') }
  if (isMet(need)) return []
  const candidates = others.filter((other) => isPreemptable(pod, other))
  const of = (qos: QosClass) => candidates.filter((candidate) => qosClass(candidate) === qos)
  const [bestEffort, burstable, guaranteed] = [of('BestEffort'), of('Burstable'), of('Guaranteed')]
  if (!isMet(without(need, candidates))) return []
  const dear = closest(guaranteed, without(need, [...bestEffort, ...burstable]))
  const fair = closest(burstable, without(need, [...bestEffort, ...dear]))
  return [...closest(bestEffort, without(need, [...fair, ...dear])), ...fair, ...dear]
}
