/**
 * Where a cluster lives on disk. Every path of a cluster is named here and nowhere else:
 *
 *   <data>/cluster.json     how it was made: id, port, runtime, ranges
 *   <data>/kubeconfig       for its administrator (0600)
 *   <data>/pki/             authority, server and client certificates, the key of service account tokens
 *   <data>/store.db         the state, unless an etcd has it
 *   <data>/node/            pods' volumes and logs, containerd with its images
 *   <data>/nodes/2/...      the same of each further node on this machine, with its agent's configuration, credentials and log
 *   <data>/server.pid, server.log
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { EtcdSetup } from './etcd.ts'

export type RuntimeKind = 'containerd' | 'simulated'

/** What is decided when a cluster is made and kept for its life. */
export interface ClusterRecord {
  /** Eight hex digits: names links, tables and cgroups, so that clusters on one machine do not meet. */
  readonly id: string
  readonly name: string
  readonly port: number
  readonly runtime: RuntimeKind
  readonly nodes: number
  readonly podCidr: string
  /** The network of the nodes, when several with real containers are on this machine. */
  readonly nodeCidr?: string
  readonly serviceCidr: string
  readonly dnsAddress: string
  readonly store: 'sqlite' | 'memory' | 'etcd'
  /** For the store etcd. */
  readonly etcd?: EtcdSetup
  /** Of a cluster that other machines join. */
  readonly join?: {
    /** By which they reach the API server. Absent: the machine's own, as it is at each start. */
    readonly advertiseAddress?: string
    /** Further names and addresses of the server. */
    readonly names?: readonly string[]
  }
  /** The file that configures the scheduler, as it was given last; empty for none. */
  readonly schedulerConfig?: string
}

export interface DataDirectory {
  readonly root: string
  readonly record: string
  readonly kubeconfig: string
  readonly pki: string
  readonly database: string
  readonly node: string
  readonly nodes: string
  readonly pid: string
  readonly log: string
}

/** Below /var/lib for root, else in the user's own data directory (XDG). */
export function defaultDataRoot(name: string): string {
  const isRoot = process.getuid?.() === 0
  const base = isRoot ? '/var/lib/proa' : join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local/share'), 'proa')
  return join(base, name)
}

export const dataDirectory = (root: string): DataDirectory => ({
  root,
  record: join(root, 'cluster.json'),
  kubeconfig: join(root, 'kubeconfig'),
  pki: join(root, 'pki'),
  database: join(root, 'store.db'),
  node: join(root, 'node'),
  nodes: join(root, 'nodes'),
  pid: join(root, 'server.pid'),
  log: join(root, 'server.log'),
})

/** Makes the directory (0700: it holds keys) when it is missing. */
export function ensureDataDirectory(directory: DataDirectory): void {
  mkdirSync(directory.pki, { recursive: true, mode: 0o700 })
  chmodSync(directory.root, 0o711)
  chmodSync(directory.pki, 0o700)
}

/** Replaces a file in one step, so that a crash leaves the old or the new one. */
export function writeFileAtomically(path: string, text: string, mode: number): void {
  const next = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(next, text, { mode })
  renameSync(next, path)
}

export function readRecord(directory: DataDirectory): ClusterRecord | undefined {
  if (!existsSync(directory.record)) return undefined
  const text = readFileSync(directory.record, 'utf8')
  try {
    return JSON.parse(text) as ClusterRecord
  } catch (error) {
    throw new Error(`${directory.record} is damaged (${(error as Error).message}); restore it, or remove ${directory.root} to begin anew`, {
      cause: error,
    })
  }
}

export function writeRecord(directory: DataDirectory, record: ClusterRecord): void {
  writeFileAtomically(directory.record, `${JSON.stringify(record, null, 2)}\n`, 0o644)
}

export const newClusterId = (): string => randomBytes(4).toString('hex')
