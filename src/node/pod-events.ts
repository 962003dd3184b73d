/** Events about a pod and its containers, in the words of upstream's kubelet. */
import type { ObjectReference, Pod } from '../api/generated/core/v1.ts'
import type { EventRecorder } from '../client/events.ts'
import { referenceTo } from '../client/object-reference.ts'

export type ContainerEvents = (type: 'Normal' | 'Warning', reason: string, message: string) => void

export interface PodEvents {
  pod: ContainerEvents
  /** Carries the field path of the container, by which `kubectl describe` names it. */
  container(name: string): ContainerEvents
}

export function createPodEvents(recorder: EventRecorder, pod: () => Pod): PodEvents {
  const reference = (): ObjectReference => referenceTo('v1/Pod', pod())
  return {
    pod: (type, reason, message) => recorder.record(reference(), type, reason, message),
    container: (name) => (type, reason, message) =>
      recorder.record({ ...reference(), fieldPath: fieldPath(pod(), name) }, type, reason, message),
  }
}

function fieldPath(pod: Pod, name: string): string {
  const holds = (list: readonly { readonly name: string }[] | undefined) => list?.some((container) => container.name === name)
  if (holds(pod.spec?.initContainers)) return `spec.initContainers{${name}}`
  return holds(pod.spec?.ephemeralContainers) ? `spec.ephemeralContainers{${name}}` : `spec.containers{${name}}`
}
