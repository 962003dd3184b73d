/** Ends pods on nodes whose NoExecute taints they do not tolerate, or no longer. */
import type { Node, Pod } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { timestamp } from '../../base/clock.ts'
import { byNodeName } from '../../client/object-cache.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { NODE_INDEX } from '../node-lifecycle/controller.ts'
import { markDisrupted } from '../pods/disruption.ts'
import { isPodTerminal } from '../pods/pod-state.ts'
import { evictingTaints, evictionTime } from './plan.ts'

export function createTaintEvictionController(): Controller {
  /** Pods that wait for the end of their toleration, and since when. */
  const waiting = new Map<string, number>()

  return {
    name: 'taint-eviction',
    component: 'node-controller',
    eventSource: 'taint-eviction-controller',
    workers: 8,
    reads: ['v1/Node', 'v1/Pod'],
    writes: ['v1/Pod', 'v1/Pod/status'],
    watches: [
      watch('v1/Node', ({ type, object, old }, caches) => {
        const isChanged = type === 'added' || !deepEqual(evictingTaints(object.spec?.taints), evictingTaints(old?.spec?.taints))
        const isTainted = (node: Node | undefined) => evictingTaints(node?.spec?.taints).length > 0
        return type !== 'deleted' && isChanged && (isTainted(object) || isTainted(old))
          ? caches.of('v1/Pod').byIndex(NODE_INDEX, object.metadata!.name!).map(keyOf)
          : []
      }),
      watch(
        'v1/Pod',
        ({ type, object, old }, caches) => {
          const node = object.spec?.nodeName
          if (type === 'deleted') return waiting.has(keyOf(object)) ? keyOf(object) : undefined
          if (!node || (old && old.spec?.nodeName === node && deepEqual(old.spec.tolerations, object.spec?.tolerations))) return undefined
          return evictingTaints(caches.of('v1/Node').get(node)?.spec?.taints).length > 0 ? keyOf(object) : undefined
        },
        { [NODE_INDEX]: byNodeName },
      ),
    ],

    async reconcile(key, { runtime, client, caches, events }) {
      const pod = caches.of('v1/Pod').get(key)
      const about = { kind: 'Pod', apiVersion: 'v1', namespace: pod?.metadata?.namespace ?? '', name: pod?.metadata?.name ?? '' }
      if (!pod || pod.metadata?.deletionTimestamp || isPodTerminal(pod)) {
        waiting.delete(key)
        return
      }
      const nowMs = runtime.clock.now()
      const sinceMs = waiting.get(key) ?? nowMs
      const taints = evictingTaints(caches.of('v1/Node').get(pod.spec?.nodeName ?? '')?.spec?.taints)
      const at = evictionTime(taints, pod.spec?.tolerations ?? [], sinceMs)
      if (at === undefined) {
        if (waiting.delete(key)) events.record(about, 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`)
        return
      }
      if (at > nowMs) {
        waiting.set(key, sinceMs)
        return { afterMs: at - nowMs }
      }
      events.record(about, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`)
      await evict(pod)
      waiting.delete(key)
      return

      async function evict(victim: Pod): Promise<void> {
        const { namespace, name, uid } = victim.metadata!
        try {
          await markDisrupted(
            client,
            victim,
            'DeletionByTaintManager',
            'Taint manager: deleting due to NoExecute taint',
            timestamp(runtime.clock),
          )
          await client.delete('v1/Pod', { namespace: namespace!, name: name! }, { preconditions: { uid: uid! } })
        } catch (error) {
          if (!isApiError(error, 'NotFound')) throw error
        }
      }
    },
  }
}
