/** The cluster IPs of a service, and the objects by which everybody sees whose they are (KEP-1880). */
import type { Service, ServiceSpec } from '../../../api/generated/core/v1.ts'
import type { Companion } from '../../resource.ts'

export const isAllocatedIP = (ip: string | undefined): ip is string => ip !== undefined && ip !== '' && ip !== 'None'

export const clusterIPsOf = (spec: ServiceSpec | undefined): readonly string[] =>
  !spec || spec.type === 'ExternalName' ? [] : (spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : [])).filter(isAllocatedIP)

const FAMILY = 'ipaddress.kubernetes.io/ip-family'
const MANAGED_BY = 'ipaddress.kubernetes.io/managed-by'

export const addressesOf = ({ metadata, spec }: Service): readonly Companion[] =>
  clusterIPsOf(spec).map((ip) => ({
    kind: 'networking.k8s.io/v1/IPAddress',
    object: {
      metadata: { name: ip, labels: { [FAMILY]: ip.includes(':') ? 'IPv6' : 'IPv4', [MANAGED_BY]: 'ipallocator.k8s.io' } },
      spec: { parentRef: { resource: 'services', namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' } },
    },
  }))
