/** What controllers ask about a pod. Times are milliseconds since 1970. */
import type { Pod, PodCondition, PodTemplateSpec } from '../../api/generated/core/v1.ts'
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { findCondition } from '../conditions.ts'

/** Milliseconds of an API time; undefined when absent. */
export const timeOf = (time: string | undefined): number | undefined => (time === undefined ? undefined : Date.parse(time))

export const isPodTerminal = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
export const isPodActive = (pod: Pod): boolean => !isPodTerminal(pod) && pod.metadata?.deletionTimestamp === undefined
export const isPodTerminating = (pod: Pod): boolean => !isPodTerminal(pod) && pod.metadata?.deletionTimestamp !== undefined

const readyCondition = (pod: Pod): PodCondition | undefined => findCondition(pod.status?.conditions, 'Ready')
export const isPodReady = (pod: Pod): boolean => readyCondition(pod)?.status === 'True'

/** Since when it is ready; undefined when it is not. */
export function readySince(pod: Pod): number | undefined {
  const ready = readyCondition(pod)
  return ready?.status === 'True' ? timeOf(ready.lastTransitionTime) : undefined
}

/** Ready for at least `minReadySeconds`. */
export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  if (!isPodReady(pod)) return false
  if (minReadySeconds === 0) return true
  const since = readySince(pod)
  return since !== undefined && since + minReadySeconds * 1000 <= nowMs
}

/** How long until the next ready pod becomes available; undefined when none is on its way. */
export function nextAvailabilityMs(pods: readonly Pod[], minReadySeconds: number, nowMs: number): number | undefined {
  if (minReadySeconds === 0) return undefined
  let next: number | undefined
  for (const pod of pods) {
    const since = readySince(pod)
    if (since === undefined) continue
    const remaining = since + minReadySeconds * 1000 - nowMs
    if (remaining > 0 && (next === undefined || remaining < next)) next = remaining
  }
  return next
}

/** The longest prefix of a generated name that still leaves room for its suffix. */
const prefixOf = (ownerName: string): string => `${ownerName}-`

/** The pod that a template describes, managed by its controller. */
export const podFromTemplate = (template: PodTemplateSpec, namespace: string, owner: OwnerReference): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    namespace,
    generateName: prefixOf(owner.name),
    ...(template.metadata?.labels ? { labels: template.metadata.labels } : {}),
    ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
    ...(template.metadata?.finalizers ? { finalizers: template.metadata.finalizers } : {}),
    ownerReferences: [owner],
  },
  ...(template.spec ? { spec: template.spec } : {}),
})
