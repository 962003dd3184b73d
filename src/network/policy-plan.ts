/**
 * NetworkPolicies as rules of the packet filter (networking.k8s.io/v1; KEP-2079 for endPort). A policy is a chain a direction that
 * accepts what it allows; whom its selectors mean are groups, sets of addresses that pods join and leave one by one, so that a pod's
 * coming and going is a few elements and never a chain.
 *
 * A named port stands for other numbers on other pods: it is a group of (address, protocol, port).
 */
import type { Pod } from '../api/generated/core/v1.ts'
import type { LabelSelector } from '../api/generated/meta/v1.ts'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../api/generated/networking/v1.ts'
import { familyOf, type Family } from './addresses.ts'

/** Pods by namespace and labels, or a named port of such pods. */
export interface GroupQuery {
  /** One namespace; else those that `namespaceSelector` selects, all when that is absent too. */
  readonly namespace?: string | undefined
  readonly namespaceSelector?: LabelSelector | undefined
  /** All pods when absent. */
  readonly podSelector?: LabelSelector | undefined
  readonly port?: { readonly name: string; readonly protocol: string }
}

export type Direction = 'ingress' | 'egress'

/** The directions in which a policy isolates the pods that it selects. */
export const directionsOf = ({ spec }: NetworkPolicy): readonly Direction[] => {
  const types = spec?.policyTypes ?? ['Ingress', ...(spec?.egress?.length ? ['Egress'] : [])]
  return (['ingress', 'egress'] as const).filter((direction) => types.includes(direction === 'ingress' ? 'Ingress' : 'Egress'))
}

/** The rules of a policy's chain for a direction, a line each. `groupOf` gives the set's name for a query. */
export function planPolicy(policy: NetworkPolicy, direction: Direction, family: Family, groupOf: (query: GroupQuery) => string): string {
  const namespace = policy.metadata?.namespace
  const lines: string[] = []
  const rules =
    direction === 'ingress'
      ? (policy.spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
      : (policy.spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }))
  for (const { peers, ports } of rules) {
    for (const peer of peers?.length ? peers : [undefined]) {
      const address = addressMatch(peer, namespace, direction === 'ingress' ? 'saddr' : 'daddr', family, groupOf)
      if (address === undefined) continue
      for (const port of ports?.length ? ports : [undefined]) {
        const target: GroupQuery =
          direction === 'ingress' ? { namespace, podSelector: policy.spec?.podSelector } : (queryOf(peer, namespace) ?? {})
        lines.push([address, portMatch(port, target, family, groupOf), 'accept'].filter(Boolean).join(' '))
      }
    }
  }
  return [...new Set(lines)].join('\n')
}

/** Which pods a peer means; undefined when it means addresses or everybody. */
function queryOf(peer: NetworkPolicyPeer | undefined, namespace: string | undefined): GroupQuery | undefined {
  if (!peer || peer.ipBlock) return undefined
  const { namespaceSelector, podSelector } = peer
  return namespaceSelector ? { namespaceSelector, podSelector } : { namespace, podSelector }
}

/** Nothing for everybody; undefined when the peer is of the other family. */
function addressMatch(
  peer: NetworkPolicyPeer | undefined,
  namespace: string | undefined,
  field: 'saddr' | 'daddr',
  family: Family,
  groupOf: (query: GroupQuery) => string,
): string | undefined {
  const query = queryOf(peer, namespace)
  if (query) return `${family} ${field} @${groupOf(query)}`
  if (!peer?.ipBlock) return ''
  const { cidr, except = [] } = peer.ipBlock
  if (familyOf(cidr) !== family) return undefined
  const exceptions = except.filter((range) => familyOf(range) === family).map((range) => ` ${family} ${field} != ${range}`)
  return `${family} ${field} ${cidr}${exceptions.join('')}`
}

function portMatch(
  port: NetworkPolicyPort | undefined,
  target: GroupQuery,
  family: Family,
  groupOf: (query: GroupQuery) => string,
): string {
  if (!port) return ''
  const protocol = port.protocol ?? 'TCP'
  if (port.port === undefined) return `meta l4proto ${protocol.toLowerCase()}`
  if (typeof port.port === 'number') {
    return `meta l4proto ${protocol.toLowerCase()} th dport ${port.port}${port.endPort === undefined ? '' : `-${port.endPort}`}`
  }
  const { namespace, namespaceSelector, podSelector } = target
  const group = groupOf({ namespace, namespaceSelector, podSelector, port: { name: port.port, protocol } })
  return `${family} daddr . meta l4proto . th dport @${group}`
}

/** The address by which the network knows a pod; undefined while it has none, when it has the node's, and when it is over. */
export function policyAddress(pod: Pod, family: Family): string | undefined {
  const { phase, podIPs, podIP } = pod.status ?? {}
  if (pod.spec?.hostNetwork || phase === 'Succeeded' || phase === 'Failed') return undefined
  const address = podIPs?.find(({ ip }) => familyOf(ip) === family)?.ip ?? podIP
  return address !== undefined && familyOf(address) === family ? address : undefined
}

/** The elements that a pod is in the sets of a query that selects it: its address, or those of its ports that have the name. */
export function elementsOf(pod: Pod, address: string, { port }: GroupQuery): readonly string[] {
  if (!port) return [address]
  const restartable = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...(pod.spec?.containers ?? []), ...restartable]
    .flatMap(({ ports }) => ports ?? [])
    .filter(({ name, protocol }) => name === port.name && (protocol ?? 'TCP') === port.protocol)
    .map(({ containerPort }) => `${address} . ${port.protocol.toLowerCase()} . ${containerPort}`)
}
