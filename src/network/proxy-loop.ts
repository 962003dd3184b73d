/**
 * Keeps a node's packet filter in step with services, endpoints and host ports: what changes is planned again service by service,
 * changes that come together are applied together, and only differences reach the kernel.
 *
 * When a command fails the whole table is loaded anew: nothing else can be known about its state. That is tried again, with
 * growing pauses, until it succeeds.
 */
import type { Pod } from '../api/generated/core/v1.ts'
import { keyOf } from '../api/object.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { TableOptions } from './nft-table.ts'
import { Ruleset, type StaleFlow } from './nft-ruleset.ts'
import { planHostPorts, planService, type ProxyNode } from './service-proxy.ts'
import type { Handlers, ServiceTable } from './service-table.ts'

/** What the loop asks of the machine: see host/nftables.ts. */
export interface PacketFilter {
  apply(commands: readonly string[]): Promise<void>
  load(text: string): Promise<void>
  forgetUdpFlow(flow: StaleFlow): Promise<void>
  removeTable(family: string, name: string): Promise<void>
}

export interface ProxyLoopOptions {
  readonly services: ServiceTable
  readonly filter: PacketFilter
  readonly table: TableOptions
  readonly node: ProxyNode
  /** How long to wait for more changes before applying some. Default 3. */
  readonly gatherMs?: number
}

export interface ProxyLoop {
  /** For an informer of pods: host ports of those on this node. */
  readonly podHandlers: Handlers<Pod>
  /** Plans everything again for other addresses or another zone of the node. */
  setNode(node: ProxyNode): void
  /** Resolves when all that was known at the call is in the packet filter. */
  settled(): Promise<void>
  /** Loads the table, keeps it in step until the signal aborts, then removes it. Start it when the informers have synced. */
  run(signal: AbortSignal): Promise<void>
}

const DEFAULT_GATHER_MS = 3
const MAX_RETRY_MS = 10_000

export function createProxyLoop(runtime: Runtime, options: ProxyLoopOptions): ProxyLoop {
  const { clock, log } = runtime
  const { services, filter } = options
  const ruleset = new Ruleset(options.table)
  const pods = new Map<string, Pod>()
  const dirty = new Set<string>()
  let node = options.node
  let wake = Promise.withResolvers<void>()
  let waiters: (() => void)[] = []

  const mark = (key: string) => {
    dirty.add(key)
    wake.resolve()
  }
  const setPod = (pod: Pod) => {
    const key = keyOf(pod)
    // Few pods have host ports: the others are forgotten at once.
    if (planHostPorts(pod, node).length > 0) pods.set(key, pod)
    else if (!pods.delete(key)) return
    mark(`pod/${key}`)
  }

  const onAbort = () => wake.resolve()

  function plan(): void {
    for (const owner of dirty) {
      const key = owner.slice(owner.indexOf('/') + 1)
      if (owner.startsWith('pod/')) {
        const pod = pods.get(key)
        ruleset.set(owner, pod ? planHostPorts(pod, node) : [])
      } else {
        const service = services.service(key)
        ruleset.set(owner, service ? planService(service, [...services.slices(key)], node) : [])
      }
    }
    dirty.clear()
  }

  function markAll(): void {
    for (const key of services.keys()) mark(`service/${key}`)
    for (const key of pods.keys()) mark(`pod/${key}`)
  }

  /** Loads everything until it succeeds. */
  async function reload(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 50; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_RETRY_MS)) {
      plan()
      try {
        return await filter.load(ruleset.full())
      } catch (error) {
        log.error('cannot load the packet filter', { table: options.table.name, error })
        await sleep(clock, pauseMs, signal).catch(() => undefined)
      }
    }
  }

  async function applyChanges(signal: AbortSignal): Promise<void> {
    plan()
    const { commands, needsLoad, staleFlows } = ruleset.take()
    try {
      if (needsLoad) await reload(signal)
      else await filter.apply(commands)
    } catch (error) {
      log.warn('a change of the packet filter failed; loading all of it', { table: options.table.name, error })
      await reload(signal)
    }
    for (const flow of staleFlows) {
      await filter.forgetUdpFlow(flow).catch((error: unknown) => log.warn('cannot forget UDP flows', { address: flow.address, error }))
    }
  }

  return {
    podHandlers: {
      added: setPod,
      updated: setPod,
      deleted(pod) {
        if (pods.delete(keyOf(pod))) mark(`pod/${keyOf(pod)}`)
      },
    },
    setNode(next) {
      node = next
      markAll()
    },
    settled() {
      const done = Promise.withResolvers<void>()
      waiters.push(done.resolve)
      wake.resolve()
      return done.promise
    },
    async run(signal) {
      const stop = services.onChange((key) => mark(`service/${key}`))
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        markAll()
        await reload(signal)
        while (!signal.aborted) {
          await wake.promise
          // An abort ends the wait too; the loop's condition sees it.
          if (dirty.size > 0) await sleep(clock, options.gatherMs ?? DEFAULT_GATHER_MS, signal).catch(() => undefined)
          wake = Promise.withResolvers()
          if (signal.aborted) break
          const told = waiters
          waiters = []
          await applyChanges(signal)
          for (const tell of told) tell()
        }
      } finally {
        stop()
        signal.removeEventListener('abort', onAbort)
        await filter.removeTable(options.table.family, options.table.name)
        for (const tell of waiters) tell()
      }
    },
  }
}
