import { resolve } from 'node:path'
import { apiServerFlags, type ApiServerSettings } from '../cluster/api-server-flags.ts'
import { dataDirectory, defaultDataRoot, readRecord } from '../cluster/data-directory.ts'
import { launchServer, type ServerReport, type UpOptions } from '../cluster/launch.ts'
import { runningServer } from '../cluster/process.ts'
import { createProgress, type Progress } from './progress.ts'

export interface UpFlags {
  readonly name: string
  readonly dataDir?: string
  readonly port?: number
  readonly nodes?: number
  readonly runtime?: 'containerd' | 'simulated'
  readonly store?: 'sqlite' | 'memory'
  readonly wait?: boolean
  readonly foreground?: boolean
  readonly logLevel?: UpOptions['logLevel']
  readonly schedulerConfig?: string
  /** Flags of the API server, named as commander names them. */
  readonly [flag: string]: unknown
}

export const dataRootOf = (flags: { readonly name: string; readonly dataDir?: string }): string =>
  resolve(flags.dataDir ?? defaultDataRoot(flags.name))

export const upOptionsOf = (flags: UpFlags): UpOptions => ({
  name: flags.name,
  dataRoot: dataRootOf(flags),
  logLevel: flags.logLevel ?? 'info',
  ...(flags.port === undefined ? {} : { port: flags.port }),
  ...(flags.nodes === undefined ? {} : { nodes: flags.nodes }),
  ...(flags.runtime === undefined ? {} : { runtime: flags.runtime }),
  ...(flags.store === undefined ? {} : { store: flags.store }),
  ...(flags.schedulerConfig === undefined ? {} : { schedulerConfig: flags.schedulerConfig && resolve(flags.schedulerConfig) }),
  apiServer: apiServerSettings(flags),
})

export function apiServerSettings(flags: UpFlags): ApiServerSettings {
  const settings: Record<string, string> = {}
  for (const { name, kind } of apiServerFlags) {
    const value = flags[name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())]
    if (value === true) settings[name] = 'true'
    else if (Array.isArray(value)) settings[name] = (value as readonly string[]).map(pairOfPaths).join('\n')
    else if (typeof value === 'string') settings[name] = kind === 'file' && value !== '-' ? resolve(value) : value
  }
  return settings
}

/** "cert,key:names" with the paths absolute. */
const pairOfPaths = (text: string): string => {
  const [files = '', ...names] = text.split(':')
  return [
    files
      .split(',')
      .map((path) => resolve(path.trim()))
      .join(','),
    ...names,
  ].join(':')
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

/** Prints each report of the server as a line of progress. */
export function reporter(progress: Progress): (report: ServerReport) => void {
  return (report) => {
    switch (report.type) {
      case 'step':
        return progress.step(report.text)
      case 'api-ready':
        return progress.step(`API server ready at ${report.url} (${seconds(report.elapsedMs)} after exec)`)
      case 'nodes-ready':
        return progress.step(`${report.count === 1 ? 'node' : `${report.count} nodes`} Ready (${seconds(report.elapsedMs)} after exec)`)
      case 'failed':
        return
    }
  }
}

/** Says so and returns true when the cluster is already up. */
export function isAlreadyUp(options: UpOptions, progress: Progress): boolean {
  const directory = dataDirectory(options.dataRoot)
  const pid = runningServer(directory)
  if (pid === undefined) return false
  progress.step(`cluster "${options.name}" is already up at port ${readRecord(directory)?.port} (process ${pid})`)
  return true
}

export async function up(flags: UpFlags): Promise<void> {
  const options = upOptionsOf(flags)
  const progress = createProgress(0)
  if (flags.foreground) return (await import('../cluster/all-in-one.ts')).runForeground(options)
  if (!isAlreadyUp(options, progress)) await launchServer(options, flags.wait ?? false, reporter(progress))
  const { kubeconfig } = dataDirectory(options.dataRoot)
  process.stderr.write(`          export KUBECONFIG=${kubeconfig}\n`)
}
