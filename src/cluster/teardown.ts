/**
 * Takes a cluster down from outside, whatever state it is in: server running, killed, or half started. Afterwards no process,
 * mount, link, rule, cgroup or namespace of it is left; its state stays unless it is to be deleted.
 */
import { rmSync } from 'node:fs'
import { createLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { readRecord, type DataDirectory } from './data-directory.ts'
import { printLine } from './log-lines.ts'
import { endProcess, removePidFile, runningServer } from './process.ts'

export interface TakeDownOptions {
  readonly deleteState: boolean
  step(text: string): void
}

/** What a server gets to answer what is under way and to stop its parts. */
const SERVER_GRACE_MS = 20_000

export async function takeDown(directory: DataDirectory, { deleteState, step }: TakeDownOptions): Promise<void> {
  const record = readRecord(directory)
  const realNodes = record?.runtime === 'containerd' ? await import('./real-node-teardown.ts') : undefined
  const pid = runningServer(directory)
  // At the same time: the server waits for what agents still ask of it.
  const agentsEnded = record && realNodes?.endAgents(directory, record)
  if (pid !== undefined && pid !== process.pid) {
    step(`stopping the server (process ${pid})`)
    await endProcess(pid, SERVER_GRACE_MS)
  }
  await agentsEnded
  if (record && realNodes) {
    step('stopping containers, removing mounts, links and rules')
    const runtime = { clock: systemClock, random: systemRandom, log: createLog(printLine, 'error') }
    await realNodes.removeRealNodes(runtime, directory, record)
  }
  removePidFile(directory)
  if (deleteState) rmSync(directory.root, { recursive: true, force: true })
}
