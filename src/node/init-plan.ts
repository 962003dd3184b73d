/**
 * Which init container is next: one after the other, each to its end, but that sidecars (KEP-753) need only have started for
 * the next to begin, and run for as long as the pod does. Read from the last container to the first, because the latest that
 * exists tells how far the pod has come.
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import type { ContainerStatus } from './container-runtime.ts'
import { containerHash, CONTAINER_HASH_ANNOTATION } from './identity.ts'
import { newestContainer, type PodObservation, type ProbeResults } from './observation.ts'
import type { Kill } from './pod-plan.ts'
import { isSidecar, restartsAfterExit } from './restart-policy.ts'

export interface InitPlan {
  /** Every init container has done its part: the regular ones may start. */
  readonly isInitialized: boolean
  /** One failed for good, and so has the pod. */
  readonly hasFailed: boolean
  /** Names, in order. */
  readonly start: readonly string[]
  readonly kill: readonly Kill[]
}

export const hasChanged = (container: Container, status: ContainerStatus): boolean => {
  const hash = status.annotations[CONTAINER_HASH_ANNOTATION]
  return hash !== undefined && hash !== containerHash(container)
}

export function planInitContainers(pod: Pod, observed: PodObservation, probes: ProbeResults): InitPlan {
  const containers = pod.spec?.initContainers ?? []
  if (containers.length === 0) return { isInitialized: true, hasFailed: false, start: [], kill: [] }

  let isInitialized = (pod.spec?.containers ?? []).some(({ name }) => {
    const state = newestContainer(observed, name)?.state
    return state === 'CREATED' || state === 'RUNNING'
  })
  // Set once a later container, or a regular one, exists: everything before it was done once.
  let isPast = isInitialized
  const start = new Set<number>()
  const kill: Kill[] = []
  const stopAndStart = (index: number, status: ContainerStatus, message: string, reason: Kill['reason']) => {
    kill.push({ containerId: status.id, name: containers[index]!.name, message, reason })
    start.add(index)
  }
  const next = (index: number) => {
    if (index === containers.length - 1) isInitialized = true
    else if (!isPast) start.add(index + 1)
  }

  for (let index = containers.length - 1; index >= 0; index--) {
    const container = containers[index]!
    const status = newestContainer(observed, container.name)
    if (!status) {
      if (isPast && isSidecar(container)) start.add(index)
      continue
    }
    if (isPast && !isSidecar(container)) continue
    switch (status.state) {
      case 'CREATED':
        start.add(index)
        break
      case 'RUNNING':
        if (isSidecar(container)) planRunningSidecar(container, status, index)
        break
      case 'EXITED':
        if (isSidecar(container)) start.add(index)
        else if (status.exitCode === 0) next(index)
        else if (restartsAfterExit(container, pod.spec!, status.exitCode)) start.add(index)
        else return { isInitialized: false, hasFailed: true, start: [], kill: [] }
        break
      case 'UNKNOWN':
        if (!isSidecar(container) && !restartsAfterExit(container, pod.spec!, 137))
          return { isInitialized: false, hasFailed: true, start: [], kill: [] }
        stopAndStart(index, status, 'Init container is in "unknown" state, try killing it before restart', 'unknown')
        break
    }
    isPast = true
  }
  if (!isPast) start.add(0)

  function planRunningSidecar(container: Container, status: ContainerStatus, index: number): void {
    if (container.startupProbe) {
      const started = probes.get(status.id, 'startup')
      if (started === 'failure') stopAndStart(index, status, `Init container ${container.name} failed startup probe`, 'startupProbe')
      if (started !== 'success') return
    }
    next(index)
    if (hasChanged(container, status)) stopAndStart(index, status, `Init container ${container.name} definition changed`, 'unknown')
    else if (container.livenessProbe && probes.get(status.id, 'liveness') === 'failure')
      stopAndStart(index, status, `Init container ${container.name} failed liveness probe`, 'livenessProbe')
  }

  return { isInitialized, hasFailed: false, start: [...start].toSorted((a, b) => a - b).map((index) => containers[index]!.name), kill }
}
