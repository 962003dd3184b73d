/**
 * This machine as a node with real containers: a containerd of the cluster's own, the pod network, the service proxy, DNS and the
 * node agent. What outlives the server process (containerd, pods, the bridge) is found and taken over at the next start; only
 * teardown.ts removes it.
 */
import { hostname } from 'node:os'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Runtime } from '../base/runtime.ts'
import { createNodeAgent } from '../node/agent.ts'
import { startContainerd, type Containerd, type ContainerdOptions } from '../node/cri/containerd.ts'
import { ensurePauseImage, PAUSE_IMAGE } from '../node/cri/pause-image.ts'
import { createLinuxHost } from '../node/host/linux-host.ts'
import { planPodNetwork } from '../network/pod-network.ts'
import { startPodNetwork, type PodNetworkHost } from '../network/host/pod-network.ts'
import type { ControlPlane } from './control-plane.ts'
import type { ClusterRecord, DataDirectory } from './data-directory.ts'
import * as identities from './identities.ts'
import type { Lifecycle } from './lifecycle.ts'
import { startServiceNetwork } from './service-network.ts'
import { CLUSTER_DOMAIN } from './defaults.ts'

/** Where distributions and upstream put the CNI plugins. */
const CNI_DIRECTORIES = ['/usr/lib/cni', '/opt/cni/bin']

/** The cluster's own part of the registries: none is rewritten yet. */
export const containerdOptions = (directory: DataDirectory): ContainerdOptions => ({
  dataDirectory: directory.node,
  sandboxImage: PAUSE_IMAGE,
  cniBinDirectories: CNI_DIRECTORIES.filter((path) => existsSync(path)),
})

/** The pods of a single node: the first /24 of the cluster's range, which the node IPAM controller finds taken. */
export const nodePodCidr = (record: ClusterRecord): string => record.podCidr.replace(/\/\d+$/, '/24')

export const podNetworkHost = (directory: DataDirectory, record: ClusterRecord): PodNetworkHost => ({
  network: planPodNetwork({ id: record.id, podCidr: nodePodCidr(record) }),
  configurationDirectory: join(directory.node, 'containerd', 'cni'),
  stateDirectory: join(directory.node, 'cni-state'),
})

/** Below this cgroup all pods of the cluster live. */
export const cgroupRoot = (record: ClusterRecord): string => `/proa-${record.id}`

export interface RealNodeOptions {
  readonly directory: DataDirectory
  readonly record: ClusterRecord
  /** Of this machine, for others and for pods. */
  readonly address: string
}

export interface PreparedNode {
  readonly containerd: Containerd
}

/** What needs no API server: may run while that starts. */
export async function prepareRealNode(runtime: Runtime, { directory, record }: RealNodeOptions): Promise<PreparedNode> {
  await startPodNetwork(podNetworkHost(directory, record))
  const containerd = await startContainerd(runtime, containerdOptions(directory))
  await ensurePauseImage(runtime, containerd.cri, { socket: containerd.socket, architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' })
  return { containerd }
}

/** Resolves when the node is registered and watches its pods. */
export async function startRealNode(
  runtime: Runtime,
  lifecycle: Lifecycle,
  plane: ControlPlane,
  { containerd }: PreparedNode,
  options: RealNodeOptions,
): Promise<void> {
  const { record, directory, address } = options
  const nodeName = hostname().toLowerCase()
  await startServiceNetwork(runtime, lifecycle, plane, { record, nodeName, address, podNetwork: podNetworkHost(directory, record).network })
  const agent = createNodeAgent(runtime, {
    client: plane.client(identities.node(nodeName)),
    containers: containerd.cri,
    host: createLinuxHost({ dataDirectory: directory.node }),
    nodeName,
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: nodeName },
    ],
    podCidr: nodePodCidr(record),
    clusterDns: [record.dnsAddress],
    clusterDomain: CLUSTER_DOMAIN,
    dataDirectory: directory.node,
    cgroupRoot: cgroupRoot(record),
    services: plane.informers.of('v1/Service'),
  })
  plane.connectNode(nodeName, agent.service)
  lifecycle.start({
    name: 'node agent',
    run: async (signal) => {
      await agent.run(signal)
      containerd.cri.close()
    },
  })
  await agent.ready
}
