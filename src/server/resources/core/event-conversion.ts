/** The two forms of an event: v1, in which it is stored, and events.k8s.io/v1, which renames what it keeps (KEP-383). Pure. */
import type { Event as CoreEvent } from '../../../api/generated/core/v1.ts'
import type { Event } from '../../../api/generated/events/v1.ts'
import type { KubeObject } from '../../../api/object.ts'

const without = <T extends object>(object: T): T => {
  for (const key of Object.keys(object) as (keyof T)[]) if (object[key] === undefined) delete object[key]
  return object
}

export function eventToEventsV1(event: CoreEvent): Event {
  return without<Event>({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: event.metadata,
    eventTime: event.eventTime,
    series: event.series && without({ count: event.series.count, lastObservedTime: event.series.lastObservedTime }),
    // v1 writes them empty, too.
    reportingController: event.reportingComponent || undefined,
    reportingInstance: event.reportingInstance || undefined,
    action: event.action,
    reason: event.reason,
    regarding: event.involvedObject,
    related: event.related,
    note: event.message,
    type: event.type,
    deprecatedSource: event.source,
    deprecatedFirstTimestamp: event.firstTimestamp,
    deprecatedLastTimestamp: event.lastTimestamp,
    deprecatedCount: event.count,
  } as Event)
}

export function eventFromEventsV1(object: KubeObject): CoreEvent {
  const event = object as Event
  return without<CoreEvent>({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: event.metadata ?? {},
    involvedObject: event.regarding ?? {},
    reason: event.reason,
    message: event.note,
    source: event.deprecatedSource,
    firstTimestamp: event.deprecatedFirstTimestamp,
    lastTimestamp: event.deprecatedLastTimestamp,
    count: event.deprecatedCount,
    type: event.type,
    eventTime: event.eventTime,
    series: event.series && { count: event.series.count, lastObservedTime: event.series.lastObservedTime },
    action: event.action,
    related: event.related,
    reportingComponent: event.reportingController,
    reportingInstance: event.reportingInstance,
  })
}
