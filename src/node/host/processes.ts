/** Runs the few programs that do what Node has no call for: mount and umount. */
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
