/** Making and deleting the pods of a set, with the events that `kubectl describe` shows for it. */
import type { ObjectReference, Pod, PodTemplateSpec } from '../../api/generated/core/v1.ts'
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { isApiError } from '../../api/status.ts'
import type { ReconcileContext } from '../controller.ts'
import { podFromTemplate } from './pod-state.ts'

/** A failure while the namespace goes away (cause NamespaceTerminating): nothing can be made there, and nobody need be told. */
export const isNamespaceTerminating = (error: unknown): boolean =>
  isApiError(error) && (error.status.details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating') ?? false)

/** What pods are made for: events are about `reference`. */
export interface PodOwner {
  readonly reference: ObjectReference
  readonly namespace: string
  readonly controller: OwnerReference
}

export async function createPod(
  { client, events }: ReconcileContext,
  { reference, namespace, controller }: PodOwner,
  template: PodTemplateSpec,
): Promise<Pod> {
  return createPodObject({ client, events }, reference, podFromTemplate(template, namespace, controller))
}

/** As createPod, for pods with names or details of their own. */
export async function createPodObject(
  { client, events }: Pick<ReconcileContext, 'client' | 'events'>,
  reference: ObjectReference,
  pod: Pod,
): Promise<Pod> {
  try {
    const created = await client.create('v1/Pod', pod)
    events.record(reference, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata?.name}`)
    return created
  } catch (error) {
    if (!isNamespaceTerminating(error)) events.record(reference, 'Warning', 'FailedCreate', `Error creating: ${messageOf(error)}`)
    throw error
  }
}

/** A pod that is gone already is what was wanted. */
export async function deletePod(
  { client, events }: Pick<ReconcileContext, 'client' | 'events'>,
  reference: ObjectReference,
  pod: Pod,
): Promise<void> {
  const { namespace, name, uid } = pod.metadata!
  try {
    await client.delete('v1/Pod', { namespace, name: name! }, uid ? { preconditions: { uid } } : {})
    events.record(reference, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`)
  } catch (error) {
    if (isApiError(error, 'NotFound')) return
    events.record(reference, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`)
    throw new Error(`unable to delete pods: ${messageOf(error)}`, { cause: error })
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/**
 * Calls `make` `count` times in batches of 1, 2, 4...: when many calls would fail alike (a quota is used up), only the first few
 * are made. Stops after the batch in which a call failed and rejects with that failure.
 */
export async function inSlowStartBatches(count: number, make: (index: number) => Promise<unknown>): Promise<void> {
  for (let done = 0, size = 1; done < count; done += size, size = Math.min(2 * size, count - done)) {
    const results = await Promise.allSettled(Array.from({ length: size }, (_, index) => make(done + index)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }
}
