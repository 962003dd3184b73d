import type { APIService } from '../../../api/generated/apiregistration/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { forbidden, invalid, required, type FieldErrors } from '../rules.ts'

function available({ status }: APIService): string {
  const condition = status?.conditions?.find(({ type }) => type === 'Available')
  if (!condition) return 'Unknown'
  return condition.status !== 'True' && condition.reason ? `${condition.status} (${condition.reason})` : condition.status
}

/** APIServices: group versions, served here or by a service behind this server. */
export const apiServices = defineResource({
  group: 'apiregistration.k8s.io',
  version: 'v1',
  kind: 'APIService',
  hasGeneration: false,
  columns: nameToAge(
    text('Service', ({ spec }: APIService) => (spec?.service ? `${spec.service.namespace ?? ''}/${spec.service.name ?? ''}` : 'Local')),
    text('Available', available),
  ),
  setDefaults: (object) =>
    changeField(object, 'spec', (spec) => changeField(spec, 'service', (service) => withDefaults(service, { port: 443 }))),
  prepareForCreate: (object) => ({ ...object, status: {} }),
  validate({ metadata, spec }) {
    const errors: FieldErrors = []
    const wanted = `${spec?.version ?? ''}.${spec?.group ?? ''}`
    if (metadata?.name !== wanted)
      errors.push(invalid('metadata.name', metadata?.name ?? '', `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(wanted)}`))
    if (!spec?.version) errors.push(required('spec.version'))
    const minimum = spec?.groupPriorityMinimum ?? 0
    if (minimum <= 0 || minimum > 20000) errors.push(invalid('spec.groupPriorityMinimum', minimum, 'must be positive and less than 20000'))
    const priority = spec?.versionPriority ?? 0
    if (priority <= 0 || priority > 1000) errors.push(invalid('spec.versionPriority', priority, 'must be positive and less than 1000'))
    if (!spec?.service) {
      if (spec?.caBundle)
        errors.push(invalid('spec.caBundle', `${spec.caBundle.length} bytes`, 'local APIServices may not have a caBundle'))
      if (spec?.insecureSkipTLSVerify)
        errors.push(invalid('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify'))
      return errors
    }
    if (!spec.service.namespace) errors.push(required('spec.service.namespace'))
    if (!spec.service.name) errors.push(required('spec.service.name'))
    if (spec.insecureSkipTLSVerify && spec.caBundle)
      errors.push(invalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present'))
    return errors
  },
  validateStatusUpdate: (next) =>
    (next.status?.conditions ?? []).some(({ type }) => !type) ? [forbidden('status.conditions', 'a condition must have a type')] : [],
})
