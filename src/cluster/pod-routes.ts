/** Keeps a node's routes to the pods of the other nodes in step with what the Nodes say. */
import type { Node } from '../api/generated/core/v1.ts'
import { sleep } from '../base/clock.ts'
import { deepEqual } from '../base/deep-equal.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Informer } from '../client/informer.ts'
import type { RunningPodNetwork } from '../network/host/pod-network.ts'
import { planRoutes, type PodRoute } from '../network/pod-network.ts'

const RETRY_MS = 1000

/** Returns when the signal aborts; the routes stay, for the pods do. */
export async function followPodRoutes(
  runtime: Runtime,
  nodes: Informer<Node>,
  network: Pick<RunningPodNetwork, 'setRoutes'>,
  nodeName: string,
  signal: AbortSignal,
): Promise<void> {
  let wake = Promise.withResolvers<void>()
  const look = () => wake.resolve()
  const stop = nodes.addHandlers({ added: look, updated: look, deleted: look })
  signal.addEventListener('abort', look, { once: true })
  let applied: readonly PodRoute[] | undefined
  try {
    for (;;) {
      if (!signal.aborted) await wake.promise
      if (signal.aborted) return
      wake = Promise.withResolvers()
      // Before the first list is complete, nodes would seem to be gone.
      if (!nodes.hasSynced) {
        void nodes.synced.then(look)
        continue
      }
      const wanted = planRoutes(nodes.cache.values(), nodeName)
      if (deepEqual(wanted, applied)) continue
      try {
        await network.setRoutes(wanted)
        applied = wanted
      } catch (error) {
        // A node's address may be told before the way to it exists.
        runtime.log.warn('routes to other nodes are not in place', { node: nodeName, error: String(error) })
        applied = undefined
        await sleep(runtime.clock, RETRY_MS, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
        look()
      }
    }
  } finally {
    stop()
    signal.removeEventListener('abort', look)
  }
}
