/**
 * A machine leaves its cluster: its node takes no more pods, those that run are evicted as their disruption budgets allow, the Node is
 * deleted, and everything of the cluster is taken from the machine: containers, mounts, links, routes, rules, cgroups, files. All of it by
 * the node's own rights, which reach no further than itself.
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pod } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import { createLog } from '../../base/log.ts'
import { systemClock, systemRandom } from '../../base/system.ts'
import type { Client } from '../../client/client.ts'
import { printLine } from '../log-lines.ts'
import { readPemFile } from '../pki.ts'
import { endProcess, runningServer } from '../process.ts'
import { removeLoneNode } from '../real-node-teardown.ts'
import { UserError } from '../user-error.ts'
import { asking } from './join.ts'
import { joinedFiles, layoutOf, readJoined, type JoinedFiles, type JoinedRecord } from './joined-record.ts'

export interface LeaveOptions {
  readonly dataRoot: string
  /** How long pods are waited for. */
  readonly timeoutMs: number
  /** Whether the machine leaves although pods are not evicted, or the server is not reached. */
  readonly isForced: boolean
  step(text: string): void
}

const LOOK_MS = 500
/** What the agent gets to stop its parts. */
const AGENT_GRACE_MS = 15_000
const MIRROR = 'kubernetes.io/config.mirror'

export async function leaveCluster(options: LeaveOptions): Promise<void> {
  const files = joinedFiles(options.dataRoot)
  const record = readJoined(files)
  if (!record) throw new UserError(`${options.dataRoot} is no node of a cluster: --data-dir tells where the agent lives`)
  const { step, isForced } = options
  try {
    await fromCluster(files, record, options)
  } catch (error) {
    if (!isForced)
      throw error instanceof UserError ? new UserError(`${error.message}; --force leaves the machine's part all the same`) : error
    step(`left behind in the cluster: ${error instanceof Error ? error.message : String(error)}`)
  }
  await endAgent(files)
  step('stopping containers, removing mounts, links, routes and rules')
  const runtime = { clock: systemClock, random: systemRandom, log: createLog(printLine, 'error') }
  const layout = layoutOf(files, record)
  if (layout) await removeLoneNode(runtime, layout, record.id)
  rmSync(files.root, { recursive: true, force: true })
}

async function fromCluster(files: JoinedFiles, record: JoinedRecord, options: LeaveOptions): Promise<void> {
  const keys = readPemFile(files.client)
  if (!keys) return
  const { server, nodeName: name } = record
  await asking(server, { server, ca: readFileSync(files.ca, 'utf8'), ...keys }, async (client) => {
    try {
      await client.patch('v1/Node', { name }, 'merge', { spec: { unschedulable: true } })
      options.step(`node ${name} takes no more pods`)
      // Without its agent nothing ends a pod.
      if (runningServer(files) !== undefined) await evictAll(client, name, options)
      // It would renew its lease, and find its node gone.
      await endAgent(files)
      await client.delete('v1/Node', { name })
    } catch (error) {
      if (!isApiError(error, 'NotFound')) throw error
    }
    options.step(`node ${name} is no part of the cluster any more`)
  })
}

async function endAgent(files: JoinedFiles): Promise<void> {
  const agent = runningServer(files)
  if (agent !== undefined) await endProcess(agent, AGENT_GRACE_MS)
}

/** A DaemonSet would make them anew on this node; a mirror stands for a file of this machine. */
const isToGo = ({ metadata, status }: Pod): boolean =>
  metadata?.annotations?.[MIRROR] === undefined &&
  !metadata?.ownerReferences?.some(({ kind, controller }) => kind === 'DaemonSet' && controller) &&
  status?.phase !== 'Succeeded' &&
  status?.phase !== 'Failed'

async function evictAll(client: Client, nodeName: string, { timeoutMs, step, isForced }: LeaveOptions): Promise<void> {
  const untilMs = performance.now() + timeoutMs
  const told = new Set<string>()
  for (;;) {
    const { items } = await client.list('v1/Pod', { fieldSelector: `spec.nodeName=${nodeName}` })
    const left = items.filter(isToGo)
    if (left.length === 0) return
    const held: string[] = []
    for (const { metadata } of left) {
      const key = { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' }
      if (metadata?.deletionTimestamp) continue
      const refusal = await evict(client, key)
      const text = `${key.namespace}/${key.name}`
      if (refusal !== undefined) held.push(`${text} (${refusal})`)
      else if (!told.has(text)) step(`pod ${text} is evicted`)
      told.add(text)
    }
    if (performance.now() > untilMs) {
      const what = held.length > 0 ? held.join(', ') : left.map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`).join(', ')
      if (isForced) return step(`pods that end with their node: ${what}`)
      throw new UserError(`${left.length} pods are still there after ${timeoutMs / 1000} s: ${what}`)
    }
    await delay(LOOK_MS)
  }
}

/** Why it is refused for now: its disruption budget says so. */
async function evict(client: Client, key: { readonly namespace: string; readonly name: string }): Promise<string | undefined> {
  try {
    await client.createSubresource('v1/Pod', key, 'eviction', { apiVersion: 'policy/v1', kind: 'Eviction', metadata: key })
    return undefined
  } catch (error) {
    if (isApiError(error, 'NotFound')) return undefined
    if (isApiError(error, 'TooManyRequests')) return error.message
    throw error
  }
}
