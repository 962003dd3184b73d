/**
 * The fields of a Service hang together: the type says which of them mean anything, and some are allocated. On an update a
 * client that sends back an older or shorter form must not lose what was allocated, and a change of type clears what no longer
 * applies (upstream's registry/core/service: storage.go, strategy.go).
 */
import type { Service, ServicePort, ServiceSpec } from '../../../api/generated/core/v1.ts'
import { invalid, plainFailure } from '../../../api/status.ts'
import { changeField, isEqual, mapItems, withDefaults, withField, withPointerDefaults } from '../immutable.ts'
import { initIPFamilies } from './service-ip-families.ts'

export const needsClusterIP = (spec: ServiceSpec): boolean => spec.type !== 'ExternalName'
export const needsNodePorts = (spec: ServiceSpec): boolean => spec.type === 'NodePort' || spec.type === 'LoadBalancer'
export const needsHealthCheckPort = (spec: ServiceSpec): boolean => spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'

/** Reached from outside the cluster, so that externalTrafficPolicy means something. */
export const isExternallyAccessible = (spec: ServiceSpec): boolean =>
  needsNodePorts(spec) || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0)

const CLIENT_IP_TIMEOUT_SECONDS = 10800

const portDefaults = (port: ServicePort): ServicePort => {
  const next = withDefaults(port, { protocol: 'TCP' })
  return next.targetPort === undefined || next.targetPort === 0 || next.targetPort === '' ? { ...next, targetPort: next.port } : next
}

function affinityDefaults(spec: ServiceSpec): ServiceSpec {
  if (spec.sessionAffinity === 'None') return withField(spec, 'sessionAffinityConfig', undefined)
  if (spec.sessionAffinity !== 'ClientIP' || spec.sessionAffinityConfig?.clientIP?.timeoutSeconds !== undefined) return spec
  return { ...spec, sessionAffinityConfig: { clientIP: { timeoutSeconds: CLIENT_IP_TIMEOUT_SECONDS } } }
}

export function serviceSpecDefaults(spec: ServiceSpec): ServiceSpec {
  let next = affinityDefaults(withDefaults(spec, { sessionAffinity: 'None', type: 'ClusterIP' }))
  next = changeField(next, 'ports', (ports) => mapItems(ports, portDefaults))
  if (isExternallyAccessible(next)) next = withDefaults(next, { externalTrafficPolicy: 'Cluster' })
  if (next.type !== 'ExternalName') next = withPointerDefaults(next, { internalTrafficPolicy: 'Cluster' })
  if (next.type === 'LoadBalancer') next = withDefaults(next, { allocateLoadBalancerNodePorts: true })
  return next
}

export function serviceDefaults(service: Service): Service {
  const next = changeField(service, 'spec', serviceSpecDefaults)
  if (next.spec?.type !== 'LoadBalancer') return next
  return changeField(next, 'status', (status) =>
    changeField(status, 'loadBalancer', (loadBalancer) =>
      changeField(loadBalancer, 'ingress', (ingress) =>
        mapItems(ingress, (entry) => (entry.ip ? withPointerDefaults(entry, { ipMode: 'VIP' }) : entry)),
      ),
    ),
  )
}

/**
 * What is settled before anything else is looked at: addresses and their families, whose faults are told alone; and what an external
 * name has no use for is not kept.
 */
function settle(service: Service, old: ServiceSpec | undefined): Service {
  const { spec } = service
  if (!spec) return service
  if (spec.type === 'ExternalName')
    return spec.internalTrafficPolicy === 'Cluster' || spec.internalTrafficPolicy === 'Local'
      ? { ...service, spec: withField(spec, 'internalTrafficPolicy', undefined) }
      : service
  const families = initIPFamilies(spec, old)
  if ('errors' in families) throw invalid('', 'Service', service.metadata?.name ?? '', families.errors)
  return withField(service, 'spec', families.spec)
}

export const prepareServiceCreate = (service: Service): Service =>
  settle(
    changeField({ ...service, status: { loadBalancer: {} } }, 'spec', (spec) => normalizeClusterIPs(spec, undefined)),
    undefined,
  )

