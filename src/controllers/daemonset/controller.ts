/** Runs one pod of each DaemonSet on every node that it fits. */
import type { DaemonSet } from '../../api/generated/apps/v1.ts'
import type { Node, Pod } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { controllerReference, referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Change, Controller, ReconcileContext } from '../controller.ts'
import { REVISION_HASH_LABEL, REVISION_KIND, syncHistory, trimHistory } from '../history/controller-revisions.ts'
import { byControllerOrOrphan, claim, CONTROLLER_INDEX, controllerOf, ownedAndOrphans } from '../owner-references.ts'
import { createPodObject, deletePod, inSlowStartBatches, isNamespaceTerminating } from '../pods/pod-control.ts'
import { nextAvailabilityMs, podFromTemplate } from '../pods/pod-state.ts'
import { onNode, withDaemonTolerations } from './node-fit.ts'
import { isSameStatus, planDaemonSet } from './plan.ts'
import type { DaemonPlan } from './plan.ts'

const KIND = 'apps/v1/DaemonSet'
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation'
const FIRST_FAILURE_WAIT_MS = 1000
const LONGEST_FAILURE_WAIT_MS = 15 * 60_000

const isOwner = (pod: Pod): string | undefined => {
  const owner = controllerOf(pod)
  return owner?.kind === 'DaemonSet' && owner.apiVersion.startsWith('apps/') ? `${pod.metadata?.namespace}/${owner.name}` : undefined
}

function keysOfPod({ type, object: pod, old }: Change<Pod>, caches: Caches): readonly string[] {
  const keys = [isOwner(pod), old && isOwner(old)].filter((key) => key !== undefined)
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

/** Nodes change every few seconds; only what decides where pods fit matters here. */
const decidesFit = (node: Node, old: Node): boolean =>
  !deepEqual(node.metadata?.labels, old.metadata?.labels) || !deepEqual(node.spec?.taints, old.spec?.taints)

export function createDaemonSetController(): Controller {
  const failures = new Map<string, { readonly waitMs: number; readonly sinceMs: number }>()

  return {
    name: 'daemonset',
    component: 'daemon-set-controller',
    eventSource: 'daemonset-controller',
    workers: 2,
    reads: [KIND, 'v1/Pod', 'v1/Node', REVISION_KIND],
    writes: ['v1/Pod', 'apps/v1/DaemonSet/status', REVISION_KIND],
    watches: [
      watch(KIND, ({ object }) => keyOf(object)),
      watch('v1/Pod', keysOfPod, { [CONTROLLER_INDEX]: byControllerOrOrphan }),
      watch('v1/Node', ({ object, old }, caches) => (old && !decidesFit(object, old) ? [] : caches.of(KIND).list().map(keyOf))),
      watch(
        REVISION_KIND,
        ({ object, old }) =>
          [object, old].flatMap((revision) =>
            revision && controllerOf(revision)?.kind === 'DaemonSet'
              ? [`${revision.metadata?.namespace}/${controllerOf(revision)!.name}`]
              : [],
          ),
        { [CONTROLLER_INDEX]: byControllerOrOrphan },
      ),
    ],

    async reconcile(key, context) {
      const { runtime, client, caches, events } = context
      const set = caches.of(KIND).get(key)
      if (!set) return forget(key)
      const matches = compileLabelSelector(set.spec?.selector)
      const reference = referenceTo(KIND, set)
      if (deepEqual(set.spec?.selector, {})) {
        events.record(reference, 'Warning', 'SelectingAll', 'This daemon set is selecting all pods. A non-empty selector is required.')
        return
      }
      if (set.metadata?.deletionTimestamp) return
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
      const hash = history.current.metadata!.labels![REVISION_HASH_LABEL]!
      const pods = await claim(client, {
        kind: 'v1/Pod',
        objects: ownedAndOrphans(caches.of('v1/Pod'), set),
        ownerKind: KIND,
        owner: set,
        matches,
      })
      const nowMs = runtime.clock.now()
      const failureWaitMs = (node: string): number => {
        const failure = failures.get(`${key}|${node}`)
        return failure ? Math.max(0, failure.sinceMs + failure.waitMs - nowMs) : 0
      }
      const plan = planDaemonSet({ set, nodes: caches.of('v1/Node').list(), pods, hash, failureWaitMs, nowMs })

      for (const event of plan.events) events.record(reference, ...event)
      const error = await changePods(context, set, plan, hash)
      for (const node of plan.failedOn)
        failures.set(`${key}|${node}`, { waitMs: nextWait(failures.get(`${key}|${node}`)?.waitMs), sinceMs: nowMs })
      if (!isSameStatus(set.status, plan.status)) await client.update(KIND, { ...set, status: plan.status }, { subresource: 'status' })
      if (error !== undefined) throw error
      const isLive = (name: string | undefined) => pods.some((pod) => pod.metadata?.labels?.[REVISION_HASH_LABEL] === name)
      await trimHistory(context, history.old, set.spec?.revisionHistoryLimit ?? 10, (revision) =>
        isLive(revision.metadata?.labels?.[REVISION_HASH_LABEL]),
      )
      const available = nextAvailabilityMs(pods, set.spec?.minReadySeconds ?? 0, nowMs)
      const waits = [plan.afterMs, available].filter((ms) => ms !== undefined)
      return { afterMs: waits.length > 0 ? Math.min(...waits) : undefined }
    },
  }

  function forget(key: string): void {
    for (const failure of failures.keys()) if (failure.startsWith(`${key}|`)) failures.delete(failure)
  }
}

const nextWait = (before: number | undefined): number =>
  before === undefined ? FIRST_FAILURE_WAIT_MS : Math.min(before * 2, LONGEST_FAILURE_WAIT_MS)

/** Returns what went wrong, because the status must be written all the same. */
async function changePods(context: ReconcileContext, set: DaemonSet, plan: DaemonPlan, hash: string): Promise<unknown> {
  const reference = referenceTo(KIND, set)
  try {
    await inSlowStartBatches(plan.create.length, (i) =>
      createPodObject(context, reference, podFor(set, plan.create[i]!, hash)).catch((error: unknown) => {
        if (!isNamespaceTerminating(error)) throw error
      }),
    )
    const results = await Promise.allSettled(plan.delete.map((pod) => deletePod(context, reference, pod)))
    return results.find((result) => result.status === 'rejected')?.reason
  } catch (error) {
    return error
  }
}

function podFor(set: DaemonSet, node: string, hash: string): Pod {
  const pod = podFromTemplate(set.spec!.template, set.metadata!.namespace!, controllerReference(KIND, set))
  const spec = withDaemonTolerations(pod.spec!)
  const generation = set.metadata?.annotations?.[TEMPLATE_GENERATION]
  const labels = { ...pod.metadata?.labels, [REVISION_HASH_LABEL]: hash, ...(generation ? { 'pod-template-generation': generation } : {}) }
  return { ...pod, metadata: { ...pod.metadata, labels }, spec: { ...spec, affinity: onNode(spec.affinity, node) } }
}
