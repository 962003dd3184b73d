/**
 * Which endpoints of a service's port this node may send traffic to: ready ones, else those that still serve while they terminate
 * (KEP-1669); near ones when every ready endpoint carries a hint (KEP-2433, KEP-3015); those of the node alone for the policy Local.
 */
import type { Endpoint, EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { ServicePort } from '../api/generated/core/v1.ts'
import { familyOf } from './addresses.ts'

export interface Candidate {
  readonly address: string
  readonly port: number
  readonly isLocal: boolean
  /** On a node that is known and not this one. An endpoint told without a node may be here or elsewhere. */
  readonly isElsewhere: boolean
  readonly isReady: boolean
  /** Serving although terminating: only used when nothing is ready. */
  readonly isLeaving: boolean
  readonly zones: readonly string[]
  readonly nodes: readonly string[]
}

export interface Choice {
  /** For the traffic policy Cluster. */
  readonly cluster: readonly Candidate[]
  /** For the traffic policy Local. */
  readonly local: readonly Candidate[]
  /** Whether anything anywhere could answer: decides between "refused" and silence. */
  readonly hasAny: boolean
}

export interface Place {
  readonly nodeName: string
  /** topology.kubernetes.io/zone of the node. */
  readonly zone?: string | undefined
}

/** The endpoints of one port, each address and port once, in a stable order. */
export function candidatesOf(slices: Iterable<EndpointSlice>, port: ServicePort, addressType: string, place: Place): Candidate[] {
  const found = new Map<string, Candidate>()
  for (const slice of slices) {
    if (slice.addressType !== addressType) continue
    for (const { name, protocol, port: number } of slice.ports ?? []) {
      if (number === undefined || (name ?? '') !== (port.name ?? '') || (protocol ?? 'TCP') !== (port.protocol ?? 'TCP')) continue
      for (const endpoint of slice.endpoints ?? []) add(found, endpoint, number, place)
    }
  }
  return [...found.values()].toSorted((a, b) => (a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1))
}

function add(found: Map<string, Candidate>, { addresses, conditions, nodeName, hints }: Endpoint, port: number, place: Place): void {
  const address = addresses[0]
  if (address === undefined || !familyOf(address)) return
  const isReady = conditions?.ready !== false
  const candidate: Candidate = {
    address,
    port,
    isLocal: nodeName === place.nodeName,
    isElsewhere: nodeName !== undefined && nodeName !== place.nodeName,
    isReady,
    isLeaving: !isReady && (conditions?.serving ?? isReady) && conditions?.terminating === true,
    zones: hints?.forZones?.map((zone) => zone.name) ?? [],
    nodes: hints?.forNodes?.map((node) => node.name) ?? [],
  }
  const key = `${address} ${port}`
  const known = found.get(key)
  // An endpoint that moves between slices is in both for a moment: the better word for it counts.
  if (!known || (!known.isReady && (isReady || (candidate.isLeaving && !known.isLeaving)))) found.set(key, candidate)
}

export function chooseEndpoints(candidates: readonly Candidate[], place: Place): Choice {
  const ready = candidates.filter((candidate) => candidate.isReady)
  const usable = ready.length > 0 ? nearest(ready, place) : candidates.filter((candidate) => candidate.isLeaving)
  const here = candidates.filter((candidate) => candidate.isLocal)
  const readyHere = here.filter((candidate) => candidate.isReady)
  return {
    cluster: usable,
    local: readyHere.length > 0 ? readyHere : here.filter((candidate) => candidate.isLeaving),
    hasAny: usable.length > 0,
  }
}

/** Hints count only when all endpoints have them and one is for us: half a set of hints would send everything to a few. */
function nearest(ready: readonly Candidate[], { nodeName, zone }: Place): readonly Candidate[] {
  if (ready.every((candidate) => candidate.nodes.length > 0)) {
    const forNode = ready.filter((candidate) => candidate.nodes.includes(nodeName))
    if (forNode.length > 0) return forNode
  }
  if (zone !== undefined && ready.every((candidate) => candidate.zones.length > 0)) {
    const forZone = ready.filter((candidate) => candidate.zones.includes(zone))
    if (forZone.length > 0) return forZone
  }
  return ready
}
