/**
 * Starts the server of a cluster as a process of its own and tells what it reports; the other half is all-in-one.ts.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiServerSettings } from './api-server-flags.ts'
import { dataDirectory, ensureDataDirectory, type RuntimeKind } from './data-directory.ts'
import type { EgressMode } from './tunnel/egress.ts'
import { UserError } from './user-error.ts'

/** Of a server that other machines join; kept from the first start where absent. */
export interface ServerSettings {
  readonly advertiseAddress?: string
  readonly names?: readonly string[]
  readonly clusterCidr?: string
  readonly serviceCidr?: string
  /** Whether the server's machine is a node itself. */
  readonly hasNode: boolean
  readonly egress: EgressMode
  /** A file with a bootstrap token. */
  readonly tokenFile?: string
}

export interface UpOptions {
  readonly name: string
  readonly dataRoot: string
  readonly port?: number
  readonly nodes?: number
  readonly runtime?: RuntimeKind
  readonly store?: 'sqlite' | 'memory'
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** A file with a KubeSchedulerConfiguration. */
  readonly schedulerConfig?: string
  readonly apiServer?: ApiServerSettings
  /** Absent: `proa up`, of this machine alone unless the cluster was made otherwise. */
  readonly server?: ServerSettings
}

/** What the server process tells the one that started it, over the IPC channel. */
export type ServerReport =
  | { readonly type: 'step'; readonly text: string }
  | { readonly type: 'api-ready'; readonly url: string; /** From exec to /readyz. */ readonly elapsedMs: number }
  | { readonly type: 'nodes-ready'; readonly count: number; readonly elapsedMs: number }
  | { readonly type: 'failed'; readonly message: string; readonly isUserError: boolean }

const LOG_TAIL_LINES = 15

const argumentsOf = (options: UpOptions): string[] => [
  'up',
  '--foreground',
  `--name=${options.name}`,
  `--data-dir=${options.dataRoot}`,
  `--log-level=${options.logLevel}`,
  ...(options.port === undefined ? [] : [`--port=${options.port}`]),
  ...(options.nodes === undefined ? [] : [`--nodes=${options.nodes}`]),
  ...(options.runtime === undefined ? [] : [`--runtime=${options.runtime}`]),
  ...(options.store === undefined ? [] : [`--store=${options.store}`]),
  ...(options.schedulerConfig === undefined ? [] : [`--scheduler-config=${options.schedulerConfig}`]),
  ...Object.entries(options.apiServer ?? {}).map(([name, value]) => (value === 'true' ? `--${name}` : `--${name}=${value}`)),
]

/**
 * Resolves when the API answers, or when all nodes are Ready if `waitForNodes`; the process lives on. Rejects with a UserError
 * when it could not start, with the end of its log if that is all there is to say.
 */
export async function launchServer(options: UpOptions, waitForNodes: boolean, onReport: (report: ServerReport) => void): Promise<void> {
  const directory = dataDirectory(options.dataRoot)
  ensureDataDirectory(directory)
  const log = openSync(directory.log, 'a', 0o600)
  const main = join(import.meta.dirname, '../cli', `main${import.meta.filename.endsWith('.ts') ? '.ts' : '.js'}`)
  const child = spawn(process.execPath, [...process.execArgv, main, ...argumentsOf(options)], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    cwd: '/',
  })
  closeSync(log)
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, signal) => {
        const tail = readFileSync(directory.log, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
        reject(
          new UserError(`the server ended (${signal ?? `exit code ${code}`}) before it was ready. The end of ${directory.log}:\n${tail}`),
        )
      })
      child.on('message', (message) => {
        const report = message as ServerReport
        onReport(report)
        if (report.type === 'failed') reject(report.isUserError ? new UserError(report.message) : new Error(report.message))
        else if (report.type === (waitForNodes ? 'nodes-ready' : 'api-ready')) resolve()
      })
    })
  } finally {
    child.removeAllListeners()
    if (child.connected) child.disconnect()
    child.unref()
  }
}
