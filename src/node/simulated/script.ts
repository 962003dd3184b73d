/**
 * How a simulated container ends, read off its command: `sleep N`, `true`, `false`, `exit N`, `echo ...` and sequences of these,
 * bare or given to a shell with -c. A command with anything else in it is not understood, and the default rule decides.
 */
export interface ScriptOutcome {
  /** Undefined: it runs until it is stopped. */
  readonly afterMs: number | undefined
  readonly exitCode: number
  /** What it prints, in order. */
  readonly output: readonly string[]
}

const SHELLS: ReadonlySet<string> = new Set(['sh', 'bash', 'ash', '/bin/sh', '/bin/bash', '/bin/ash'])
const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

function sleepMs(text: string | undefined): number | undefined {
  if (text === 'infinity' || text === 'inf') return Infinity
  const match = /^([0-9]*\.?[0-9]+)([smhd]?)$/.exec(text ?? '')
  return match ? Number(match[1]) * UNITS[match[2]!]! * 1000 : undefined
}

/** Undefined when it is not understood. */
export function runScript(words: readonly string[]): ScriptOutcome | undefined {
  if (words.length === 0) return undefined
  const isShell = SHELLS.has(words[0]!) && /^-[a-z]*c$/.test(words[1] ?? '')
  const commands = isShell ? (words[2] ?? '').split(/;|&&|\n/).map((text) => text.trim().split(/\s+/)) : [words]
  let afterMs = 0
  let exitCode = 0
  const output: string[] = []
  for (const [name, ...args] of commands) {
    if (!name) continue
    exitCode = 0
    switch (name.slice(name.lastIndexOf('/') + 1)) {
      case 'sleep': {
        const ms = sleepMs(args[0])
        if (ms === undefined) return undefined
        if (ms === Infinity) return { afterMs: undefined, exitCode: 0, output }
        afterMs += ms
        break
      }
      case 'true':
        break
      case 'false':
        exitCode = 1
        break
      case 'echo':
        if (args.some((arg) => /[$`|<>]/.test(arg))) return undefined
        output.push(args.join(' ').replaceAll(/^['"]|['"]$/g, ''))
        break
      case 'exit': {
        const code = args[0] === undefined ? 0 : Number(args[0])
        return Number.isInteger(code) ? { afterMs, exitCode: code & 255, output } : undefined
      }
      default:
        return undefined
    }
  }
  return { afterMs, exitCode, output }
}
