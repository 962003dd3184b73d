/** The conditions of a pod that the node writes: the steps from a sandbox to serving, each true or false with the reason why. */
import type { Container, ContainerStatus, Pod, PodCondition } from '../api/generated/core/v1.ts'
import { isTerminalPhase, type PodPhase } from './pod-phase.ts'
import { isSidecar } from './restart-policy.ts'

/** Without times: those are set where the change is seen. */
type Verdict = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>

/** The conditions that the node owns; all others are their owners' and left alone. */
export const NODE_CONDITIONS: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  'PodResizePending',
  'PodResizeInProgress',
])

export interface ConditionInput {
  readonly pod: Pod
  readonly phase: PodPhase
  readonly init: readonly ContainerStatus[]
  readonly regular: readonly ContainerStatus[]
  /** The sandbox and its network stand. */
  readonly isSandboxReady: boolean
  /** A running container has not got its new resources yet; why not, when that failed. */
  readonly resize: { readonly problem: string } | undefined
  /** Conditions that others wrote: readiness gates are among them. */
  readonly foreign: readonly PodCondition[]
}

export function podConditions(input: ConditionInput): Verdict[] {
  const containersReady = containersReadyCondition(input)
  const resizing: Verdict[] = input.resize
    ? [{ type: 'PodResizeInProgress', status: 'True', ...(input.resize.problem ? { reason: 'Error', message: input.resize.problem } : {}) }]
    : []
  return [
    ...resizing,
    { type: 'PodReadyToStartContainers', status: input.isSandboxReady ? 'True' : 'False' },
    initializedCondition(input),
    readyCondition(input, containersReady),
    containersReady,
    { type: 'PodScheduled', status: 'True' },
  ]
}

const list = (names: readonly string[]): string => `[${names.join(' ')}]`

const describe = (unknown: readonly string[], others: readonly string[], word: string): string => {
  const parts: string[] = []
  if (unknown.length > 0) parts.push(`containers with unknown status: ${list(unknown)}`)
  if (others.length > 0) parts.push(`containers with ${word} status: ${list(others)}`)
  return parts.join(', ')
}

const sort = (
  containers: readonly Container[],
  statuses: readonly ContainerStatus[],
  isDone: (container: Container, status: ContainerStatus) => boolean,
) => {
  const unknown: string[] = []
  const open: string[] = []
  for (const container of containers) {
    const status = statuses.find(({ name }) => name === container.name)
    if (!status) unknown.push(container.name)
    else if (!isDone(container, status)) open.push(container.name)
  }
  return { unknown, open }
}

const terminal = (type: string, phase: 'Succeeded' | 'Failed'): Verdict => ({
  type,
  status: 'False',
  reason: phase === 'Failed' ? 'PodFailed' : 'PodCompleted',
})

function containersReadyCondition({ pod, phase, init, regular }: ConditionInput): Verdict {
  const type = 'ContainersReady'
  const spec = pod.spec!
  const wanted = [...(spec.initContainers ?? []).filter(isSidecar), ...(spec.containers ?? [])]
  const { unknown, open } = sort(wanted, [...init, ...regular], (_, status) => status.ready)
  if (isTerminalPhase(phase) && (phase === 'Failed' || unknown.length === 0)) return terminal(type, phase)
  const message = describe(unknown, open, 'unready')
  return message ? { type, status: 'False', reason: 'ContainersNotReady', message } : { type, status: 'True' }
}

function readyCondition({ pod, foreign }: ConditionInput, containersReady: Verdict): Verdict {
  const type = 'Ready'
  if (containersReady.status !== 'True') return { ...containersReady, type }
  const messages: string[] = []
  for (const { conditionType } of pod.spec?.readinessGates ?? []) {
    const gate = foreign.find((condition) => condition.type === conditionType)
    if (!gate) messages.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`)
    else if (gate.status !== 'True') messages.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`)
  }
  return messages.length > 0
    ? { type, status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') }
    : { type, status: 'True' }
}

function initializedCondition({ pod, phase, init, regular }: ConditionInput): Verdict {
  const type = 'Initialized'
  const { unknown, open } = sort(pod.spec?.initContainers ?? [], init, (container, status) =>
    isSidecar(container) ? status.started === true : status.ready,
  )
  if (phase === 'Succeeded' && unknown.length === 0) return { type, status: 'True', reason: 'PodCompleted' }
  const hasStarted = regular.some(
    (status) => status.state?.running || status.state?.terminated || status.lastState?.terminated || status.started,
  )
  if (hasStarted) return { type, status: 'True' }
  const message = describe(unknown, open, 'incomplete')
  return message ? { type, status: 'False', reason: 'ContainersNotInitialized', message } : { type, status: 'True' }
}
