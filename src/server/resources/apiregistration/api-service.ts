import type { APIService } from '../../../api/generated/apiregistration/v1.ts'
import { dns1035LabelFaults, dns1123SubdomainFaults, portNumberFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { base64Length } from '../core/config-data.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { checkFormat, checkOneOf, invalid, required, type FieldErrors } from '../rules.ts'

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
  // Its name follows from what it is of: see validate.
  nameFormat: () => [],
  validate({ metadata, spec }) {
    const errors: FieldErrors = []
    const { group = '', version = '' } = spec ?? {}
    const name = `${version}.${group}`
    for (const field of ['generateName', 'name'] as const) {
      const given = metadata?.[field]
      if (given && given !== name)
        errors.push(invalid(`metadata.${field}`, given, `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`))
    }
    if (group) checkFormat(errors, 'spec.group', group, dns1123SubdomainFaults)
    else if (version !== 'v1') errors.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'))
    checkFormat(errors, 'spec.version', version, dns1035LabelFaults)
    const minimum = spec?.groupPriorityMinimum ?? 0
    if (minimum <= 0 || minimum > 20000) errors.push(invalid('spec.groupPriorityMinimum', minimum, 'must be positive and less than 20000'))
    const priority = spec?.versionPriority ?? 0
    if (priority <= 0 || priority > 1000) errors.push(invalid('spec.versionPriority', priority, 'must be positive and less than 1000'))
    if (!spec?.service) {
      if (spec?.caBundle)
        errors.push(invalid('spec.caBundle', `${base64Length(spec.caBundle)} bytes`, 'local APIServices may not have a caBundle'))
      if (spec?.insecureSkipTLSVerify)
        errors.push(invalid('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify'))
      return errors
    }
    if (!spec.service.namespace) errors.push(required('spec.service.namespace'))
    if (!spec.service.name) errors.push(required('spec.service.name'))
    const portFaults = portNumberFaults(spec.service.port ?? 0)
    if (portFaults.length > 0) errors.push(invalid('spec.service.port', spec.service.port, `port is not valid: ${portFaults.join(', ')}`))
    if (spec.insecureSkipTLSVerify && spec.caBundle)
      errors.push(invalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present'))
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    status?.conditions?.forEach((condition, i) =>
      checkOneOf(errors, `status.conditions[${i}].status`, condition.status, ['True', 'False', 'Unknown']),
    )
    return errors
  },
})
