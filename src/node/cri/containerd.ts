/**
 * A containerd of the cluster's own: its root, state, socket, CNI folder and configuration lie under the cluster's directories, so
 * that it never meets the machine's containerd or Docker.
 *
 * It outlives the process that starts it, and pods go on while proa is restarted or killed: the next start finds the running one by
 * its pid file and takes it over. Only `stop` ends it, with all pods, mounts and sockets.
 */
import { createHash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { mkdir, open, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import { containerdConfig, registryHosts, type ContainerdPaths, type ContainerdSettings } from './containerd-config.ts'
import { createCriRuntime, type CriRuntime } from './cri-client.ts'
import {
  effectiveCapabilities,
  isSameProcess,
  killLeftovers,
  processStart,
  signalProcess,
  systemEnvironment,
  unmountBelow,
} from './processes.ts'

export interface ContainerdOptions {
  /** The node's own directory; images and logs are kept in it. */
  readonly dataDirectory: string
  readonly sandboxImage: string
  readonly cniBinDirectories: readonly string[]
  /** Where the CNI configuration will be written; by default below the data directory. */
  readonly cniConfigDirectory?: string
  /** Registries that are asked somewhere else than their name says, or without TLS: { "localhost:5000": "http://127.0.0.1:5000" }. */
  readonly registries?: Readonly<Record<string, string>>
  /** Path of a network namespace for the node, e.g. "/run/netns/node-2". */
  readonly networkNamespace?: string
  /** Where its streaming server listens; loopback unless the node has a network namespace of its own. */
  readonly streamAddress?: string
}

export interface Containerd {
  readonly socket: string
  readonly pid: number
  readonly cniConfigDirectory: string
  readonly logFile: string
  /** Whether one that was running already has been taken over. */
  readonly isAdopted: boolean
  /** The CRI client that readiness was seen with: use it. */
  readonly cri: CriRuntime
  /** Starts the daemon again whenever it dies, until the signal aborts, which leaves it running. Containers go on meanwhile. */
  keep(signal: AbortSignal): Promise<void>
  /** Ends all pods and the daemon; images stay. Afterwards nothing of it runs, is mounted or listens. */
  stop(): Promise<void>
}

/** State lives on a file system that a reboot empties. Short, as unix sockets take paths of 107 bytes at most. */
const STATE_ROOT = '/run/proa'
const CAP_SYS_RESOURCE = 24
const READY_MS = 30_000
const READY_STEP_MS = 10
const TERMINATE_MS = 10_000
/** Between two looks at whether the daemon lives; the wait before it is started again, too. */
const LOOK_MS = 500
/** A larger log is begun anew at the next start of the daemon, which only logs warnings. */
const MAX_LOG_BYTES = 10 * 1024 * 1024
/** Pods taken down at the same time. */
const STOP_CONCURRENCY = 8

interface Home {
  readonly paths: ContainerdPaths
  readonly configFile: string
  readonly pidFile: string
  readonly logFile: string
}

export async function startContainerd(runtime: Runtime, options: ContainerdOptions): Promise<Containerd> {
  const home = homeOf(options)
  const config = containerdConfig(home.paths, await settingsOf(options))
  for (const directory of [home.paths.root, home.paths.state, home.paths.cniConfig, home.paths.registries]) {
    await mkdir(directory, { recursive: true, mode: 0o711 })
  }
  await writeRegistries(home.paths.registries, options.registries ?? {})

  const running = await runningPid(home)
  if (running !== undefined) {
    const isAsWanted = (await readFile(home.configFile, 'utf8').catch(() => undefined)) === config
    // One that was killed a moment ago still looks alive; it is found out when it does not answer.
    const cri = isAsWanted ? await connected(runtime, home, running) : undefined
    if (cri) return daemon(runtime, home, running, cri, { isAdopted: true, networkNamespace: options.networkNamespace })
    // Containers survive a restart of their containerd.
    await terminate(runtime, running, home)
  }
  await writeFile(home.configFile, config, { mode: 0o600 })
  const pid = await launch(home, options.networkNamespace)
  const cri = await connected(runtime, home, pid)
  if (!cri) throw new Error(`containerd ended at its start, see ${home.logFile}`)
  return daemon(runtime, home, pid, cri, { isAdopted: false, networkNamespace: options.networkNamespace })
}

function daemon(
  runtime: Runtime,
  home: Home,
  first: number,
  cri: CriRuntime,
  { isAdopted, networkNamespace }: { readonly isAdopted: boolean; readonly networkNamespace: string | undefined },
): Containerd {
  let pid = first
  return {
    socket: home.paths.socket,
    get pid() {
      return pid
    },
    cniConfigDirectory: home.paths.cniConfig,
    logFile: home.logFile,
    isAdopted,
    cri,
    async keep(signal) {
      let start = await processStart(pid)
      while (!signal.aborted) {
        await sleep(runtime.clock, LOOK_MS, signal).catch((error: unknown) => {
          if (!signal.aborted) throw error
        })
        if (signal.aborted || (start !== undefined && (await isSameProcess(pid, start)))) continue
        runtime.log.warn('containerd has ended and is started again', { process: pid, log: home.logFile })
        pid = await launch(home, networkNamespace)
        start = await processStart(pid)
      }
    },
    stop: () => stop(runtime, home, pid, cri),
  }
}

/** Stops what an earlier process left running for this data directory; nothing happens when there is nothing. */
export async function stopLeftContainerd(runtime: Runtime, options: ContainerdOptions): Promise<void> {
  const home = homeOf(options)
  const hasState = await readFile(home.pidFile).then(
    () => true,
    () => false,
  )
  if (!hasState) return
  // A daemon that died leaves shims and containers: only a daemon can take them down in order.
  const containerd = await startContainerd(runtime, options)
  await containerd.stop()
}

/** Where the daemon of these options listens, whoever started it. */
export const containerdSocket = (options: ContainerdOptions): string => homeOf(options).paths.socket

function homeOf(options: ContainerdOptions): Home {
  const base = join(options.dataDirectory, 'containerd')
  const state = join(STATE_ROOT, createHash('sha256').update(base).digest('hex').slice(0, 12))
  return {
    paths: {
      root: join(base, 'root'),
      state,
      socket: join(state, 'containerd.sock'),
      cniConfig: options.cniConfigDirectory ?? join(base, 'cni'),
      registries: join(base, 'registries'),
    },
    configFile: join(base, 'config.toml'),
    pidFile: join(state, 'containerd.pid'),
    logFile: join(base, 'containerd.log'),
  }
}

async function settingsOf(options: ContainerdOptions): Promise<ContainerdSettings> {
  return {
    cniBinDirectories: options.cniBinDirectories,
    sandboxImage: options.sandboxImage,
    streamAddress: options.streamAddress ?? '127.0.0.1',
    canLowerOomScore: ((await effectiveCapabilities()) & (1n << BigInt(CAP_SYS_RESOURCE))) !== 0n,
  }
}

async function writeRegistries(directory: string, registries: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, endpoint] of Object.entries(registries)) {
    await mkdir(join(directory, name), { recursive: true })
    await writeFile(join(directory, name, 'hosts.toml'), registryHosts(endpoint))
  }
}

