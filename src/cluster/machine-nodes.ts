/**
 * The nodes with real containers on the server's machine. The first is the machine itself and lives in the server's process. For each
 * other, an agent is kept running in a network namespace, with credentials of its own.
 */
import { mkdirSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import { startNodeSegment, namespacePath } from '../network/host/node-segment.ts'
import { createServingApprover } from '../controllers/csr-approving/serving.ts'
import { runControllers } from '../controllers/run.ts'
import { agentFiles } from './agent-config.ts'
import { endAgent, prepareAgent, runningAgent, superviseAgent, renewProxyPair } from './agent-process.ts'
import type { ClusterRecord, DataDirectory } from './data-directory.ts'
import { NODE_DNS_PORT, PROA_VERSION } from './defaults.ts'
import type { Lifecycle } from './lifecycle.ts'
import { startLocalStorage, volumeHome } from './local-storage.ts'
import { createLinuxHost } from '../node/host/linux-host.ts'
import { nodeLayouts, nodeSegment, type NodeLayout } from './node-layout.ts'
import { ensurePemFile, ensureProxyClient, nodeServerRequest, type Pki } from './pki.ts'
import { startRealNode, type ClusterFacts, type NodeSources, type PreparedNode } from './real-node.ts'
import { ensurePolicyReader } from './policy-network.ts'
import { stopPods } from './real-node-teardown.ts'
import { ensureDnsService, ensureNodeRotation } from './system-objects.ts'
import type { ControlPlane } from './control-plane.ts'
import * as identities from './identities.ts'
import type { DnsListener } from '../network/dns-service.ts'
import type { UpOptions } from './launch.ts'

export interface MachineNodesOptions {
  readonly directory: DataDirectory
  readonly record: ClusterRecord
  readonly pki: Pki
  readonly logLevel: UpOptions['logLevel']
  /** The API server's URL as the nodes reach it. */
  readonly server: string
}

/**
 * Resolves when every agent is under way; they find the API server by themselves. Tells when those were started that did not run before:
 * what their Nodes said until then is out of date.
 */
export async function startMachineNodes(
  runtime: Runtime,
  lifecycle: Lifecycle,
  options: MachineNodesOptions,
): Promise<ReadonlyMap<string, number>> {
  const { directory, record, pki } = options
  const started = new Map<string, number>()
  const segment = nodeSegment(record)
  if (!segment) return started
  const layouts = inNamespaces(directory, record)
  const made = await startNodeSegment(segment)
  const proxy = await ensureProxyClient(runtime.clock, directory.pki, pki)
  for (const layout of layouts) {
    if (made.some((name) => namespacePath(name) === layout.netns)) {
      // After a restart of the machine, or when somebody removed the namespace: what may still run is cut off.
      await endAgent(layout)
      await stopPods(runtime, layout)
    }
    await prepareAgent(runtime.clock, {
      layout,
      config: {
        version: PROA_VERSION,
        cluster: factsOf(record),
        logLevel: options.logLevel,
      },
      server: options.server,
      pki,
      proxy,
    })
    if (runningAgent(layout) === undefined) started.set(layout.name, runtime.clock.now())
    lifecycle.start({ name: `agent of ${layout.name}`, run: (signal) => superviseAgent(runtime, layout, signal) })
  }
  return started
}

/** Starts the machine's own node; resolves when it is registered and watches its pods. */
export async function startFirstNode(
  runtime: Runtime,
  lifecycle: Lifecycle,
  plane: ControlPlane,
  prepared: PreparedNode,
  { directory, record, pki }: { readonly directory: DataDirectory; readonly record: ClusterRecord; readonly pki: Pki },
): Promise<void> {
  const layout = nodeLayouts(directory, record)[0]!
  const { informers } = plane
  const sources: NodeSources = {
    client: plane.client(identities.node(layout.name)),
    nodes: informers.of('v1/Node'),
    services: informers.of('v1/Service'),
    slices: informers.of('discovery.k8s.io/v1/EndpointSlice'),
    pods: informers.of('v1/Pod'),
    policies: informers.of('networking.k8s.io/v1/NetworkPolicy'),
    peers: () => ({ pods: informers.of('v1/Pod'), namespaces: informers.of('v1/Namespace') }),
  }
  await ensurePolicyReader(plane.client(identities.administrator))
  const { kubeletPem } = agentFiles(layout.directory)
  mkdirSync(layout.directory, { recursive: true, mode: 0o711 })
  await ensurePemFile(runtime.clock, kubeletPem, pki, nodeServerRequest(layout.name, layout.address))
  await startCertificateApproval(runtime, lifecycle, plane, nodeLayouts(directory, record))
  const { agent, dnsPort } = await startRealNode(runtime, lifecycle, sources, prepared, {
    layout,
    cluster: factsOf(record),
    dnsPort: 0,
    kubelet: { pemFile: kubeletPem, clientCa: pki.authority.cert },
  })
  plane.connectNode(layout.name, agent.service)
  const own = { address: dnsAddress(layout), port: dnsPort, nodeName: layout.name }
  const agents = machineNodesDns(directory, record)
  await ensureDnsService(plane.client(identities.administrator), record.dnsAddress, { own, agents })
  // All nodes of the machine keep their volumes on its file systems.
  const homes = nodeLayouts(directory, record).map(
    (one) => [one.name, volumeHome(createLinuxHost({ dataDirectory: one.directory }), one.directory)] as const,
  )
  await startLocalStorage(runtime, lifecycle, plane, new Map(homes))
  await agent.ready
}

/** Nodes renew their certificates by the certificates API: what this machine's nodes ask for is theirs to have. */
async function startCertificateApproval(
  runtime: Runtime,
  lifecycle: Lifecycle,
  plane: ControlPlane,
  layouts: readonly NodeLayout[],
): Promise<void> {
  const client = plane.client(identities.administrator)
  await ensureNodeRotation(client)
  const approver = createServingApprover(new Map(layouts.map(({ name, address }) => [name, address])))
  lifecycle.start({
    name: 'approval of nodes',
    run: (signal) => runControllers(runtime, client, [approver], signal, { informers: plane.informers }),
  })
}

/** The service proxies of agents show another certificate from now on, when theirs was renewed. */
export async function renewProxies(clock: Clock, directory: DataDirectory, record: ClusterRecord, pki: Pki): Promise<void> {
  const layouts = inNamespaces(directory, record)
  if (layouts.length === 0) return
  const proxy = await ensureProxyClient(clock, directory.pki, pki)
  for (const layout of layouts) renewProxyPair(layout, proxy)
}

const factsOf = ({ id, podCidr, dnsAddress }: ClusterRecord): ClusterFacts => ({ id, podCidr, dnsAddress })

const dnsAddress = ({ podNetwork }: NodeLayout): string => podNetwork.gateway.split('/')[0]!

/** Where the DNS servers of the other nodes listen. */
const machineNodesDns = (directory: DataDirectory, record: ClusterRecord): readonly DnsListener[] =>
  inNamespaces(directory, record).map((layout) => ({ address: dnsAddress(layout), port: NODE_DNS_PORT, nodeName: layout.name }))

const inNamespaces = (directory: DataDirectory, record: ClusterRecord): readonly NodeLayout[] =>
  nodeLayouts(directory, record).filter(({ netns }) => netns !== undefined)