/** clusterIPs follows clusterIP: old clients know only the singular. */
export function normalizeClusterIPs(next: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec {
  const hasPlural = (next.clusterIPs?.length ?? 0) > 0
  if (!old) return next.clusterIP && !hasPlural ? { ...next, clusterIPs: [next.clusterIP] } : next
  const before = old.clusterIP ?? ''
  const after = next.clusterIP ?? ''
  if (before === after) return old.clusterIPs?.length && !hasPlural ? { ...next, clusterIPs: old.clusterIPs } : next
  if (!isEqual(next.clusterIPs, old.clusterIPs)) return next
  return withField(next, 'clusterIPs', before && !after ? undefined : [after])
}

const nodePortsOf = (spec: ServiceSpec): Set<number> =>
  new Set((spec.ports ?? []).flatMap((port) => (port.nodePort ? [port.nodePort] : [])))

/** Sending the manifest again that made the service must not ask for new addresses and ports. */
function keepAllocated(next: ServiceSpec, old: ServiceSpec): ServiceSpec {
  let result = next
  if (needsClusterIP(old) && needsClusterIP(next)) {
    if (!result.clusterIP && old.clusterIP) result = { ...result, clusterIP: old.clusterIP }
    if (!result.clusterIPs?.length && old.clusterIPs?.length) result = { ...result, clusterIPs: old.clusterIPs }
  }
  if (needsNodePorts(old) && needsNodePorts(next)) {
    const wanted = nodePortsOf(next)
    const used = new Set([...nodePortsOf(old)].filter((port) => wanted.has(port)))
    const byName = new Map((old.ports ?? []).map((port) => [port.name ?? '', port.nodePort]))
    result = changeField(result, 'ports', (ports) =>
      mapItems(ports, (port) => {
        const before = byName.get(port.name ?? '')
        return port.nodePort || !before || used.has(before) ? port : { ...port, nodePort: before }
      }),
    )
  }
  if (needsHealthCheckPort(old) && needsHealthCheckPort(next) && !next.healthCheckNodePort && old.healthCheckNodePort) {
    result = { ...result, healthCheckNodePort: old.healthCheckNodePort }
  }
  return result
}

/** A change of type clears the fields that only the old type had, unless the client changed them too: then validation tells. */
function dropForeignFields(next: ServiceSpec, old: ServiceSpec): ServiceSpec {
  const drop: (keyof ServiceSpec)[] = []
  const isSame = (field: keyof ServiceSpec): boolean => isEqual(next[field], old[field])
  if (needsClusterIP(old) && !needsClusterIP(next)) {
    if (isSame('clusterIP') && isSame('clusterIPs')) drop.push('clusterIP', 'clusterIPs')
    if (isSame('ipFamilies')) drop.push('ipFamilies')
    if (isSame('ipFamilyPolicy')) drop.push('ipFamilyPolicy')
  }
  if (needsHealthCheckPort(old) && !needsHealthCheckPort(next) && isSame('healthCheckNodePort')) drop.push('healthCheckNodePort')
  if (old.type === 'LoadBalancer' && next.type !== 'LoadBalancer') {
    if (isSame('allocateLoadBalancerNodePorts')) drop.push('allocateLoadBalancerNodePorts')
    if (isSame('loadBalancerClass')) drop.push('loadBalancerClass')
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(next) && isSame('externalTrafficPolicy')) drop.push('externalTrafficPolicy')
  let result = drop.reduce((spec, field) => withField(spec, field, undefined), next)
  if (needsNodePorts(old) && !needsNodePorts(next)) {
    const before = nodePortsOf(old)
    if ([...nodePortsOf(next)].every((port) => before.has(port))) {
      result = changeField(result, 'ports', (ports) => mapItems(ports, (port) => withField(port, 'nodePort', undefined)))
    }
  }
  return result
}

/** Of an update this is found when the ports are taken, and told as no client's fault. */
function checkUniqueNodePorts({ ports = [] }: ServiceSpec): void {
  const seen = new Set<string>()
  for (const { protocol = '', nodePort } of ports) {
    const text = `{${protocol} ${nodePort}}`
    if (nodePort && seen.has(text)) throw plainFailure(`duplicate nodePort: ${text}`)
    seen.add(text)
  }
}

export function prepareServiceUpdate(next: Service, old: Service): Service {
  const before = old.spec
  if (!before) return next
  const prepared = changeField(serviceDefaults(next), 'spec', (spec) =>
    dropForeignFields(normalizeClusterIPs(keepAllocated(spec, before), before), before),
  )
  // A load balancer that is none any more has no address to show.
  const status = prepared.spec?.type === 'LoadBalancer' ? old.status : old.status && { ...old.status, loadBalancer: {} }
  const { spec } = prepared
  if (spec && needsNodePorts(spec)) checkUniqueNodePorts(spec)
  return withField(settle(prepared, before), 'status', status)
}
