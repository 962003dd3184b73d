/**
 * The server of a cluster as a process: found by its pid file, told apart from a later process that got the same number by the
 * time it was started.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { writeFileAtomically, type DataDirectory } from './data-directory.ts'

/** When a process was started, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)); undefined when there is none. */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return afterName[0] === 'Z' ? undefined : afterName[19]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH') return undefined
    throw error
  }
}

export function writePidFile(directory: Pick<DataDirectory, 'pid'>): void {
  writeFileAtomically(directory.pid, `${process.pid} ${startTicks(process.pid)}\n`, 0o644)
}

export function removePidFile(directory: Pick<DataDirectory, 'pid'>): void {
  rmSync(directory.pid, { force: true })
}

/** The pid of the cluster's running server, or undefined. */
export function runningServer(directory: Pick<DataDirectory, 'pid'>): number | undefined {
  if (!existsSync(directory.pid)) return undefined
  const [pid, ticks] = readFileSync(directory.pid, 'utf8').trim().split(' ')
  return pid && ticks && startTicks(Number(pid)) === ticks ? Number(pid) : undefined
}

/** Asks the process to end and waits; kills it when it has not after `graceMs`. */
export async function endProcess(pid: number, graceMs: number): Promise<void> {
  const ticks = startTicks(pid)
  if (ticks === undefined) return
  process.kill(pid, 'SIGTERM')
  const deadline = performance.now() + graceMs
  while (startTicks(pid) === ticks) {
    if (performance.now() > deadline) process.kill(pid, 'SIGKILL')
    await delay(10)
  }
}
