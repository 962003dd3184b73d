/**
 * Decides what is next for a pod that shall run: from its spec, what the runtime says, the results of its probes, the time and
 * the back-off. No clock, no effects; every case is a row of the test's table. What must hold: a container is never started
 * while one of its name runs, nothing starts in a sandbox that is not ready, and a plan without actions either has a time to
 * wake or waits for an event. Termination is not here: once it begins it never turns back (see pod-termination.ts).
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import { goDuration } from '../base/go-duration.ts'
import { backOffUntil, type BackOff } from './back-off.ts'
import { describePod, identityOf, restartCountOf } from './identity.ts'
import { hasChanged, planInitContainers } from './init-plan.ts'
import { newestContainer, type PodObservation, type ProbeResults, type Waiting } from './observation.ts'
import { restartsAfterExit, wantsStart } from './restart-policy.ts'

export interface Kill {
  readonly containerId: string
  readonly name: string
  /** The text of the Killing event. */
  readonly message: string
  readonly reason: 'startupProbe' | 'livenessProbe' | 'unknown'
}

export type ContainerKind = 'init' | 'regular' | 'ephemeral'

export type PodAction =
  /** Ends all that is left of older sandboxes, then makes a new one. */
  | { readonly do: 'create-sandbox'; readonly attempt: number }
  | ({ readonly do: 'kill' } & Kill)
  | {
      readonly do: 'start'
      readonly name: string
      readonly kind: ContainerKind
      readonly restartCount: number | undefined
      /** When the run before this one ended: raises its back-off. */
      readonly failedAtMs: number | undefined
    }

/** A container whose start failed and when to try again. */
export interface Hold extends Waiting {
  readonly untilMs: number
}

export interface PodFacts {
  readonly pod: Pod
  readonly observed: PodObservation
  readonly probes: ProbeResults
  readonly nowMs: number
  readonly backOffs: ReadonlyMap<string, BackOff>
  readonly holds: ReadonlyMap<string, Hold>
  /** Containers that must be restarted to get their new resources. */
  readonly resizeRestarts: ReadonlySet<string>
}

export interface PodPlan {
  /** In order. */
  readonly actions: readonly PodAction[]
  /** Why containers that should run do not. */
  readonly waiting: ReadonlyMap<string, Waiting>
  /** Those that wait out a crash. */
  readonly crashing: readonly string[]
  /** When to look again though nothing happened. */
  readonly wakeAtMs: number | undefined
  /** Nothing runs and nothing will: the pod has come to its end. */
  readonly isFinished: boolean
}

const FINISHED: PodPlan = { actions: [], waiting: new Map(), crashing: [], wakeAtMs: undefined, isFinished: true }

/** Whether the pod needs a new sandbox, and its attempt number. */
export function planSandbox(pod: Pod, observed: PodObservation): { readonly isNeeded: boolean; readonly attempt: number } {
  const newest = observed.sandboxes[0]
  if (!newest) return { isNeeded: true, attempt: 0 }
  const attempt = newest.metadata.attempt
  const isUsable = newest.isReady && (pod.spec?.hostNetwork === true || newest.ips.length > 0)
  return isUsable ? { isNeeded: false, attempt } : { isNeeded: true, attempt: attempt + 1 }
}

const restartsAtAll = (pod: Pod): boolean =>
  pod.spec?.restartPolicy !== 'Never' ||
  [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].some((container) => container.restartPolicy)

export function planPod(facts: PodFacts): PodPlan {
  const { pod, observed, probes } = facts
  const containers = pod.spec?.containers ?? []
  const sandbox = planSandbox(pod, observed)
  if (sandbox.isNeeded) return planNewSandbox(facts, sandbox.attempt)

  const kills: Kill[] = []
  const starts: { container: Container; kind: ContainerKind }[] = []
  for (const container of pod.spec?.ephemeralContainers ?? [])
    if (!newestContainer(observed, container.name)) starts.push({ container, kind: 'ephemeral' })

  const init = planInitContainers(pod, observed, probes)
  if (init.hasFailed) return FINISHED
  kills.push(...init.kill)
  for (const name of init.start)
    starts.push({ container: pod.spec!.initContainers!.find((container) => container.name === name)!, kind: 'init' })

  if (init.isInitialized) {
    let kept = 0
    let wanted = 0
    for (const container of containers) {
      const status = newestContainer(observed, container.name)
      if (status?.state !== 'RUNNING') {
        if (!wantsStart(container, pod, observed)) continue
        if (status?.state === 'UNKNOWN')
          kills.push({
            containerId: status.id,
            name: container.name,
            message: 'Container is in "unknown" state, try killing it before restart',
            reason: 'unknown',
          })
        starts.push({ container, kind: 'regular' })
        wanted++
        continue
      }
      const failed = planRunning(container, status.id, hasChanged(container, status), facts)
      if (!failed) {
        kept++
        continue
      }
      const restarts = failed.isChange || restartsAfterExit(container, pod.spec!, 137)
      kills.push({
        containerId: status.id,
        name: container.name,
        message: restarts ? `${failed.message}, will be restarted` : failed.message,
        reason: failed.reason,
      })
      if (restarts) {
        starts.push({ container, kind: 'regular' })
        wanted++
      }
    }
    // Ephemeral containers and sidecars do not keep a pod alive.
    if (kept === 0 && wanted === 0 && kills.length === 0) return FINISHED
  }
  return settle(facts, kills, starts)
}

