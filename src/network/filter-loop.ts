/**
 * Keeps a table of the packet filter in step with what its owners want: an owner that changes is planned again, changes that come
 * together are applied together, and only differences reach the kernel.
 *
 * When a command fails the whole table is loaded anew: nothing else can be known about its state. That is tried again, with
 * growing pauses, until it succeeds.
 */
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import { Ruleset, type Rule, type StaleFlow, type Table } from './nft-ruleset.ts'

/** What the loop asks of the machine: see host/nftables.ts. */
export interface PacketFilter {
  apply(commands: readonly string[]): Promise<void>
  load(text: string): Promise<void>
  forgetUdpFlow(flow: StaleFlow): Promise<void>
  removeTable(family: string, name: string): Promise<void>
  /** Calls back when somebody else takes the table away. Returns what stops it. */
  watchTable(family: string, name: string, gone: () => void): () => void
}

export interface FilterLoopOptions {
  readonly filter: PacketFilter
  readonly table: Table
  /** What an owner wants now; nothing when it is gone. */
  rulesOf(owner: string): readonly Rule[]
  /** How long to wait for more changes before applying some. Default 3. */
  readonly gatherMs?: number | undefined
}

export interface FilterLoop {
  /** An owner may want something else. */
  mark(owner: string): void
  /** Resolves when all that was known at the call is in the packet filter. */
  settled(): Promise<void>
  /** Loads the table, keeps it in step until the signal aborts, then removes it. */
  run(signal: AbortSignal): Promise<void>
}

const DEFAULT_GATHER_MS = 3
const MAX_RETRY_MS = 10_000

export function createFilterLoop(runtime: Runtime, { filter, table, rulesOf, gatherMs }: FilterLoopOptions): FilterLoop {
  const { clock, log } = runtime
  const ruleset = new Ruleset(table)
  const dirty = new Set<string>()
  let wake = Promise.withResolvers<void>()
  let waiters: (() => void)[] = []
  let isGone = false
  const onAbort = () => wake.resolve()

  function plan(): void {
    // What is marked while it is planned is planned, too.
    for (const owner of dirty) {
      dirty.delete(owner)
      ruleset.set(owner, rulesOf(owner))
    }
  }

  /** Loads everything until it succeeds. */
  async function reload(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 50; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_RETRY_MS)) {
      plan()
      try {
        return await filter.load(ruleset.full())
      } catch (error) {
        log.error('cannot load the packet filter', { table: table.name, error })
        await sleep(clock, pauseMs, signal).catch(() => undefined)
      }
    }
  }

  async function applyChanges(signal: AbortSignal): Promise<void> {
    if (isGone) {
      log.warn('somebody took the table out of the packet filter; loading it anew', { table: table.name })
      isGone = false
      await reload(signal)
    }
    plan()
    const { commands, needsLoad, staleFlows } = ruleset.take()
    try {
      if (needsLoad) await reload(signal)
      else await filter.apply(commands)
    } catch (error) {
      log.warn('a change of the packet filter failed; loading all of it', { table: table.name, error })
      await reload(signal)
    }
    for (const flow of staleFlows) {
      await filter.forgetUdpFlow(flow).catch((error: unknown) => log.warn('cannot forget UDP flows', { address: flow.address, error }))
    }
  }

  return {
    mark(owner) {
      dirty.add(owner)
      wake.resolve()
    },
    settled() {
      const done = Promise.withResolvers<void>()
      waiters.push(done.resolve)
      wake.resolve()
      return done.promise
    },
    async run(signal) {
      signal.addEventListener('abort', onAbort, { once: true })
      const stopWatching = filter.watchTable(table.family, table.name, () => {
        isGone = true
        wake.resolve()
      })
      try {
        await reload(signal)
        while (!signal.aborted) {
          await wake.promise
          // An abort ends the wait too; the loop's condition sees it.
          if (dirty.size > 0) await sleep(clock, gatherMs ?? DEFAULT_GATHER_MS, signal).catch(() => undefined)
          wake = Promise.withResolvers()
          if (signal.aborted) break
          const told = waiters
          waiters = []
          await applyChanges(signal)
          for (const tell of told) tell()
        }
      } finally {
        stopWatching()
        signal.removeEventListener('abort', onAbort)
        await filter.removeTable(table.family, table.name)
        for (const tell of waiters) tell()
      }
    },
  }
}
