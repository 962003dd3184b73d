/**
 * What benchmarks and tests start: programs, loads and temporary directories. Whatever is registered here is ended and removed when its
 * owner says so or when the run is interrupted, whichever comes first.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const KILL_AFTER_MS = 20_000
/** How much of a program's output is kept to be told when it ends early. */
const MAX_TAIL = 4_000

type Stop = () => Promise<void>
const stops = new Set<Stop>()
let isInterrupted = false

/** Runs once: when it is called, or when the whole run is interrupted. */
function registered(stop: Stop): Stop {
  let done: Promise<void> | undefined
  const once = () => {
    done ??= stop().finally(() => stops.delete(once))
    return done
  }
  stops.add(once)
  return once
}

/** Ends all that runs; nothing starts any more. */
export async function stopEverything(): Promise<void> {
  isInterrupted = true
  await Promise.allSettled([...stops].map((stop) => stop()))
}

export function checkInterrupted(): void {
  if (isInterrupted) throw new Error('interrupted')
}

/** Below what the system gives to connections and to who asks for any port, and below node ports: none of these takes it meanwhile. */
const PORTS = { from: 10_000, to: 29_999 } as const
const ATTEMPTS = 100

/** A port for a program that must be told one. Nobody holds it until that program listens. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(PORTS.from, PORTS.to + 1)
    if (handedOut.has(port) || !(await isFree(port))) continue
    handedOut.add(port)
    return port
  }
  throw new Error(`no free port from ${PORTS.from} to ${PORTS.to}`)
}

/** By this process: not given twice. */
const handedOut = new Set<number>()

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** Of a process and, for those that spawn others, of its children. */
function summed(pid: number, own: (pid: number) => number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return own(pid) + (children ? children.split(' ').reduce((sum, child) => sum + summed(Number(child), own), 0) : 0)
}

const residentMb = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

/** Linux tells times in hundredths of a second (USER_HZ; fields 14 and 15 of proc_pid_stat(5)). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / 100
}

const isOver = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined

async function stopProcess(child: ChildProcess): Promise<void> {
  if (isOver(child)) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
  await gone
  clearTimeout(timer)
}

/** A load's process: ends with the run. */
export function endWithRun(child: ChildProcess): void {
  const stop = registered(() => stopProcess(child))
  child.once('exit', stop)
}

/** Programs that make up one server, with a directory for what they write. */
export class Group {
  readonly directory = mkdtempSync(join(tmpdir(), 'proa-servers-'))
  readonly #afterwards: Stop[] = []
  readonly #programs: { readonly name: string; readonly child: ChildProcess; tail: string }[] = []
  /** Ends them, the last one first, and removes the directory. */
  readonly stop: Stop = registered(async () => {
    for (const { child } of this.#programs.toReversed()) await stopProcess(child)
    for (const stop of this.#afterwards.toReversed()) await stop()
    rmSync(this.directory, { recursive: true, force: true })
  })

  /** What is to be undone when the programs have ended, the last first. */
  afterwards(stop: () => Promise<void>): void {
    this.#afterwards.push(stop)
  }

  start(path: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
    checkInterrupted()
    const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
    const program = { name: path, child, tail: '' }
    const keep = (chunk: Buffer) => (program.tail = (program.tail + chunk.toString()).slice(-MAX_TAIL))
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', (error) => (program.tail += error.message))
    this.#programs.push(program)
  }

  /** Throws what the program said last when one of them has ended by itself. */
  check(): void {
    checkInterrupted()
    const over = this.#programs.find(({ child }) => isOver(child))
    if (over) throw new Error(`${over.name} ended with code ${over.child.exitCode ?? over.child.signalCode}:\n${over.tail}`)
  }

  tail(): string {
    return this.#programs.map(({ name, tail }) => `${name}:\n${tail}`).join('\n')
  }

  memoryMb(): number {
    return this.#programs.reduce((sum, { child }) => sum + summed(child.pid!, residentMb), 0)
  }

  /** Processor time until now, the system's on their behalf too. */
  cpuSeconds(): number {
    return this.#programs.reduce((sum, { child }) => sum + summed(child.pid!, cpuSeconds), 0)
  }
}
