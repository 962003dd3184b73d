/** Rules of events, in the legacy form that both API groups share (upstream's apis/core/validation/events.go). */
import type { Event } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults, qualifiedNameFaults } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { checkFormat, invalid, required, type FieldErrors } from '../rules.ts'

const LIMITS = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const

export function validateEvent(event: Event): readonly FieldError[] {
  const errors: FieldErrors = []
  const namespace = event.metadata?.namespace ?? ''
  const involved = event.involvedObject?.namespace ?? ''
  const mismatch = (): void => void errors.push(invalid('involvedObject.namespace', involved, 'does not match event.namespace'))
  if (!event.eventTime) {
    if (involved ? involved !== namespace : namespace !== '' && namespace !== 'default') mismatch()
  } else {
    if (!involved && namespace !== 'default' && namespace !== 'kube-system') mismatch()
    if (!event.reportingComponent) errors.push(required('reportingComponent'))
    checkFormat(errors, 'reportingComponent', event.reportingComponent ?? '', qualifiedNameFaults)
    for (const field of ['reportingInstance', 'action', 'reason', 'message'] as const) {
      const value = event[field] ?? ''
      if (value === '' && field !== 'message') errors.push(required(field))
      if (value.length > LIMITS[field]) errors.push(invalid(field, '', `can have at most ${LIMITS[field]} characters`))
    }
  }
  checkFormat(errors, 'namespace', namespace, dns1123SubdomainFaults)
  return errors
}
