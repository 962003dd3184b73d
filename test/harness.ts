/**
 * Clusters for tests of the whole thing: started by the `./proa` command as a user would, on a data directory of their own, and
 * taken down at the end of the test whatever happened in it.
 */
import { execFile, spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { missingPrograms } from '../src/cluster/machine.ts'

export const root = join(import.meta.dirname, '..')

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const COMMAND_TIMEOUT_MS = 60_000

/** Runs a program to its end; never rejects for its exit code. */
export function command(
  file: string,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 256 * 1024 * 1024, env: { ...process.env, ...options.env } },
      (error, stdout, stderr) => {
        if (error && typeof error.code === 'string') return reject(error)
        resolve({ code: error ? Number(error.code ?? 128) : 0, stdout, stderr })
      },
    )
    child.stdin?.on('error', () => child.stdin?.destroy())
    child.stdin?.end(options.input ?? '')
  })
}

export const proa = (...args: string[]): Promise<CommandResult> => command(join(root, 'proa'), args)

/** A reason to skip tests with real containers, or false. */
export function noContainers(): string | false {
  if (process.getuid?.() !== 0) return 'real containers need root'
  const missing = missingPrograms()
  return missing.length > 0 && `real containers need ${missing.join(', ')}`
}

let kubectlPath: string | undefined
let kubectlMissing: string | false | undefined

/** A reason to skip tests with kubectl, or false; on Debian it is fetched on first use. */
export function noKubectl(): string | false {
  if (kubectlMissing === undefined) {
    const found = spawnSync('sh', [join(root, 'tools/kubectl.sh')], { encoding: 'utf8' })
    kubectlPath = found.status === 0 ? found.stdout.trim() : undefined
    kubectlMissing = kubectlPath ? false : found.stderr.trim()
  }
  return kubectlMissing
}

/** Its path, once `noKubectl` gave no reason. */
export function kubectlProgram(): string {
  if (kubectlPath === undefined) throw new Error(noKubectl() || 'no kubectl')
  return kubectlPath
}

export interface TestCluster {
  readonly dataDir: string
  readonly kubeconfig: string
  readonly name: string
  /** Starts it again after it was killed or taken down. */
  up(...flags: string[]): Promise<CommandResult>
  pid(): number
  /** Runs kubectl; fails the test when it exits with another code than 0, or writes anything to stderr. */
  kubectl(...args: string[]): Promise<string>
  /** Runs kubectl whatever comes of it. */
  tryKubectl(args: readonly string[], input?: string): Promise<CommandResult>
  /** For another program that runs kubectl. */
  kubectlCommand(): { readonly kubectlPath: string; readonly env: Readonly<Record<string, string>> }
  /** kubectl as a process that goes on; ended with the test. */
  spawnKubectl(...args: string[]): ChildProcessByStdio<Writable, Readable, Readable>
}

let clusterCount = 0

/** `prepare` may put files into the data directory before the cluster is made. */
export async function startCluster(t: TestContext, flags: readonly string[], prepare?: (dataDir: string) => void): Promise<TestCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'proa-test-'))
  const name = `test-${process.pid}-${clusterCount++}`
  const place = [`--name=${name}`, `--data-dir=${dataDir}`]
  t.after(async () => {
    const result = await proa('down', '--delete', ...place)
    if (result.code !== 0) throw new Error(`down failed: ${result.stderr}`)
    rmSync(dataDir, { recursive: true, force: true })
  })
  prepare?.(dataDir)
  const kubeconfig = join(dataDir, 'kubeconfig')
  const up = async (...more: string[]) => {
    const result = await proa('up', ...place, ...flags, ...more)
    if (result.code !== 0)
      throw new Error(
        `up failed: ${result.stderr}\n${existsSync(join(dataDir, 'server.log')) ? readFileSync(join(dataDir, 'server.log'), 'utf8') : ''}`,
      )
    return result
  }
  await up('--wait')
  const tryKubectl = (args: readonly string[], input?: string) => {
    const missing = noKubectl()
    if (missing || kubectlPath === undefined) throw new Error(missing || 'no kubectl')
    return command(kubectlPath, args, { ...(input === undefined ? {} : { input }), env: { KUBECONFIG: kubeconfig, HOME: dataDir } })
  }
  return {
    dataDir,
    kubeconfig,
    name,
    up,
    pid: () => Number(readFileSync(join(dataDir, 'server.pid'), 'utf8').split(' ')[0]),
    kubectl: async (...args) => {
      const result = await tryKubectl(args)
      if (result.code !== 0 || result.stderr !== '')
        throw new Error(`kubectl ${args.join(' ')}: exit ${result.code}\n${result.stderr}\n${result.stdout}`)
      return result.stdout
    },
    tryKubectl,
    kubectlCommand: () => ({ kubectlPath: kubectlPath ?? '', env: { KUBECONFIG: kubeconfig, HOME: dataDir } }),
    spawnKubectl: (...args) => {
      const missing = noKubectl()
      if (missing || kubectlPath === undefined) throw new Error(missing || 'no kubectl')
      const child = spawn(kubectlPath, args, {
        env: { ...process.env, KUBECONFIG: kubeconfig, HOME: dataDir },
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      t.after(() => child.kill('SIGKILL'))
      return child
    },
  }
}

/** Asks again until `probe` gives something; fails with `what` after the time. For what the test can only see from outside. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    await delay(50)
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`)
}

/** The manifest of a Deployment "web" that kubectl is tried on. */
export const webDeployment = (replicas: number, image: string) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "${image}", ports: [{containerPort: 80, name: http}]}]
`
