/**
 * The node's own HTTPS API (node/http) as a part of a real node: where it listens, what it shows of the node, and by which certificate it is
 * known, which it renews by itself.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Runtime } from '../base/runtime.ts'
import type { NodeAgent } from '../node/agent.ts'
import type { NodeConfiguration } from '../node/configuration.ts'
import type { Host } from '../node/host.ts'
import { createKubeletServer, type KubeletServer, type KubeletServerOptions } from '../node/http/kubelet-server.ts'
import { CLUSTER_DOMAIN } from './defaults.ts'
import { KUBELET_CLIENT } from './identities.ts'
import { until, type Lifecycle } from './lifecycle.ts'
import { nodeVolumes } from './local-storage.ts'
import { keepPemFile } from './node-certificates.ts'
import { nodeServerRequest, readPemFile } from './pki.ts'
import type { NodeSources, RealNodeOptions } from './real-node.ts'

/** Upstream's. Where another cluster of the machine has it, any that is free: the Node object tells which. */
const KUBELET_PORT = 10250

export async function startKubelet(
  runtime: Runtime,
  lifecycle: Lifecycle,
  { pods, client }: NodeSources,
  { layout, cluster, kubelet }: RealNodeOptions,
  agent: () => NodeAgent,
  host: Host,
  told: NodeConfiguration,
): Promise<KubeletServer> {
  const logsDirectory = join(layout.directory, 'logs')
  mkdirSync(logsDirectory, { recursive: true })
  const pair = readPemFile(kubelet.pemFile)
  if (!pair) throw new Error(`${kubelet.pemFile} holds no certificate with its key`)
  const options: Omit<KubeletServerOptions, 'port'> = {
    ...pair,
    clientCa: kubelet.clientCa,
    service: () => agent().service,
    meter: () => agent().meter,
    counters: () => agent().counters,
    facts: () => host.facts(),
    pods: () => [...pods.cache.values()].filter(({ spec }) => spec?.nodeName === layout.name),
    host: '0.0.0.0',
    clients: [KUBELET_CLIENT],
    client,
    logsDirectory,
    nodeName: layout.name,
    volumes: nodeVolumes(host, layout.directory),
    configuration: {
      kind: 'KubeletConfiguration',
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      clusterDomain: CLUSTER_DOMAIN,
      clusterDNS: [cluster.dnsAddress],
      podCIDR: layout.podNetwork.podCidr,
      ...told,
    },
  }
  const server = await createKubeletServer(runtime, { ...options, port: KUBELET_PORT }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    return createKubeletServer(runtime, { ...options, port: 0 })
  })
  lifecycle.start({ name: 'node API', run: (signal) => until(signal, () => server.close()) })
  keepPemFile(runtime, lifecycle, client, {
    path: kubelet.pemFile,
    signerName: 'kubernetes.io/kubelet-serving',
    request: nodeServerRequest(layout.name, layout.address),
    use: (next) => server.setKeys(next),
  })
  return server
}
