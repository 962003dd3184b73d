/** The server under test, as processes and a kubeconfig: the load knows nothing else of it. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { checkInterrupted, freePort, Group } from '../upstream/processes.ts'
import { untilReady } from '../upstream/ready.ts'

export interface Target {
  readonly kubeconfig: string
  /** From the start of the first process to the first 200 of /readyz. */
  readonly startMs: number
  /** Resident memory of all its processes. */
  memoryMb(): number
  /** Processor time of all its processes since they began. */
  cpuSeconds(): number
  stop(): Promise<void>
}

export interface StartOptions {
  /** Nodes that run nothing: proa's simulated ones, kwok's. Default: 0. */
  readonly nodes?: number
  /** One node that runs real containers, in place of others. */
  readonly hasRealNode?: boolean
  /** Whether controllers and scheduler have to run; proa's always do. Nodes need them. */
  readonly hasControllers?: boolean
  /** Write a CPU profile into this directory when the server ends. */
  readonly profileDirectory?: string
}

export type Start = (options?: StartOptions) => Promise<Target>

const root = join(import.meta.dirname, '..')

/** Makes a target of a new group of processes; when that fails, the group ends. */
export async function startGroup(begin: (group: Group) => Promise<Pick<Target, 'kubeconfig' | 'startMs'>>): Promise<Target> {
  checkInterrupted()
  const group = new Group()
  try {
    return { ...(await begin(group)), memoryMb: () => group.memoryMb(), cpuSeconds: () => group.cpuSeconds(), stop: group.stop }
  } catch (error) {
    await group.stop()
    throw error
  }
}

async function runToEnd(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args)
}

/** `proa up` with the sqlite store, in a temporary directory. */
export const startProa: Start = (options = {}) =>
  startGroup(async (group) => {
    const kubeconfig = join(group.directory, 'kubeconfig')
    const port = await freePort()
    const main = join(root, 'src/cli/main.ts')
    const place = ['--name=bench', `--data-dir=${group.directory}`]
    // Containers outlive their server until they are told.
    if (options.hasRealNode) group.afterwards(() => runToEnd(process.execPath, [main, 'down', '--delete', ...place]))
    const since = performance.now()
    group.start(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        ...(options.profileDirectory ? ['--cpu-prof', `--cpu-prof-dir=${options.profileDirectory}`] : []),
        main,
        'up',
        '--foreground',
        ...place,
        `--port=${port}`,
        '--store=sqlite',
        '--log-level=warn',
        ...(options.hasRealNode ? ['--runtime=containerd', '--nodes=1'] : ['--runtime=simulated', `--nodes=${options.nodes ?? 0}`]),
      ],
      { ...process.env, NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(root, '.cache/compile') },
    )
    return { kubeconfig, startMs: await untilReady(group, kubeconfig, since) }
  })
