/** Runs the machine's own network programs, in this network namespace or in a named one. */
import { spawn } from 'node:child_process'

export interface Namespace {
  /** Path of the network namespace, e.g. /run/netns/node-1; the process's own when absent. */
  readonly netns?: string | undefined
}

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** `ip netns exec` would also give another view of /sys, hiding the cgroups. */
export const inNamespace = ({ netns }: Namespace, command: readonly string[]): readonly string[] =>
  netns ? ['nsenter', `--net=${netns}`, '--', ...command] : command

/** Most that is kept of what a program prints. */
const MAX_OUTPUT = 16 << 20

export function run(namespace: Namespace, command: readonly string[], input = ''): Promise<Outcome> {
  const [program, ...args] = inNamespace(namespace, command)
  return new Promise((resolve, reject) => {
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < MAX_OUTPUT) stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < MAX_OUTPUT) stderr += text
    })
    child.on('error', (error) => reject(new Error(`cannot run ${program}: ${error.message}`, { cause: error })))
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }))
    // A program that ends before it has read everything says why by its exit code.
    child.stdin.on('error', () => child.stdin.destroy())
    child.stdin.end(input)
  })
}

/** As `run`, but a failure throws with what the program said. */
export async function mustRun(namespace: Namespace, command: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await run(namespace, command, input)
  if (code !== 0) throw new Error(`${command.join(' ')}: ${stderr.trim() || `exit code ${code}`}`)
  return stdout
}
