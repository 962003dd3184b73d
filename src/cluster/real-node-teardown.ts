/** Removes what nodes with real containers have on this machine; the images and the volumes' directories stay with the state. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Runtime } from '../base/runtime.ts'
import { isNamespace, removeNodeSegment } from '../network/host/node-segment.ts'
import { createNftables } from '../network/host/nftables.ts'
import { teardownPodNetwork } from '../network/host/pod-network.ts'
import { stopLeftContainerd } from '../node/cri/containerd.ts'
import { createLinuxHost } from '../node/host/linux-host.ts'
import { removeCgroup } from '../node/host/pod-cgroups.ts'
import { endAgent } from './agent-process.ts'
import type { ClusterRecord, DataDirectory } from './data-directory.ts'
import { clusterCgroup, nodeLayouts, nodeSegment, policyTableName, tableName, type NodeLayout } from './node-layout.ts'
import { containerdOptions, podNetworkHost } from './real-node.ts'

export async function removeRealNodes(runtime: Runtime, directory: DataDirectory, record: ClusterRecord): Promise<void> {
  const layouts = nodeLayouts(directory, record)
  // An agent that still runs would start again what is stopped.
  await endAgents(directory, record)
  await Promise.all(layouts.map((layout) => stopNode(runtime, layout)))
  await removeTables(record.id)
  const segment = nodeSegment(record)
  if (segment) await removeNodeSegment(segment)
  await removeCgroup(clusterCgroup(record))
}

/** Removes what a node that is alone on its machine has there. */
export async function removeLoneNode(runtime: Runtime, layout: NodeLayout, id: string): Promise<void> {
  await stopNode(runtime, layout)
  await removeTables(id)
  await removeCgroup(layout.cgroupRoot)
}

async function removeTables(id: string): Promise<void> {
  const filter = createNftables()
  for (const table of [tableName(id), policyTableName(id)]) await filter.removeTable('ip', table)
  await filter.close()
}

/** A server that still runs may start them again a moment later. */
export async function endAgents(directory: DataDirectory, record: ClusterRecord): Promise<void> {
  const others = nodeLayouts(directory, record).filter(({ netns }) => netns !== undefined)
  await Promise.all(others.map(endAgent))
}

async function stopNode(runtime: Runtime, layout: NodeLayout): Promise<void> {
  await stopPods(runtime, layout)
  // Of a node in a namespace, links and rules go with that.
  if (layout.netns === undefined) await teardownPodNetwork(podNetworkHost(layout))
  // What belongs to pods does not outlive them; some of it is mounted.
  const host = createLinuxHost({ dataDirectory: layout.directory })
  for (const name of ['pods', 'secrets', 'logs', 'cni-state']) await host.removeTree(join(layout.directory, name))
}

/** Ends a node's pods and its containerd. One that has died is started once more, to take them down in order. */
export async function stopPods(runtime: Runtime, layout: NodeLayout): Promise<void> {
  if (!existsSync(layout.directory)) return
  const isInNamespace = layout.netns !== undefined && (await isNamespace(layout.netns.split('/').at(-1)!))
  await stopLeftContainerd(runtime, {
    ...containerdOptions(layout),
    ...(isInNamespace && layout.netns !== undefined ? { networkNamespace: layout.netns } : {}),
  })
}
