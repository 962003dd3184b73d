/** Keeps the number of pods of each ReplicaSet, and of each ReplicationController, at what it asks for. */
import type { ReplicaSet } from '../../api/generated/apps/v1.ts'
import type { Pod, ReplicationController } from '../../api/generated/core/v1.ts'
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { compileLabels, compileLabelSelector, MATCHES_NOTHING } from '../../api/selectors.ts'
import type { LabelMatcher } from '../../api/selectors.ts'
import { timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { controllerReference, referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Change, Controller, ReconcileContext } from '../controller.ts'
import { byControllerOrOrphan, claim, CONTROLLER_INDEX, controllerOf, ownedAndOrphans } from '../owner-references.ts'
import { createPod, deletePod, inSlowStartBatches, isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import type { PodOwner } from '../pods/pod-control.ts'
import { isPodActive, isPodTerminating, nextAvailabilityMs } from '../pods/pod-state.ts'
import { planReplicas, planStatus } from './plan.ts'
import type { ReplicasPlan } from './plan.ts'

type SetKind = 'apps/v1/ReplicaSet' | 'v1/ReplicationController'
type AnySet = ReplicaSet | ReplicationController

/** How the two kinds differ. */
interface Variant {
  readonly kind: SetKind
  readonly name: string
  readonly matcherOf: (set: AnySet) => LabelMatcher
  readonly isOwner: (reference: OwnerReference) => boolean
  readonly reportsTerminating: boolean
}

/** The set that manages a pod, or for an orphan those that may want to adopt it. */
function setsOfPod({ kind, isOwner, matcherOf }: Variant, pod: Pod, caches: Caches): readonly string[] {
  const owner = controllerOf(pod)
  if (owner) return isOwner(owner) ? [`${pod.metadata?.namespace}/${owner.name}`] : []
  const labels = pod.metadata?.labels
  if (!labels) return []
  const candidates: readonly AnySet[] = caches.of(kind).byNamespace(pod.metadata.namespace!)
  return candidates.filter((set) => matcherOf(set)(labels)).map(keyOf)
}

function setsConcerned(variant: Variant, { type, object, old }: Change<Pod>, caches: Caches): readonly string[] {
  const owner = controllerOf(object)
  if (type === 'deleted') return owner ? setsOfPod(variant, object, caches) : []
  // A pod that changed hands concerns both owners.
  if (old && controllerOf(old)?.uid !== owner?.uid) return [...setsOfPod(variant, old, caches), ...setsOfPod(variant, object, caches)]
  if (!owner && old && deepEqual(old.metadata?.labels, object.metadata?.labels)) return []
  return setsOfPod(variant, object, caches)
}

const createSetController = (variant: Variant): Controller => ({
  name: variant.name,
  component: variant.kind === 'v1/ReplicationController' ? 'replication-controller' : 'replicaset-controller',
  reads: [variant.kind, 'v1/Pod'],
  writes: ['v1/Pod', `${variant.kind}/status`],
  watches: [
    watch(variant.kind, ({ object }) => keyOf(object), { [CONTROLLER_INDEX]: byControllerOrOrphan }),
    watch('v1/Pod', (change, caches) => setsConcerned(variant, change, caches), { [CONTROLLER_INDEX]: byControllerOrOrphan }),
  ],

  async reconcile(key, context) {
    const { runtime, client, caches } = context
    const { kind } = variant
    const set: AnySet | undefined = caches.of(kind).get(key)
    if (!set) return
    const matches = variant.matcherOf(set)
    const candidates = ownedAndOrphans(caches.of('v1/Pod'), set)
    const active = await claim(client, { kind: 'v1/Pod', objects: candidates.filter(isPodActive), ownerKind: kind, owner: set, matches })
    const terminating = candidates.filter(
      (pod) => isPodTerminating(pod) && controllerOf(pod)?.uid === set.metadata?.uid && matches(pod.metadata?.labels ?? {}),
    )

    const nowMs = runtime.clock.now()
    const replicas = set.spec?.replicas ?? 1
    const minReadySeconds = set.spec?.minReadySeconds ?? 0
    const isBeingDeleted = set.metadata?.deletionTimestamp !== undefined
    const plan = planReplicas({ replicas, isBeingDeleted, active, related: () => relatedPods(kind, set, caches), nowMs })
    const error = await carryOut(context, kind, set, plan)

    const status = planStatus({
      status: set.status,
      generation: set.metadata?.generation,
      replicas,
      minReadySeconds,
      template: set.spec?.template,
      active,
      terminating: variant.reportsTerminating ? terminating.length : undefined,
      failure: error === undefined ? undefined : messageOf(error),
      nowMs,
      now: timestamp(runtime.clock),
    })
    if (status !== set.status) await client.update(kind, { ...set, status: status! }, { subresource: 'status' })
    if (error !== undefined) throw error
    return { afterMs: nextAvailabilityMs(active, minReadySeconds, nowMs) }
  },
})

export const replicaSetController = createSetController({
  kind: 'apps/v1/ReplicaSet',
  name: 'replicaset',
  matcherOf: (set) => compileLabelSelector((set as ReplicaSet).spec?.selector),
  isOwner: ({ apiVersion, kind }) => kind === 'ReplicaSet' && apiVersion.startsWith('apps/'),
  reportsTerminating: true,
})

export const replicationController = createSetController({
  kind: 'v1/ReplicationController',
  name: 'replicationcontroller',
  matcherOf(set) {
    const selector = (set as ReplicationController).spec?.selector ?? {}
    return Object.keys(selector).length > 0 ? compileLabels(selector) : MATCHES_NOTHING
  },
  isOwner: ({ apiVersion, kind }) => kind === 'ReplicationController' && apiVersion === 'v1',
  reportsTerminating: false,
})

/** The pods of all sets with the same owner, so that a Deployment thins out crowded nodes. */
function relatedPods(kind: SetKind, set: AnySet, caches: Caches): readonly Pod[] {
  const pods = caches.of('v1/Pod')
  const owner = controllerOf(set)
  const sets: readonly AnySet[] = owner ? caches.of(kind).byIndex(CONTROLLER_INDEX, owner.uid) : [set]
  return sets.flatMap((related) => pods.byIndex(CONTROLLER_INDEX, related.metadata!.uid!))
}

/** Makes and deletes pods; returns what went wrong, because the status must be written all the same. */
async function carryOut(context: ReconcileContext, kind: SetKind, set: AnySet, plan: ReplicasPlan): Promise<unknown> {
  const namespace = parseKey(keyOf(set)).namespace!
  const owner: PodOwner = { reference: referenceTo(kind, set), namespace, controller: controllerReference(kind, set) }
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
