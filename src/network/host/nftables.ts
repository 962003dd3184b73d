/**
 * Applies commands to the packet filter. One long-lived `nft -i` takes small updates (0.4 ms each, where starting `nft` takes 12);
 * a line is a transaction. What is large goes through `nft -f -`.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import type { StaleFlow } from '../nft-ruleset.ts'
import type { PacketFilter } from '../filter-loop.ts'
import { inNamespace, mustRun, run, type Namespace } from './command.ts'
import { createTableMonitor } from './table-monitor.ts'

export interface Nftables extends PacketFilter {
  /** All commands in one transaction, or none; rejects with what nft says. Calls are applied in order. */
  apply(commands: readonly string[]): Promise<void>
  /** A text as `nft -f` reads it. */
  load(text: string): Promise<void>
  /** Makes the next packet of a flow be looked up anew. */
  forgetUdpFlow(flow: StaleFlow): Promise<void>
  removeTable(family: string, name: string): Promise<void>
  /** Calls back when somebody else takes the table away. Returns what stops it. */
  watchTable(family: string, name: string, gone: () => void): () => void
  close(): Promise<void>
}

const MAX_LINE = 128 << 10
/** A command without effect whose answer, a single line, tells that what came before it has been dealt with. */
const MARK = 'describe tcp dport'
const MARK_ANSWER = /^payload expression, datatype inet_service .*\n/m
const TIMEOUT_MS = 30_000

export function createNftables(namespace: Namespace = {}): Nftables {
  let session: Session | undefined
  const monitor = createTableMonitor(namespace)
  let last: Promise<void> = Promise.resolve()
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work, work)
    last = done
    return done
  }
  async function applyNow(commands: readonly string[]): Promise<void> {
    if (commands.length === 0) return
    const line = commands.join('; ')
    if (line.length > MAX_LINE) return loadNow(`${commands.join('\n')}\n`)
    if (!session?.isAlive) session = new Session(namespace)
    const answer = await session.say(line)
    if (answer !== '') throw new Error(`nft: ${answer}`)
  }
  const loadNow = async (text: string): Promise<void> => void (await mustRun(namespace, ['nft', '-f', '-'], text))
  return {
    apply: (commands) => inTurn(() => applyNow(commands)),
    forgetUdpFlow: (flow) => inTurn(() => forgetUdpFlow(namespace, flow)),
    load: (text) => inTurn(() => loadNow(text)),
    removeTable: (family, name) => inTurn(() => loadNow(`table ${family} ${name} {}\ndelete table ${family} ${name}\n`)),
    watchTable: (family, name, gone) => monitor.watch(family, name, gone),
    async close() {
      await Promise.allSettled([last])
      await monitor.close()
      await session?.close()
    },
  }
}

async function forgetUdpFlow(namespace: Namespace, { address, port, endpoint }: StaleFlow): Promise<void> {
  const command = ['conntrack', '-D', '-p', 'udp', '--orig-dst', address, '--orig-port-dst', `${port}`]
  if (endpoint) command.push('--reply-src', endpoint.address)
  const { code, stderr } = await run(namespace, command)
  // It counts finding nothing as failure.
  if (code !== 0 && !stderr.includes('0 flow entries have been deleted')) throw new Error(`conntrack: ${stderr.trim()}`)
}

/** An interactive nft. It says nothing when a command succeeds, hence the mark after each. */
class Session {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #exited: Promise<void>
  #output = ''
  #waiting: PromiseWithResolvers<string> | undefined
  isAlive = true

  constructor(namespace: Namespace) {
    // Errors into the same pipe, so that they come before the mark's answer.
    const [program, ...args] = inNamespace(namespace, ['sh', '-c', 'exec nft -i 2>&1'])
    this.#child = spawn(program!, args, { stdio: 'pipe' })
    this.#exited = new Promise((resolve) => {
      this.#child.on('close', () => resolve(this.#end(new Error('nft has ended'))))
      this.#child.on('error', (error) => resolve(this.#end(error)))
    })
    this.#child.stdin.on('error', (error) => this.#end(error))
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
  }

  /** What nft answers: nothing when all went well. */
  async say(line: string): Promise<string> {
    const waiting = Promise.withResolvers<string>()
    this.#waiting = waiting
    const timer = setTimeout(() => {
      this.#end(new Error('nft does not answer'))
      this.#child.kill('SIGKILL')
    }, TIMEOUT_MS)
    this.#child.stdin.write(`${line}\n${MARK}\n`)
    try {
      return await waiting.promise
    } finally {
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    await this.#exited
  }

  #hear(text: string): void {
    this.#output += text
    const mark = MARK_ANSWER.exec(this.#output)
    if (!mark) return
    const answer = this.#output.slice(0, mark.index).trim()
    this.#output = this.#output.slice(mark.index + mark[0].length)
    this.#waiting?.resolve(answer)
    this.#waiting = undefined
  }

  #end(error: Error): void {
    this.isAlive = false
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }
}
