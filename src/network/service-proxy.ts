/**
 * What a node's packet filter must hold for a service: a pure function from the service, its EndpointSlices and the node to rules.
 *
 * Nearly all of it is elements of maps, so that ten thousand services cost ten thousand elements and not as many chains (see
 * nft-table.ts for the maps and the few chains that read them). Only session affinity needs chains of its own.
 */
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Pod, Service, ServicePort } from '../api/generated/core/v1.ts'
import { disjointRanges, familyOf, type Family } from './addresses.ts'
import { candidatesOf, chooseEndpoints, type Candidate, type Choice, type Place } from './endpoint-choice.ts'
import type { Rule } from './nft-ruleset.ts'
import { READY_SPREADS } from './nft-table.ts'
import { clusterAddresses } from './service-table.ts'

/** What the rules need to know about the node that they are for. */
export interface ProxyNode extends Place {
  readonly family: Family
  /** The node's own addresses: where node ports answer. */
  readonly addresses: readonly string[]
}

/** A rule in the services' table: see nft-table.ts for its maps and sets. */
export interface ServiceRule extends Rule {
  readonly set:
    | 'services'
    | 'external'
    | 'endpoints'
    | 'local-endpoints'
    | 'cluster-ips'
    | 'no-endpoints'
    | 'hairpin'
    | 'remote-endpoints'
    | 'firewalled'
    | 'allowed'
    | 'spread'
    | 'chain'
    | 'affinity'
    | 'flow'
    | 'front'
}

/** An address and port that clients use. */
interface Front {
  readonly address: string
  readonly port: number
  /** Cluster: any endpoint. Local: this node's. External-local: this node's for traffic from outside, any for pods and the node. */
  readonly policy: 'Cluster' | 'Local' | 'ExternalLocal'
  readonly sourceRanges?: readonly string[] | undefined
}

const DEFAULT_AFFINITY_SECONDS = 10_800

export function planService(service: Service, slices: readonly EndpointSlice[], node: ProxyNode): readonly ServiceRule[] {
  const rules: ServiceRule[] = []
  const clusterIps = clusterAddresses(service).filter((address) => familyOf(address) === node.family)
  for (const address of clusterIps) rules.push({ set: 'cluster-ips', key: address, value: '' })
  if (clusterIps.length === 0) return rules
  for (const port of service.spec?.ports ?? []) planPort(service, port, clusterIps[0]!, slices, node, rules)
  return rules
}

function planPort(
  service: Service,
  port: ServicePort,
  clusterIp: string,
  slices: readonly EndpointSlice[],
  node: ProxyNode,
  rules: ServiceRule[],
): void {
  const protocol = (port.protocol ?? 'TCP').toLowerCase()
  const choice = chooseEndpoints(candidatesOf(slices, port, node.family === 'ip' ? 'IPv4' : 'IPv6', node), node)
  const affinitySeconds =
    service.spec?.sessionAffinity === 'ClientIP'
      ? (service.spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS)
      : undefined
  const way: Way = { protocol, choice, affinitySeconds, label: `${clusterIp.replaceAll(':', '_')}-${protocol}-${port.port}`, rules, node }
  for (const front of frontsOf(service, port, clusterIp, node)) {
    planFront(way, front)
    planSourceRanges(way, front)
  }
  for (const endpoint of new Set([...choice.cluster, ...choice.local])) {
    if (!endpoint.isElsewhere) rules.push({ set: 'hairpin', key: `${endpoint.address} . ${endpoint.address}`, value: '' })
    if (!endpoint.isLocal) rules.push({ set: 'remote-endpoints', key: endpoint.address, value: '' })
  }
}

