/** Marks pods that the cluster itself is about to end (KEP-3329), so that a Job can tell that from a failure of its own. */
import type { Pod, PodCondition } from '../../api/generated/core/v1.ts'
import type { Client } from '../../client/client.ts'
import { withCondition } from '../conditions.ts'

export async function markDisrupted(client: Client, pod: Pod, reason: string, message: string, now: string, phase?: string): Promise<void> {
  const conditions = withCondition<PodCondition>(pod.status?.conditions, { type: 'DisruptionTarget', status: 'True', reason, message, lastTransitionTime: now })
  if (conditions === pod.status?.conditions && (phase === undefined || phase === pod.status?.phase)) return
  await client.update('v1/Pod', { ...pod, status: { ...pod.status, conditions, ...(phase === undefined ? {} : { phase }) } }, { subresource: 'status' })
}