function planRunning(
  container: Container,
  id: string,
  isChange: boolean,
  { probes, resizeRestarts }: PodFacts,
): { readonly message: string; readonly reason: Kill['reason']; readonly isChange: boolean } | undefined {
  if (isChange) return { message: `Container ${container.name} definition changed`, reason: 'unknown', isChange }
  if (resizeRestarts.has(container.name))
    return { message: `Container ${container.name} resize requires restart`, reason: 'unknown', isChange: true }
  if (probes.get(id, 'liveness') === 'failure')
    return { message: `Container ${container.name} failed liveness probe`, reason: 'livenessProbe', isChange }
  if (probes.get(id, 'startup') === 'failure')
    return { message: `Container ${container.name} failed startup probe`, reason: 'startupProbe', isChange }
  return undefined
}

/** A pod whose sandbox is gone gets a new one only when something is left to do in it. */
function planNewSandbox(facts: PodFacts, attempt: number): PodPlan {
  const { pod, observed } = facts
  if (!restartsAtAll(pod) && attempt !== 0 && observed.containers.length > 0) return FINISHED
  const isLeft = (pod.spec?.containers ?? []).some((container) => {
    const status = newestContainer(observed, container.name)
    return (
      !status ||
      !(status.state === 'EXITED' && status.exitCode === 0 && (container.restartPolicy ?? pod.spec?.restartPolicy) === 'OnFailure')
    )
  })
  if (!isLeft) return FINISHED
  const hold = facts.holds.get('')
  if (hold && hold.untilMs > facts.nowMs)
    return { actions: [], waiting: new Map(), crashing: [], wakeAtMs: hold.untilMs, isFinished: false }
  return { actions: [{ do: 'create-sandbox', attempt }], waiting: new Map(), crashing: [], wakeAtMs: undefined, isFinished: false }
}

/** Puts off what must wait: a crashed container for its back-off, one that could not start for its hold. */
function settle(facts: PodFacts, kills: readonly Kill[], starts: readonly { container: Container; kind: ContainerKind }[]): PodPlan {
  const { observed, pod, nowMs } = facts
  const actions: PodAction[] = kills.map((kill) => ({ do: 'kill', ...kill }))
  const killed = new Set(kills.map((kill) => kill.name))
  const waiting = new Map<string, Waiting>()
  const crashing: string[] = []
  let wakeAtMs: number | undefined
  const wakeAt = (atMs: number) => {
    wakeAtMs = wakeAtMs === undefined ? atMs : Math.min(wakeAtMs, atMs)
  }
  for (const { container, kind } of starts) {
    const { name } = container
    const hold = facts.holds.get(name)
    const status = newestContainer(observed, name)
    // A start comes after its kill has been seen to work: the next plan has it.
    if (killed.has(name)) continue
    const failedAtMs = status?.state === 'EXITED' ? status.finishedAtMs || status.createdAtMs : undefined
    const entry = facts.backOffs.get(name)
    const untilMs = failedAtMs === undefined ? undefined : backOffUntil(entry, failedAtMs, nowMs)
    if (hold && hold.untilMs > nowMs) {
      waiting.set(name, hold)
      wakeAt(hold.untilMs)
    } else if (untilMs !== undefined) {
      const message = `back-off ${goDuration(entry!.delayMs)} restarting failed container=${name} pod=${describePod(identityOf(pod))}`
      waiting.set(name, { reason: 'CrashLoopBackOff', message })
      crashing.push(name)
      wakeAt(untilMs)
    } else {
      if (hold) waiting.set(name, hold)
      actions.push({ do: 'start', name, kind, restartCount: status && restartCountOf(status) + 1, failedAtMs })
      continue
    }
    // An init container that cannot start holds up all that come after it, a sidecar does not.
    if (kind === 'init' && container.restartPolicy !== 'Always') break
  }
  return { actions, waiting, crashing, wakeAtMs, isFinished: false }
}
