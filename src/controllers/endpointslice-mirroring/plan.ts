/**
 * Which EndpointSlices show an Endpoints object that somebody wrote by hand: one for each family of addresses and set of ports, as
 * the object has them. Empty sets have none.
 */
import type { EndpointAddress, EndpointPort as LegacyPort, Endpoints } from '../../api/generated/core/v1.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../../api/generated/discovery/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { controllerReference } from '../../client/object-reference.ts'
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../endpointslice/plan.ts'

export const MIRRORED_BY = 'endpointslicemirroring-controller.k8s.io'
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
const UNMIRRORED_ANNOTATIONS = ['endpoints.kubernetes.io/last-change-trigger-time', 'kubectl.kubernetes.io/last-applied-configuration']
/** Addresses of one set that are shown; what is beyond is told in an event. */
const MAX_ADDRESSES = 1000
const MAX_NAME_PREFIX = 253 - 10

type Family = 'IPv4' | 'IPv6'

/** Not what says that it should not be, nor what is a lock in truth. */
export const isMirrored = ({ metadata }: Endpoints): boolean =>
  metadata?.labels?.[SKIP_LABEL] !== 'true' && metadata?.annotations?.[LEADER_ANNOTATION] === undefined

export interface MirrorPlan {
  readonly create: readonly EndpointSlice[]
  readonly update: readonly EndpointSlice[]
  readonly delete: readonly EndpointSlice[]
  readonly invalid: number
  /** Left out, the invalid ones among them. */
  readonly skipped: number
}

interface Group {
  readonly family: Family
  readonly ports: readonly EndpointPort[]
  /** By what makes an endpoint the same one. */
  readonly endpoints: Map<string, Endpoint>
}

/** `existing` are the slices that this controller made for it. */
export function planMirror(endpoints: Endpoints, existing: readonly EndpointSlice[]): MirrorPlan {
  const { groups, invalid, skipped } = groupsOf(endpoints)
  const spare = new Set(existing)
  const missing: Group[] = []
  const create: EndpointSlice[] = []
  const update: EndpointSlice[] = []
  for (const [key, group] of groups) {
    const slice = existing.find((candidate) => spare.has(candidate) && keyOfGroup(candidate.addressType, candidate.ports ?? []) === key)
    if (!slice) missing.push(group)
    else {
      spare.delete(slice)
      const wanted = sliceOf(endpoints, group, slice)
      if (!isSame(slice, wanted)) update.push(wanted)
    }
  }
  for (const group of missing) {
    // A slice that would go is made into the one that is missing.
    const recycled = [...spare].find(({ addressType }) => addressType === group.family)
    if (recycled) {
      spare.delete(recycled)
      update.push(sliceOf(endpoints, group, recycled))
    } else create.push(sliceOf(endpoints, group, undefined))
  }
  return { create: endpoints.metadata?.deletionTimestamp ? [] : create, update, delete: [...spare], invalid, skipped }
}

function groupsOf({ subsets = [] }: Endpoints): { groups: Map<string, Group>; invalid: number; skipped: number } {
  const groups = new Map<string, Group>()
  let [invalid, skipped] = [0, 0]
  for (const { addresses = [], notReadyAddresses = [], ports: legacy = [] } of subsets) {
    const ports = legacy.map(portOf)
    let added = 0
    const add = (address: EndpointAddress, ready: boolean): void => {
      const family = familyOf(address.ip)
      if (!family) invalid++
      if (!family || added >= MAX_ADDRESSES) {
        skipped++
        return
      }
      added++
      const key = keyOfGroup(family, ports)
      let group = groups.get(key)
      if (!group) groups.set(key, (group = { family, ports, endpoints: new Map() }))
      const identity = `${address.ip}|${address.hostname ?? ''}|${address.targetRef?.uid ?? ''}`
      // An address that is in both lists is ready.
      if (!group.endpoints.has(identity)) group.endpoints.set(identity, endpointOf(address, ready))
    }
    for (const address of addresses) add(address, true)
    for (const address of notReadyAddresses) add(address, false)
  }
  return { groups, invalid, skipped }
}

function familyOf(ip: string): Family | undefined {
  if (ip.includes(':')) return 'IPv6'
  const parts = ip.split('.')
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256) ? 'IPv4' : undefined
}

const portOf = ({ name = '', port, protocol = 'TCP', appProtocol }: LegacyPort): EndpointPort => ({
  name,
  port,
  protocol,
  ...(appProtocol === undefined ? {} : { appProtocol }),
})

const endpointOf = ({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname ? { hostname } : {}),
  ...(targetRef ? { targetRef } : {}),
  ...(nodeName === undefined ? {} : { nodeName }),
})

const keyOfGroup = (family: string, ports: readonly EndpointPort[]): string =>
  `${family} ${ports
    .map(({ name, port, protocol, appProtocol }) => JSON.stringify([name ?? '', port, protocol ?? 'TCP', appProtocol]))
    .toSorted()
    .join(' ')}`

function sliceOf(endpoints: Endpoints, { family, ports, endpoints: wanted }: Group, slice: EndpointSlice | undefined): EndpointSlice {
  const { name, namespace, labels, annotations = {} } = endpoints.metadata!
  const own = Object.entries(annotations).filter(([key]) => !UNMIRRORED_ANNOTATIONS.includes(key))
  const identity = slice
    ? { ...slice.metadata, annotations: undefined }
    : { namespace: namespace!, generateName: `${name!.slice(0, MAX_NAME_PREFIX)}-` }
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...identity,
      labels: { ...labels, [SERVICE_NAME_LABEL]: name!, [MANAGED_BY_LABEL]: MIRRORED_BY },
      ...(own.length > 0 ? { annotations: Object.fromEntries(own) } : {}),
      ownerReferences: [controllerReference('v1/Endpoints', endpoints)],
    },
    addressType: family,
    ports,
    endpoints: [...wanted.values()],
  }
}

/** The order of endpoints says nothing. */
function isSame(a: EndpointSlice, b: EndpointSlice): boolean {
  const sorted = ({ endpoints = [] }: EndpointSlice): readonly Endpoint[] =>
    endpoints.toSorted((one, other) => (String(one.addresses) < String(other.addresses) ? -1 : 1))
  return (
    deepEqual(a.metadata?.labels, b.metadata?.labels) &&
    deepEqual(a.metadata?.annotations ?? {}, b.metadata?.annotations ?? {}) &&
    a.metadata?.ownerReferences?.[0]?.uid === b.metadata?.ownerReferences?.[0]?.uid &&
    deepEqual(sorted(a), sorted(b))
  )
}
