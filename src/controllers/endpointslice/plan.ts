/**
 * Decides which EndpointSlices a Service needs. No clock, no I/O. Endpoints stay in the slice they are in, so that a change of
 * one pod changes one slice; what is new goes where something changes anyway, then where it fits, then into new slices.
 */
import type { Node, Pod, Service } from '../../api/generated/core/v1.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../../api/generated/discovery/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { controllerReference } from '../../client/object-reference.ts'
import { isPodReady } from '../pods/pod-state.ts'
import { addressesOf, canBeEndpoint, familiesOf, hostnameOf, isHeadless, targetPortOf } from './service-pods.ts'
import type { Family } from './service-pods.ts'

export const MANAGED_BY = 'endpointslice-controller.k8s.io'
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const ZONE_LABEL = 'topology.kubernetes.io/zone'
export const MAX_ENDPOINTS = 100
const MAX_NAME_PREFIX = 253 - 10

export interface SlicesInput {
  readonly service: Service
  /** Those that the Service selects. */
  readonly pods: readonly Pod[]
  /** The Service's slices that this controller manages. */
  readonly existing: readonly EndpointSlice[]
  readonly nodeOf: (name: string) => Node | undefined
}

export interface SlicesPlan {
  readonly create: readonly EndpointSlice[]
  readonly update: readonly EndpointSlice[]
  readonly delete: readonly EndpointSlice[]
}

export function planEndpointSlices({ service, pods, existing, nodeOf }: SlicesInput): SlicesPlan {
  const families = familiesOf(service)
  const plans = families.map((family) =>
    planFamily(
      service,
      family,
      pods,
      existing.filter((slice) => slice.addressType === family),
      nodeOf,
    ),
  )
  return {
    create: plans.flatMap((plan) => plan.create),
    update: plans.flatMap((plan) => plan.update),
    delete: [...existing.filter((slice) => !families.includes(slice.addressType as Family)), ...plans.flatMap((plan) => plan.delete)],
  }
}

/** Endpoints with the same ports; slices hold one such group. */
interface Group {
  readonly ports: readonly EndpointPort[]
  readonly wanted: Map<string, Endpoint>
  readonly slices: EndpointSlice[]
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const portsKey = (ports: readonly EndpointPort[] | undefined): string =>
  (ports ?? [])
    .map((port) => `${port.name ?? ''}/${port.protocol ?? 'TCP'}/${port.port ?? ''}/${port.appProtocol ?? ''}`)
    .toSorted()
    .join(',')

/** What makes an endpoint the same one when it changes. */
const identityOf = ({ addresses, hostname, targetRef }: Endpoint): string =>
  `${addresses.toSorted(byText).join(',')}|${hostname ?? ''}|${targetRef?.namespace}/${targetRef?.name}`

function planFamily(
  service: Service,
  family: Family,
  pods: readonly Pod[],
  existing: readonly EndpointSlice[],
  nodeOf: SlicesInput['nodeOf'],
): SlicesPlan {
  const groups = new Map<string, Group>()
  for (const pod of pods) {
    const addresses = canBeEndpoint(pod, true) ? addressesOf(pod, family) : []
    if (addresses.length === 0) continue
    const ports = portsOf(service, pod)
    const key = portsKey(ports)
    let group = groups.get(key)
    if (!group) groups.set(key, (group = { ports, wanted: new Map(), slices: [] }))
    const endpoint = endpointOf(service, pod, addresses, nodeOf)
    group.wanted.set(identityOf(endpoint), endpoint)
  }
  const orphaned: EndpointSlice[] = []
  for (const slice of existing) (groups.get(portsKey(slice.ports))?.slices ?? orphaned).push(slice)

  const plans = [...groups.values()].map((group) => planGroup(service, family, group))
  // A Service that sends to nobody keeps one empty slice, so that it can be told from one that was not looked at yet.
  const isEmpty = groups.size === 0
  const placeholder = isEmpty ? orphaned.find((slice) => (slice.endpoints ?? []).length === 0) : undefined
  if (isEmpty && !placeholder) plans.push({ create: [newSlice(service, family, [])], update: [], delete: [] })
  if (placeholder) plans.push(relabelled(service, placeholder))
  return {
    create: plans.flatMap((plan) => plan.create),
    update: plans.flatMap((plan) => plan.update),
    delete: [...orphaned.filter((slice) => slice !== placeholder), ...plans.flatMap((plan) => plan.delete)],
  }
}

function relabelled(service: Service, slice: EndpointSlice): SlicesPlan {
  const labels = labelsOf(service)
  return {
    create: [],
    update: deepEqual(labels, slice.metadata?.labels) ? [] : [{ ...slice, metadata: { ...slice.metadata, labels } }],
    delete: [],
  }
}

function planGroup(service: Service, family: Family, { ports, wanted, slices }: Group): SlicesPlan {
  const labels = labelsOf(service)
  const remaining = new Map(wanted)
  const changed: { readonly slice: EndpointSlice; readonly endpoints: Endpoint[] }[] = []
  const unchanged: { readonly slice: EndpointSlice; readonly endpoints: Endpoint[] }[] = []
  const gone: EndpointSlice[] = []
  for (const slice of slices) {
    const endpoints: Endpoint[] = []
    let isChanged = !deepEqual(labels, slice.metadata?.labels)
    for (const old of slice.endpoints ?? []) {
      const key = identityOf(old)
      const kept = remaining.get(key)
      remaining.delete(key)
      if (!kept) isChanged = true
      else if (deepEqual(kept, old)) endpoints.push(old)
      else {
        endpoints.push(kept)
        isChanged = true
      }
    }
    if (endpoints.length === 0) gone.push(slice)
    else (isChanged ? changed : unchanged).push({ slice, endpoints })
  }

  const left = [...remaining.values()]
  for (const { endpoints } of changed.toSorted((a, b) => b.endpoints.length - a.endpoints.length)) {
    endpoints.push(...left.splice(0, Math.max(0, MAX_ENDPOINTS - endpoints.length)))
  }
  const created: EndpointSlice[] = []
  while (left.length > 0) {
    const roomy = unchanged
      .filter(({ endpoints }) => endpoints.length + left.length <= MAX_ENDPOINTS)
      .toSorted((a, b) => b.endpoints.length - a.endpoints.length)[0]
    const part = left.splice(0, MAX_ENDPOINTS)
    if (roomy) {
      roomy.endpoints.push(...part)
      changed.push(roomy)
    } else if (gone.length > 0) changed.push({ slice: gone.shift()!, endpoints: part })
    else created.push(newSlice(service, family, ports, part))
  }
  const update = changed.map(({ slice, endpoints }): EndpointSlice => ({ ...slice, metadata: { ...slice.metadata, labels }, endpoints }))
  return { create: created, update, delete: gone }
}

function portsOf(service: Service, pod: Pod): readonly EndpointPort[] {
  const ports: EndpointPort[] = []
  for (const port of service.spec?.ports ?? []) {
    const target = targetPortOf(pod, port)
    if (target === undefined) continue
    ports.push({
      name: port.name ?? '',
      port: target,
      protocol: port.protocol ?? 'TCP',
      ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}),
    })
  }
  return ports
}

