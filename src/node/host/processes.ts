/** Runs the few programs that do what Node has no call for: mount and umount; and those that a node is told to ask. */
import { execFile } from 'node:child_process'

/** Rejects with what the program said. */
export function run(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { timeout: 30_000 }, (error, _stdout, stderr) => {
      if (error) reject(new Error(`${program} ${args.join(' ')}: ${stderr.trim() || error.message}`))
      else resolve()
    })
  })
}

const MAX_OUTPUT_BYTES = 1024 * 1024

/** Resolves with its standard output. What it is told may be secret, and what it says: neither is in the error. */
export function ask(
  path: string,
  args: readonly string[],
  { env, input, timeoutMs }: { readonly env: Readonly<Record<string, string>>; readonly input: string; readonly timeoutMs: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, env: { ...process.env, ...env } }
    const child = execFile(path, [...args], options, (error, stdout) => {
      if (error) reject(new Error(`${path}: ${error.killed ? 'it took too long' : `exit code ${error.code ?? 'unknown'}`}`))
      else resolve(stdout)
    })
    child.stdin?.on('error', () => child.stdin?.destroy())
    child.stdin?.end(input)
  })
}
