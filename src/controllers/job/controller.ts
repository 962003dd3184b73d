/** Runs the pods of each Job to completion and counts them. */
import type { Job, JobStatus } from '../../api/generated/batch/v1.ts'
import type { Container, Pod, PodTemplateSpec } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Client } from '../../client/client.ts'
import { controllerReference, referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Change, Controller, ReconcileContext } from '../controller.ts'
import { byControllerOrOrphan, claim, CONTROLLER_INDEX, controllerOf, ownedAndOrphans } from '../owner-references.ts'
import { createPodObject, deletePod, inSlowStartBatches, isNamespaceTerminating } from '../pods/pod-control.ts'
import { podFromTemplate } from '../pods/pod-state.ts'
import { COMPLETION_INDEX, FAILURE_COUNT, IGNORED_FAILURE_COUNT, isIndexed, isTracked, TRACKING_FINALIZER } from './job-pods.ts'
import { isFinished, planJob } from './plan.ts'
import type { BackOffRecord, PodToCreate } from './plan.ts'

const KIND = 'batch/v1/Job'
/** Before the key of a pod that counts for a Job which is gone; names never hold a colon. */
const ORPHAN_PREFIX = 'orphan:'
const BUILT_IN_MANAGER = 'kubernetes.io/job-controller'

const isManagedElsewhere = (job: Job): boolean => job.spec?.managedBy !== undefined && job.spec.managedBy !== BUILT_IN_MANAGER

function keysOfPod({ type, object: pod, old }: Change<Pod>, caches: Caches): readonly string[] {
  const owner = controllerOf(pod)
  const former =
    old && controllerOf(old)?.uid !== owner?.uid && controllerOf(old)?.kind === 'Job'
      ? [`${pod.metadata?.namespace}/${controllerOf(old)!.name}`]
      : []
  if (owner) {
    if (owner.kind !== 'Job' || !owner.apiVersion.startsWith('batch/')) return former
    const key = `${pod.metadata?.namespace}/${owner.name}`
    const isOwnerGone = caches.of(KIND).get(key)?.metadata?.uid !== owner.uid
    return isOwnerGone && isTracked(pod) && type !== 'deleted' ? [...former, key, `${ORPHAN_PREFIX}${keyOf(pod)}`] : [...former, key]
  }
  if (type === 'deleted' || (old && deepEqual(old.metadata?.labels, pod.metadata?.labels) && !controllerOf(old))) return former
  const labels = pod.metadata?.labels ?? {}
  return [
    ...former,
    ...caches
      .of(KIND)
      .byNamespace(pod.metadata!.namespace!)
      .filter((job) => compileLabelSelector(job.spec?.selector)(labels))
      .map(keyOf),
  ]
}

export function createJobController(): Controller {
  const backOffs = new Map<string, BackOffRecord>()

  return {
    name: 'job',
    reads: [KIND, 'v1/Pod'],
    writes: ['v1/Pod', 'batch/v1/Job/status'],
    watches: [
      watch(KIND, ({ type, object }, caches) => {
        if (type !== 'deleted') return keyOf(object)
        const orphans = caches.of('v1/Pod').byIndex(CONTROLLER_INDEX, object.metadata!.uid!).filter(isTracked)
        return [keyOf(object), ...orphans.map((pod) => `${ORPHAN_PREFIX}${keyOf(pod)}`)]
      }),
      watch('v1/Pod', keysOfPod, { [CONTROLLER_INDEX]: byControllerOrOrphan }),
    ],

    async reconcile(key, context) {
      const { runtime, client, caches, events } = context
      if (key.startsWith(ORPHAN_PREFIX)) return releaseOrphan(context, key.slice(ORPHAN_PREFIX.length))
      const job = caches.of(KIND).get(key)
      if (!job || isFinished(job)) {
        backOffs.delete(key)
        return
      }
      if (isManagedElsewhere(job)) return
      const matches = compileLabelSelector(job.spec?.selector)
      const pods = await claim(client, {
        kind: 'v1/Pod',
        objects: ownedAndOrphans(caches.of('v1/Pod'), job),
        ownerKind: KIND,
        owner: job,
        matches,
      })
      const plan = planJob({ job, pods, backOff: backOffs.get(key), nowMs: runtime.clock.now(), now: timestamp(runtime.clock) })

      const { created, error } = await changePods(context, job, plan.create, plan.delete)
      const status: JobStatus = { ...plan.status, active: plan.status.active! - plan.create.length + created }
      if (!isSameStatus(job.status, status)) await client.update(KIND, { ...job, status }, { subresource: 'status' })
      if (plan.backOff) backOffs.set(key, plan.backOff)
      else backOffs.delete(key)
      for (const event of plan.events) events.record(referenceTo(KIND, job), ...event)
      await Promise.all(plan.release.map((pod) => release(client, pod)))
      if (error !== undefined) throw error
      return { afterMs: plan.afterMs }
    },
  }
}

