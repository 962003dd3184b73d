/**
 * The network of one node's pods, as values: the CNI configuration for its containerd, its bridge and kernel settings, the routes to
 * other nodes' pods. host/pod-network.ts puts them in place and takes them away.
 *
 * The plugins used are bridge and host-local alone. Masquerade and host ports are rules of our own table (nft-table.ts): the bridge
 * plugin's ipMasq and the portmap plugin write iptables chains that stay behind when the cluster goes.
 */
import type { Node } from '../api/generated/core/v1.ts'
import { assert } from '../base/assert.ts'
import { familyOf, gatewayOf } from './addresses.ts'
import type { Overlay } from './overlay.ts'

export interface PodNetwork {
  /** Of the CNI network and of its state's directory; unique on the machine. */
  readonly name: string
  /** At most 15 characters. */
  readonly bridge: string
  /** With length, e.g. 10.244.0.1/24: the bridge's address, and the pods' default gateway. */
  readonly gateway: string
  readonly podCidr: string
  readonly mtu: number
  /** The range of all nodes' pods: routes into it are this cluster's. */
  readonly clusterCidr?: string
  /** For nodes on other segments. Absent: all are on this one's. */
  readonly overlay?: Overlay
}

/** The bridge of a cluster's node: "proa-" and the id, within the kernel's 15 characters. */
export function bridgeName(id: string): string {
  const name = `proa-${id}`
  assert(/^[a-z0-9-]{1,15}$/.test(name), `"${name}" is no name for a link: at most 10 lower-case letters, digits and dashes after "proa-"`)
  return name
}

export function planPodNetwork(
  options: { readonly id: string; readonly mtu?: number } & Pick<PodNetwork, 'podCidr' | 'clusterCidr' | 'overlay'>,
): PodNetwork {
  const { id, mtu = 1500, ...rest } = options
  const bridge = bridgeName(id)
  return { name: bridge, bridge, gateway: gatewayOf(rest.podCidr), mtu, ...rest }
}

/** The text of the .conflist in containerd's conf_dir. `stateDirectory` is where host-local keeps which address is whose. */
export function cniConfiguration(network: PodNetwork, stateDirectory: string): string {
  const isIpv6 = familyOf(network.podCidr) === 'ip6'
  const configuration = {
    cniVersion: '1.0.0',
    name: network.name,
    plugins: [
      {
        type: 'bridge',
        bridge: network.bridge,
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        mtu: network.mtu,
        ipam: {
          type: 'host-local',
          dataDir: stateDirectory,
          ranges: [[{ subnet: network.podCidr, gateway: network.gateway.split('/')[0] }]],
          routes: [{ dst: isIpv6 ? '::/0' : '0.0.0.0/0' }],
        },
      },
    ],
  }
  return `${JSON.stringify(configuration, undefined, 2)}\n`
}

/**
 * Kernel settings, by path below /proc/sys. Bridged packets must pass the packet filter, or answers between pods of one node would
 * go past the translation that their questions had. route_localnet lets 127.0.0.1:hostPort be sent to a pod; the table drops what
 * pods send to loopback.
 */
export const kernelSettings = ({ bridge, podCidr }: PodNetwork): Readonly<Record<string, string>> =>
  familyOf(podCidr) === 'ip6'
    ? { 'net/ipv6/conf/all/forwarding': '1', 'net/bridge/bridge-nf-call-ip6tables': '1' }
    : {
        'net/ipv4/ip_forward': '1',
        'net/bridge/bridge-nf-call-iptables': '1',
        [`net/ipv4/conf/${bridge}/route_localnet`]: '1',
        [`net/ipv4/conf/${bridge}/send_redirects`]: '0',
      }

export interface PodRoute {
  readonly cidr: string
  readonly via: string
}

/** Routes to the pods of every other node, by the node's internal address. */
export function planRoutes(nodes: Iterable<Node>, self: string): readonly PodRoute[] {
  const routes: PodRoute[] = []
  for (const node of nodes) {
    if (node.metadata?.name === self) continue
    for (const cidr of node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : [])) {
      const via = node.status?.addresses?.find(
        ({ type, address }) => type === 'InternalIP' && familyOf(address) === familyOf(cidr),
      )?.address
      if (via && familyOf(cidr)) routes.push({ cidr, via })
    }
  }
  return routes.toSorted((a, b) => (a.cidr < b.cidr ? -1 : 1))
}
