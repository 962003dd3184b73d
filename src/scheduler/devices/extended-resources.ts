/**
 * Extended resources that device classes stand for (KEP-5004): a pod asks for `example.com/gpu: 2`, and on a node whose device plugin does
 * not offer it two devices of the class are found instead. The scheduler makes the ResourceClaim, one for all such resources of the pod.
 */
import type { Container, ContainerExtendedResourceRequest, Pod } from '../../api/generated/core/v1.ts'
import type { DeviceRequest, ResourceClaim } from '../../api/generated/resource/v1.ts'
import { toMilli } from '../../api/quantity.ts'
import type { ClusterView } from '../cluster-view.ts'
import type { PodInfo } from '../pod-info.ts'
import { isExtendedResource } from '../resources.ts'
import type { Resources } from '../resources.ts'

/** Every class stands for a resource named after it, beside the one that it may name itself. */
export const CLASS_PREFIX = 'deviceclass.resource.kubernetes.io/'
const ANNOTATION = 'resource.kubernetes.io/extended-resource-claim'

/** May it come from devices? */
export const isCandidate = (name: string): boolean => isExtendedResource(name) || name.startsWith(CLASS_PREFIX)

/** Is this left to devices on a node that offers so much of it? */
export const isFromDevices = (name: string, allocatable: Resources, view: ClusterView): boolean =>
  isCandidate(name) && (allocatable.scalars.get(name) ?? 0) === 0 && view.classOfResource(name) !== undefined

/** The resources the pod asks for that may come from devices: all of them once a class stands for one, else none. */
export function extendedResourcesOf({ requests }: PodInfo, view: ClusterView): readonly string[] {
  const names = [...requests.scalars].filter(([name, amount]) => amount > 0 && isCandidate(name)).map(([name]) => name)
  return names.some((name) => view.classOfResource(name)) ? names.toSorted() : []
}

export const isExtendedClaimOf = ({ metadata }: ResourceClaim, pod: Pod): boolean =>
  metadata?.annotations?.[ANNOTATION] === 'true' &&
  (metadata.ownerReferences?.some(({ controller, uid }) => controller && uid === pod.metadata?.uid) ?? false)

export interface ExtendedRequests {
  readonly requests: readonly DeviceRequest[]
  /** Which container gets what by which request. */
  readonly mappings: readonly ContainerExtendedResourceRequest[]
}

interface Placed {
  readonly container: Container
  /** Among the init containers and containers of the pod. */
  readonly index: number
}

const countOf = ({ exactly }: DeviceRequest): number => exactly?.count ?? 0

/** What one container asks for beyond what it may take over from containers that start later. */
function requestOf({ container, index }: Placed, resource: string, className: string, reusable: readonly DeviceRequest[]) {
  const wanted = container.resources?.requests ?? {}
  const amount = toMilli(wanted[resource] ?? '0') / 1000
  const mappings: ContainerExtendedResourceRequest[] = []
  const map = (requestName: string) => mappings.push({ containerName: container.name, resourceName: resource, requestName })
  if (amount === 0 || !Number.isInteger(amount)) return { request: undefined, mappings }
  let missing = amount
  for (const known of reusable) {
    map(known.name)
    missing -= countOf(known)
    if (missing <= 0) return { request: undefined, mappings }
  }
  const name = `container-${index}-request-${Object.keys(wanted).toSorted().indexOf(resource)}`
  map(name)
  const request: DeviceRequest = { name, exactly: { deviceClassName: className, allocationMode: 'ExactCount', count: missing } }
  return { request, mappings }
}

/** One resource: init containers that end use, one after the other, what the containers after them will get, and share the rest. */
function requestsFor(pod: Pod, resource: string, className: string): ExtendedRequests {
  const init = pod.spec?.initContainers ?? []
  const all = [...init, ...(pod.spec?.containers ?? [])].map((container, index): Placed => ({ container, index }))
  const isShort = ({ container, index }: Placed) => index < init.length && container.restartPolicy !== 'Always'
  const lasting: { readonly index: number; readonly request: DeviceRequest }[] = []
  const mappings: ContainerExtendedResourceRequest[] = []
  for (const placed of all) {
    if (isShort(placed)) continue
    const { request, mappings: own } = requestOf(placed, resource, className, [])
    if (request) lasting.push({ index: placed.index, request })
    mappings.push(...own)
  }
  let most: DeviceRequest | undefined
  const shared = new Set<string>()
  const passing: ContainerExtendedResourceRequest[] = []
  for (const placed of all.filter(isShort)) {
    const later = lasting.filter(({ index }) => index >= placed.index).map(({ request }) => request)
    const { request, mappings: own } = requestOf(placed, resource, className, later)
    if (request) shared.add(request.name)
    if (request && (!most || countOf(request) > countOf(most))) most = request
    passing.push(...own)
  }
  const requests = lasting.map(({ request }) => request)
  if (!most) return { requests, mappings: [...mappings, ...passing] }
  const renamed = passing.map((mapping) => (shared.has(mapping.requestName) ? { ...mapping, requestName: most.name } : mapping))
  return { requests: [most, ...requests], mappings: [...mappings, ...renamed] }
}

/** What to ask of devices for these resources of the pod. */
export function extendedRequests(pod: Pod, resources: readonly string[], view: ClusterView): ExtendedRequests {
  const each = resources.map((resource) => requestsFor(pod, resource, view.classOfResource(resource)?.metadata?.name ?? ''))
  return {
    requests: each.flatMap(({ requests }) => requests).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    mappings: each.flatMap(({ mappings }) => mappings),
  }
}

/** The claim for them, as it is created. */
export const extendedClaim = (pod: Pod, requests: readonly DeviceRequest[]): ResourceClaim => ({
  apiVersion: 'resource.k8s.io/v1',
  kind: 'ResourceClaim',
  metadata: {
    namespace: pod.metadata?.namespace ?? '',
    generateName: `${pod.metadata?.name}-extended-resources-`,
    annotations: { [ANNOTATION]: 'true' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata?.name ?? '', uid: pod.metadata?.uid ?? '', controller: true }],
  },
  spec: { devices: { requests } },
})
