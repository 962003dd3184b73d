/**
 * Events: what happened to whom. The same objects are served as v1 and as events.k8s.io/v1; they are stored as v1
 * (core/event-conversion.ts turns one form into the other).
 */
import type { Event } from '../../../api/generated/core/v1.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameColumn, text, wide } from '../columns.ts'
import { timeSince } from '../duration.ts'

import { eventFromEventsV1, eventToEventsV1 } from './event-conversion.ts'
import { validateEventUpdate, validateNewEvent } from './event-validation.ts'
import type { Column } from '../../resource.ts'

const firstSeen = (event: Event, nowMs: number): string => timeSince(event.firstTimestamp || event.eventTime, nowMs)

const lastSeen = (event: Event, nowMs: number): string => {
  if (event.series) return timeSince(event.series.lastObservedTime, nowMs)
  return event.lastTimestamp ? timeSince(event.lastTimestamp, nowMs) : firstSeen(event, nowMs)
}

function target({ involvedObject }: Event): string {
  const kind = (involvedObject?.kind ?? '').toLowerCase()
  return involvedObject?.name ? `${kind}/${involvedObject.name}` : kind
}

function source(event: Event): string {
  const component = event.source?.component || event.reportingComponent || ''
  const instance = event.source?.host || event.reportingInstance || ''
  return instance ? `${component}, ${instance}` : component
}

export const events = defineResource({
  group: '',
  version: 'v1',
  kind: 'Event',
  hasGeneration: false,
  columns: [
    text('Last Seen', lastSeen),
    text('Type', (event: Event) => event.type ?? ''),
    text('Reason', (event: Event) => event.reason ?? ''),
    text('Object', target),
    wide(text('Subobject', (event: Event) => event.involvedObject?.fieldPath ?? '')),
    wide(text('Source', source)),
    text('Message', (event: Event) => (event.message ?? '').trim()),
    wide(text('First Seen', firstSeen)),
    wide({ ...integer('Count', (event: Event) => event.series?.count ?? (event.count || 1)), type: 'string' }),
    wide(nameColumn as Column<Event>),
  ],
  fieldSelectors: {
    'involvedObject.kind': (event) => event.involvedObject?.kind ?? '',
    'involvedObject.namespace': (event) => event.involvedObject?.namespace ?? '',
    'involvedObject.name': (event) => event.involvedObject?.name ?? '',
    'involvedObject.uid': (event) => event.involvedObject?.uid ?? '',
    'involvedObject.apiVersion': (event) => event.involvedObject?.apiVersion ?? '',
    'involvedObject.resourceVersion': (event) => event.involvedObject?.resourceVersion ?? '',
    'involvedObject.fieldPath': (event) => event.involvedObject?.fieldPath ?? '',
    reason: (event) => event.reason ?? '',
    reportingComponent: (event) => event.reportingComponent ?? '',
    source: (event) => event.source?.component || event.reportingComponent || '',
    type: (event) => event.type ?? '',
  },
  nameFormat: pathSegmentFaults,
  validateCreate: validateNewEvent,
  validateUpdate: validateEventUpdate,
  versions: { 'events.k8s.io/v1': { fromStored: eventToEventsV1, toStored: eventFromEventsV1 } },
})
