/** The server under test, as processes and a kubeconfig: the load knows nothing else of it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openConnection } from './connection.ts'
import { readEndpoint } from './kubeconfig.ts'

export interface Target {
  readonly name: string
  readonly kubeconfig: string
  /** From the start of the first process to the first 200 of /readyz. */
  readonly startMs: number
  /** Resident memory of all its processes. */
  memoryMb(): number
  stop(): Promise<void>
}

export interface StartOptions {
  readonly nodes?: number
  /** Write a CPU profile into this directory when the server ends. */
  readonly profileDirectory?: string
}

const START_TIMEOUT_MS = 60_000
const root = join(import.meta.dirname, '..')

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** "VmRSS" of a process and, for those that spawn others, of its children. */
export function residentMb(pid: number): number {
  const own = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return own + (children ? children.split(' ').reduce((sum, child) => sum + residentMb(Number(child)), 0) : 0)
}

async function isReady(kubeconfig: string): Promise<boolean> {
  if (!existsSync(kubeconfig)) return false
  try {
    const connection = await openConnection(readEndpoint(kubeconfig))
    const { status } = await connection.request('GET', '/readyz')
    connection.close()
    return status === 200
  } catch {
    // Not listening yet, or the file is half written: the caller asks again until its time is over.
    return false
  }
}

/** Resolves with the milliseconds since `since` when /readyz answers 200. */
export async function untilReady(kubeconfig: string, since: number, child: ChildProcess, tail: () => string): Promise<number> {
  while (performance.now() - since < START_TIMEOUT_MS) {
    if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}:\n${tail()}`)
    if (await isReady(kubeconfig)) return performance.now() - since
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`the server was not ready after ${START_TIMEOUT_MS / 1000} s:\n${tail()}`)
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await gone
  clearTimeout(timer)
}

/** `proa up` with the sqlite store and simulated nodes, in a temporary directory. */
export async function startProa(options: StartOptions = {}): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), 'proa-bench-'))
  const kubeconfig = join(directory, 'kubeconfig')
  const flags = options.profileDirectory ? ['--cpu-prof', `--cpu-prof-dir=${options.profileDirectory}`] : []
  const port = await freePort()
  const since = performance.now()
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      ...flags,
      join(root, 'src/cli/main.ts'),
      'up',
      '--foreground',
      '--name=bench',
      `--data-dir=${directory}`,
      `--port=${port}`,
      '--runtime=simulated',
      '--store=sqlite',
      '--log-level=warn',
      `--nodes=${options.nodes ?? 1}`,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(root, '.cache/compile') },
    },
  )
  let output = ''
  const keep = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000))
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const stop = async () => {
    await stopProcess(child)
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const startMs = await untilReady(kubeconfig, since, child, () => output)
    return { name: 'proa', kubeconfig, startMs, memoryMb: () => residentMb(child.pid!), stop }
  } catch (error) {
    await stop()
    throw error
  }
}
