/** Rules of services (upstream's validateService and its updates). Allocation checks the rest: core/service-allocator.ts. */
import type { Service, ServicePort, ServiceSpec } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, portNameFaults, portNumberFaults, qualifiedNameFaults } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { cidrProblem, ipProblem } from '../addresses.ts'
import { isEqual } from '../immutable.ts'
import { internalForm } from '../internal-form.ts'
import { validateLabels } from '../object-meta.ts'
import {
  checkFormat,
  checkOneOf,
  checkRequiredOneOf,
  duplicate,
  forbidden,
  invalid,
  notSupported,
  required,
  type FieldErrors,
} from '../rules.ts'
import { PROTOCOLS, specialAddressProblem } from './endpoints.ts'
import { isExternallyAccessible, needsHealthCheckPort } from './service-fields.ts'
import { validateClusterIPFields } from './service-ip-families.ts'

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const TRAFFIC_POLICIES = ['Cluster', 'Local']
const DISTRIBUTIONS = ['PreferClose', 'PreferSameZone', 'PreferSameNode']
const MAX_AFFINITY_SECONDS = 86400
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges'
const ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"

const isHeadless = (spec: ServiceSpec): boolean =>
  spec.clusterIPs?.[0] === 'None' || (!spec.clusterIPs?.length && spec.clusterIP === 'None')

/** A port by number or by name. */
export function validatePortNumberOrName(errors: FieldErrors, path: string, port: number | string | undefined): void {
  if (typeof port === 'string') checkFormat(errors, path, port, portNameFaults)
  else for (const problem of portNumberFaults(port ?? 0)) errors.push(invalid(path, port ?? 0, problem))
}

