/** Runs the individual pods of each StatefulSet, in order, each with the claims that are its own. */
import type { ControllerRevision, StatefulSet } from '../../api/generated/apps/v1.ts'
import type { PersistentVolumeClaim, Pod } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { read, watch } from '../controller.ts'
import type { Caches, Change, Controller, ReconcileContext } from '../controller.ts'
import { REVISION_HASH_LABEL, REVISION_KIND, syncHistory, templateOf, trimHistory } from '../history/controller-revisions.ts'
import { byControllerOrOrphan, claim, CONTROLLER_INDEX, controllerOf, ownedAndOrphans } from '../owner-references.ts'
import { isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import { nextAvailabilityMs } from '../pods/pod-state.ts'
import { claimOwners, claimsFor, KIND, missingIdentity, ordinalOf, parentOf, podFor } from './identity.ts'
import { isSameStatus, planStatefulSet } from './plan.ts'

const CLAIM = 'v1/PersistentVolumeClaim'

const ownerKey = (object: Pod | ControllerRevision | undefined): readonly string[] => {
  const owner = object && controllerOf(object)
  return owner?.kind === 'StatefulSet' && owner.apiVersion.startsWith('apps/') ? [`${object!.metadata?.namespace}/${owner.name}`] : []
}

function keysOfPod({ type, object: pod, old }: Change<Pod>, caches: Caches): readonly string[] {
  const keys = [...ownerKey(pod), ...ownerKey(old)]
  if (controllerOf(pod) || type === 'deleted' || (old && deepEqual(old.metadata?.labels, pod.metadata?.labels))) return keys
  const labels = pod.metadata?.labels ?? {}
  return [
    ...keys,
    ...caches
      .of(KIND)
      .byNamespace(pod.metadata!.namespace!)
      .filter((set) => compileLabelSelector(set.spec?.selector)(labels))
      .map(keyOf),
  ]
}

export const statefulSetController: Controller = {
  name: 'statefulset',
  reads: [KIND, 'v1/Pod', CLAIM, REVISION_KIND],
  writes: ['v1/Pod', CLAIM, 'apps/v1/StatefulSet/status', REVISION_KIND],
  watches: [
    watch(KIND, ({ object }) => keyOf(object)),
    watch('v1/Pod', keysOfPod, { [CONTROLLER_INDEX]: byControllerOrOrphan }),
    watch(REVISION_KIND, ({ object, old }) => [...ownerKey(object), ...ownerKey(old)], { [CONTROLLER_INDEX]: byControllerOrOrphan }),
    read(CLAIM),
  ],

  async reconcile(key, context) {
    const { runtime, client, caches } = context
    const set = caches.of(KIND).get(key)
    if (!set) return
    const matches = compileLabelSelector(set.spec?.selector)
    const raiseCollisionCount = async (collisionCount: number): Promise<void> => {
      await client.update(KIND, { ...set, status: { ...set.status!, collisionCount } }, { subresource: 'status' })
    }
    const history = await syncHistory(context, {
      kind: KIND,
      object: set,
      template: set.spec!.template,
      matches,
      collisionCount: set.status?.collisionCount,
      raiseCollisionCount,
    })
    const current = history.old.find((revision) => revision.metadata?.name === set.status?.currentRevision) ?? history.current
    const objects = ownedAndOrphans(caches.of('v1/Pod'), set)
    const canAdopt = (pod: Pod) => parentOf(pod) === set.metadata?.name
    const pods = await claim(client, { kind: 'v1/Pod', objects, ownerKind: KIND, owner: set, matches, canAdopt })

    const nowMs = runtime.clock.now()
    const [currentRevision, updateRevision] = [current.metadata!.name!, history.current.metadata!.name!]
    const plan = planStatefulSet({ set, pods, currentRevision, updateRevision, nowMs })
    let failure: unknown
    try {
      await keepIdentities(context, set, pods)
      for (const { ordinal, revision } of plan.create) {
        const template = revision === updateRevision ? set.spec!.template : templateOf(current)
        await createPod(context, set, podFor(set, template, revision, ordinal))
      }
      for (const pod of plan.delete) await deletePod(context, set, pod)
    } catch (error) {
      failure = error
    }
    if (!isSameStatus(set.status, plan.status)) await client.update(KIND, { ...set, status: plan.status }, { subresource: 'status' })
    if (failure !== undefined) throw failure
    const live = new Set([currentRevision, updateRevision, ...pods.map((pod) => pod.metadata?.labels?.[REVISION_HASH_LABEL])])
    await trimHistory(context, history.old, set.spec?.revisionHistoryLimit ?? 10, (revision) => live.has(revision.metadata?.name))
    return { afterMs: nextAvailabilityMs(pods, set.spec?.minReadySeconds ?? 0, nowMs) }
  },
}

/** Puts back labels that pods have lost, makes claims that are missing, and sets who the claims go with. */
async function keepIdentities(context: ReconcileContext, set: StatefulSet, pods: readonly Pod[]): Promise<void> {
  if (set.metadata?.deletionTimestamp) return
  for (const pod of pods) {
    if (ordinalOf(pod) < 0 || pod.metadata?.deletionTimestamp) continue
    const { namespace, name, uid } = pod.metadata!
    const labels = missingIdentity(pod)
    if (labels) await context.client.patch('v1/Pod', { namespace: namespace!, name: name! }, 'merge', { metadata: { uid, labels } })
    await keepClaims(context, set, pod, pod.status?.phase === 'Pending')
  }
}

async function keepClaims(context: ReconcileContext, set: StatefulSet, pod: Pod, mayCreate: boolean): Promise<void> {
  const { client, caches } = context
  for (const wanted of claimsFor(set, ordinalOf(pod))) {
    const existing = caches.of(CLAIM).get(keyOf(wanted))
    if (!existing) {
      if (mayCreate) await createClaim(context, set, pod, wanted)
      continue
    }
    const owners = claimOwners(set, pod.metadata?.uid ? pod : undefined, existing)
    if (deepEqual(owners, existing.metadata?.ownerReferences ?? []) || existing.metadata?.deletionTimestamp) continue
    await client.update(CLAIM, { ...existing, metadata: { ...existing.metadata, ownerReferences: owners } })
  }
}

async function createClaim({ client, events }: ReconcileContext, set: StatefulSet, pod: Pod, wanted: PersistentVolumeClaim): Promise<void> {
  const what = `Claim ${wanted.metadata?.name}`
  const owners = claimOwners(set, undefined, wanted)
  try {
    await client.create(CLAIM, owners.length > 0 ? { ...wanted, metadata: { ...wanted.metadata, ownerReferences: owners } } : wanted)
    events.record(
      referenceTo(KIND, set),
      'Normal',
      'SuccessfulCreate',
      `create ${what} Pod ${pod.metadata?.name} in StatefulSet ${set.metadata?.name} success`,
    )
  } catch (error) {
    if (isApiError(error, 'AlreadyExists')) return
    const message = `create ${what} for Pod ${pod.metadata?.name} in StatefulSet ${set.metadata?.name} failed error: ${messageOf(error)}`
    if (!isNamespaceTerminating(error)) events.record(referenceTo(KIND, set), 'Warning', 'FailedCreate', message)
    throw error
  }
}

async function createPod(context: ReconcileContext, set: StatefulSet, pod: Pod): Promise<void> {
  const { client, caches, events } = context
  // A claim that is being deleted belonged to the pod's predecessor: the new pod must not bind to it.
  const stale = claimsFor(set, ordinalOf(pod)).find((wanted) => caches.of(CLAIM).get(keyOf(wanted))?.metadata?.deletionTimestamp)
  if (stale) throw new Error(`claim ${stale.metadata?.name} of pod ${pod.metadata?.name} is being deleted`)
  await keepClaims(context, set, pod, true)
  const about = `create Pod ${pod.metadata?.name} in StatefulSet ${set.metadata?.name}`
  try {
    await client.create('v1/Pod', pod)
    events.record(referenceTo(KIND, set), 'Normal', 'SuccessfulCreate', `${about} successful`)
  } catch (error) {
    if (isNamespaceTerminating(error)) return
    if (!isApiError(error, 'AlreadyExists'))
      events.record(referenceTo(KIND, set), 'Warning', 'FailedCreate', `${about} failed error: ${messageOf(error)}`)
    throw error
  }
}

async function deletePod({ client, events }: ReconcileContext, set: StatefulSet, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata!
  const about = `delete Pod ${name} in StatefulSet ${set.metadata?.name}`
  try {
    await client.delete('v1/Pod', { namespace: namespace!, name: name! }, { preconditions: { uid: uid! } })
    events.record(referenceTo(KIND, set), 'Normal', 'SuccessfulDelete', `${about} successful`)
  } catch (error) {
    if (isApiError(error, 'NotFound')) return
    events.record(referenceTo(KIND, set), 'Warning', 'FailedDelete', `${about} failed error: ${messageOf(error)}`)
    throw error
  }
}
