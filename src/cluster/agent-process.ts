/**
 * The agents of a machine's further nodes as processes. The server writes what they need, starts them in their namespaces and starts
 * them again when they end; it finds those that an earlier server started, and leaves them running when it ends itself.
 *
 * An agent is known by the configuration file in its arguments, which no other process has: nothing has to be recorded, and one that
 * was started a moment before its server was killed is found too.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { sleep, type Clock } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import { createKubeconfig, formatKubeconfig } from '../client/http/index.ts'
import { agentFiles, type AgentConfig } from './agent-config.ts'
import type { KeyPair } from './certificates.ts'
import { writeFileAtomically } from './data-directory.ts'
import type { NodeLayout } from './node-layout.ts'
import { ensurePemFile, nodeClientRequest, nodeServerRequest, readPemFile, writePemFile, type Pki } from './pki.ts'
import { endProcess, startTicks } from './process.ts'

export interface AgentOptions {
  readonly layout: NodeLayout
  readonly config: Pick<AgentConfig, 'version' | 'cluster' | 'logLevel'>
  /** The API server's URL as the node reaches it. */
  readonly server: string
  readonly pki: Pki
  readonly proxy: KeyPair
}

/** What an agent gets to stop its parts: no more than a moment, as its containers go on. */
const AGENT_GRACE_MS = 10_000
const LOOK_MS = 250
/** An agent is one of many programs of its machine: less room for short-lived objects costs it little time and saves some 30 MB. */
const AGENT_FLAGS = ['--max-semi-space-size=2']
const RESTART_MS = 500
const MAX_RESTART_MS = 30_000
/** One that ran so long was well: the next restart is quick again. */
const WELL_MS = 60_000
/** A larger log is begun anew at the next start. */
const MAX_LOG_BYTES = 10 * 1024 * 1024

const argumentOf = (layout: NodeLayout): string => `--config=${agentFiles(layout.directory).config}`

/** The agent's process, whoever started it. */
export function runningAgent(layout: NodeLayout): number | undefined {
  const argument = argumentOf(layout)
  const self = process.getuid?.()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const directory = `/proc/${name}`
    try {
      // Other users may call their processes as they like.
      if (statSync(directory).uid !== self) continue
      if (!readFileSync(`${directory}/cmdline`, 'utf8').split('\0').includes(argument)) continue
    } catch (error) {
      // It ended while we looked.
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) continue
      throw error
    }
    if (startTicks(Number(name)) !== undefined) return Number(name)
  }
  return undefined
}

/** Ends the agent, if there is one. */
export async function endAgent(layout: NodeLayout): Promise<void> {
  for (let pid = runningAgent(layout); pid !== undefined; pid = runningAgent(layout)) await endProcess(pid, AGENT_GRACE_MS)
}

/** Writes what the agent needs; an agent that was told otherwise is ended. */
export async function prepareAgent(clock: Clock, options: AgentOptions): Promise<void> {
  const { layout, server, pki } = options
  const ca = pki.authority.cert
  const files = agentFiles(layout.directory)
  mkdirSync(layout.directory, { recursive: true, mode: 0o711 })
  const kubeconfig = (name: string, proof: { readonly pemFile: string }): string =>
    formatKubeconfig(createKubeconfig({ name, server, ca, ...proof }))
  const { log: _log, config: _config, ...credentials } = files
  const config: AgentConfig = { ...options.config, layout, ...credentials }
  const texts: readonly (readonly [string, string])[] = [
    [files.kubeconfig, kubeconfig(`system:node:${layout.name}`, { pemFile: files.nodeClientPem })],
    [files.proxyKubeconfig, kubeconfig('system:kube-proxy', { pemFile: files.proxyPem })],
    [files.clientCa, ca],
    [files.config, `${JSON.stringify(config, null, 2)}\n`],
  ]
  const changed = texts.filter(([path, text]) => !existsSync(path) || readFileSync(path, 'utf8') !== text)
  writePemFile(files.proxyPem, options.proxy)
  const isNewClient = await ensurePemFile(clock, files.nodeClientPem, pki, nodeClientRequest(layout.name))
  const isNewServer = await ensurePemFile(clock, files.kubeletPem, pki, nodeServerRequest(layout.name, layout.address))
  if (changed.length === 0 && !isNewClient && !isNewServer) return
  await endAgent(layout)
  for (const [path, text] of changed) writeFileAtomically(path, text, 0o600)
}

/** As which the node's service proxy calls the API from now on: the agent looks at the file from time to time. */
export function renewProxyPair(layout: NodeLayout, pair: KeyPair): void {
  const { proxyPem } = agentFiles(layout.directory)
  const before = readPemFile(proxyPem)
  if (before && before.cert !== pair.cert) writePemFile(proxyPem, pair)
}

/** Keeps the agent running until the signal aborts, which leaves it alone. */
export async function superviseAgent(runtime: Runtime, layout: NodeLayout, signal: AbortSignal): Promise<void> {
  const { clock } = runtime
  const log = runtime.log.with({ node: layout.name })
  const pause = (ms: number): Promise<void> =>
    sleep(clock, ms, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  let restartMs = RESTART_MS
  let pid = runningAgent(layout)
  if (pid !== undefined) log.info('the agent goes on', { process: pid })
  while (!signal.aborted) {
    pid ??= await launch(layout)
    const ticks = startTicks(pid)
    const startedAt = clock.monotonic()
    while (!signal.aborted && ticks !== undefined && startTicks(pid) === ticks) await pause(LOOK_MS)
    if (signal.aborted) return
    if (clock.monotonic() - startedAt > WELL_MS) restartMs = RESTART_MS
    log.warn('the agent has ended and is started again', { process: pid, afterMs: restartMs, log: agentFiles(layout.directory).log })
    await pause(restartMs)
    restartMs = Math.min(restartMs * 2, MAX_RESTART_MS)
    pid = undefined
  }
}

/** Resolves with its pid: nsenter becomes the agent. */
async function launch(layout: NodeLayout): Promise<number> {
  const main = join(import.meta.dirname, '../cli', `main${import.meta.filename.endsWith('.ts') ? '.ts' : '.js'}`)
  const inside = layout.netns === undefined ? [] : ['nsenter', `--net=${layout.netns}`, '--']
  const [program, ...args] = [...inside, process.execPath, ...process.execArgv, ...AGENT_FLAGS, main, 'agent', argumentOf(layout)]
  const log = openSync(agentFiles(layout.directory).log, 'a', 0o600)
  try {
    if (fstatSync(log).size > MAX_LOG_BYTES) ftruncateSync(log)
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => reject(new Error(`the agent of ${layout.name} cannot be started: ${error.message}`, { cause: error })))
    })
    child.unref()
    return child.pid!
  } finally {
    closeSync(log)
  }
}
