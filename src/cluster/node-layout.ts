/**
 * Where each node with real containers of a cluster is: its directories, ranges, cgroups and addresses, all told by the record and the
 * node's number, so that whoever takes a cluster down finds what any earlier process made. The first node is this machine itself;
 * each other has a network namespace of its own (network/node-segment.ts).
 */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { namespacePath } from '../network/host/node-segment.ts'
import { nodePodRange, planNodeSegment, segmentAddress, type NodeSegment } from '../network/node-segment.ts'
import { overlayLink, overlayMtu, overlayNumber } from '../network/overlay.ts'
import { planPodNetwork, type PodNetwork } from '../network/pod-network.ts'
import type { ClusterRecord, DataDirectory } from './data-directory.ts'
import { addressMtu, isOwnAddress, machineMtu, nodeAddress } from './machine.ts'

export interface NodeLayout {
  /** From 1. */
  readonly index: number
  readonly name: string
  /** InternalIP. */
  readonly address: string
  /** Addresses besides `address` at which node ports answer. */
  readonly moreAddresses: readonly string[]
  readonly podNetwork: PodNetwork
  /** Pods' volumes and logs, containerd with its images, and what its agent needs when it is a process of its own. */
  readonly directory: string
  /** Below this cgroup all pods of the node live. */
  readonly cgroupRoot: string
  /** Path of its network namespace; the machine's own when absent. */
  readonly netns?: string
}

/** The cluster's cgroup, above those of its nodes. */
export const clusterCgroup = (record: ClusterRecord): string => `/proa-${record.id}`

/** The cluster's table in the packet filter. */
export const tableName = (clusterId: string): string => `proa-${clusterId}`
/** The one that network policies make. */
export const policyTableName = (clusterId: string): string => `${tableName(clusterId)}-policies`

/** What the nodes of this machine are connected by; undefined when there is but one. */
export const nodeSegment = (record: ClusterRecord): NodeSegment | undefined =>
  record.nodeCidr === undefined
    ? undefined
    : planNodeSegment({
        id: record.id,
        cidr: record.nodeCidr,
        podCidr: record.podCidr,
        nodeCount: record.nodes,
        mtu: machineMtu(),
      })

/**
 * The address of the first node, where the API server is reached too. Among several it is the one on their segment: then every route
 * between nodes is direct, and none depends on what address the machine is given.
 */
export const firstAddress = (record: ClusterRecord): string => {
  if (record.nodeCidr !== undefined) return segmentAddress(record.nodeCidr, 1)
  const advertised = record.join?.advertiseAddress
  return advertised !== undefined && isOwnAddress(advertised) ? advertised : nodeAddress()
}

/** Where the API server is reached by nodes; that may be an address that something in front of this machine has. */
export const serverAddress = (record: ClusterRecord): string => record.join?.advertiseAddress ?? firstAddress(record)

/** The network of a node's pods. On machines that join one another, packets may have to go wrapped in others. */
export function podNetworkOf(facts: {
  /** Of the links on this machine. */
  readonly id: string
  readonly podCidr: string
  readonly clusterCidr: string
  /** Of the cluster and the node, where nodes may be on other segments. */
  readonly overlay?: { readonly clusterId: string; readonly address: string }
}): PodNetwork {
  const { id, podCidr, clusterCidr, overlay } = facts
  const common = { id, podCidr, clusterCidr }
  if (!overlay) return planPodNetwork({ ...common, mtu: machineMtu() })
  return planPodNetwork({
    ...common,
    mtu: overlayMtu(addressMtu(overlay.address), overlay.address),
    overlay: { link: overlayLink(id), vni: overlayNumber(overlay.clusterId), local: overlay.address },
  })
}

export function nodeLayouts(directory: DataDirectory, record: ClusterRecord): readonly NodeLayout[] {
  const machineName = hostname().toLowerCase()
  const segment = nodeSegment(record)
  const networkOf = (index: number): PodNetwork =>
    podNetworkOf({
      id: record.id,
      podCidr: nodePodRange(record.podCidr, index),
      clusterCidr: record.podCidr,
      ...(record.join ? { overlay: { clusterId: record.id, address: firstAddress(record) } } : {}),
    })
  const first: NodeLayout = {
    index: 1,
    name: machineName,
    address: firstAddress(record),
    moreAddresses: segment ? [nodeAddress(), '127.0.0.1'] : ['127.0.0.1'],
    podNetwork: networkOf(1),
    directory: directory.node,
    cgroupRoot: clusterCgroup(record),
  }
  const others = segment?.members.map(({ namespace, address }, i): NodeLayout => {
    const index = i + 2
    return {
      index,
      name: `${machineName}-${index}`,
      address: address.split('/')[0]!,
      moreAddresses: ['127.0.0.1'],
      podNetwork: networkOf(index),
      directory: join(directory.nodes, `${index}`),
      cgroupRoot: `${clusterCgroup(record)}/node-${index}`,
      netns: namespacePath(namespace),
    }
  })
  return [first, ...(others ?? [])]
}
