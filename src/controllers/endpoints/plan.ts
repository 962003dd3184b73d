/** Decides what the legacy Endpoints object of a Service holds: at most 1000 addresses, in groups that share their ports. */
import type { EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Pod, Service } from '../../api/generated/core/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { addressesOf, canBeEndpoint, familiesOf, hostnameOf, isHeadless, targetPortOf } from '../endpointslice/service-pods.ts'
import { withTriggerTime } from '../endpointslice/trigger-times.ts'
import { isPodReady } from '../pods/pod-state.ts'

const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by'
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'
const MAX_ADDRESSES = 1000

/** The object as it should be; undefined when `current` is that already. `changedAt`: when what changed happened. */
export function planEndpoints(
  service: Service,
  pods: readonly Pod[],
  current: Endpoints | undefined,
  changedAt?: string,
): Endpoints | undefined {
  const { subsets, isTruncated } = truncate(subsetsOf(service, pods))
  const { [HEADLESS_LABEL]: _headless, ...own } = service.metadata?.labels ?? {}
  const labels = { ...own, ...(isHeadless(service) ? { [HEADLESS_LABEL]: '' } : {}), [MANAGED_BY_LABEL]: 'endpoint-controller' }
  const before = withTriggerTime(current?.metadata?.annotations, undefined)
  const { [OVER_CAPACITY]: _overCapacity, ...others } = before
  const annotations = isTruncated ? { ...others, [OVER_CAPACITY]: 'truncated' } : others
  const isSame =
    current && deepEqual(current.subsets ?? [], subsets) && deepEqual(current.metadata?.labels, labels) && deepEqual(before, annotations)
  if (isSame) return undefined
  return {
    ...current,
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      ...current?.metadata,
      namespace: service.metadata!.namespace!,
      name: service.metadata!.name!,
      labels,
      annotations: withTriggerTime(annotations, changedAt),
    },
    subsets,
  }
}

interface Group {
  readonly ports: readonly EndpointPort[]
  readonly ready: EndpointAddress[]
  readonly notReady: EndpointAddress[]
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byIp = (a: EndpointAddress, b: EndpointAddress): number =>
  compareText(a.ip, b.ip) || compareText(a.targetRef?.uid ?? '', b.targetRef?.uid ?? '')

/** In an order that depends on the content alone, so that an equal state gives an equal object. */
function subsetsOf(service: Service, pods: readonly Pod[]): readonly EndpointSubset[] {
  const includeTerminating = Boolean(service.spec?.publishNotReadyAddresses)
  const groups = new Map<string, Group>()
  for (const pod of pods) {
    const [ip] = canBeEndpoint(pod, includeTerminating) ? addressesOf(pod, familiesOf(service)[0]!) : []
    if (ip === undefined) continue
    const ports = portsOf(service, pod)
    if (ports.length === 0 && ((service.spec?.ports?.length ?? 0) > 0 || service.spec?.clusterIP !== 'None')) continue
    const key = JSON.stringify(ports)
    let group = groups.get(key)
    if (!group) groups.set(key, (group = { ports, ready: [], notReady: [] }))
    ;(service.spec?.publishNotReadyAddresses || isPodReady(pod) ? group.ready : group.notReady).push(addressOf(service, pod, ip))
  }
  return [...groups]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([, { ports, ready, notReady }]) => ({
      ...(ready.length > 0 ? { addresses: ready.toSorted(byIp) } : {}),
      ...(notReady.length > 0 ? { notReadyAddresses: notReady.toSorted(byIp) } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    }))
}

function addressOf(service: Service, pod: Pod, ip: string): EndpointAddress {
  const { namespace, name, uid } = pod.metadata!
  const hostname = hostnameOf(pod, service)
  return {
    ip,
    ...(hostname ? { hostname } : {}),
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: { kind: 'Pod', namespace: namespace!, name: name!, uid: uid! },
  }
}

function portsOf(service: Service, pod: Pod): readonly EndpointPort[] {
  const ports: EndpointPort[] = []
  for (const port of service.spec?.ports ?? []) {
    const target = targetPortOf(pod, port)
    if (target === undefined) continue
    ports.push({
      ...(port.name ? { name: port.name } : {}),
      port: target,
      protocol: port.protocol ?? 'TCP',
      ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}),
    })
  }
  return ports.toSorted((a, b) => compareText(a.name ?? '', b.name ?? '') || a.port - b.port)
}

const sum = (subsets: readonly EndpointSubset[], which: 'addresses' | 'notReadyAddresses'): number =>
  subsets.reduce((total, subset) => total + (subset[which]?.length ?? 0), 0)

/** Ready addresses matter more; within a sort each group keeps its share. */
function truncate(subsets: readonly EndpointSubset[]): { subsets: readonly EndpointSubset[]; isTruncated: boolean } {
  const ready = sum(subsets, 'addresses')
  const notReady = sum(subsets, 'notReadyAddresses')
  if (ready + notReady <= MAX_ADDRESSES) return { subsets, isTruncated: false }
  const which = ready > MAX_ADDRESSES ? 'addresses' : 'notReadyAddresses'
  const room = which === 'addresses' ? MAX_ADDRESSES : MAX_ADDRESSES - ready
  const total = which === 'addresses' ? ready : notReady
  let left = room
  const cut = subsets.map((subset) => {
    const addresses = subset[which] ?? []
    const kept = addresses.slice(0, Math.min(left, Math.ceil((addresses.length / total) * room)))
    left -= kept.length
    const { notReadyAddresses: _notReady, ...rest } = subset
    if (which === 'addresses') return { ...rest, addresses: kept }
    return kept.length > 0 ? { ...rest, notReadyAddresses: kept } : rest
  })
  return { subsets: cut, isTruncated: true }
}
