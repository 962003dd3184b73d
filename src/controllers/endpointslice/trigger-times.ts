/**
 * When that happened of which a change of endpoints tells, for who measures how long it takes to reach the nodes (the annotation
 * endpoints.kubernetes.io/last-change-trigger-time): the earliest of the changes since the Service was last looked at.
 */
import type { Pod, Service } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { findCondition } from '../conditions.ts'

export const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time'

export interface TriggerTimes {
  /** To be asked once for each look at the Service; undefined when nothing has changed. */
  of(service: Service, pods: readonly Pod[]): string | undefined
  /** The Service is gone. */
  forget(key: string): void
}

export function createTriggerTimes(): TriggerTimes {
  /** By Service: when each of its pods last became ready or not ready. */
  const seen = new Map<string, ReadonlyMap<string, string>>()
  return {
    of(service, pods) {
      const before = seen.get(keyOf(service))
      const now = new Map<string, string>()
      let earliest: string | undefined
      for (const { metadata, status } of pods) {
        const time = findCondition(status?.conditions, 'Ready')?.lastTransitionTime
        if (!time || !metadata?.name) continue
        now.set(metadata.name, time)
        // Times of one form: texts in order are times in order.
        const isNews = time > (before?.get(metadata.name) ?? '')
        if (isNews && (earliest === undefined || time < earliest)) earliest = time
      }
      seen.set(keyOf(service), now)
      return before ? earliest : service.metadata?.creationTimestamp
    },
    forget: (key) => void seen.delete(key),
  }
}

/** The annotations of endpoints that are written now. */
export function withTriggerTime(
  annotations: Readonly<Record<string, string>> | undefined,
  time: string | undefined,
): Readonly<Record<string, string>> {
  const { [TRIGGER_TIME]: _before, ...others } = annotations ?? {}
  return time === undefined ? others : { ...others, [TRIGGER_TIME]: time }
}
