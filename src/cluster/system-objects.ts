/**
 * The objects that every cluster has from its first moment: the system namespaces and the `kubernetes` service by which pods
 * reach the API (upstream's API server keeps the same ones). What is there already is left alone, but for addresses that changed.
 */
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Service } from '../api/generated/core/v1.ts'
import type { KubeObject } from '../api/object.ts'
import { isApiError } from '../api/status.ts'
import { timestamp, type Clock } from '../base/clock.ts'
import { deepEqual } from '../base/deep-equal.ts'
import { dnsEndpoints, dnsService, type DnsListener } from '../network/dns-service.ts'
import { FRONT_PROXY_CLIENT } from './identities.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'

export const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const

export interface ApiAddress {
  /** The first address of the service range: what `kubernetes.default.svc` resolves to. */
  readonly clusterIp: string
  /** Where the API server listens for pods. */
  readonly address: string
  readonly port: number
}

/**
 * Looks first: a Service that is there already would be refused for its address, not for its name. Resolves with whether it was
 * created.
 */
export async function createIfMissing<K extends KindName>(client: Client, kind: K, object: ObjectOf<K>): Promise<boolean> {
  const { namespace, name = '' } = (object as KubeObject).metadata ?? {}
  try {
    await client.get(kind, { namespace, name })
    return false
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
  await client.create(kind, object)
  return true
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

/** What gave every node the rights of all: clusters of earlier versions have it. The node authorizer decides what a node may do. */
const WIDE_NODE_RIGHTS = 'proa-nodes'

export async function removeWideNodeRights(client: Client): Promise<void> {
  try {
    await client.delete('rbac.authorization.k8s.io/v1/ClusterRoleBinding', { name: WIDE_NODE_RIGHTS })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

/** Nodes renew their client certificates by themselves. */
export async function ensureNodeRotation(client: Client): Promise<void> {
  const apiGroup = 'rbac.authorization.k8s.io'
  await createIfMissing(client, 'rbac.authorization.k8s.io/v1/ClusterRoleBinding', {
    metadata: { name: 'proa:node-autoapprove-certificate-rotation' },
    roleRef: { apiGroup, kind: 'ClusterRole', name: 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient' },
    subjects: [{ apiGroup, kind: 'Group', name: 'system:nodes' }],
  })
}

/** The network that cluster IPs come from, as an object; Ready unless somebody has said otherwise. */
export async function ensureServiceCidr(client: Client, cidr: string, clock: Clock): Promise<void> {
  const kind = 'networking.k8s.io/v1/ServiceCIDR'
  await createIfMissing(client, kind, { metadata: { name: 'kubernetes' }, spec: { cidrs: [cidr] } })
  const current = await client.get(kind, { name: 'kubernetes' })
  const isJudged = current.status?.conditions?.some(({ type, status }) => type === 'Ready' && status !== 'Unknown')
  if (isJudged || !deepEqual(current.spec?.cidrs, [cidr]) || current.metadata?.deletionTimestamp) return
  const others = current.status?.conditions?.filter(({ type }) => type !== 'Ready') ?? []
  const message = 'Kubernetes default Service CIDR is ready'
  const ready = { type: 'Ready', status: 'True', reason: '', message, lastTransitionTime: timestamp(clock) }
  await client.update(kind, { ...current, status: { conditions: [...others, ready] } }, { subresource: 'status' })
}

/**
 * By this ConfigMap aggregated API servers know whom to believe: the authority of clients, and that of the proxy which names the
 * user in headers.
 */
export async function ensureAuthenticationConfig(client: Client, clientCa: string, frontProxyCa: string): Promise<void> {
  const key = { namespace: 'kube-system', name: 'extension-apiserver-authentication' }
  const data = {
    'client-ca-file': clientCa,
    'requestheader-allowed-names': JSON.stringify([FRONT_PROXY_CLIENT]),
    'requestheader-client-ca-file': frontProxyCa,
    'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
    'requestheader-group-headers': '["X-Remote-Group"]',
    'requestheader-uid-headers': '["X-Remote-Uid"]',
    'requestheader-username-headers': '["X-Remote-User"]',
  }
  if (await createIfMissing(client, 'v1/ConfigMap', { metadata: key, data })) return
  const current = await client.get('v1/ConfigMap', key)
  if (!deepEqual(current.data, data)) await client.patch('v1/ConfigMap', key, 'merge', { data })
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
  const endpoints = {
    metadata: { namespace: 'default', name: 'kubernetes', labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets,
  }
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

/** The DNS service, and where its servers listen: those of the server's own process, and those of agents. */
export async function ensureDnsService(
  client: Client,
  clusterIp: string,
  { own, agents }: { readonly own: DnsListener; readonly agents: readonly DnsListener[] },
): Promise<void> {
  await createIfMissing(client, 'v1/Service', dnsService(clusterIp))
  await ensureEndpointSlice(client, dnsEndpoints([own]))
  if (agents.length > 0) await ensureEndpointSlice(client, dnsEndpoints(agents, 'kube-dns-agents'))
}
