/** Which pods a Service sends to, and at which addresses and ports: what EndpointSlices and Endpoints have in common. */
import type { Pod, Service, ServicePort } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Caches, Change } from '../controller.ts'
import { isPodReady, isPodTerminal } from '../pods/pod-state.ts'

export type Family = 'IPv4' | 'IPv6'
type Labels = Readonly<Record<string, string>>

/** False for an empty selector: a Service without one has no endpoints of its own. */
export function isSelected(selector: Labels | undefined, labels: Labels | undefined): boolean {
  let isEmpty = true
  for (const name in selector) {
    if (labels?.[name] !== selector[name]) return false
    isEmpty = false
  }
  return !isEmpty
}

/** Whether endpoints are made for it here, and not by its user. */
export const isSelectingService = (service: Service): boolean =>
  service.spec?.type !== 'ExternalName' && service.spec?.selector !== undefined && Object.keys(service.spec.selector).length > 0

export const isHeadless = (service: Service): boolean => !service.spec?.clusterIP || service.spec.clusterIP === 'None'

const familyOf = (ip: string): Family => (ip.includes(':') ? 'IPv6' : 'IPv4')

export function familiesOf(service: Service): readonly Family[] {
  const { ipFamilies, clusterIP } = service.spec ?? {}
  if (ipFamilies && ipFamilies.length > 0) return ipFamilies as readonly Family[]
  return [clusterIP && clusterIP !== 'None' ? familyOf(clusterIP) : 'IPv4']
}

export function addressesOf(pod: Pod, family: Family): readonly string[] {
  const { podIPs, podIP } = pod.status ?? {}
  const ips = podIPs && podIPs.length > 0 ? podIPs.map((entry) => entry.ip) : podIP ? [podIP] : []
  return ips.filter((ip) => familyOf(ip) === family)
}

/** Pods that have ended or have no address yet are no endpoints; terminating ones where the caller wants them. */
export const canBeEndpoint = (pod: Pod, includeTerminating: boolean): boolean =>
  !isPodTerminal(pod) &&
  Boolean(pod.status?.podIP || pod.status?.podIPs?.length) &&
  (includeTerminating || pod.metadata?.deletionTimestamp === undefined)

/** The pod's own name in the DNS of a headless Service. */
export const hostnameOf = (pod: Pod, service: Service): string | undefined =>
  pod.spec?.hostname && pod.spec.subdomain === service.metadata?.name && pod.metadata?.namespace === service.metadata?.namespace
    ? pod.spec.hostname
    : undefined

/** The port of the pod that a Service's port leads to; undefined when the pod names no such port. */
export function targetPortOf(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port
  if (typeof target === 'number') return target === 0 ? port.port : target
  const sidecars = pod.spec?.initContainers?.filter((container) => container.restartPolicy === 'Always') ?? []
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    const found = container.ports?.find(
      (candidate) => candidate.name === target && (candidate.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    )
    if (found) return found.containerPort
  }
  return undefined
}

/** Whether a change of a pod can change any endpoint: most updates (conditions, container states) cannot. */
function isRelevant(pod: Pod, old: Pod): boolean {
  return (
    pod.metadata?.deletionTimestamp !== old.metadata?.deletionTimestamp ||
    isPodReady(pod) !== isPodReady(old) ||
    isPodTerminal(pod) !== isPodTerminal(old) ||
    pod.status?.podIP !== old.status?.podIP ||
    !deepEqual(pod.status?.podIPs, old.status?.podIPs) ||
    pod.spec?.nodeName !== old.spec?.nodeName ||
    pod.metadata?.uid !== old.metadata?.uid ||
    !deepEqual(pod.metadata?.labels, old.metadata?.labels)
  )
}

/** The Services that a change of a pod concerns: those that select it now, and those that did before. */
export function servicesOfPod({ object: pod, old }: Change<Pod>, caches: Caches): readonly string[] {
  if (old && !isRelevant(pod, old)) return []
  const labels = pod.metadata?.labels
  const oldLabels = old?.metadata?.labels
  return caches
    .of('v1/Service')
    .byNamespace(pod.metadata!.namespace!)
    .filter(({ spec }) => isSelected(spec?.selector, labels) || (old && isSelected(spec?.selector, oldLabels)))
    .map(keyOf)
}

export const podsOfService = (service: Service, caches: Caches): readonly Pod[] =>
  caches
    .of('v1/Pod')
    .byNamespace(service.metadata!.namespace!)
    .filter((pod) => isSelected(service.spec?.selector, pod.metadata?.labels))
