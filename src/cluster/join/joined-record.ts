/**
 * What a machine that has joined keeps, in a data directory of its own:
 *
 *   <data>/joined.json       which cluster, as which node
 *   <data>/ca.crt            the cluster's authority
 *   <data>/kubelet-client.pem, kubelet-server.pem   certificate and key in one file each (0600), so that a crash never parts them
 *   <data>/agent.pid         of the running agent
 *   <data>/containerd ...    as of every node
 *
 * No token is kept.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from '../data-directory.ts'
import { podNetworkOf, type NodeLayout } from '../node-layout.ts'
import { UserError } from '../user-error.ts'
import type { SharedFacts } from './join-objects.ts'

export interface JoinedRecord {
  /** Eight hex digits: names links, tables and cgroups on this machine, which may be a node of several clusters. */
  readonly id: string
  readonly nodeName: string
  readonly server: string
  readonly facts: SharedFacts
  /** Absent: the address by which this machine reaches the server. */
  readonly nodeIp?: string
  /** As they were last. */
  readonly address?: string
  readonly podCidr?: string
}

export interface JoinedFiles {
  readonly root: string
  readonly record: string
  readonly ca: string
  readonly client: string
  readonly serving: string
  readonly pid: string
}

export const joinedFiles = (root: string): JoinedFiles => ({
  root,
  record: join(root, 'joined.json'),
  ca: join(root, 'ca.crt'),
  client: join(root, 'kubelet-client.pem'),
  serving: join(root, 'kubelet-server.pem'),
  pid: join(root, 'agent.pid'),
})

export function readJoined(files: JoinedFiles): JoinedRecord | undefined {
  if (!existsSync(files.record)) return undefined
  try {
    return JSON.parse(readFileSync(files.record, 'utf8')) as JoinedRecord
  } catch (error) {
    throw new UserError(`${files.record} is damaged (${(error as Error).message}): proa leave, then join again`)
  }
}

export function writeJoined(files: JoinedFiles, record: JoinedRecord): void {
  mkdirSync(files.root, { recursive: true, mode: 0o711 })
  writeFileAtomically(files.record, `${JSON.stringify(record, null, 2)}\n`, 0o644)
}

/** Undefined until the node has an address and a range. */
export function layoutOf(files: JoinedFiles, { id, nodeName, facts, address, podCidr }: JoinedRecord): NodeLayout | undefined {
  if (address === undefined || podCidr === undefined) return undefined
  return {
    index: 1,
    name: nodeName,
    address,
    moreAddresses: ['127.0.0.1'],
    podNetwork: podNetworkOf({ id, podCidr, clusterCidr: facts.podCidr, overlay: { clusterId: facts.id, address } }),
    directory: files.root,
    cgroupRoot: `/proa-${id}`,
  }
}
