/** Marks pods that the cluster itself is about to end (KEP-3329), so that a Job can tell that from a failure of its own. */
import type { Pod, PodCondition } from '../../api/generated/core/v1.ts'
import type { Client } from '../../client/client.ts'
import { withCondition } from '../conditions.ts'

export async function markDisrupted(client: Client, pod: Pod, reason: string, message: string, now: string, phase?: string): Promise<void> {
  const { namespace, name, uid } = pod.metadata!
  const wanted: PodCondition = { type: 'DisruptionTarget', status: 'True', reason, message, lastTransitionTime: now }
  const isMarked = withCondition(pod.status?.conditions, wanted) === pod.status?.conditions
  if (isMarked && (phase === undefined || phase === pod.status?.phase)) return
  const status = { ...(isMarked ? {} : { conditions: [wanted] }), ...(phase === undefined ? {} : { phase }) }
  await client.patch(
    'v1/Pod',
    { namespace: namespace!, name: name! },
    'strategic',
    { metadata: { uid }, status },
    { subresource: 'status' },
  )
}
