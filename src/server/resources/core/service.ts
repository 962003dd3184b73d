/** Services: a stable address in front of pods. What is allocated to them comes from core/service-allocator.ts. */
import type { Service, ServicePort } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import { defineResource, type Column } from '../../resource.ts'
import { cidrWarnings, ipWarnings } from '../addresses.ts'
import { ageColumn, formatLabels, loadBalancerText, nameColumn, text, wide } from '../columns.ts'
import { addressesOf } from './service-addresses.ts'
import { prepareServiceCreate, prepareServiceUpdate, serviceDefaults } from './service-fields.ts'
import { validateService, validateServiceStatusUpdate, validateServiceUpdate } from './service-validation.ts'

function externalIP({ spec, status }: Service): string {
  const own = spec?.externalIPs ?? []
  if (spec?.type === 'ClusterIP' || spec?.type === 'NodePort') return own.join(',') || '<none>'
  if (spec?.type === 'ExternalName') return spec.externalName ?? ''
  if (spec?.type !== 'LoadBalancer') return '<unknown>'
  const balanced = loadBalancerText(status?.loadBalancer?.ingress)
  return [...(balanced ? [balanced] : []), ...own].join(',') || '<pending>'
}

const portText = (port: ServicePort): string => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`

/** Texts about what is deprecated or has no effect (upstream's pkg/api/service/warnings.go). */
function serviceWarnings({ metadata, spec = {} }: Service): readonly string[] {
  const { clusterIPs = [], externalIPs = [], loadBalancerIP, loadBalancerSourceRanges = [], sessionAffinity, type } = spec
  const isHeadless = clusterIPs[0] === 'None'
  const isExternal = type === 'ExternalName'
  const told: string[] = []
  if (metadata?.annotations?.['service.kubernetes.io/topology-aware-hints'] !== undefined)
    told.push('annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead')
  clusterIPs.forEach((ip, i) => told.push(...ipWarnings(`spec.clusterIPs[${i}]`, ip)))
  if (isHeadless && loadBalancerIP) told.push('spec.loadBalancerIP is ignored for headless services')
  if (isHeadless && externalIPs.length > 0) told.push('spec.externalIPs is ignored for headless services')
  if (isHeadless && sessionAffinity !== 'None') told.push('spec.SessionAffinity is ignored for headless services')
  externalIPs.forEach((ip, i) => told.push(...ipWarnings(`spec.externalIPs[${i}]`, ip)))
  if (externalIPs.length > 0 && !isHeadless && !isExternal)
    told.push('spec.externalIPs is deprecated and may no longer be implemented in some clusters')
  if (loadBalancerIP) told.push(...ipWarnings('spec.loadBalancerIP', loadBalancerIP))
  loadBalancerSourceRanges.forEach((cidr, i) => told.push(...cidrWarnings(`spec.loadBalancerSourceRanges[${i}]`, cidr)))
  if (isExternal && externalIPs.length > 0) told.push('spec.externalIPs is ignored when spec.type is "ExternalName"')
  if (!isExternal && spec.externalName) told.push('spec.externalName is ignored when spec.type is not "ExternalName"')
  if (spec.trafficDistribution === 'PreferClose') told.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
  return told
}

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
  prepareForCreate: prepareServiceCreate,
  prepareForUpdate: (next, old, { subresource }) => (subresource === undefined ? prepareServiceUpdate(next, old) : next),
  nameFormat: dns1123LabelFaults,
  validateCreate: validateService,
  validateUpdate: validateServiceUpdate,
  validateStatusUpdate: validateServiceStatusUpdate,
  warnings: serviceWarnings,
})