/** A pid may belong to somebody else by now: the time when the process started tells. */
async function runningPid(home: Home): Promise<number | undefined> {
  const [pid, start] = (await readFile(home.pidFile, 'utf8').catch(() => '')).split(' ')
  return pid && start && (await isSameProcess(Number(pid), start)) ? Number(pid) : undefined
}

async function launch(home: Home, networkNamespace: string | undefined): Promise<number> {
  const command = ['containerd', '--config', home.configFile]
  // nsenter becomes the daemon (exec), so its pid is the daemon's. `ip netns exec` would hide the cgroups.
  if (networkNamespace) command.unshift('nsenter', `--net=${networkNamespace}`)
  const log = await open(home.logFile, 'a', 0o600)
  try {
    if ((await log.stat()).size > MAX_LOG_BYTES) await log.truncate()
    const child = spawn(command[0]!, command.slice(1), {
      detached: true,
      cwd: '/',
      env: systemEnvironment(),
      stdio: ['ignore', log.fd, log.fd],
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => reject(new Error(`containerd could not be started: ${error.message}`)))
    })
    child.unref()
    const pid = child.pid!
    await writeFile(home.pidFile, `${pid} ${await processStart(pid)}`, { mode: 0o600 })
    return pid
  } finally {
    await log.close()
  }
}

/** A client of the daemon once it is ready; undefined when its process has ended before that. */
async function connected(runtime: Runtime, home: Home, pid: number): Promise<CriRuntime | undefined> {
  const cri = createCriRuntime(runtime, { socket: home.paths.socket })
  let isReady = false
  try {
    isReady = await untilReady(runtime, cri, pid, home)
  } finally {
    if (!isReady) cri.close()
  }
  return isReady ? cri : undefined
}

async function untilReady(runtime: Runtime, cri: CriRuntime, pid: number, home: Home): Promise<boolean> {
  const giveUpAt = runtime.clock.monotonic() + READY_MS
  for (;;) {
    const trouble = await cri.status().then(
      (status) => (status.runtimeReady ? undefined : status.message),
      (error: unknown) => String(error),
    )
    if (trouble === undefined) return true
    if ((await processStart(pid)) === undefined) return false
    if (runtime.clock.monotonic() > giveUpAt) throw new Error(`containerd did not become ready (${trouble}), see ${home.logFile}`)
    await sleep(runtime.clock, READY_STEP_MS)
  }
}

async function stop(runtime: Runtime, home: Home, pid: number, cri: CriRuntime): Promise<void> {
  await removePods(runtime, cri)
  cri.close()
  await terminate(runtime, pid, home)
  await killLeftovers(home.paths.socket)
  await unmountBelow([home.paths.state, home.paths.root])
  await rm(home.paths.state, { recursive: true, force: true })
  // Other clusters may still have theirs.
  await rmdir(STATE_ROOT).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error
  })
}

async function removePods(runtime: Runtime, cri: CriRuntime): Promise<void> {
  const waiting = [...(await cri.listPodSandboxes())]
  const worker = async () => {
    for (let sandbox = waiting.pop(); sandbox; sandbox = waiting.pop()) {
      try {
        await cri.stopPodSandbox(sandbox.id)
        await cri.removePodSandbox(sandbox.id)
      } catch (error) {
        // What is left of it is killed and unmounted below.
        runtime.log.warn('a pod could not be removed in order', { sandbox: sandbox.id, error: String(error) })
      }
    }
  }
  await Promise.all(Array.from({ length: STOP_CONCURRENCY }, worker))
}

async function terminate(runtime: Runtime, pid: number, home: Home): Promise<void> {
  const start = await processStart(pid)
  if (start !== undefined) {
    signalProcess(pid, 'SIGTERM')
    const killAt = runtime.clock.monotonic() + TERMINATE_MS
    while (await isSameProcess(pid, start)) {
      if (runtime.clock.monotonic() > killAt) signalProcess(pid, 'SIGKILL')
      await sleep(runtime.clock, READY_STEP_MS)
    }
  }
  await rm(home.pidFile, { force: true })
}
