/**
 * The server's part in machines that join: the objects they need, the approval of the certificates of their own APIs, where their DNS
 * servers listen, and a token that was given beforehand.
 */
import { readFileSync } from 'node:fs'
import type { Node } from '../../api/generated/core/v1.ts'
import { sleep } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Client } from '../../client/client.ts'
import type { Informer } from '../../client/informer.ts'
import { kubeletServingApprover } from '../../controllers/kubelet-serving/controller.ts'
import { runControllers } from '../../controllers/run.ts'
import { gatewayOf, isWithin } from '../../network/addresses.ts'
import { dnsEndpoints, dnsService } from '../../network/dns-service.ts'
import type { ControlPlane, ControlPlaneOptions } from '../control-plane.ts'
import type { ClusterRecord } from '../data-directory.ts'
import { NODE_DNS_PORT } from '../defaults.ts'
import * as identities from '../identities.ts'
import { until, type Lifecycle } from '../lifecycle.ts'
import type { NodeLayout } from '../node-layout.ts'
import { ensurePolicyReader } from '../policy-network.ts'
import { createIfMissing, ensureEndpointSlice, ensureNodeRotation } from '../system-objects.ts'
import { createEgress, type EgressMode } from '../tunnel/egress.ts'
import { createTunnels } from '../tunnel/tunnels.ts'
import { ensureToken, NODE_TOKEN_GROUP, parseToken, USAGES } from './bootstrap-token.ts'
import { ensureJoinObjects, isNodeReady, SERVING_APPROVER, type SharedFacts } from './join-objects.ts'

export interface JoiningOptions {
  /** The URL by which other machines reach the API. */
  readonly server: string
  /** PEM of the cluster's authority. */
  readonly ca: string
  readonly record: ClusterRecord
  /** Names and addresses of the API server, which no node gets a certificate for. */
  readonly serverHosts: readonly string[]
  /** The node of this process. */
  readonly ownNode: Pick<NodeLayout, 'name' | 'podNetwork'> | undefined
  /** A file with a bootstrap token that is to count for good. */
  readonly tokenFile?: string
}

const DNS_SLICE = 'kube-dns-agents'
/** As many as one slice may have (validation of EndpointSlices). */
const MAX_DNS_SERVERS = 1000
const RETRY_MS = 1000

/** Resolves when machines can join. */
export async function startJoining(runtime: Runtime, lifecycle: Lifecycle, plane: ControlPlane, options: JoiningOptions): Promise<void> {
  const { record, server, ca, serverHosts, ownNode } = options
  const { id, podCidr, serviceCidr, dnsAddress } = record
  const facts: SharedFacts = { id, podCidr, serviceCidr, dnsAddress }
  const admin = plane.client(identities.administrator)
  if (ownNode) await reserveRange(plane.client(identities.node(ownNode.name)), ownNode)
  await ensurePolicyReader(admin)
  await ensureNodeRotation(admin)
  await ensureJoinObjects(admin, { server, ca, facts })
  await createIfMissing(admin, 'v1/Service', dnsService(facts.dnsAddress))
  if (options.tokenFile !== undefined) {
    const token = parseToken(readFileSync(options.tokenFile, 'utf8'))
    const description = 'The token that the server was started with.'
    await ensureToken(admin, token, { description, usages: USAGES, groups: [NODE_TOKEN_GROUP] }, runtime.clock.now())
  }
  const hosts = new Set(serverHosts)
  const isReserved = (host: string): boolean =>
    hosts.has(host) || [facts.serviceCidr, facts.podCidr, '127.0.0.0/8', '::1/128'].some((range) => isWithin(host, range))
  const approver = plane.client(identities.serviceAccount('kube-system', SERVING_APPROVER))
  lifecycle.start({
    name: 'approval of serving certificates',
    run: (signal) => runControllers(runtime, approver, [kubeletServingApprover(isReserved)], signal, { informers: plane.informers }),
  })
  const nodes = plane.informers.of('v1/Node')
  lifecycle.start({ name: 'DNS of joined nodes', run: (signal) => followDns(runtime, admin, nodes, ownNode?.name, signal) })
}

/** The node's range was decided with the cluster: its Node must be there before another is given the same. */
async function reserveRange(client: Client, { name, podNetwork: { podCidr } }: Pick<NodeLayout, 'name' | 'podNetwork'>): Promise<void> {
  await createIfMissing(client, 'v1/Node', { metadata: { name }, spec: { podCIDR: podCidr, podCIDRs: [podCidr] } })
}

export interface Roads {
  readonly ofServer: Pick<ControlPlaneOptions, 'egress' | 'paths'>
  follow(nodes: Informer<Node>): void
}

/** How the API server gets to nodes and their pods. */
export function createRoads(runtime: Runtime, lifecycle: Lifecycle, mode: EgressMode): Roads {
  const tunnels = createTunnels(runtime)
  lifecycle.start({ name: 'tunnels', run: (signal) => until(signal, async () => tunnels.close()) })
  const egress = createEgress(runtime, mode, tunnels)
  return { ofServer: { egress, paths: [tunnels.path] }, follow: (nodes) => egress.follow(nodes) }
}

/** Each joined node has a DNS server on its bridge's address; it answers as long as the node is Ready. */
async function followDns(
  runtime: Runtime,
  client: Client,
  nodes: Informer<Node>,
  ownNode: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  let wake = Promise.withResolvers<void>()
  const look = () => wake.resolve()
  signal.addEventListener('abort', look, { once: true })
  const stop = nodes.addHandlers({ added: look, updated: look, deleted: look })
  let written: unknown
  try {
    while (!signal.aborted) {
      await wake.promise
      if (signal.aborted) return
      wake = Promise.withResolvers()
      const listeners = [...nodes.cache.values()]
        .filter((node) => node.metadata?.name !== ownNode && node.spec?.podCIDR && isNodeReady(node))
        .slice(0, MAX_DNS_SERVERS)
        .map(({ metadata, spec }) => ({
          address: gatewayOf(spec!.podCIDR!).split('/')[0]!,
          port: NODE_DNS_PORT,
          nodeName: metadata?.name ?? '',
        }))
      const slice = dnsEndpoints(listeners, DNS_SLICE)
      if (deepEqual(slice, written)) continue
      try {
        await ensureEndpointSlice(client, slice)
        written = slice
      } catch (error) {
        runtime.log.warn('where DNS servers listen cannot be told', { error: String(error) })
        await sleep(runtime.clock, RETRY_MS, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
        look()
      }
    }
  } finally {
    stop()
  }
}
