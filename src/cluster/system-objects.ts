/**
 * The objects that every cluster has from its first moment: the system namespaces and the `kubernetes` service by which pods
 * reach the API (upstream's API server keeps the same ones). What is there already is left alone, but for addresses that changed.
 */
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Service } from '../api/generated/core/v1.ts'
import { isApiError } from '../api/status.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'

export const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const

export interface ApiAddress {
  /** The first address of the service range: what `kubernetes.default.svc` resolves to. */
  readonly clusterIp: string
  /** Where the API server listens for pods. */
  readonly address: string
  readonly port: number
}

async function createIfMissing<K extends KindName>(client: Client, kind: K, object: ObjectOf<K>): Promise<boolean> {
  try {
    await client.create(kind, object)
    return true
  } catch (error) {
    if (isApiError(error, 'AlreadyExists')) return false
    throw error
  }
}

/** Creates the slice, or puts its endpoints right. */
export async function ensureEndpointSlice(client: Client, slice: EndpointSlice): Promise<void> {
  if (await createIfMissing(client, 'discovery.k8s.io/v1/EndpointSlice', slice)) return
  const key = { namespace: slice.metadata?.namespace, name: slice.metadata?.name ?? '' }
  await client.patch('discovery.k8s.io/v1/EndpointSlice', key, 'merge', { endpoints: slice.endpoints, ports: slice.ports })
}

export async function ensureNamespaces(client: Client): Promise<void> {
  await Promise.all(SYSTEM_NAMESPACES.map((name) => createIfMissing(client, 'v1/Namespace', { metadata: { name } })))
}

export async function ensureApiService(client: Client, api: ApiAddress): Promise<void> {
  const labels = { component: 'apiserver', provider: 'kubernetes' }
  const service: Service = {
    metadata: { namespace: 'default', name: 'kubernetes', labels },
    spec: {
      type: 'ClusterIP',
      clusterIP: api.clusterIp,
      sessionAffinity: 'None',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: api.port }],
    },
  }
  await createIfMissing(client, 'v1/Service', service)
  const port = { name: 'https', port: api.port, protocol: 'TCP' }
  const subsets = [{ addresses: [{ ip: api.address }], ports: [port] }]
  // The label keeps the mirroring controller from making a second slice of it.
  const endpoints = { metadata: { namespace: 'default', name: 'kubernetes', labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } }, subsets }
  if (!(await createIfMissing(client, 'v1/Endpoints', endpoints))) {
    await client.patch('v1/Endpoints', { namespace: 'default', name: 'kubernetes' }, 'merge', { subsets })
  }
  await ensureEndpointSlice(client, {
    metadata: { namespace: 'default', name: 'kubernetes', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [api.address], conditions: { ready: true } }],
    ports: [port],
  })
}

/** The DNS service: `address` and `port` are where the node's DNS server listens. */
export async function ensureDnsService(client: Client, dns: { readonly clusterIp: string; readonly address: string; readonly port: number }): Promise<void> {
  await createIfMissing(client, 'v1/Service', {
    metadata: {
      namespace: 'kube-system',
      name: 'kube-dns',
      labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: dns.clusterIp,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: dns.port },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: dns.port },
      ],
    },
  })
  await ensureEndpointSlice(client, {
    metadata: { namespace: 'kube-system', name: 'kube-dns', labels: { 'kubernetes.io/service-name': 'kube-dns' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [dns.address], conditions: { ready: true } }],
    ports: [
      { name: 'dns', port: dns.port, protocol: 'UDP' },
      { name: 'dns-tcp', port: dns.port, protocol: 'TCP' },
    ],
  })
}
