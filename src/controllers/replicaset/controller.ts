/** Keeps the number of pods of each ReplicaSet at what it asks for. */
import type { ReplicaSet } from '../../api/generated/apps/v1.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { timestamp } from '../../base/clock.ts'
import { controllerReference, referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { byControllerOrOrphan, claim, CONTROLLER_INDEX, controllerOf, ownedAndOrphans } from '../owner-references.ts'
import { createPod, deletePod, inSlowStartBatches, isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import type { PodOwner } from '../pods/pod-control.ts'
import { isPodActive, isPodTerminating, nextAvailabilityMs } from '../pods/pod-state.ts'
import { planReplicas, planStatus } from './plan.ts'
import type { ReplicasPlan } from './plan.ts'

const KIND = 'apps/v1/ReplicaSet'

/** The set that manages a pod, or for an orphan those that may want to adopt it. */
export function setsOfPod(pod: Pod, caches: Caches): readonly string[] {
  const owner = controllerOf(pod)
  if (owner) return owner.kind === 'ReplicaSet' && owner.apiVersion.startsWith('apps/') ? [`${pod.metadata?.namespace}/${owner.name}`] : []
  const labels = pod.metadata?.labels
  if (!labels) return []
  const candidates = caches.of(KIND).byNamespace(pod.metadata!.namespace!)
  return candidates.filter((set) => compileLabelSelector(set.spec?.selector)(labels)).map(keyOf)
}

export const replicaSetController: Controller = {
  name: 'replicaset',
  reads: [KIND, 'v1/Pod'],
  writes: ['v1/Pod', 'apps/v1/ReplicaSet/status'],
  watches: [
    watch(KIND, ({ object }) => keyOf(object), { [CONTROLLER_INDEX]: byControllerOrOrphan }),
    watch(
      'v1/Pod',
      ({ type, object, old }, caches) => {
        if (type === 'deleted') return controllerOf(object) ? setsOfPod(object, caches) : []
        const owner = controllerOf(object)
        // A pod that changed hands concerns both owners.
        if (old && controllerOf(old)?.uid !== owner?.uid) return [...setsOfPod(old, caches), ...setsOfPod(object, caches)]
        if (!owner && old && old.metadata?.labels === object.metadata?.labels) return []
        return setsOfPod(object, caches)
      },
      { [CONTROLLER_INDEX]: byControllerOrOrphan },
    ),
  ],

  async reconcile(key, context) {
    const { runtime, client, caches } = context
    const set = caches.of(KIND).get(key)
    if (!set) return
    const matches = compileLabelSelector(set.spec?.selector)
    const candidates = ownedAndOrphans(caches.of('v1/Pod'), set)
    const active = await claim(client, { kind: 'v1/Pod', objects: candidates.filter(isPodActive), ownerKind: KIND, owner: set, matches })
    const terminating = candidates.filter((pod) => isPodTerminating(pod) && controllerOf(pod)?.uid === set.metadata?.uid && matches(pod.metadata?.labels ?? {}))

    const nowMs = runtime.clock.now()
    const replicas = set.spec?.replicas ?? 1
    const minReadySeconds = set.spec?.minReadySeconds ?? 0
    const isBeingDeleted = set.metadata?.deletionTimestamp !== undefined
    const plan = planReplicas({ replicas, isBeingDeleted, active, related: () => relatedPods(set, caches), nowMs })
    const error = await carryOut(context, set, plan)

    const status = planStatus({
      status: set.status,
      generation: set.metadata?.generation,
      replicas,
      minReadySeconds,
      template: set.spec?.template,
      active,
      terminating: terminating.length,
      failure: error === undefined ? undefined : messageOf(error),
      nowMs,
      now: timestamp(runtime.clock),
    })
    if (status !== set.status) await client.update(KIND, { ...set, status: status! }, { subresource: 'status' })
    if (error !== undefined) throw error
    return { afterMs: nextAvailabilityMs(active, minReadySeconds, nowMs) }
  },
}

/** The pods of all sets with the same owner, so that a Deployment thins out crowded nodes. */
function relatedPods(set: ReplicaSet, caches: Caches): readonly Pod[] {
  const pods = caches.of('v1/Pod')
  const owner = controllerOf(set)
  const sets = owner ? caches.of(KIND).byIndex(CONTROLLER_INDEX, owner.uid) : [set]
  return sets.flatMap((related) => pods.byIndex(CONTROLLER_INDEX, related.metadata!.uid!))
}

/** Makes and deletes pods; returns what went wrong, because the status must be written all the same. */
async function carryOut(context: ReconcileContext, set: ReplicaSet, plan: ReplicasPlan): Promise<unknown> {
  const namespace = parseKey(keyOf(set)).namespace!
  const owner: PodOwner = { reference: referenceTo(KIND, set), namespace, controller: controllerReference(KIND, set) }
  try {
    await inSlowStartBatches(plan.create, () =>
      createPod(context, owner, set.spec!.template!).catch((error: unknown) => {
        if (!isNamespaceTerminating(error)) throw error
      }),
    )
    const results = await Promise.allSettled(plan.delete.map((pod) => deletePod(context, owner.reference, pod)))
    return results.find((result) => result.status === 'rejected')?.reason
  } catch (error) {
    return error
  }
}
