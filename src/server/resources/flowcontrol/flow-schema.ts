import type { FlowSchema } from '../../../api/generated/flowcontrol/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { mandatorySchemas } from '../../flow-control/bootstrap.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, integer, nameColumn, text } from '../columns.ts'
import { changeField, isSemanticallyEqual, withPositiveDefaults } from '../immutable.ts'
import { checkFormat, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'
import { validateRequestRule, validateTypedConditions } from './request-rule-validation.ts'

const MAX_PRECEDENCE = 10000
const METHODS = ['ByNamespace', 'ByUser']

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
  validate({ metadata, spec, status }) {
    const errors: FieldErrors = []
    const name = metadata?.name ?? ''
    const precedence = spec?.matchingPrecedence ?? 0
    const path = 'spec.matchingPrecedence'
    if (precedence <= 0) errors.push(invalid(path, precedence, 'must be a positive value'))
    if (precedence > MAX_PRECEDENCE) errors.push(invalid(path, precedence, `must not be greater than ${MAX_PRECEDENCE}`))
    if (precedence === 1 && name !== 'exempt') {
      errors.push(invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    }
    const method = spec?.distinguisherMethod
    if (method && !METHODS.includes(method.type ?? '')) {
      errors.push(notSupported('spec.distinguisherMethod.type', { Type: method.type ?? '' }, METHODS))
    }
    const level = spec?.priorityLevelConfiguration?.name
    if (!level) errors.push(required('spec.priorityLevelConfiguration.name', 'must reference a priority level'))
    else checkFormat(errors, 'spec.priorityLevelConfiguration.name', level, dns1123SubdomainFaults)
    spec?.rules?.forEach((rule, i) => validateRequestRule(errors, `spec.rules[${i}]`, rule))
    const fixed = mandatorySchemas.find((schema) => schema.metadata?.name === name)?.spec
    if (fixed && !isSemanticallyEqual(spec, fixed)) {
      errors.push(invalid('spec', spec, `spec of '${name}' must equal the fixed value`, 'flowcontrol/v1.FlowSchemaSpec'))
    }
    validateTypedConditions(errors, status?.conditions)
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    validateTypedConditions(errors, status?.conditions)
    return errors
  },
})
