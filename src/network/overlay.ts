/**
 * How pods reach pods of nodes on other segments, as values: a VXLAN link on every node (RFC 7348), whose neighbours are told and not
 * learned. What a node needs to know of another is its address and its pod range: the rest follows from these two, so nothing has to be
 * agreed on. host/pod-network.ts puts it in place.
 */
import ipaddr from 'ipaddr.js'

export interface Overlay {
  /** At most 15 characters; unique on the machine. */
  readonly link: string
  /** The network's number, the same on all nodes. */
  readonly vni: number
  /** The node's own address, which packets between nodes come from. */
  readonly local: string
}

/** IANA's. Another cluster's overlay on the same machine is told apart by its number. */
export const VXLAN_PORT = 4789
/** Of Ethernet, IPv4, UDP and VXLAN; twenty more where nodes have IPv6 addresses. */
const OVERHEAD = 50

export const overlayMtu = (linkMtu: number, nodeAddress: string): number => linkMtu - OVERHEAD - (nodeAddress.includes(':') ? 20 : 0)

export const overlayLink = (id: string): string => `pv-${id}`

/** A number of 24 bits, not zero, from a cluster's id of eight hex digits. */
export const overlayNumber = (clusterId: string): number => Number.parseInt(clusterId.slice(0, 6), 16) || 1

/** A node's address within the overlay: that of its pod range, which no pod has. */
export const overlayAddress = (podCidr: string): string => ipaddr.IPv4.networkAddressFromCIDR(podCidr).toString()

/** The hardware address of the node with this range: locally administered, and told by the range alone. */
export const overlayHardwareAddress = (podCidr: string): string =>
  [
    '0a',
    '70',
    ...ipaddr.IPv4.parse(overlayAddress(podCidr))
      .toByteArray()
      .map((byte) => byte.toString(16).padStart(2, '0')),
  ].join(':')

/** For `ip -batch`: makes the link, which is not there yet. */
export const overlayCreation = ({ link, vni, local }: Overlay, podCidr: string): string =>
  `link add ${link} address ${overlayHardwareAddress(podCidr)} type vxlan id ${vni} local ${local} dstport ${VXLAN_PORT} nolearning\n`
