/**
 * What a node answers on a service's healthCheckNodePort: whether it has endpoints of its own, so that a load balancer in front of
 * nodes sends traffic only where `externalTrafficPolicy: Local` lets it through. Same answers as upstream's kube-proxy.
 */
import type { Service } from '../api/generated/core/v1.ts'
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'

export interface HealthCheck {
  readonly port: number
  readonly status: 200 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Undefined for a service that has none. */
export function healthCheckOf(service: Service, slices: Iterable<EndpointSlice>, nodeName: string): HealthCheck | undefined {
  const { type, externalTrafficPolicy, healthCheckNodePort: port } = service.spec ?? {}
  if (type !== 'LoadBalancer' || externalTrafficPolicy !== 'Local' || !port) return undefined
  const local = new Set<string>()
  for (const { endpoints } of slices) {
    for (const { addresses, conditions, nodeName: node } of endpoints ?? []) {
      if (node === nodeName && conditions?.ready !== false) local.add(addresses[0] ?? '')
    }
  }
  const { namespace = '', name = '' } = service.metadata ?? {}
  const answer = { service: { namespace, name }, localEndpoints: local.size, serviceProxyHealthy: true }
  return {
    port,
    status: local.size > 0 ? 200 : 503,
    headers: {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': `${local.size}`,
    },
    body: JSON.stringify(answer, undefined, '\t'),
  }
}
