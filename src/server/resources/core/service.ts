/** Services: a stable address in front of pods. What is allocated to them comes from core/service-allocator.ts. */
import type { Service, ServicePort } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, formatLabels, loadBalancerText, nameColumn, text, wide } from '../columns.ts'
import { addressesOf } from './service-addresses.ts'
import { normalizeClusterIPs, prepareServiceUpdate, serviceDefaults } from './service-fields.ts'
import { validateService, validateServiceStatusUpdate, validateServiceUpdate } from './service-validation.ts'
import type { Column } from '../../resource.ts'
import { changeField } from '../immutable.ts'

function externalIP({ spec, status }: Service): string {
  const own = spec?.externalIPs ?? []
  if (spec?.type === 'ClusterIP' || spec?.type === 'NodePort') return own.join(',') || '<none>'
  if (spec?.type === 'ExternalName') return spec.externalName ?? ''
  if (spec?.type !== 'LoadBalancer') return '<unknown>'
  const balanced = loadBalancerText(status?.loadBalancer?.ingress)
  return [...(balanced ? [balanced] : []), ...own].join(',') || '<pending>'
}

const portText = (port: ServicePort): string => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`

export const services = defineResource({
  group: '',
  version: 'v1',
  kind: 'Service',
  hasGeneration: false,
  columns: [
    nameColumn as Column<Service>,
    text('Type', (service: Service) => service.spec?.type ?? '', 'How the service is reached.'),
    text('Cluster-IP', (service: Service) => service.spec?.clusterIPs?.[0] ?? (service.spec?.clusterIP || '<none>')),
    text('External-IP', externalIP),
    text('Port(s)', (service: Service) => (service.spec?.ports ?? []).map(portText).join(',') || '<none>'),
    ageColumn as Column<Service>,
    wide(text('Selector', (service: Service) => formatLabels(service.spec?.selector))),
  ],
  fieldSelectors: {
    'spec.clusterIP': (service: Service) => service.spec?.clusterIP ?? '',
    'spec.type': (service: Service) => service.spec?.type ?? '',
  },
  companions: addressesOf,
  setDefaults: serviceDefaults,
  prepareForCreate: (service: Service) =>
    changeField({ ...service, status: { loadBalancer: {} } }, 'spec', (spec) => normalizeClusterIPs(spec, undefined)),
  prepareForUpdate: (next, old, { subresource }) => (subresource === undefined ? prepareServiceUpdate(next, old) : next),
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  validateStatusUpdate: validateServiceStatusUpdate,
})
