import type { FlowSchema } from '../../../api/generated/flowcontrol/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, integer, nameColumn, text } from '../columns.ts'
import { changeField, withPositiveDefaults } from '../immutable.ts'
import { checkFormat, checkOneOf, invalid, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

const MAX_PRECEDENCE = 10000

/** FlowSchemas: which requests share a priority level. */
export const flowSchemas = defineResource({
  group: 'flowcontrol.apiserver.k8s.io',
  version: 'v1',
  kind: 'FlowSchema',
  hasGeneration: true,
  columns: [
    nameColumn as Column<FlowSchema>,
    text('PriorityLevel', ({ spec }: FlowSchema) => spec?.priorityLevelConfiguration?.name ?? ''),
    { ...integer('MatchingPrecedence', ({ spec }: FlowSchema) => spec?.matchingPrecedence), type: 'string' },
    text('DistinguisherMethod', ({ spec }: FlowSchema) => spec?.distinguisherMethod?.type ?? '<none>'),
    ageColumn as Column<FlowSchema>,
    text('MissingPL', ({ status }: FlowSchema) => status?.conditions?.find(({ type }) => type === 'Dangling')?.status ?? '?'),
  ],
  setDefaults: (schema) => changeField(schema, 'spec', (spec) => withPositiveDefaults(spec, { matchingPrecedence: 1000 })),
  prepareForCreate: (schema) => ({ ...schema, status: {} }),
  validate({ spec }) {
    const errors: FieldErrors = []
    const precedence = spec?.matchingPrecedence ?? 0
    if (precedence <= 0) errors.push(invalid('spec.matchingPrecedence', precedence, 'must be a positive value'))
    if (precedence > MAX_PRECEDENCE)
      errors.push(invalid('spec.matchingPrecedence', precedence, `must not be greater than ${MAX_PRECEDENCE}`))
    if (spec?.distinguisherMethod) checkOneOf(errors, 'spec.distinguisherMethod', spec.distinguisherMethod.type, ['ByNamespace', 'ByUser'])
    const level = spec?.priorityLevelConfiguration?.name
    if (!level) errors.push(required('spec.priorityLevelConfiguration.name', 'must reference a priority level'))
    else checkFormat(errors, 'spec.priorityLevelConfiguration.name', level, dns1123SubdomainFaults)
    spec?.rules?.forEach(({ subjects, resourceRules, nonResourceRules }, i) => {
      const at = `spec.rules[${i}]`
      if (!subjects?.length) errors.push(required(`${at}.subjects`, 'subjects must contain at least one value'))
      if (!resourceRules?.length && !nonResourceRules?.length)
        errors.push(required(at, 'at least one of resourceRules and nonResourceRules has to be non-empty'))
    })
    return errors
  },
})
