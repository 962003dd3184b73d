/**
 * Hears when somebody takes a table out of the packet filter: firewalls that are started again flush everything. `nft monitor` tells
 * each table that goes or comes; a table that its owner loads anew does both in one breath.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { inNamespace, type Namespace } from './command.ts'

/** So long after it went a table that its owner replaces is there again. */
const REPLACED_WITHIN_MS = 100
const RESTART_MS = 1_000

export interface TableMonitor {
  /** Calls back when the table is gone, also when that may have been missed. Returns what stops it. */
  watch(family: string, name: string, gone: () => void): () => void
  close(): Promise<void>
}

export function createTableMonitor(namespace: Namespace): TableMonitor {
  const listeners = new Map<string, () => void>()
  const waiting = new Map<string, NodeJS.Timeout>()
  let child: ChildProcessWithoutNullStreams | undefined
  let restart: NodeJS.Timeout | undefined
  let isClosed = false

  function hear(line: string): void {
    const [, verb, table = ''] = /^(add|delete) table (.+)$/.exec(line) ?? []
    if (!listeners.has(table)) return
    forget(table)
    if (verb === 'delete')
      waiting.set(
        table,
        setTimeout(() => (forget(table), listeners.get(table)?.()), REPLACED_WITHIN_MS),
      )
  }

  function forget(table: string): void {
    clearTimeout(waiting.get(table))
    waiting.delete(table)
  }

  function start(): void {
    // It reads nothing, so it would not notice by itself that this process was killed.
    const [program, ...args] = inNamespace(namespace, ['setpriv', '--pdeathsig', 'KILL', 'nft', 'monitor', 'tables'])
    const running = (child = spawn(program!, args, { stdio: 'pipe' }))
    let rest = ''
    running.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) hear(line.trim())
    })
    // Without it tables are not watched; 'close' follows an error, too.
    running.on('error', () => undefined)
    running.on('close', () => {
      if (isClosed) return
      restart = setTimeout(() => {
        start()
        for (const gone of listeners.values()) gone()
      }, RESTART_MS)
    })
  }

  return {
    watch(family, name, gone) {
      const table = `${family} ${name}`
      listeners.set(table, gone)
      if (!child) start()
      return () => {
        listeners.delete(table)
        forget(table)
      }
    },
    async close() {
      isClosed = true
      clearTimeout(restart)
      for (const timer of waiting.values()) clearTimeout(timer)
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child!.once('close', resolve))
      child.kill()
      await ended
    },
  }
}