function frontsOf(service: Service, port: ServicePort, clusterIp: string, node: ProxyNode): Front[] {
  const { spec, status } = service
  const fronts: Front[] = [{ address: clusterIp, port: port.port, policy: spec?.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster' }]
  const policy = spec?.externalTrafficPolicy === 'Local' ? 'ExternalLocal' : 'Cluster'
  const external = (address: string | undefined, sourceRanges?: readonly string[]) => {
    if (address && familyOf(address) === node.family) fronts.push({ address, port: port.port, policy, sourceRanges })
  }
  for (const address of spec?.externalIPs ?? []) external(address)
  if (spec?.type === 'LoadBalancer') {
    for (const { ip, ipMode } of status?.loadBalancer?.ingress ?? []) if (ipMode !== 'Proxy') external(ip, spec.loadBalancerSourceRanges)
  }
  if (port.nodePort && (spec?.type === 'NodePort' || spec?.type === 'LoadBalancer')) {
    for (const address of node.addresses) if (familyOf(address) === node.family) fronts.push({ address, port: port.nodePort, policy })
  }
  return fronts
}

/** What the fronts of one port have in common. */
interface Way {
  readonly protocol: string
  readonly choice: Choice
  readonly affinitySeconds: number | undefined
  readonly label: string
  readonly rules: ServiceRule[]
  readonly node: ProxyNode
}

function planFront(way: Way, front: Front): void {
  const { choice, rules, protocol } = way
  const key = `${front.address} . ${protocol} . ${front.port}`
  if (!choice.hasAny && choice.local.length === 0) {
    rules.push({ set: 'no-endpoints', key, value: '' })
    return
  }
  const inside = front.policy === 'Local' ? choice.local : choice.cluster
  rules.push({ set: 'services', key, value: verdictFor(way, key, inside, front.policy === 'Local') })
  if (front.policy === 'ExternalLocal') rules.push({ set: 'external', key, value: verdictFor(way, key, choice.local, true) })
  if (protocol !== 'udp') return
  rules.push({ set: 'front', key: `${front.address} ${front.port}`, value: '' })
  for (const endpoint of new Set(front.policy === 'ExternalLocal' ? [...choice.cluster, ...choice.local] : inside)) {
    rules.push({ set: 'flow', key: `${front.address} ${front.port} ${endpoint.address} ${endpoint.port}`, value: '' })
  }
}

/** Where a front's packets go. Endpoints elsewhere that may not be used mean silence: another node's health check will notice. */
function verdictFor(way: Way, key: string, endpoints: readonly Candidate[], isLocal: boolean): string {
  if (endpoints.length === 0) return 'drop'
  if (way.affinitySeconds !== undefined) return planAffinity(way, endpoints, isLocal, way.affinitySeconds)
  const set = isLocal ? 'local-endpoints' : 'endpoints'
  const chain = isLocal ? `local-lb-${endpoints.length}` : `lb-${endpoints.length}`
  if (endpoints.length > READY_SPREADS) way.rules.push({ set: 'spread', key: `${endpoints.length}`, value: '' })
  for (const [i, endpoint] of endpoints.entries()) {
    way.rules.push({ set, key: `${key} . ${i}`, value: `${endpoint.address} . ${endpoint.port}` })
  }
  return `goto ${chain}`
}

/**
 * A set of clients an endpoint, with a time-out that each new connection renews; a chain that asks each set before it chooses.
 * An endpoint that goes takes its set along, so no client is held to what is gone.
 */
function planAffinity({ label, rules, node }: Way, endpoints: readonly Candidate[], isLocal: boolean, seconds: number): string {
  const chain = `${isLocal ? 'local-' : ''}stick-${label}`
  const { family } = node
  const names = endpoints.map((endpoint) => `${chain}-${endpoint.address.replaceAll(':', '_')}-${endpoint.port}`)
  for (const [i, { address, port }] of endpoints.entries()) {
    const target = family === 'ip' ? `${address}:${port}` : `[${address}]:${port}`
    rules.push({
      set: 'affinity',
      key: names[i]!,
      value: `update @${names[i]} { ${family} saddr timeout ${seconds}s }\nmeta l4proto { tcp, udp, sctp } dnat to ${target}`,
    })
  }
  const known = names.map((name) => `${family} saddr @${name} goto ${name}`)
  const choose = `numgen random mod ${names.length} vmap { ${names.map((name, i) => `${i} : goto ${name}`).join(', ')} }`
  rules.push({ set: 'chain', key: chain, value: [...known, choose].join('\n') })
  return `goto ${chain}`
}

function planSourceRanges({ rules, protocol, node }: Way, front: Front): void {
  if (!front.sourceRanges?.length) return
  const key = `${front.address} . ${protocol} . ${front.port}`
  rules.push({ set: 'firewalled', key, value: '' })
  for (const range of disjointRanges(front.sourceRanges, node.family)) rules.push({ set: 'allowed', key: `${key} . ${range}`, value: '' })
}

/**
 * Host ports of a pod on this node. Rules of our own instead of the portmap plugin, which leaves chains of iptables behind.
 * Without a host IP they answer on the node's addresses and on loopback.
 */
export function planHostPorts(pod: Pod, node: ProxyNode): readonly ServiceRule[] {
  const rules: ServiceRule[] = []
  const podIp = pod.status?.podIPs?.find(({ ip }) => familyOf(ip) === node.family)?.ip ?? pod.status?.podIP
  const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
  if (!podIp || familyOf(podIp) !== node.family || pod.spec?.hostNetwork || isOver || pod.spec?.nodeName !== node.nodeName) return rules
  const restartable = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  for (const { hostPort, hostIP, containerPort, protocol } of [...pod.spec.containers, ...restartable].flatMap(
    (container) => container.ports ?? [],
  )) {
    if (!hostPort) continue
    const isAny = !hostIP || hostIP === '0.0.0.0' || hostIP === '::'
    const addresses = isAny ? [...node.addresses, node.family === 'ip' ? '127.0.0.1' : '::1'] : [hostIP]
    for (const address of addresses) {
      if (familyOf(address) !== node.family) continue
      const key = `${address} . ${(protocol ?? 'TCP').toLowerCase()} . ${hostPort}`
      rules.push({ set: 'services', key, value: 'goto lb-1' })
      rules.push({ set: 'endpoints', key: `${key} . 0`, value: `${podIp} . ${containerPort}` })
      if (protocol === 'UDP') {
        rules.push({ set: 'front', key: `${address} ${hostPort}`, value: '' })
        rules.push({ set: 'flow', key: `${address} ${hostPort} ${podIp} ${containerPort}`, value: '' })
      }
    }
    rules.push({ set: 'hairpin', key: `${podIp} . ${podIp}`, value: '' })
  }
  return rules
}
