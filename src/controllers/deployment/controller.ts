/** Brings each Deployment's ReplicaSets, step by step, to what its template and size ask for. */
import type { Deployment, ReplicaSet } from '../../api/generated/apps/v1.ts'
import { keyOf } from '../../api/object.ts'
import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { withCondition } from '../conditions.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { byControllerOrOrphan, claim, CONTROLLER_INDEX, controllerOf, isControlledBy, ownedAndOrphans } from '../owner-references.ts'
import { isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import { finished, isChanged } from './draft.ts'
import type { SetDraft } from './draft.ts'
import { planDeployment } from './plan.ts'
import { REVISION } from './revisions.ts'
import { conditionOf, hasProgressDeadline, isSameStatus } from './status.ts'
import type { Now } from './status.ts'
import { isSameTemplate } from './template-hash.ts'

const KIND = 'apps/v1/Deployment'
const SET = 'apps/v1/ReplicaSet'

const isOwnedByDeployment = (object: KubeObject): string | undefined => {
  const owner = controllerOf(object)
  return owner?.kind === 'Deployment' && owner.apiVersion.startsWith('apps/') ? `${object.metadata?.namespace}/${owner.name}` : undefined
}

/** The Deployment that manages a set, or for an orphan those that may want to adopt it. */
function deploymentsOfSet(set: ReplicaSet, caches: Caches): readonly string[] {
  const owner = isOwnedByDeployment(set)
  if (owner) return [owner]
  const labels = set.metadata?.labels
  if (controllerOf(set) || !labels) return []
  const candidates = caches.of(KIND).byNamespace(set.metadata.namespace!)
  return candidates
    .filter((deployment) => !isSelectingAll(deployment) && compileLabelSelector(deployment.spec?.selector)(labels))
    .map(keyOf)
}

const isSelectingAll = (deployment: Deployment): boolean => {
  const { matchLabels = {}, matchExpressions = [] } = deployment.spec?.selector ?? {}
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0
}

export const deploymentController: Controller = {
  name: 'deployment',
  reads: [KIND, SET, 'v1/Pod'],
  writes: ['apps/v1/Deployment/status', SET],
  watches: [
    watch(KIND, ({ object }) => keyOf(object)),
    watch(
      SET,
      ({ object, old }, caches) =>
        old && controllerOf(old)?.uid !== controllerOf(object)?.uid
          ? [...deploymentsOfSet(old, caches), ...deploymentsOfSet(object, caches)]
          : deploymentsOfSet(object, caches),
      { [CONTROLLER_INDEX]: byControllerOrOrphan },
    ),
    // Recreate waits for the last pod of the old sets: other pods' changes reach the Deployment through their set's status.
    watch(
      'v1/Pod',
      ({ type, object }, caches) => {
        const owner =
          type === 'deleted' || object.status?.phase === 'Failed' || object.status?.phase === 'Succeeded' ? controllerOf(object) : undefined
        const set = owner?.kind === 'ReplicaSet' ? caches.of(SET).get(`${object.metadata?.namespace}/${owner.name}`) : undefined
        const key = set && isOwnedByDeployment(set)
        return key && caches.of(KIND).get(key)?.spec?.strategy?.type === 'Recreate' ? key : undefined
      },
      { [CONTROLLER_INDEX]: byControllerOrOrphan },
    ),
  ],

  async reconcile(key, context) {
    const { runtime, client, caches, events } = context
    const deployment = caches.of(KIND).get(key)
    if (!deployment) return
    const now: Now = { ms: runtime.clock.now(), text: timestamp(runtime.clock) }
    if (isSelectingAll(deployment)) {
      events.record(
        referenceTo(KIND, deployment),
        'Warning',
        'SelectingAll',
        'This deployment is selecting all pods. A non-empty selector is required.',
      )
      await observeGeneration(context, deployment)
      return
    }
    const matches = compileLabelSelector(deployment.spec?.selector)
    const sets = await claim(client, {
      kind: SET,
      objects: ownedAndOrphans(caches.of(SET), deployment),
      ownerKind: KIND,
      owner: deployment,
      matches,
    })
    const podsOf = (set: ReplicaSet) => caches.of('v1/Pod').byIndex(CONTROLLER_INDEX, set.metadata!.uid!)
    const plan = planDeployment({ deployment, sets, podsOf, now })

    for (const draft of plan.writes) if (draft.isNew || isChanged(draft)) await writeSet(context, deployment, draft, now)
    for (const set of plan.delete) await deleteSet(context, set)
    const isNewRevision = plan.revision !== undefined
    if (isNewRevision || !isSameStatus(deployment.status, plan.status)) {
      // The revision goes with the status: a change of the annotation by itself would count as a new generation.
      const current = isNewRevision ? withRevision(deployment, plan.revision) : deployment
      await client.update(KIND, { ...current, status: plan.status }, { subresource: 'status' })
    }
    return { afterMs: plan.afterMs }
  },
}

const withRevision = (deployment: Deployment, revision: string): Deployment => ({
  ...deployment,
  metadata: { ...deployment.metadata, annotations: { ...deployment.metadata?.annotations, [REVISION]: revision } },
})

const identity = ({ metadata }: KubeObject) => ({ namespace: metadata!.namespace!, name: metadata!.name! })

async function observeGeneration({ client }: ReconcileContext, deployment: Deployment): Promise<void> {
  const generation = deployment.metadata?.generation ?? 0
  if ((deployment.status?.observedGeneration ?? 0) >= generation) return
  await client.update(KIND, { ...deployment, status: { ...deployment.status, observedGeneration: generation } }, { subresource: 'status' })
}

async function writeSet(context: ReconcileContext, deployment: Deployment, draft: SetDraft, now: Now): Promise<void> {
  const { client, events } = context
  const set = finished(draft)
  if (draft.isNew) await createSet(context, deployment, set, now)
  else await client.update(SET, set)
  const before = draft.isNew ? 0 : (draft.set.spec?.replicas ?? 1)
  if (draft.replicas === before) return
  const direction = draft.replicas > before ? 'up' : 'down'
  const message = `Scaled ${direction} replica set ${set.metadata?.name} from ${before} to ${draft.replicas}`
  events.record(referenceTo(KIND, deployment), 'Normal', 'ScalingReplicaSet', message)
}

async function createSet(context: ReconcileContext, deployment: Deployment, set: ReplicaSet, now: Now): Promise<void> {
  const { client, events } = context
  try {
    await client.create(SET, set)
  } catch (error) {
    if (isApiError(error, 'AlreadyExists')) await resolveCollision(context, deployment, set)
    else if (!isNamespaceTerminating(error)) {
      const message = `Failed to create new replica set "${set.metadata?.name}": ${messageOf(error)}`
      events.record(referenceTo(KIND, deployment), 'Warning', 'ReplicaSetCreateError', message)
      if (hasProgressDeadline(deployment)) {
        const conditions = withCondition(
          deployment.status?.conditions,
          conditionOf('Progressing', 'False', 'ReplicaSetCreateError', message, now),
        )
        await client.update(KIND, { ...deployment, status: { ...deployment.status, conditions } }, { subresource: 'status' })
      }
    }
    throw error
  }
}

/** The name is taken: by this very set, which the cache does not hold yet, or by another one with the same hash. */
async function resolveCollision({ client }: ReconcileContext, deployment: Deployment, set: ReplicaSet): Promise<void> {
  const taken = await client.get(SET, identity(set))
  if (isControlledBy(taken, deployment) && isSameTemplate(taken.spec?.template, deployment.spec?.template)) return
  const collisionCount = (deployment.status?.collisionCount ?? 0) + 1
  await client.update(KIND, { ...deployment, status: { ...deployment.status, collisionCount } }, { subresource: 'status' })
}

async function deleteSet({ client }: ReconcileContext, set: ReplicaSet): Promise<void> {
  try {
    await client.delete(SET, identity(set))
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}
