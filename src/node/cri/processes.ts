/** What /proc tells about processes and mounts that belong to a containerd of ours, and how what is left of them is ended. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

const START_TIME_FIELD = 22
const ZOMBIE = 'Z'
/** How long a killed process may take to go: the kernel may have to write out its files first. */
const DEATH_MS = 5_000
const DEATH_STEP_MS = 5

/** Our environment, with the places where system programs (runc, iptables, umount) are even when the caller's PATH lacks them. */
export function systemEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin` }
}

/** When a process was started, in ticks since boot; undefined when there is none (or only its remains). With its pid it is unique. */
export async function processStart(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  // The second field is the program's name in brackets and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === ZOMBIE ? undefined : fields[START_TIME_FIELD - 3]
}

export const isSameProcess = async (pid: number, start: string): Promise<boolean> => (await processStart(pid)) === start

export async function effectiveCapabilities(): Promise<bigint> {
  const status = await readFile('/proc/self/status', 'utf8')
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`)
}

/** Nothing happens when the process has ended meanwhile. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Kills the shims that serve a containerd socket, and what still runs in their containers; resolves when they are gone. */
export async function killLeftovers(socket: string): Promise<void> {
  const processes = await allProcesses()
  const shims = new Set(processes.filter(({ command }) => isShimOf(command, socket)).map(({ pid }) => pid))
  const doomed = processes.filter(({ pid, parent }) => shims.has(pid) || shims.has(parent)).map(({ pid }) => pid)
  for (const pid of doomed) signalProcess(pid, 'SIGKILL')
  const giveUpAt = Date.now() + DEATH_MS
  for (const pid of doomed) while ((await processStart(pid)) !== undefined && Date.now() < giveUpAt) await delay(DEATH_STEP_MS)
}

function isShimOf(command: readonly string[], socket: string): boolean {
  return (command[0]?.includes('containerd-shim') ?? false) && command.includes(socket)
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly command: readonly string[]
}

async function allProcesses(): Promise<readonly Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const processes = await Promise.all(
    pids.map(async (pid) => {
      const [stat, command] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile(`/proc/${pid}/cmdline`, 'utf8')]).catch(
        () => ['', ''],
      )
      if (!stat || !command) return undefined
      return { pid, parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]), command: command.split('\0') }
    }),
  )
  return processes.filter((found) => found !== undefined)
}

/** Unmounts everything below the directories, the innermost first. */
export async function unmountBelow(directories: readonly string[]): Promise<void> {
  const mountInfo = await readFile('/proc/self/mountinfo', 'utf8')
  const points = mountPoints(mountInfo).filter((point) => directories.some((directory) => point.startsWith(`${directory}/`)))
  for (const point of points.toReversed()) await run('umount', ['--lazy', point], { env: systemEnvironment() })
}

/** In the order in which they were mounted. Spaces and the like are written as octal numbers (proc_pid_mountinfo(5)). */
export function mountPoints(mountInfo: string): readonly string[] {
  return mountInfo
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ')[4]!.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
}
