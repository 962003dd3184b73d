/** Nodes that run nothing: the real node agent over the simulated runtime, as many as wanted in one process. */
import type { Runtime } from '../base/runtime.ts'
import type { VolumeHome } from '../controllers/local-provisioner/controller.ts'
import { createNodeAgent } from '../node/agent.ts'
import { createSimulatedHost } from '../node/simulated/host.ts'
import { createSimulatedRuntime } from '../node/simulated/runtime.ts'
import type { ControlPlane } from './control-plane.ts'
import * as identities from './identities.ts'
import type { Lifecycle } from './lifecycle.ts'
import { startLocalStorage, volumeHome } from './local-storage.ts'

export interface SimulatedNodesOptions {
  readonly count: number
  readonly dnsAddress: string
}

/** The address of the n-th node, from 198.18.0.0/15: the block for benchmarks, which no machine has (RFC 2544). */
const addressOf = (index: number): string => `198.18.${Math.floor(index / 250)}.${(index % 250) + 1}`

/** Starts the agents; resolves when every node is registered and watches its pods. */
export async function startSimulatedNodes(
  runtime: Runtime,
  lifecycle: Lifecycle,
  plane: ControlPlane,
  options: SimulatedNodesOptions,
): Promise<void> {
  const services = plane.informers.of('v1/Service')
  const homes = new Map<string, VolumeHome>()
  const agents = Array.from({ length: options.count }, (_, index) => {
    const nodeName = `node-${index + 1}`
    const dataDirectory = `/nodes/${nodeName}`
    const host = createSimulatedHost({ facts: { hostname: nodeName } })
    homes.set(nodeName, volumeHome(host, dataDirectory))
    const agent = createNodeAgent(runtime, {
      client: plane.client(identities.node(nodeName)),
      containers: createSimulatedRuntime(runtime, { host }),
      host,
      nodeName,
      addresses: [
        { type: 'InternalIP', address: addressOf(index) },
        { type: 'Hostname', address: nodeName },
      ],
      clusterDns: [options.dnsAddress],
      dataDirectory,
      services,
    })
    plane.connectNode(nodeName, agent.service)
    lifecycle.start({ name: `node ${nodeName}`, run: (signal) => agent.run(signal) })
    return agent
  })
  await startLocalStorage(runtime, lifecycle, plane, homes)
  await Promise.all(agents.map((agent) => agent.ready))
}