function endpointOf(service: Service, pod: Pod, addresses: readonly string[], nodeOf: SlicesInput['nodeOf']): Endpoint {
  const { namespace, name, uid, deletionTimestamp } = pod.metadata!
  const serving = isPodReady(pod)
  const terminating = deletionTimestamp !== undefined
  const ready = Boolean(service.spec?.publishNotReadyAddresses) || (serving && !terminating)
  const nodeName = pod.spec?.nodeName
  const zone = nodeName && nodeOf(nodeName)?.metadata?.labels?.[ZONE_LABEL]
  const hostname = hostnameOf(pod, service)
  const hints = ready ? hintsFor(service, nodeName, zone) : undefined
  return {
    addresses,
    conditions: { ready, serving, terminating },
    ...(hostname ? { hostname } : {}),
    targetRef: { kind: 'Pod', namespace: namespace!, name: name!, uid: uid! },
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
    ...(hints ? { hints } : {}),
  }
}

const CLOSE = new Set(['PreferClose', 'PreferSameZone', 'PreferSameNode'])

/** For whom an endpoint is meant where a Service wants its traffic kept near (KEP-4444, KEP-3015). */
function hintsFor({ spec }: Service, nodeName: string | undefined, zone: string | undefined): Endpoint['hints'] {
  if (!CLOSE.has(spec?.trafficDistribution ?? '')) return undefined
  const forNodes = nodeName && spec?.trafficDistribution === 'PreferSameNode' ? { forNodes: [{ name: nodeName }] } : undefined
  const forZones = zone ? { forZones: [{ name: zone }] } : undefined
  return forNodes || forZones ? { ...forZones, ...forNodes } : undefined
}

/** The Service's own labels, and those by which the slice is found. */
function labelsOf(service: Service): Readonly<Record<string, string>> {
  const { [HEADLESS_LABEL]: _headless, ...own } = service.metadata?.labels ?? {}
  return {
    ...own,
    ...(isHeadless(service) ? { [HEADLESS_LABEL]: '' } : {}),
    [SERVICE_NAME_LABEL]: service.metadata!.name!,
    [MANAGED_BY_LABEL]: MANAGED_BY,
  }
}

const newSlice = (
  service: Service,
  family: Family,
  ports: readonly EndpointPort[],
  endpoints: readonly Endpoint[] = [],
): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    generateName: `${service.metadata!.name!.slice(0, MAX_NAME_PREFIX)}-`,
    namespace: service.metadata!.namespace!,
    labels: labelsOf(service),
    ownerReferences: [controllerReference('v1/Service', service)],
  },
  addressType: family,
  ports,
  endpoints,
})
