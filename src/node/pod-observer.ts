/**
 * What the runtime says of one pod, kept by events: each tells which container or sandbox to look at again, nothing is polled.
 * A container that was seen to end never runs again in here, whatever answer overtakes another.
 */
import type { ContainerStatus, SandboxStatus } from './container-runtime.ts'
import { RuntimeError } from './container-runtime.ts'
import { TERMINATION_MESSAGE_FILE_ANNOTATION, TERMINATION_MESSAGE_POLICY_ANNOTATION, identityOfLabels } from './identity.ts'
import { lastText } from './log-format.ts'
import type { NodeContext } from './node-context.ts'
import { byAge, type PodObservation } from './observation.ts'

export interface PodObserver {
  readonly current: PodObservation
  /** Termination messages by container id. */
  readonly messages: ReadonlyMap<string, string>
  has(id: string): boolean
  refreshContainer(id: string): Promise<void>
  refreshSandbox(id: string): Promise<void>
  /** Asks for everything anew: at the start and before the end. */
  relist(): Promise<void>
  forgetContainer(id: string): void
  /** Resolves when this run of a container has ended or is forgotten. */
  ended(id: string): Promise<void>
}

const MAX_MESSAGE_BYTES = 4096
const MAX_FALLBACK_BYTES = 2048
const MAX_FALLBACK_LINES = 80
const decoder = new TextDecoder()

export const isMissing = (error: unknown): boolean => error instanceof RuntimeError && error.code === 'NotFound'

export function createPodObserver(node: NodeContext, uid: string): PodObserver {
  const sandboxes = new Map<string, SandboxStatus>()
  const containers = new Map<string, ContainerStatus>()
  const messages = new Map<string, string>()
  const waiting = new Set<{ readonly id: string; readonly resolve: () => void }>()
  let current: PodObservation = { sandboxes: [], containers: [] }

  const hasEnded = (id: string): boolean => {
    const state = containers.get(id)?.state
    return state === undefined || state === 'EXITED'
  }

  function rebuild(): void {
    current = { sandboxes: [...sandboxes.values()].toSorted(byAge), containers: [...containers.values()].toSorted(byAge) }
    for (const waiter of waiting) {
      if (!hasEnded(waiter.id)) continue
      waiting.delete(waiter)
      waiter.resolve()
    }
  }

  async function terminationMessage(status: ContainerStatus): Promise<string> {
    const file = status.annotations[TERMINATION_MESSAGE_FILE_ANNOTATION]
    const data = file === undefined ? undefined : await node.host.readTail(file, MAX_MESSAGE_BYTES)
    if (data && data.length > 0) return decoder.decode(data)
    const policy = status.annotations[TERMINATION_MESSAGE_POLICY_ANNOTATION]
    if (policy !== 'FallbackToLogsOnError' || status.exitCode === 0 || status.logPath === '') return ''
    const log = await node.host.readTail(status.logPath, MAX_FALLBACK_BYTES * 4)
    if (!log) return ''
    return lastText(log, MAX_FALLBACK_LINES, MAX_FALLBACK_BYTES)
  }

  async function refreshContainer(id: string): Promise<void> {
    let status: ContainerStatus
    try {
      status = await node.containers.containerStatus(id)
    } catch (error) {
      if (!isMissing(error)) throw error
      containers.delete(id)
      rebuild()
      return
    }
    if (status.state === 'EXITED' && !messages.has(id)) {
      const message = await terminationMessage(status).catch((error: unknown) => `Error on reading termination log: ${String(error)}`)
      messages.set(id, message)
    }
    if (containers.get(id)?.state === 'EXITED' && status.state !== 'EXITED') return
    containers.set(id, status)
    rebuild()
  }

  async function refreshSandbox(id: string): Promise<void> {
    try {
      sandboxes.set(id, await node.containers.podSandboxStatus(id))
    } catch (error) {
      if (!isMissing(error)) throw error
      sandboxes.delete(id)
    }
    rebuild()
  }

  return {
    get current() {
      return current
    },
    messages,
    has: (id) => containers.has(id) || sandboxes.has(id),
    refreshContainer,
    refreshSandbox,
    async relist() {
      const [listedSandboxes, listedContainers] = await Promise.all([node.containers.listPodSandboxes(), node.containers.listContainers()])
      const isOwn = ({ labels }: { readonly labels: Readonly<Record<string, string>> }) => identityOfLabels(labels)?.uid === uid
      const ownSandboxes = listedSandboxes.filter(isOwn).map(({ id }) => id)
      const ownContainers = listedContainers.filter(isOwn).map(({ id }) => id)
      for (const id of sandboxes.keys()) if (!ownSandboxes.includes(id)) sandboxes.delete(id)
      for (const id of containers.keys()) if (!ownContainers.includes(id)) containers.delete(id)
      rebuild()
      await Promise.all([...ownSandboxes.map(refreshSandbox), ...ownContainers.map(refreshContainer)])
    },
    ended: (id) => (hasEnded(id) ? Promise.resolve() : new Promise((resolve) => waiting.add({ id, resolve }))),
    forgetContainer(id) {
      containers.delete(id)
      messages.delete(id)
      rebuild()
    },
  }
}
