/** The PodScheduled condition and the nominated node, as the scheduler writes them into a pod's status. */
import type { Pod, PodCondition } from '../api/generated/core/v1.ts'
import { timestamp } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import type { Client } from '../client/client.ts'

export interface StatusChange {
  readonly condition?: Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>
  /** A name sets it, `null` clears it, undefined leaves it. */
  readonly nominatedNodeName?: string | null
}

/** The condition to write, or undefined when the pod has it as it should be; its transition time moves only with its status. */
function changedCondition(clock: Clock, pod: Pod, wanted: StatusChange['condition']): PodCondition | undefined {
  if (!wanted) return undefined
  const old = pod.status?.conditions?.find(({ type }) => type === wanted.type)
  const generation = pod.metadata?.generation
  if (
    old?.status === wanted.status &&
    old.reason === wanted.reason &&
    old.message === wanted.message &&
    old.observedGeneration === generation
  )
    return undefined
  return {
    ...wanted,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastTransitionTime: old?.status === wanted.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(clock),
  }
}

/** Patches what differs from `pod`, if anything. */
export async function patchPodStatus(clock: Clock, client: Client, pod: Pod, change: StatusChange): Promise<void> {
  const condition = changedCondition(clock, pod, change.condition)
  const { nominatedNodeName } = change
  const isNominationChanged = nominatedNodeName !== undefined && (nominatedNodeName ?? undefined) !== pod.status?.nominatedNodeName
  if (!condition && !isNominationChanged) return
  await client.patch(
    'v1/Pod',
    { namespace: pod.metadata?.namespace, name: pod.metadata?.name ?? '' },
    'strategic',
    {
      // Of this very pod only, should another have taken its name.
      metadata: { uid: pod.metadata?.uid },
      status: { ...(condition ? { conditions: [condition] } : {}), ...(isNominationChanged ? { nominatedNodeName } : {}) },
    },
    { subresource: 'status' },
  )
}
