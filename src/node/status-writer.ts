/**
 * Brings the API's copy of one pod's status to the wanted one: at most one write under way, the newest wanted status wins, and
 * nothing is written that the API has already.
 */
import type { Pod, PodStatus } from '../api/generated/core/v1.ts'
import { isApiError } from '../api/status.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import { revisionOf } from '../client/informer.ts'
import { podStatusPatch } from './pod-status.ts'

export interface StatusWriter {
  /** The pod as the API last told, by watch or by the answer to a write. */
  readonly pod: Pod
  /** Newer news from the watch. */
  saw(pod: Pod): void
  want(status: PodStatus): void
  /** Resolves when the API holds what was wanted last, or the pod is no more. */
  flush(): Promise<void>
}

/** How long a pod that does not run yet is waited for: most that start do so at once, and one write tells it all. */
const PENDING_MS = 10
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000

export function createStatusWriter(runtime: Runtime, client: Client, first: Pod, signal: AbortSignal): StatusWriter {
  let pod = first
  let wanted: PodStatus | undefined
  let writing: Promise<void> | undefined
  let isGone = false

  const saw = (next: Pod): void => {
    if (next.metadata?.uid === pod.metadata?.uid && revisionOf(next) >= revisionOf(pod)) pod = next
  }

  async function write(): Promise<void> {
    let retryMs = RETRY_MS
    while (wanted && !isGone && !signal.aborted) {
      const patch = podStatusPatch(pod, wanted)
      if (!patch) return
      try {
        const key = { namespace: pod.metadata?.namespace, name: pod.metadata?.name ?? '' }
        saw(await client.patch('v1/Pod', key, 'strategic', patch, { subresource: 'status' }))
        retryMs = RETRY_MS
      } catch (error) {
        // A conflict here means another uid: a new pod of the same name.
        if (isApiError(error, 'NotFound', 'Conflict')) isGone = true
        else {
          runtime.log.warn('pod status not written', { pod: pod.metadata?.name, namespace: pod.metadata?.namespace, error: String(error) })
          await sleep(runtime.clock, retryMs, signal).catch((reason: unknown) => {
            if (!signal.aborted) throw reason
          })
          retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
        }
      }
    }
  }

  let cancelWait: (() => void) | undefined

  function begin(): void {
    cancelWait?.()
    cancelWait = undefined
    writing ??= write().finally(() => (writing = undefined))
  }

  return {
    get pod() {
      return pod
    },
    saw,
    want(status) {
      wanted = status
      if (writing) return
      if (status.phase === 'Pending') cancelWait ??= runtime.clock.setTimeout(begin, PENDING_MS)
      else begin()
    },
    async flush() {
      if (cancelWait) begin()
      while (writing) await writing
    },
  }
}
