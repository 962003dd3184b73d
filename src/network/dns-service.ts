/**
 * How pods reach the DNS server: the service kube-system/kube-dns, whose address every pod gets as its nameserver, with an
 * EndpointSlice that names where the server listens. So DNS goes the way of every other service: nothing needs to own the
 * service's address, port 53 of the machine stays free, and the address is as movable as any.
 */
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Service } from '../api/generated/core/v1.ts'

export const DEFAULT_DNS_ADDRESS = '10.96.0.10'

const labels = { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' } as const

const ports = [
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'dns-tcp', protocol: 'TCP', port: 53 },
] as const

/** Without a selector: its endpoints are told, not found. */
export const dnsService = (clusterIP = DEFAULT_DNS_ADDRESS): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'kube-dns', namespace: 'kube-system', labels },
  spec: { type: 'ClusterIP', clusterIP, ports: ports.map(({ name, protocol, port }) => ({ name, protocol, port, targetPort: port })) },
})

export interface DnsListener {
  /** Not loopback: pods must be able to reach it. The node's address or its bridge's. */
  readonly address: string
  readonly port: number
  readonly nodeName?: string
}

/** One slice for servers on one port. Pods ask the server of their own node, if it has one, else all share the load (KEP-3015). */
export const dnsEndpoints = (listeners: readonly DnsListener[], name = 'kube-dns'): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/service-name': 'kube-dns' } },
  addressType: 'IPv4',
  endpoints: listeners.map(({ address, nodeName }) => ({
    addresses: [address],
    conditions: { ready: true, serving: true, terminating: false },
    ...(nodeName ? { nodeName, hints: { forNodes: [{ name: nodeName }] } } : {}),
  })),
  ports: ports.map(({ name, protocol }) => ({ name, protocol, port: listeners[0]?.port ?? 53 })),
})
