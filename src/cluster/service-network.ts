/**
 * The service proxy and the DNS server of a node, fed by one table of services. DNS listens on the bridge's address, which exists as
 * long as the node is up and which only pods and the node reach.
 */
import type { Runtime } from '../base/runtime.ts'
import { createDnsZone } from '../network/dns-zone.ts'
import { healthCheckOf } from '../network/health-check.ts'
import { createDnsCache } from '../network/host/dns-cache.ts'
import { createDnsForwarder, systemResolvers } from '../network/host/dns-forwarder.ts'
import { startDnsServer } from '../network/host/dns-server.ts'
import { createHealthServers } from '../network/host/health-servers.ts'
import { createNftables } from '../network/host/nftables.ts'
import { createProxyLoop } from '../network/proxy-loop.ts'
import { createServiceTable } from '../network/service-table.ts'
import { CLUSTER_DOMAIN } from './defaults.ts'
import { until, type Lifecycle } from './lifecycle.ts'
import { tableName } from './node-layout.ts'
import type { NodeSources, RealNodeOptions } from './real-node.ts'

/** Resolves with the port of DNS when all services are in the packet filter. */
export async function startServiceNetwork(
  runtime: Runtime,
  lifecycle: Lifecycle,
  { services, slices, pods }: NodeSources,
  { layout, cluster, dnsPort, resolvConf }: RealNodeOptions,
): Promise<number> {
  const { podNetwork, name, address, moreAddresses } = layout
  const table = createServiceTable()
  services.addHandlers(table.serviceHandlers)
  slices.addHandlers(table.sliceHandlers)

  const dns = await startDnsServer({
    address: podNetwork.gateway.split('/')[0]!,
    port: dnsPort,
    zone: createDnsZone({ services: table, domain: CLUSTER_DOMAIN }),
    forward: createDnsCache(runtime.clock, createDnsForwarder(systemResolvers(resolvConf))),
    log: runtime.log.with({ component: 'dns' }),
  })
  lifecycle.start({ name: 'DNS', run: (signal) => until(signal, () => dns.close()) })

  const filter = createNftables()
  const proxy = createProxyLoop(runtime, {
    services: table,
    filter,
    table: {
      name: tableName(cluster.id),
      family: 'ip',
      clusterCidrs: [cluster.podCidr],
      nodeCidr: podNetwork.podCidr,
      bridge: podNetwork.bridge,
      foreignLinks: 'proa-*',
    },
    node: { family: 'ip', nodeName: name, addresses: [address, ...moreAddresses] },
  })
  pods.addHandlers(proxy.podHandlers)
  const health = createHealthServers({ log: runtime.log.with({ component: 'health checks' }), host: '0.0.0.0' })
  const checkHealth = (key: string) => {
    const service = table.service(key)
    health.set(key, service && healthCheckOf(service, table.slices(key), name))
  }
  for (const key of table.keys()) checkHealth(key)
  const stopHealth = table.onChange(checkHealth)
  await Promise.all([services.synced, slices.synced])
  lifecycle.start({
    name: 'service proxy',
    run: async (signal) => {
      await proxy.run(signal)
      stopHealth()
      health.close()
      await filter.close()
    },
  })
  await proxy.settled()
  return dns.port
}
