/** The phase of a pod from its container statuses: Pending, Running, Succeeded or Failed. */
import type { Container, ContainerStatus, Pod } from '../api/generated/core/v1.ts'
import { isSidecar, restartsAfterExit } from './restart-policy.ts'

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'

export const isTerminalPhase = (phase: string | undefined): phase is 'Succeeded' | 'Failed' => phase === 'Succeeded' || phase === 'Failed'

type Progress = 'unknown' | 'waiting' | 'running' | 'ended'

interface View {
  readonly progress: Progress
  readonly exitCode: number
}

const UNKNOWN: View = { progress: 'unknown', exitCode: 0 }

/** One that waits after a run counts as ended by that run. */
function viewOf(status: ContainerStatus | undefined): View {
  if (!status) return UNKNOWN
  if (status.state?.running) return { progress: 'running', exitCode: 0 }
  if (status.state?.terminated) return { progress: 'ended', exitCode: status.state.terminated.exitCode }
  if (!status.state?.waiting) return UNKNOWN
  const last = status.lastState?.terminated
  return last ? { progress: 'ended', exitCode: last.exitCode } : { progress: 'waiting', exitCode: 0 }
}

/**
 * `isTerminal`: nothing will be started any more. `hasRegularStarted`: a regular container was created, so that a sidecar that
 * has not started again no longer makes the pod Pending.
 */
export function phaseOf(pod: Pod, statuses: readonly ContainerStatus[], isTerminal: boolean, hasRegularStarted: boolean): PodPhase {
  const spec = pod.spec!
  const find = (container: Container) => statuses.find((status) => status.name === container.name)
  let isInitPending = false
  let isSidecarPending = false
  let hasInitFailed = false
  let unknown = 0
  let running = 0
  let waiting = 0
  const ended: { readonly exitCode: number; readonly restarts: boolean }[] = []

  for (const container of spec.initContainers ?? []) {
    const status = find(container)
    const view = viewOf(status)
    if (isSidecar(container)) {
      if (view.progress === 'unknown') unknown++
      if (view.progress === 'running') running++
      if (view.progress === 'waiting') waiting++
      if (
        view.progress === 'unknown'
          ? status !== undefined
          : view.progress === 'waiting' || (view.progress === 'running' && !status?.started)
      )
        isSidecarPending = true
    } else if (view.progress !== 'ended') isInitPending = true
    else if (view.exitCode !== 0 && !restartsAfterExit(container, spec, view.exitCode)) hasInitFailed = true
  }
  for (const container of spec.containers ?? []) {
    const view = viewOf(find(container))
    if (view.progress === 'unknown') unknown++
    else if (view.progress === 'running') running++
    else if (view.progress === 'waiting') waiting++
    else ended.push({ exitCode: view.exitCode, restarts: restartsAfterExit(container, spec, view.exitCode) })
  }

  if (hasInitFailed) return 'Failed'
  if (isInitPending || (isSidecarPending && !hasRegularStarted) || waiting > 0) return 'Pending'
  if (running > 0 && unknown === 0) return 'Running'
  if (ended.length === 0 || unknown > 0) return 'Pending'
  if (!isTerminal && ended.some((run) => run.restarts)) return 'Running'
  return ended.every((run) => run.exitCode === 0) ? 'Succeeded' : 'Failed'
}