function validatePorts(errors: FieldErrors, ports: readonly ServicePort[]): void {
  const names = new Set<string>()
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`
    if (port.name) {
      checkFormat(errors, `${at}.name`, port.name, dns1123LabelFaults)
      if (names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name))
      names.add(port.name)
    } else if (ports.length > 1) errors.push(required(`${at}.name`))
    for (const problem of portNumberFaults(port.port)) errors.push(invalid(`${at}.port`, port.port, problem))
    checkRequiredOneOf(errors, `${at}.protocol`, port.protocol, PROTOCOLS)
    validatePortNumberOrName(errors, `${at}.targetPort`, port.targetPort)
    if (port.appProtocol !== undefined) checkFormat(errors, `${at}.appProtocol`, port.appProtocol, qualifiedNameFaults)
  })
}

function validateUniquePorts(errors: FieldErrors, ports: readonly ServicePort[]): void {
  const nodePorts = new Set<string>()
  ports.forEach(({ protocol, nodePort }, i) => {
    if (!nodePort) return
    if (nodePorts.has(`${protocol} ${nodePort}`)) errors.push(duplicate(`spec.ports[${i}].nodePort`, nodePort))
    nodePorts.add(`${protocol} ${nodePort}`)
  })
  const numbers = new Set<string>()
  ports.forEach(({ protocol, port }, i) => {
    if (numbers.has(`${protocol} ${port}`))
      errors.push({
        type: 'FieldValueDuplicate',
        field: `spec.ports[${i}]`,
        detail: `Duplicate value: ${internalForm({ port, protocol }, 'core/v1.ServicePort')}`,
      })
    numbers.add(`${protocol} ${port}`)
  })
}

function validateType(errors: FieldErrors, spec: ServiceSpec): void {
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless(spec)) {
    errors.push(invalid('spec.clusterIPs[0]', spec.clusterIPs?.[0] ?? 'None', `may not be set to 'None' for ${spec.type} services`))
  }
  if (spec.type !== 'ExternalName') return
  const why = 'may not be set for ExternalName services'
  if (spec.clusterIPs?.length) errors.push(forbidden('spec.clusterIPs', why))
  if (spec.ipFamilies?.length) errors.push(forbidden('spec.ipFamilies', why))
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbidden('spec.ipFamilyPolicy', why))
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  if (name) checkFormat(errors, 'spec.externalName', name, dns1123SubdomainFaults)
  else errors.push(required('spec.externalName'))
}

function validateAffinity(errors: FieldErrors, { sessionAffinity, sessionAffinityConfig }: ServiceSpec): void {
  const path = 'spec.sessionAffinityConfig'
  checkRequiredOneOf(errors, 'spec.sessionAffinity', sessionAffinity, ['ClientIP', 'None'])
  if (sessionAffinity === 'None' && sessionAffinityConfig) errors.push(forbidden(path, 'must not be set when session affinity is None'))
  if (sessionAffinity !== 'ClientIP') return
  const why = 'when session affinity type is ClientIP'
  if (!sessionAffinityConfig) errors.push(required(path, why))
  else if (!sessionAffinityConfig.clientIP) errors.push(required(`${path}.clientIP`, why))
  else if (sessionAffinityConfig.clientIP.timeoutSeconds === undefined) errors.push(required(`${path}.clientIP.timeoutSeconds`, why))
  else {
    const seconds = sessionAffinityConfig.clientIP.timeoutSeconds
    if (seconds <= 0 || seconds > MAX_AFFINITY_SECONDS) {
      errors.push(invalid(`${path}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`))
    }
  }
}

function validateSourceRanges(errors: FieldErrors, service: Service, spec: ServiceSpec): void {
  const annotation = service.metadata?.annotations?.[SOURCE_RANGES]
  const fromSpec = (spec.loadBalancerSourceRanges?.length ?? 0) > 0
  if (!fromSpec && annotation === undefined) return
  const path = fromSpec ? 'spec.LoadBalancerSourceRanges' : `metadata.annotations[${SOURCE_RANGES}]`
  if (spec.type !== 'LoadBalancer') errors.push(forbidden(path, ONLY_BALANCED))
  const ranges = fromSpec ? spec.loadBalancerSourceRanges : annotation?.trim() ? annotation.split(',') : []
  ranges?.forEach((range, i) => {
    const problem = cidrProblem(range.trim())
    if (problem !== undefined) errors.push(invalid(fromSpec ? `${path}[${i}]` : path, range.trim(), problem))
  })
}

function validateTraffic(errors: FieldErrors, spec: ServiceSpec): void {
  const external = 'spec.externalTrafficPolicy'
  if (isExternallyAccessible(spec)) checkRequiredOneOf(errors, external, spec.externalTrafficPolicy, TRAFFIC_POLICIES)
  else if (spec.externalTrafficPolicy)
    errors.push(invalid(external, spec.externalTrafficPolicy, 'may only be set for externally-accessible services'))
  if (spec.healthCheckNodePort && !needsHealthCheckPort(spec)) {
    errors.push(
      invalid(
        'spec.healthCheckNodePort',
        spec.healthCheckNodePort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ),
    )
  } else if (spec.healthCheckNodePort) {
    for (const problem of portNumberFaults(spec.healthCheckNodePort))
      errors.push(invalid('spec.healthCheckNodePort', spec.healthCheckNodePort, problem))
  }
  if (spec.internalTrafficPolicy !== undefined)
    checkOneOf(errors, 'spec.internalTrafficPolicy', spec.internalTrafficPolicy, TRAFFIC_POLICIES)
  if (spec.trafficDistribution !== undefined) checkOneOf(errors, 'spec.trafficDistribution', spec.trafficDistribution, DISTRIBUTIONS)
}

export function validateService(service: Service): readonly FieldError[] {
  const errors: FieldErrors = []
  const spec = service.spec
  if (!spec) return [required('spec.ports')]
  const ports = spec.ports ?? []
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName') errors.push(required('spec.ports'))
  validateType(errors, spec)
  validatePorts(errors, ports)
  validateLabels(errors, 'spec.selector', spec.selector)
  validateAffinity(errors, spec)
  validateClusterIPFields(errors, spec)
  spec.externalIPs?.forEach((ip, i) => {
    const problem = ipProblem(ip) ?? specialAddressProblem(ip)
    if (problem !== undefined) errors.push(invalid(`spec.externalIPs[${i}]`, ip, problem))
  })
  if (!spec.type) errors.push(required('spec.type'))
  else if (!TYPES.includes(spec.type)) errors.push(notSupported('spec.type', spec.type, TYPES))
  if (spec.type === 'ClusterIP') {
    ports.forEach((port, i) => {
      if (port.nodePort) errors.push(forbidden(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'"))
    })
  }
  validateUniquePorts(errors, ports)
  validateSourceRanges(errors, service, spec)
  if (spec.allocateLoadBalancerNodePorts !== undefined && spec.type !== 'LoadBalancer') {
    errors.push(forbidden('spec.allocateLoadBalancerNodePorts', ONLY_BALANCED))
  }
  if (spec.loadBalancerClass !== undefined) {
    if (spec.type === 'LoadBalancer') checkFormat(errors, 'spec.loadBalancerClass', spec.loadBalancerClass, qualifiedNameFaults)
    else errors.push(forbidden('spec.loadBalancerClass', ONLY_BALANCED))
  }
  validateTraffic(errors, spec)
  return errors
}

function validateKeptIPs(errors: FieldErrors, next: ServiceSpec, old: ServiceSpec): void {
  if (next.type === 'ExternalName' || old.type === 'ExternalName' || (isHeadless(next) && isHeadless(old))) return
  const after = next.clusterIPs ?? []
  const before = old.clusterIPs ?? []
  const why = 'may not change once set'
  if (before.length === after.length) {
    before.forEach((ip, i) => {
      if (ip !== after[i]) errors.push(invalid(`spec.clusterIPs[${i}]`, after, why))
    })
    return
  }
  if (before.length > after.length && after.length === 0)
    errors.push(invalid('spec.clusterIPs[0]', after, 'primary clusterIP can not be unset'))
  else if (before.length > 0 && after[0] !== before[0]) errors.push(invalid('spec.clusterIPs[0]', after, why))
  if (before.length > 1 && after.length === 1 && next.ipFamilyPolicy !== 'SingleStack') {
    errors.push(invalid('spec.ipFamilyPolicy', next.ipFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP"))
  }
}

function validateKeptFamilies(errors: FieldErrors, next: ServiceSpec, old: ServiceSpec): void {
  if (next.type === 'ExternalName' || old.type === 'ExternalName' || isHeadless(next) || isHeadless(old)) return
  const after = next.ipFamilies ?? []
  const before = old.ipFamilies ?? []
  // Families that were left out are filled in when addresses are claimed.
  if (after.length === 0 || before.length === 0) return
  const isChanged = before.length === after.length ? !isEqual(before, after) : before[0] !== after[0]
  if (isChanged) errors.push(invalid('spec.ipFamilies[0]', after, 'may not change once set'))
}

export function validateServiceUpdate(service: Service, { spec: old }: Service): readonly FieldError[] {
  const errors: FieldErrors = []
  const next = service.spec
  if (!next || !old) return validateService(service)
  validateKeptIPs(errors, next, old)
  validateKeptFamilies(errors, next, old)
  if (old.type === 'LoadBalancer' && next.type === 'LoadBalancer' && old.loadBalancerClass !== next.loadBalancerClass) {
    errors.push(invalid('spec.loadBalancerClass', next.loadBalancerClass, 'may not change once set'))
  }
  if (needsHealthCheckPort(old) && needsHealthCheckPort(next) && old.healthCheckNodePort !== next.healthCheckNodePort) {
    errors.push(forbidden('spec.healthCheckNodePort', 'field is immutable'))
  }
  return [...errors, ...validateService(service)]
}

export function validateServiceStatusUpdate({ spec, status }: Service): readonly FieldError[] {
  const errors: FieldErrors = []
  const ingress = status?.loadBalancer?.ingress ?? []
  const path = 'status.loadBalancer.ingress'
  if (ingress.length > 0 && spec?.type !== 'LoadBalancer')
    errors.push(forbidden(path, 'may only be used when `spec.type` is "LoadBalancer"'))
  ingress.forEach(({ ip, hostname, ipMode }, i) => {
    const problem = ip ? ipProblem(ip) : undefined
    if (problem !== undefined) errors.push(invalid(`${path}[${i}].ip`, ip, problem))
    if (ip && ipMode === undefined) errors.push(required(`${path}[${i}].ipMode`, 'must be specified when `ip` is set'))
    if (!ip && ipMode !== undefined) errors.push(forbidden(`${path}[${i}].ipMode`, 'may not be specified when `ip` is not set'))
    if (ip && ipMode !== undefined) checkOneOf(errors, `${path}[${i}].ipMode`, ipMode, ['Proxy', 'VIP'])
    if (!hostname) return
    checkFormat(errors, `${path}[${i}].hostname`, hostname, dns1123SubdomainFaults)
    if (ipProblem(hostname) === undefined) errors.push(invalid(`${path}[${i}].hostname`, hostname, 'must be a DNS name, not an IP address'))
  })
  return errors
}
