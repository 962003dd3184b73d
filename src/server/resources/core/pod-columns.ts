/**
 * What `kubectl get pods` shows. The STATUS column is no field: it is the most telling word that can be found in the phase, the
 * conditions and the states of the containers (upstream's printers.printPod), computed here in one pass.
 */
import type { Container, ContainerStatus, Pod } from '../../../api/generated/core/v1.ts'
import { ageColumn, nameColumn, text, wide } from '../columns.ts'
import { timeSince } from '../duration.ts'
import type { Column } from '../../resource.ts'

interface PodSummary {
  readonly ready: number
  readonly total: number
  readonly reason: string
  readonly restarts: number
  readonly lastRestart: string
}

export const isRestartable = (container: Container | undefined): boolean => container?.restartPolicy === 'Always'

export const hasCondition = (pod: Pod, type: string): boolean =>
  (pod.status?.conditions ?? []).find((condition) => condition.type === type)?.status === 'True'

/** The later of two RFC 3339 times; "" is before all. */
const later = (a: string, b: string | undefined): string => (b !== undefined && (a === '' || Date.parse(b) > Date.parse(a)) ? b : a)

const finishedAt = (status: ContainerStatus): string | undefined => status.lastState?.terminated?.finishedAt ?? undefined

function terminationReason(terminated: NonNullable<NonNullable<ContainerStatus['state']>['terminated']>): string {
  return terminated.reason || (terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode ?? 0}`)
}

/** What an unfinished init container says, or undefined when it does not hold the pod up. */
function initReason(status: ContainerStatus, container: Container | undefined, position: string): string | undefined {
  const { terminated, waiting } = status.state ?? {}
  if (terminated && !terminated.exitCode) return undefined
  if (isRestartable(container) && status.started) return undefined
  if (terminated) return `Init:${terminationReason(terminated)}`
  if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`
  return `Init:${position}`
}

function summarise(pod: Pod): PodSummary {
  const spec = pod.spec
  const status = pod.status
  const initContainers = spec?.initContainers ?? []
  const total = (spec?.containers ?? []).length + initContainers.filter(isRestartable).length
  let ready = 0
  let reason = status?.reason || status?.phase || ''
  if (status?.conditions?.some((condition) => condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated'))
    reason = 'SchedulingGated'

  let restarts = 0
  let lastRestart = ''
  // Restarts of init containers count only while the pod initialises; those of sidecars always.
  let sidecarRestarts = 0
  let lastSidecarRestart = ''
  let isInitializing = false
  for (const [index, init] of (status?.initContainerStatuses ?? []).entries()) {
    const container = initContainers.find(({ name }) => name === init.name)
    restarts += init.restartCount ?? 0
    lastRestart = later(lastRestart, finishedAt(init))
    if (isRestartable(container)) {
      sidecarRestarts += init.restartCount ?? 0
      lastSidecarRestart = later(lastSidecarRestart, finishedAt(init))
    }
    const why = initReason(init, container, `${index}/${initContainers.length}`)
    if (why !== undefined) {
      reason = why
      isInitializing = true
      break
    }
    if (isRestartable(container) && init.started && init.ready && init.state?.terminated?.exitCode !== 0) ready++
  }

  if (!isInitializing || hasCondition(pod, 'Initialized')) {
    restarts = sidecarRestarts
    lastRestart = lastSidecarRestart
    let hasRunning = false
    let errorReason = ''
    // From the last to the first, so that the first container has the last word.
    for (const container of (status?.containerStatuses ?? []).toReversed()) {
      restarts += container.restartCount ?? 0
      lastRestart = later(lastRestart, finishedAt(container))
      const { waiting, terminated, running } = container.state ?? {}
      if (waiting?.reason) reason = waiting.reason
      else if (terminated) {
        reason = terminationReason(terminated)
        if (terminated.exitCode) errorReason = reason
      } else if (container.ready && running) {
        hasRunning = true
        ready++
      }
    }
    if (reason === 'Completed') {
      if (hasRunning && hasCondition(pod, 'Ready')) reason = 'Running'
      else if (errorReason) reason = errorReason
      else if (hasRunning) reason = 'NotReady'
    }
  }

  if (pod.metadata?.deletionTimestamp) {
    if (status?.reason === 'NodeLost') reason = 'Unknown'
    else if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') reason = 'Terminating'
  }
  return { ready, total, reason, restarts, lastRestart }
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? []
  return gates.length === 0 ? '<none>' : `${gates.filter((gate) => hasCondition(pod, gate.conditionType)).length}/${gates.length}`
}

export const podColumns: readonly Column<Pod>[] = [
  nameColumn,
  text(
    'Ready',
    (pod) => {
      const { ready, total } = summarise(pod)
      return `${ready}/${total}`
    },
    'Containers that are ready, of all.',
  ),
  text('Status', (pod) => summarise(pod).reason, 'The most telling word about the state of the pod.'),
  text(
    'Restarts',
    (pod, nowMs) => {
      const { restarts, lastRestart } = summarise(pod)
      return restarts !== 0 && lastRestart !== '' ? `${restarts} (${timeSince(lastRestart, nowMs)} ago)` : String(restarts)
    },
    'How often containers were restarted, and when last.',
  ),
  ageColumn,
  wide(text('IP', (pod) => pod.status?.podIPs?.[0]?.ip || '<none>')),
  wide(text('Node', (pod) => pod.spec?.nodeName || '<none>')),
  wide(text('Nominated Node', (pod) => pod.status?.nominatedNodeName || '<none>')),
  wide(text('Readiness Gates', readinessGates)),
]

export const podRowConditions = (pod: Pod) =>
  pod.status?.phase === 'Succeeded'
    ? [{ type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' }]
    : pod.status?.phase === 'Failed'
      ? [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }]
      : []
