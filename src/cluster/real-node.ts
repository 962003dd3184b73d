/**
 * A node with real containers, every part on one page: a containerd of its own, the pod network, the service proxy, DNS and the node
 * agent. It acts in the network namespace of the process that it runs in: the server's for the machine itself (all-in-one.ts), an
 * agent's for every other node (agent.ts). What outlives the process (containerd, pods, the bridge) is found and taken over at the
 * next start; only real-node-teardown.ts removes it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { NetworkPolicy } from '../api/generated/networking/v1.ts'
import type { Namespace, Node, Pod, Service } from '../api/generated/core/v1.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import type { Informer } from '../client/informer.ts'
import { createNodeAgent, type NodeAgent } from '../node/agent.ts'
import { startContainerd, type Containerd, type ContainerdOptions } from '../node/cri/containerd.ts'
import { ensurePauseImage, PAUSE_IMAGE } from '../node/cri/pause-image.ts'
import { createLinuxHost } from '../node/host/linux-host.ts'
import { startPodNetwork, type PodNetworkHost, type RunningPodNetwork } from '../network/host/pod-network.ts'
import { CLUSTER_DOMAIN } from './defaults.ts'
import type { Lifecycle } from './lifecycle.ts'
import { readCredentialPlugins, readNodeConfiguration } from './node-configuration.ts'
import type { NodeLayout } from './node-layout.ts'
import { followPodRoutes } from './pod-routes.ts'
import { startKubelet } from './kubelet.ts'
import { startPolicyNetwork } from './policy-network.ts'
import { startServiceNetwork } from './service-network.ts'

/** Where distributions and upstream put the CNI plugins. */
const CNI_DIRECTORIES = ['/usr/lib/cni', '/opt/cni/bin']

/** The cluster's own part of the registries: none is rewritten yet. */
export const containerdOptions = (layout: NodeLayout): ContainerdOptions => ({
  dataDirectory: layout.directory,
  sandboxImage: PAUSE_IMAGE,
  cniBinDirectories: CNI_DIRECTORIES.filter((path) => existsSync(path)),
})

export const podNetworkHost = (layout: NodeLayout): PodNetworkHost => ({
  network: layout.podNetwork,
  configurationDirectory: join(layout.directory, 'containerd', 'cni'),
  stateDirectory: join(layout.directory, 'cni-state'),
})

/** What all nodes of a cluster are told alike. */
/** Where upstream's kubelet has it, and device plugins mount it. */
const DEVICE_PLUGIN_DIRECTORY = '/var/lib/kubelet/device-plugins'

export interface ClusterFacts {
  readonly id: string
  readonly podCidr: string
  /** The cluster IP of DNS. */
  readonly dnsAddress: string
}

/** By what a node sees the cluster. */
export interface NodeSources {
  /** As this node. */
  readonly client: Client
  readonly nodes: Informer<Node>
  readonly services: Informer<Service>
  readonly slices: Informer<EndpointSlice>
  /** This node's pods at least, for their host ports. */
  readonly pods: Informer<Pod>
  readonly policies: Informer<NetworkPolicy>
  /** All pods and namespaces, followed from the first call on: what network policies select from. */
  peers(): { readonly pods: Informer<Pod>; readonly namespaces: Informer<Namespace> }
}

export interface RealNodeOptions {
  readonly layout: NodeLayout
  readonly cluster: ClusterFacts
  /** Where the node's DNS server listens on its bridge's address; 0 for any port that is free. */
  readonly dnsPort: number
  /** The node's resolv.conf, for pods and for names that are not of the cluster. Default: /etc/resolv.conf. */
  readonly resolvConf?: string
  /** The file of the certificate by which the node's own API is known, and the PEM of the authority whose clients it believes. */
  readonly kubelet: { readonly pemFile: string; readonly clientCa: string }
}

export interface PreparedNode {
  readonly containerd: Containerd
  readonly podNetwork: RunningPodNetwork
}

export interface StartedNode {
  readonly agent: NodeAgent
  readonly dnsPort: number
}

/** What needs no API server: may run while that starts. */
export async function prepareRealNode(runtime: Runtime, layout: NodeLayout): Promise<PreparedNode> {
  const podNetwork = await startPodNetwork(podNetworkHost(layout))
  const containerd = await startContainerd(runtime, containerdOptions(layout))
  await ensurePauseImage(runtime, containerd.cri, { socket: containerd.socket, architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' })
  return { containerd, podNetwork }
}

/** Resolves when the services are in the packet filter; the agent is under way then. */
export async function startRealNode(
  runtime: Runtime,
  lifecycle: Lifecycle,
  sources: NodeSources,
  { containerd, podNetwork }: PreparedNode,
  options: RealNodeOptions,
): Promise<StartedNode> {
  const { layout, cluster } = options
  lifecycle.start({ name: 'containerd', run: (signal) => containerd.keep(signal) })
  lifecycle.start({
    name: 'pod routes',
    run: (signal) => followPodRoutes(runtime, sources.nodes, podNetwork, layout.name, signal),
  })
  await startPolicyNetwork(runtime, lifecycle, sources, options)
  const dnsPort = await startServiceNetwork(runtime, lifecycle, sources, options)
  // The agent tells the port of its API to the cluster, so that is there first; what it is asked goes to the agent.
  const host = createLinuxHost({ dataDirectory: layout.directory })
  const configuration = readNodeConfiguration(layout.directory)
  const credentialPlugins = readCredentialPlugins(layout.directory)
  const kubelet = await startKubelet(runtime, lifecycle, sources, options, () => agent, host, configuration)
  const agent: NodeAgent = createNodeAgent(runtime, {
    client: sources.client,
    containers: containerd.cri,
    host,
    nodeName: layout.name,
    addresses: [
      { type: 'InternalIP', address: layout.address },
      { type: 'Hostname', address: layout.name },
    ],
    podCidr: layout.podNetwork.podCidr,
    clusterDns: [cluster.dnsAddress],
    clusterDomain: CLUSTER_DOMAIN,
    dataDirectory: layout.directory,
    cgroupRoot: layout.cgroupRoot,
    configuration,
    ...(credentialPlugins ? { credentialPlugins } : {}),
    services: sources.services,
    ...(options.resolvConf === undefined ? {} : { resolvConf: options.resolvConf }),
    kubeletPort: kubelet.port,
    // Plugins look for it there; of several nodes on a machine the first has them.
    ...(layout.netns === undefined ? { devicePluginDirectory: DEVICE_PLUGIN_DIRECTORY } : {}),
  })
  lifecycle.start({
    name: 'node agent',
    run: async (signal) => {
      await agent.run(signal)
      containerd.cri.close()
    },
  })
  return { agent, dnsPort }
}
