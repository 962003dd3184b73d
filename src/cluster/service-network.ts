/**
 * The service proxy and the DNS server of this machine's node, fed by one table of services. DNS listens on the bridge's address,
 * which exists as long as the cluster is up and which only pods and this machine reach.
 */
import type { Runtime } from '../base/runtime.ts'
import { createDnsZone } from '../network/dns-zone.ts'
import { createDnsForwarder, systemResolvers } from '../network/host/dns-forwarder.ts'
import { startDnsServer } from '../network/host/dns-server.ts'
import { createNftables } from '../network/host/nftables.ts'
import type { PodNetwork } from '../network/pod-network.ts'
import { createProxyLoop } from '../network/proxy-loop.ts'
import { createServiceTable } from '../network/service-table.ts'
import type { ControlPlane } from './control-plane.ts'
import type { ClusterRecord } from './data-directory.ts'
import { CLUSTER_DOMAIN } from './defaults.ts'
import * as identities from './identities.ts'
import { until, type Lifecycle } from './lifecycle.ts'
import { ensureDnsService } from './system-objects.ts'

export interface ServiceNetworkOptions {
  readonly record: ClusterRecord
  readonly nodeName: string
  /** Of the node: where node ports answer. */
  readonly address: string
  readonly podNetwork: PodNetwork
}

/** The cluster's table in the packet filter. */
export const tableName = (record: ClusterRecord): string => `proa-${record.id}`

export async function startServiceNetwork(
  runtime: Runtime,
  lifecycle: Lifecycle,
  plane: ControlPlane,
  options: ServiceNetworkOptions,
): Promise<void> {
  const { record, podNetwork, nodeName, address } = options
  const table = createServiceTable()
  const services = plane.informers.of('v1/Service')
  const slices = plane.informers.of('discovery.k8s.io/v1/EndpointSlice')
  services.addHandlers(table.serviceHandlers)
  slices.addHandlers(table.sliceHandlers)

  const dns = await startDnsServer({
    address: podNetwork.gateway.split('/')[0]!,
    port: 0,
    zone: createDnsZone({ services: table, domain: CLUSTER_DOMAIN }),
    forward: createDnsForwarder(systemResolvers()),
    log: runtime.log.with({ component: 'dns' }),
  })
  lifecycle.start({ name: 'DNS', run: (signal) => until(signal, () => dns.close()) })
  await ensureDnsService(plane.client(identities.administrator), record.dnsAddress, { address: dns.address, port: dns.port, nodeName })

  const filter = createNftables()
  const proxy = createProxyLoop(runtime, {
    services: table,
    filter,
    table: {
      name: tableName(record),
      family: 'ip',
      clusterCidrs: [record.podCidr],
      nodeCidr: podNetwork.podCidr,
      bridge: podNetwork.bridge,
      foreignLinks: 'proa-*',
    },
    node: { family: 'ip', nodeName, addresses: [address, '127.0.0.1'] },
  })
  plane.informers.of('v1/Pod').addHandlers(proxy.podHandlers)
  await Promise.all([services.synced, slices.synced])
  lifecycle.start({
    name: 'service proxy',
    run: async (signal) => {
      await proxy.run(signal)
      await filter.close()
    },
  })
  await proxy.settled()
}
