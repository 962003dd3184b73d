import type { IngressClass } from '../../../api/generated/networking/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, nameColumn, text } from '../columns.ts'
import { changeField } from '../immutable.ts'
import {
  checkDomainPrefixedPath,
  checkFormat,
  checkImmutable,
  forbidden,
  notSupported,
  required,
  tooLong,
  type FieldErrors,
} from '../rules.ts'
import type { Column } from '../../resource.ts'

const MAX_CONTROLLER_LENGTH = 250
const DEFAULT_MARK = 'ingressclass.kubernetes.io/is-default-class'

/** IngressClasses: which controller serves an ingress. */
export const ingressClasses = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IngressClass',
  columns: [
    {
      ...(nameColumn as Column<IngressClass>),
      cell: ({ metadata }) => `${metadata?.name ?? ''}${metadata?.annotations?.[DEFAULT_MARK] === 'true' ? ' (default)' : ''}`,
    },
    text('Controller', ({ spec }: IngressClass) => spec?.controller ?? ''),
    text('Parameters', ({ spec }: IngressClass) => {
      const parameters = spec?.parameters
      if (!parameters) return '<none>'
      return `${parameters.kind}${parameters.apiGroup === undefined ? '' : `.${parameters.apiGroup}`}/${parameters.name}`
    }),
    ageColumn as Column<IngressClass>,
  ],
  setDefaults: (object) =>
    changeField(object, 'spec', (spec) =>
      changeField(spec, 'parameters', (parameters) => (parameters.scope === undefined ? { ...parameters, scope: 'Cluster' } : parameters)),
    ),
  validateCreate: validate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.controller', next.spec?.controller ?? '', old.spec?.controller)
    return [...errors, ...validate(next)]
  },
})

function validate({ spec }: IngressClass): FieldErrors {
  const errors: FieldErrors = []
  const controller = spec?.controller ?? ''
  if (controller.length > MAX_CONTROLLER_LENGTH) errors.push(tooLong('spec.controller', MAX_CONTROLLER_LENGTH))
  checkDomainPrefixedPath(errors, 'spec.controller', controller)
  const parameters = spec?.parameters
  if (!parameters) return errors
  if (parameters.apiGroup !== undefined) checkFormat(errors, 'spec.parameters.apiGroup', parameters.apiGroup, dns1123SubdomainFaults)
  for (const field of ['kind', 'name'] as const) {
    if (!parameters[field]) errors.push(required(`spec.parameters.${field}`))
    else checkFormat(errors, `spec.parameters.${field}`, parameters[field], pathSegmentFaults)
  }
  if (parameters.scope === undefined) errors.push(required('spec.parameters.scope'))
  else if (parameters.scope === 'Namespace') {
    if (parameters.namespace === undefined) errors.push(required('spec.parameters.namespace', "`parameters.scope` is set to 'Namespace'"))
    else checkFormat(errors, 'spec.parameters.namespace', parameters.namespace, dns1123LabelFaults)
  } else if (parameters.scope === 'Cluster') {
    if (parameters.namespace !== undefined) errors.push(forbidden('spec.parameters.namespace', "`parameters.scope` is set to 'Cluster'"))
  } else errors.push(notSupported('spec.parameters.scope', parameters.scope, ['Cluster', 'Namespace']))
  return errors
}
