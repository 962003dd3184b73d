/** Removes what a node with real containers has on this machine; the images and the volumes' directories stay with the state. */
import { join } from 'node:path'
import type { Runtime } from '../base/runtime.ts'
import { createNftables } from '../network/host/nftables.ts'
import { teardownPodNetwork } from '../network/host/pod-network.ts'
import { stopLeftContainerd } from '../node/cri/containerd.ts'
import { createLinuxHost } from '../node/host/linux-host.ts'
import { removeCgroup } from '../node/host/pod-cgroups.ts'
import type { ClusterRecord, DataDirectory } from './data-directory.ts'
import { cgroupRoot, containerdOptions, podNetworkHost } from './real-node.ts'
import { tableName } from './service-network.ts'

export async function removeRealNode(runtime: Runtime, directory: DataDirectory, record: ClusterRecord): Promise<void> {
  await stopLeftContainerd(runtime, containerdOptions(directory))
  await teardownPodNetwork(podNetworkHost(directory, record))
  const filter = createNftables()
  await filter.removeTable('ip', tableName(record))
  await filter.close()
  // What belongs to pods does not outlive them; some of it is mounted.
  const host = createLinuxHost({ dataDirectory: directory.node })
  for (const name of ['pods', 'secrets', 'logs']) await host.removeTree(join(directory.node, name))
  await removeCgroup(cgroupRoot(record))
}
