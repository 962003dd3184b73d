/**
 * Ends pods that no node agent will end: of nodes that are gone, deleted before they were placed, and finished ones beyond what
 * is kept for inspection.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { byNodeName } from '../../client/object-cache.ts'
import { watch } from '../controller.ts'
import type { Controller, ReconcileContext } from '../controller.ts'
import { NODE_INDEX } from '../node-lifecycle/controller.ts'
import { markDisrupted } from '../pods/disruption.ts'
import { isPodTerminal, timeOf } from '../pods/pod-state.ts'

/** A node that is missing may only just be coming: its pods are left alone for this long. */
const QUARANTINE_MS = 40_000
/** Finished pods that are kept, the youngest. */
export const MAX_TERMINATED_PODS = 12_500
/** The key for counting finished pods; pod keys always hold a slash. */
const TERMINATED_KEY = 'terminated'

export function createPodGarbageCollector(maxTerminatedPods = MAX_TERMINATED_PODS): Controller {
  /** Since when each node has been missed, by the monotonic clock. */
  const missedSince = new Map<string, number>()

  return {
    name: 'pod-gc',
    component: 'pod-garbage-collector',
    reads: ['v1/Node', 'v1/Pod'],
    writes: ['v1/Pod', 'v1/Pod/status'],
    watches: [
      watch('v1/Node', ({ type, object }, caches) => {
        const name = object.metadata!.name!
        missedSince.delete(name)
        return type === 'deleted' ? caches.of('v1/Pod').byIndex(NODE_INDEX, name).map(keyOf) : []
      }),
      watch(
        'v1/Pod',
        ({ type, object, old }, caches) => {
          if (type === 'deleted') return []
          const keys: string[] = []
          const node = object.spec?.nodeName
          if (node ? !caches.of('v1/Node').get(node) : object.metadata?.deletionTimestamp) keys.push(keyOf(object))
          if (isPodTerminal(object) && !(old && isPodTerminal(old)) && caches.of('v1/Pod').size > maxTerminatedPods)
            keys.push(TERMINATED_KEY)
          return keys
        },
        { [NODE_INDEX]: byNodeName },
      ),
    ],

    async reconcile(key, context) {
      const { runtime, client, caches } = context
      if (key === TERMINATED_KEY) return collectTerminated(context, maxTerminatedPods)
      const pod = caches.of('v1/Pod').get(key)
      const node = pod?.spec?.nodeName
      if (!pod || (node && caches.of('v1/Node').get(node))) return
      if (!node) {
        if (pod.metadata?.deletionTimestamp) await forceDelete(context, pod)
        return
      }
      const nowMs = runtime.clock.monotonic()
      const since = missedSince.get(node) ?? nowMs
      missedSince.set(node, since)
      if (nowMs < since + QUARANTINE_MS) return { afterMs: since + QUARANTINE_MS - nowMs }
      if (await exists(context, node)) return
      if (!isPodTerminal(pod))
        await markDisrupted(client, pod, 'DeletionByPodGC', 'PodGC: node no longer exists', timestamp(runtime.clock), 'Failed')
      await forceDelete(context, pod)
    },
  }
}

async function exists({ client }: ReconcileContext, node: string): Promise<boolean> {
  try {
    await client.get('v1/Node', { name: node })
    return true
  } catch (error) {
    if (isApiError(error, 'NotFound')) return false
    throw error
  }
}

async function forceDelete({ client }: ReconcileContext, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata!
  try {
    await client.delete('v1/Pod', { namespace: namespace!, name: name! }, { gracePeriodSeconds: 0, preconditions: { uid: uid! } })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

async function collectTerminated(context: ReconcileContext, maximum: number): Promise<void> {
  const terminated = context.caches.of('v1/Pod').list().filter(isPodTerminal)
  const createdAt = (pod: Pod): number => timeOf(pod.metadata?.creationTimestamp) ?? 0
  const oldest = terminated.toSorted((a, b) => createdAt(a) - createdAt(b)).slice(0, Math.max(0, terminated.length - maximum))
  for (const pod of oldest) await forceDelete(context, pod)
}
