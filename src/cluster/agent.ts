/**
 * An agent: one node as a process of its own, which reaches the API server over HTTPS. It runs in the network namespace of its node,
 * for probes, connections to pods, the packet filter and its DNS server all act there.
 *
 * It may be killed at any moment and goes on where it was when it is started again; it outlives the server and finds it again. SIGTERM
 * ends the agent alone: its containers go on.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createLog } from '../base/log.ts'
import type { Runtime } from '../base/runtime.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createClient } from '../client/create-client.ts'
import type { Client } from '../client/client.ts'
import { createHttpTransport, loadConnection, type HttpTransport } from '../client/http/index.ts'
import { createInformer } from '../client/informer.ts'
import { createInformers } from '../client/informers.ts'
import { readAgentConfig, type AgentConfig } from './agent-config.ts'
import { NODE_DNS_PORT } from './defaults.ts'
import { follow, followed } from './followed-file.ts'
import { createLifecycle, until, type Lifecycle } from './lifecycle.ts'
import { printLine } from './log-lines.ts'
import { keepPemFile } from './node-certificates.ts'
import { nodeClientRequest, pairOfPem } from './pki.ts'
import { prepareRealNode, startRealNode, type NodeSources, type RealNodeOptions } from './real-node.ts'

/** A connection that dies without a word is noticed by the next watch at the latest. */
const WATCH_SECONDS = 300
const SYSTEM_RESOLV_CONF = '/etc/resolv.conf'
/** Where systemd-resolved names the real nameservers; /etc/resolv.conf then names only itself, on the machine's loopback. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf'

export async function runAgent(configPath: string): Promise<void> {
  const config = readAgentConfig(configPath)
  const log = createLog(printLine, config.logLevel).with({ node: config.layout.name })
  const runtime: Runtime = { clock: systemClock, random: systemRandom, log }
  const end = Promise.withResolvers<string>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.resolve(signal))
  const lifecycle = createLifecycle()
  try {
    const beginning = begin(runtime, lifecycle, config)
    const signal = await Promise.race([end.promise, lifecycle.failed, beginning.then(async () => end.promise)])
    log.info('stopping', { signal })
    await lifecycle.stop()
    process.exit(0)
  } catch (error) {
    log.error('the agent ends', { error: error instanceof Error ? error.stack : String(error) })
    process.exit(1)
  }
}

async function begin(runtime: Runtime, lifecycle: Lifecycle, config: AgentConfig): Promise<void> {
  const node = connect(lifecycle, 'API client', config.kubeconfig, 'kubelet')
  const proxy = connect(lifecycle, 'API client of the proxy', config.proxyKubeconfig, 'kube-proxy')
  keepPemFile(runtime, lifecycle, node.client, {
    path: config.nodeClientPem,
    signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
    request: nodeClientRequest(config.layout.name),
    use: node.setClientPair,
  })
  const proxyPair = followed('certificate of the proxy', config.proxyPem, (text) => pairOfPem(text) ?? {})!
  follow(runtime, lifecycle, proxyPair, proxy.setClientPair)
  await startAgent(runtime, lifecycle, {
    ...config,
    node: node.client,
    proxy: proxy.client,
    kubelet: { pemFile: config.kubeletPem, clientCa: readFileSync(config.clientCa, 'utf8') },
  })
}

export interface AgentParts extends Pick<RealNodeOptions, 'layout' | 'cluster' | 'kubelet'> {
  readonly node: Client
  /** For what nodes may not read by their own right. */
  readonly proxy: Client
}

/** Resolves when the node is registered and watches its pods. */
export async function startAgent(runtime: Runtime, lifecycle: Lifecycle, parts: AgentParts): Promise<void> {
  const { layout, cluster, node, proxy, kubelet } = parts
  const sources = followCluster(runtime, lifecycle, node, proxy, layout.name)
  const prepared = await prepareRealNode(runtime, layout)
  const options: RealNodeOptions = { layout, cluster, dnsPort: NODE_DNS_PORT, resolvConf: resolvConf(), kubelet }
  const { agent } = await startRealNode(runtime, lifecycle, sources, prepared, options)
  await agent.ready
  runtime.log.info('the node is registered and watches its pods')
}

interface Connection extends Pick<HttpTransport, 'setClientPair'> {
  readonly client: Client
}

function connect(lifecycle: Lifecycle, name: string, kubeconfig: string, userAgent: string): Connection {
  const { transport, setClientPair, close } = createHttpTransport(loadConnection(kubeconfig).options)
  lifecycle.start({ name, run: (signal) => until(signal, async () => close()) })
  return { client: createClient(transport, { userAgent }), setClientPair }
}

/** Follows what the node needs of the cluster, with the rights that upstream gives the kubelet and the proxy. */
function followCluster(runtime: Runtime, lifecycle: Lifecycle, node: Client, proxy: Client, nodeName: string): NodeSources {
  const watch = { watchTimeoutSeconds: WATCH_SECONDS }
  const informers = createInformers(runtime, node, watch)
  const proxyInformers = createInformers(runtime, proxy, watch)
  const pods = createInformer(runtime, node, 'v1/Pod', { ...watch, fieldSelector: `spec.nodeName=${nodeName}` })
  const sources: NodeSources = {
    client: node,
    nodes: proxyInformers.of('v1/Node'),
    services: informers.of('v1/Service'),
    slices: proxyInformers.of('discovery.k8s.io/v1/EndpointSlice'),
    pods,
    policies: proxyInformers.of('networking.k8s.io/v1/NetworkPolicy'),
    peers: () => ({ pods: proxyInformers.of('v1/Pod'), namespaces: proxyInformers.of('v1/Namespace') }),
  }
  lifecycle.start({
    name: 'informers',
    run: async (signal) => void (await Promise.all([informers.run(signal), proxyInformers.run(signal), pods.run(signal)])),
  })
  return sources
}

/** The machine's loopback is not the namespace's. */
function resolvConf(): string {
  const nameservers = [...readFileSync(SYSTEM_RESOLV_CONF, 'utf8').matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1]!)
  const isElsewhere = nameservers.some((address) => !address.startsWith('127.') && address !== '::1')
  return !isElsewhere && existsSync(RESOLVED_CONF) ? RESOLVED_CONF : SYSTEM_RESOLV_CONF
}
