/** Writes the status of a static pod to its mirror in the API. The static pod itself is nowhere but here, with the status it has. */
import type { Pod, PodStatus } from '../../api/generated/core/v1.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Client } from '../../client/client.ts'
import { createStatusWriter, type StatusWriter } from '../status-writer.ts'

export interface MirrorWriter extends StatusWriter {
  sawMirror(mirror: Pod): void
  lostMirror(): void
}

export function createMirrorWriter(runtime: Runtime, client: Client, first: Pod, signal: AbortSignal): MirrorWriter {
  let pod = first
  let status: PodStatus | undefined
  let toMirror: StatusWriter | undefined
  let mirrorUid: string | undefined
  return {
    get pod() {
      return pod
    },
    saw(next) {
      pod = next
    },
    want(next) {
      status = next
      pod = { ...pod, status: next }
      toMirror?.want(next)
    },
    async flush() {
      await toMirror?.flush()
    },
    sawMirror(mirror) {
      if (toMirror && mirrorUid === mirror.metadata?.uid) return toMirror.saw(mirror)
      mirrorUid = mirror.metadata?.uid
      toMirror = createStatusWriter(runtime, client, mirror, signal)
      if (status) toMirror.want(status)
    },
    lostMirror() {
      toMirror = undefined
      mirrorUid = undefined
    },
  }
}
