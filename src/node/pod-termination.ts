/**
 * Ends the containers of a pod: hooks, then the stop signal, then the kill when the grace is over; sidecars after the containers
 * that they serve, the last first. Used for deleted pods, for finished ones and for single containers that failed a probe.
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import { sleep, type Clock } from '../base/clock.ts'
import type { ContainerStatus } from './container-runtime.ts'
import { runHook } from './hooks.ts'
import { CONTAINER_NAME_LABEL } from './identity.ts'
import type { NodeContext } from './node-context.ts'
import { isMissing } from './pod-observer.ts'
import type { PodEvents } from './pod-events.ts'
import { probeOf } from './probes.ts'
import { isSidecar } from './restart-policy.ts'

/** No container is ended without this much time to see the signal. */
const MINIMUM_GRACE_SECONDS = 1
const DEFAULT_GRACE_SECONDS = 30
const RETRY_MS = 1000

export const findContainer = (pod: Pod, name: string): Container | undefined =>
  [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? []), ...(pod.spec?.ephemeralContainers ?? [])].find(
    (container) => container.name === name,
  )

/** How long a pod may take to end: what its deletion says, else its spec. */
export const podGraceSeconds = (pod: Pod): number =>
  Math.max(
    pod.metadata?.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS,
    MINIMUM_GRACE_SECONDS,
  )

export function killGraceSeconds(pod: Pod, container: Container | undefined, reason: 'startupProbe' | 'livenessProbe' | 'unknown'): number {
  const probe = container && reason !== 'unknown' ? probeOf(container, reason === 'startupProbe' ? 'startup' : 'liveness') : undefined
  return probe?.terminationGracePeriodSeconds ?? podGraceSeconds(pod)
}

/** What a promise resolves to, or undefined when it takes longer. */
function within<T>(clock: Clock, promise: Promise<T>, limitMs: number): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.setTimeout(() => resolve(undefined), limitMs)
    promise.then(resolve, reject).finally(cancel)
  })
}

export interface KillRequest {
  readonly node: NodeContext
  readonly pod: Pod
  readonly events: PodEvents
  readonly status: ContainerStatus
  readonly message: string
  readonly graceSeconds: number
  readonly podIP: string | undefined
  /** Resolves when those that must end before this one have. */
  readonly turn?: Promise<void>
  readonly signal: AbortSignal
}

export async function killContainer({ node, pod, events, status, message, graceSeconds, podIP, turn, signal }: KillRequest): Promise<void> {
  const { clock, log } = node.runtime
  const { name } = status.metadata
  const container = findContainer(pod, name)
  events.container(name)('Normal', 'Killing', message)
  const untilMs = clock.monotonic() + graceSeconds * 1000
  const timeLeft = () => Math.max(0, untilMs - clock.monotonic())
  const preStop = container?.lifecycle?.preStop
  if (preStop && container && status.state === 'RUNNING') {
    const hook = runHook(node, preStop, { pod, container, containerId: status.id, podIP }, signal)
    const failed = await within(clock, hook, timeLeft())
    if (failed !== undefined) {
      log.info('preStop hook failed', { pod: pod.metadata?.name, container: name })
      events.container(name)('Warning', 'FailedPreStopHook', 'PreStopHook failed')
    }
  }
  if (turn && timeLeft() > 0) await within(clock, turn, timeLeft())
  while (!signal.aborted) {
    try {
      await node.containers.stopContainer(status.id, Math.max(Math.floor(timeLeft() / 1000), MINIMUM_GRACE_SECONDS))
      return
    } catch (error) {
      if (isMissing(error)) return
      log.warn('container not stopped', { pod: pod.metadata?.name, container: name, error: String(error) })
      await sleep(clock, RETRY_MS, signal)
    }
  }
}

/** Ends all that run; resolves when they have. */
export async function killAll(
  request: Omit<KillRequest, 'status' | 'message' | 'turn'>,
  running: readonly ContainerStatus[],
): Promise<void> {
  const { pod } = request
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name)
  const orderOf = (status: ContainerStatus) => sidecars.indexOf(status.labels[CONTAINER_NAME_LABEL] ?? status.metadata.name)
  const kill = (status: ContainerStatus, turn?: Promise<void>) =>
    killContainer({ ...request, status, message: `Stopping container ${status.metadata.name}`, ...(turn ? { turn } : {}) })
  let before: Promise<void> = Promise.all(running.filter((status) => orderOf(status) < 0).map((status) => kill(status))).then(
    () => undefined,
  )
  const all = [before]
  for (const status of running.filter((candidate) => orderOf(candidate) >= 0).toSorted((a, b) => orderOf(b) - orderOf(a))) {
    before = kill(status, before)
    all.push(before)
  }
  await Promise.all(all)
}
