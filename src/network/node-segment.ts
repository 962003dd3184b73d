/**
 * Several nodes on one machine, as values: the first is the machine itself, each other has a network namespace of its own, and all
 * are on one segment, a bridge of the machine. So every node reaches every other by its address, routes to other nodes' pods go
 * straight through the segment, and what leaves the cluster goes through the machine, which hides the nodes behind its address.
 * host/node-segment.ts puts it in place and takes it away.
 */
import { assert } from '../base/assert.ts'
import { addressIn, gatewayOf } from './addresses.ts'

export interface NodeSegment {
  /** The machine's bridge. Not "proa-...": what comes from there is this cluster's, never to be passed by (TableOptions.foreignLinks). */
  readonly bridge: string
  /** With length: the machine's address on the segment, which is the first node's. */
  readonly gateway: string
  readonly cidr: string
  /** All pods of the cluster: they are not hidden behind the machine's address. */
  readonly podCidr: string
  readonly mtu: number
  /** Of the packet filter: hides the nodes from what is outside. Apart from the service proxy's, as it stays while no server runs. */
  readonly table: string
  readonly members: readonly SegmentMember[]
}

/** A node in a namespace. */
export interface SegmentMember {
  /** As `ip netns` knows it. */
  readonly namespace: string
  /** The machine's end of the pair; the other end is `eth0` in the namespace. */
  readonly link: string
  /** With length. */
  readonly address: string
}

/** Of the pair's other end. */
export const MEMBER_LINK = 'eth0'

export interface SegmentOptions {
  /** The cluster's: eight characters at most, for the kernel's 15 of a link's name. */
  readonly id: string
  readonly cidr: string
  readonly podCidr: string
  /** With the first, which is the machine. */
  readonly nodeCount: number
  readonly mtu: number
}

/** The address of the n-th node (from 1) on a segment. */
export const segmentAddress = (cidr: string, index: number): string => addressIn(cidr, index)

/** The range of the n-th node's pods (from 1): the n-th /24 of the cluster's. */
export const nodePodRange = (podCidr: string, index: number): string => `${addressIn(podCidr, (index - 1) * 256)}/24`

export function planNodeSegment({ id, cidr, podCidr, nodeCount, mtu }: SegmentOptions): NodeSegment {
  const length = cidr.split('/')[1]
  const members = Array.from({ length: nodeCount - 1 }, (_, i) => ({
    namespace: `proa-${id}-${i + 2}`,
    link: `pn${i + 2}-${id}`,
    address: `${segmentAddress(cidr, i + 2)}/${length}`,
  }))
  const names = [`pn-${id}`, ...members.map(({ link }) => link)]
  for (const name of names) assert(name.length <= 15, `"${name}" is too long for the name of a link`)
  return { bridge: `pn-${id}`, gateway: gatewayOf(cidr), cidr, podCidr, mtu, table: `proa-${id}-nodes`, members }
}

/** Text for `nft -f` that makes the table anew. */
export const segmentTableText = ({ table, cidr, podCidr, bridge }: NodeSegment): string => `table ip ${table} {}
delete table ip ${table}
table ip ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${cidr} ip daddr != { ${cidr}, ${podCidr} } oifname != "${bridge}" masquerade
  }
}
`