/** Zero and absent are the same to the API: they must not cause a write. */
function isSameStatus(a: JobStatus | undefined, b: JobStatus): boolean {
  if (a === undefined) return false
  const counts = ['active', 'ready', 'terminating', 'succeeded', 'failed'] as const
  if (counts.some((name) => (a[name] ?? 0) !== (b[name] ?? 0))) return false
  const others = ['conditions', 'startTime', 'completionTime', 'completedIndexes', 'failedIndexes'] as const
  return deepEqual(a.uncountedTerminatedPods ?? {}, b.uncountedTerminatedPods ?? {}) && others.every((name) => deepEqual(a[name], b[name]))
}

async function changePods(
  context: ReconcileContext,
  job: Job,
  create: readonly PodToCreate[],
  doomed: readonly Pod[],
): Promise<{ created: number; error: unknown }> {
  const reference = referenceTo(KIND, job)
  let created = 0
  try {
    await inSlowStartBatches(create.length, async (i) => {
      try {
        await createPodObject(context, reference, podOf(job, create[i]!))
        created++
      } catch (error) {
        if (!isNamespaceTerminating(error)) throw error
      }
    })
    const results = await Promise.allSettled(doomed.map((pod) => deletePod(context, reference, pod)))
    return { created, error: results.find((result) => result.status === 'rejected')?.reason }
  } catch (error) {
    return { created, error }
  }
}

function podOf(job: Job, { index, failures, ignoredFailures }: PodToCreate): Pod {
  const template = job.spec!.template
  const pod = podFromTemplate(withFinalizer(template), job.metadata!.namespace!, controllerReference(KIND, job))
  if (!isIndexed(job) || index === undefined) return pod
  const name = job.metadata!.name!
  const counts =
    failures === undefined
      ? {}
      : { [FAILURE_COUNT]: String(failures), ...(ignoredFailures ? { [IGNORED_FAILURE_COUNT]: String(ignoredFailures) } : {}) }
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      generateName: `${name}-${index}-`,
      annotations: { ...pod.metadata?.annotations, [COMPLETION_INDEX]: String(index), ...counts },
      labels: { ...pod.metadata?.labels, [COMPLETION_INDEX]: String(index) },
    },
    spec: {
      ...pod.spec!,
      hostname: `${name}-${index}`,
      containers: pod.spec!.containers.map(withIndexVariable),
      ...(pod.spec?.initContainers ? { initContainers: pod.spec.initContainers.map(withIndexVariable) } : {}),
    },
  }
}

function withFinalizer(template: PodTemplateSpec): PodTemplateSpec {
  const finalizers = template.metadata?.finalizers ?? []
  if (finalizers.includes(TRACKING_FINALIZER)) return template
  return { ...template, metadata: { ...template.metadata, finalizers: [...finalizers, TRACKING_FINALIZER] } }
}

const INDEX_VARIABLE = 'JOB_COMPLETION_INDEX'

function withIndexVariable(container: Container): Container {
  if (container.env?.some((variable) => variable.name === INDEX_VARIABLE)) return container
  return {
    ...container,
    env: [
      ...(container.env ?? []),
      { name: INDEX_VARIABLE, valueFrom: { fieldRef: { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` } } },
    ],
  }
}

async function release(client: Client, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata!
  const patch = { metadata: { uid, '$deleteFromPrimitiveList/finalizers': [TRACKING_FINALIZER] } }
  try {
    await client.patch('v1/Pod', { namespace: namespace!, name: name! }, 'strategic', patch)
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

/** A pod whose Job is gone need not be counted. */
async function releaseOrphan({ client, caches }: ReconcileContext, podKey: string): Promise<void> {
  const pod = caches.of('v1/Pod').get(podKey)
  const owner = pod && controllerOf(pod)
  if (!pod || !owner || !isTracked(pod) || owner.kind !== 'Job') return
  const { namespace } = pod.metadata!
  if (caches.of(KIND).get(`${namespace}/${owner.name}`)?.metadata?.uid === owner.uid) return
  try {
    const job = await client.get(KIND, { namespace: namespace!, name: owner.name })
    if (job.metadata?.uid === owner.uid) return
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
  await release(client, pod)
}
