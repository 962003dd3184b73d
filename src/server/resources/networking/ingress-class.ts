import type { IngressClass } from '../../../api/generated/networking/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, nameColumn, text } from '../columns.ts'
import { changeField } from '../immutable.ts'
import { checkFormat, checkImmutable, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

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
  validate({ spec }) {
    const errors: FieldErrors = []
    const controller = spec?.controller ?? ''
    if (controller.length > 250)
      errors.push({ type: 'FieldValueTooLong', field: 'spec.controller', detail: 'Too long: may not be more than 250 bytes' })
    if (!controller) errors.push(required('spec.controller'))
    else if (!/^[^/]+\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(controller)) {
      errors.push(invalid('spec.controller', controller, 'must be a domain-prefixed path (such as "acme.io/foo")'))
    } else checkFormat(errors, 'spec.controller', controller.slice(0, controller.indexOf('/')), dns1123SubdomainFaults)
    const parameters = spec?.parameters
    if (!parameters) return errors
    if (!parameters.kind) errors.push(required('spec.parameters.kind'))
    if (!parameters.name) errors.push(required('spec.parameters.name'))
    if (parameters.scope === undefined) errors.push(required('spec.parameters.scope'))
    else if (parameters.scope === 'Namespace') {
      if (!parameters.namespace) errors.push(required('spec.parameters.namespace', "`parameters.scope` is set to 'Namespace'"))
      else checkFormat(errors, 'spec.parameters.namespace', parameters.namespace, dns1123LabelFaults)
    } else if (parameters.scope === 'Cluster') {
      if (parameters.namespace !== undefined) errors.push(forbidden('spec.parameters.namespace', "`parameters.scope` is set to 'Cluster'"))
    } else errors.push(notSupported('spec.parameters.scope', parameters.scope, ['Cluster', 'Namespace']))
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.controller', next.spec?.controller, old.spec?.controller)
    return errors
  },
})
