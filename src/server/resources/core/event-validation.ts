/**
 * Rules of events, in the legacy form that both API groups share (upstream's apis/core/validation/events.go). What is sent to
 * events.k8s.io/v1 is held to more: nothing of the legacy form in it, and no change but of its series.
 */
import type { Event } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults, qualifiedNameFaults } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { isSemanticallyEqual } from '../immutable.ts'
import { checkFormat, checkImmutable, invalid, required, type FieldErrors } from '../rules.ts'

const LIMITS = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const

function validateEvent(event: Event, apiVersion: string): FieldErrors {
  const errors: FieldErrors = []
  const namespace = event.metadata?.namespace ?? ''
  const involved = event.involvedObject?.namespace ?? ''
  const mismatch = (): void => void errors.push(invalid('involvedObject.namespace', involved, 'does not match event.namespace'))
  if (!event.eventTime) {
    if (involved ? involved !== namespace : namespace !== '' && namespace !== 'default') mismatch()
  } else {
    if (!involved && namespace !== 'default' && namespace !== 'kube-system') mismatch()
    const reporter = apiVersion === 'v1' ? 'reportingComponent' : 'reportingController'
    if (!event.reportingComponent) errors.push(required(reporter))
    checkFormat(errors, reporter, event.reportingComponent ?? '', qualifiedNameFaults)
    for (const field of ['reportingInstance', 'action', 'reason', 'message'] as const) {
      const value = event[field] ?? ''
      if (value === '' && field !== 'message') errors.push(required(field))
      if (value.length > LIMITS[field]) errors.push(invalid(field, '', `can have at most ${LIMITS[field]} characters`))
    }
  }
  checkFormat(errors, 'namespace', namespace, dns1123SubdomainFaults)
  return errors
}

function validateSeries(errors: FieldErrors, { series }: Event): void {
  if (!series) return
  if ((series.count ?? 0) < 2) errors.push(invalid('series.count', '', 'should be at least 2'))
  if (!series.lastObservedTime) errors.push(required('series.lastObservedTime'))
}

export function validateNewEvent(event: Event, apiVersion = 'v1'): readonly FieldError[] {
  const errors = validateEvent(event, apiVersion)
  if (apiVersion === 'v1') return errors
  if (event.metadata?.name) checkFormat(errors, 'metadata.name', event.metadata.name, dns1123SubdomainFaults)
  validateSeries(errors, event)
  if (!event.eventTime) errors.push(required('eventTime'))
  if (event.type !== 'Normal' && event.type !== 'Warning') errors.push(invalid('type', '', `has invalid value: ${event.type ?? ''}`))
  for (const field of ['firstTimestamp', 'lastTimestamp', 'count'] as const) {
    if (event[field]) errors.push(invalid(field, '', 'needs to be unset'))
  }
  if (event.source?.component || event.source?.host) errors.push(invalid('source', '', 'needs to be unset'))
  return errors
}

/** What stays, in upstream's order and with its names, and how values are shown that are no plain ones. */
const FIXED = [
  ['involvedObject', 'involvedObject', 'core/v1.ObjectReference'],
  ['reason', 'reason', ''],
  ['message', 'message', ''],
  ['source', 'source', 'core/v1.EventSource'],
  ['firstTimestamp', 'firstTimestamp', undefined],
  ['lastTimestamp', 'lastTimestamp', undefined],
  ['count', 'count', 0],
  ['type', 'type', ''],
  ['eventTime', 'eventTime', undefined],
  ['action', 'action', ''],
  ['related', 'related', 'core/v1.ObjectReference'],
  ['reportingComponent', 'reportingController', ''],
  ['reportingInstance', 'reportingInstance', ''],
] as const

export function validateEventUpdate(next: Event, old: Event, _subresource?: string, apiVersion = 'v1'): readonly FieldError[] {
  const errors = validateEvent(next, apiVersion)
  if (apiVersion === 'v1') return errors
  if (!isSemanticallyEqual(next.series, old.series)) validateSeries(errors, next)
  for (const [field, name, form] of FIXED) {
    if (typeof form === 'string' && form !== '') checkImmutable(errors, name, next[field], old[field], form)
    else checkImmutable(errors, name, next[field] ?? form, old[field] ?? form)
  }
  return errors
}
