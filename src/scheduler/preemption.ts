/** Carries out a preemption: marks the victims as disrupted and deletes them with the grace their specs give (upstream preemption.Executor). */
import { isApiError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import type { EventRecorder } from '../client/events.ts'
import { referenceTo } from '../client/object-reference.ts'
import { patchPodStatus } from './pod-condition.ts'
import type { PodInfo } from './pod-info.ts'

export interface Eviction {
  readonly runtime: Runtime
  readonly client: Client
  readonly events: EventRecorder
  readonly preemptor: PodInfo
  readonly node: string
  readonly victims: readonly PodInfo[]
}

async function evictOne({ runtime, client, events, preemptor, node }: Eviction, victim: PodInfo): Promise<boolean> {
  const { pod } = victim
  // Already on its way out.
  if (pod.metadata?.deletionTimestamp) return true
  const message = `${preemptor.pod.spec?.schedulerName}: preempting to accommodate a higher priority pod`
  try {
    await patchPodStatus(runtime.clock, client, pod, {
      condition: { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message },
    })
    await client.delete('v1/Pod', { namespace: victim.namespace, name: pod.metadata?.name ?? '' }, { preconditions: { uid: victim.uid } })
    events.record(referenceTo('v1/Pod', pod), 'Normal', 'Preempted', `Preempted by pod ${preemptor.uid} on node ${node}`)
  } catch (error) {
    // Gone already, which is as good.
    if (isApiError(error, 'NotFound', 'Conflict')) return true
    runtime.log.warn('victim not evicted', { pod: victim.key, error: String(error) })
    return false
  }
  return true
}

/** False when some victim stays, so that the preemptor must look for another way. */
export async function evict(eviction: Eviction): Promise<boolean> {
  const outcomes = await Promise.all(eviction.victims.map((victim) => evictOne(eviction, victim)))
  return outcomes.every(Boolean)
}
