/** The cluster that a run of the suite has to itself, made and ended by the same commands that a user gives. */
import { spawn } from 'node:child_process'
import { rmSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../src/cluster/user-error.ts'

const proa = join(import.meta.dirname, '..', 'proa')
const NAME = 'conformance'

export interface ClusterOptions {
  readonly runtime: 'simulated' | 'containerd'
  readonly nodes: number
  readonly dataDir: string
  readonly signal: AbortSignal
}

/** Resolves with what the command wrote to standard error when it failed. It gets no signal from the terminal: `signal` ends it. */
function runProa(args: readonly string[], signal?: AbortSignal): Promise<{ readonly failure?: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(proa, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true })
    const stop = () => child.kill('SIGTERM')
    signal?.addEventListener('abort', stop, { once: true })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', reject)
    // Not 'close': the cluster's server may hold on to standard error.
    child.on('exit', (code) => {
      signal?.removeEventListener('abort', stop)
      child.stderr.destroy()
      resolve(code === 0 ? {} : { failure: errors.trim() || `exit code ${code}` })
    })
  })
}

const place = (dataDir: string) => ['--name', NAME, '--data-dir', dataDir]

export async function startCluster({ runtime, nodes, dataDir, signal }: ClusterOptions): Promise<void> {
  const flags = ['--runtime', runtime, '--nodes', String(nodes), '--wait', '--log-level', 'warn']
  const { failure } = await runProa(['up', ...place(dataDir), ...flags], signal)
  if (failure !== undefined && !signal.aborted) throw new UserError(`the cluster did not start: ${failure}`)
}

export async function loadImages(archive: string, { dataDir, signal }: Pick<ClusterOptions, 'dataDir' | 'signal'>): Promise<void> {
  const { failure } = await runProa(['image', 'load', archive, ...place(dataDir)], signal)
  if (failure !== undefined && !signal.aborted) throw new UserError(`the images were not loaded: ${failure}`)
}

export async function removeCluster(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return
  const { failure } = await runProa(['down', ...place(dataDir), '--delete'])
  if (failure !== undefined) throw new Error(`the cluster in ${dataDir} was not taken down: ${failure}`)
  rmSync(dataDir, { recursive: true, force: true })
}
