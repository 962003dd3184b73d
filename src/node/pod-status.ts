/**
 * The status of a pod, and the patch that brings the API to it. Pure. A status never goes back from Succeeded or Failed, and
 * conditions of others are neither written nor removed, so that two writers never undo each other.
 */
import type { ContainerStatus as ApiContainerStatus, Pod, PodCondition, PodStatus } from '../api/generated/core/v1.ts'
import { deepEqual } from '../base/deep-equal.ts'
import { containerStatuses, type StatusInput } from './container-statuses.ts'
import { newestContainer } from './observation.ts'
import { NODE_CONDITIONS, podConditions } from './pod-conditions.ts'
import { isTerminalPhase, phaseOf } from './pod-phase.ts'
import { planSandbox } from './pod-plan.ts'
import { qosClass } from './resources.ts'
import { isSidecar } from './restart-policy.ts'

export interface PodStatusInput extends StatusInput {
  readonly hostIPs: readonly string[]
  /** When the node took the pod up, as metav1.Time. */
  readonly startTime: string
  /** The time now, as metav1.Time. */
  readonly now: string
  /** Nothing will be started any more. */
  readonly isTerminal: boolean
  /** The node never took it up: there is nothing to tell of containers. */
  readonly isRejected: boolean
  readonly resize: { readonly problem: string } | undefined
  /** The node decided that the pod failed (deadline, admission). */
  readonly failure?: { readonly reason: string; readonly message: string; readonly disruption?: string } | undefined
}

const DISRUPTION = 'DisruptionTarget'
const BY_KUBELET = 'TerminationByKubelet'

/** A disruption is whoever's causes it. */
const isOwn = ({ type, reason }: PodCondition): boolean => NODE_CONDITIONS.has(type) || (type === DISRUPTION && reason === BY_KUBELET)

export function podStatus(input: PodStatusInput): PodStatus {
  const { pod, observed, previous } = input
  if (input.isRejected) return rejectedStatus(input)
  const spec = pod.spec!
  const initNow = containerStatuses(input, spec.initContainers ?? [], previous.initContainerStatuses, 'init')
  const regularNow = containerStatuses(input, spec.containers ?? [], previous.containerStatuses, 'regular')
  // What has never begun still waits when all is over.
  const lastBegun = Math.max(initNow.findLastIndex(hasBegun), 0)
  const init = input.isTerminal ? initNow.map((status, index) => (index <= lastBegun ? asEnded(status) : status)) : initNow
  const regular = input.isTerminal && wasInitialized(pod, initNow, regularNow) ? regularNow.map(asEnded) : regularNow
  const ephemeral = containerStatuses(input, spec.ephemeralContainers ?? [], previous.ephemeralContainerStatuses, 'ephemeral')
  const hasRegularStarted = (spec.containers ?? []).some(
    ({ name }) => newestContainer(observed, name)?.state === 'RUNNING' || newestContainer(observed, name)?.state === 'CREATED',
  )
  const ended = [previous.phase, pod.status?.phase].find(isTerminalPhase)
  const found = input.failure ? 'Failed' : phaseOf(pod, [...init, ...regular], input.isTerminal, hasRegularStarted)
  // A pod that was ended before it came to anything has failed.
  const phase = ended ?? (input.isTerminal && !isTerminalPhase(found) ? 'Failed' : found)

  const foreign = (pod.status?.conditions ?? []).filter((condition) => !isOwn(condition))
  const verdicts = podConditions({
    pod,
    phase,
    init,
    regular,
    isSandboxReady: !planSandbox(pod, observed).isNeeded,
    foreign,
    resize: input.resize,
  })
  if (input.failure?.disruption) verdicts.push({ type: DISRUPTION, status: 'True', reason: BY_KUBELET, message: input.failure.disruption })
  const conditions = verdicts.map((verdict) => conditionAt(verdict, previous.conditions ?? [], input))
  const keepsReason = phase === previous.phase
  const reason = input.failure?.reason ?? (keepsReason ? previous.reason : undefined)
  const message = input.failure?.message ?? (keepsReason ? previous.message : undefined)
  const ips = podIPs(input)
  const generation = pod.metadata?.generation
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    conditions: [...foreign, ...conditions],
    ...(message ? { message } : {}),
    ...(reason ? { reason } : {}),
    ...(input.hostIPs[0] === undefined ? {} : { hostIP: input.hostIPs[0], hostIPs: input.hostIPs.map((ip) => ({ ip })) }),
    ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    startTime: pod.status?.startTime ?? input.startTime,
    ...(init.length > 0 ? { initContainerStatuses: init } : {}),
    containerStatuses: regular,
    qosClass: pod.status?.qosClass ?? qosClass(pod),
    ...(ephemeral.length > 0 ? { ephemeralContainerStatuses: ephemeral } : {}),
  }
}

/** As upstream's kubelet leaves a pod that it does not admit. */
function rejectedStatus({ pod, failure, startTime }: PodStatusInput): PodStatus {
  const { conditions, startTime: known, reason, message } = pod.status ?? {}
  const generation = pod.metadata?.generation
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase: 'Failed',
    ...(conditions ? { conditions } : {}),
    ...(failure
      ? { reason: failure.reason, message: failure.message }
      : { ...(reason ? { reason } : {}), ...(message ? { message } : {}) }),
    startTime: known ?? startTime,
    qosClass: pod.status?.qosClass ?? qosClass(pod),
  }
}

const hasBegun = ({ state, lastState }: ApiContainerStatus): boolean => !state?.waiting || lastState?.terminated !== undefined

/** Whether the pod's own containers were ever due. */
function wasInitialized(pod: Pod, init: readonly ApiContainerStatus[], regular: readonly ApiContainerStatus[]): boolean {
  const last = pod.spec?.initContainers?.at(-1)
  if (!last || regular.some(hasBegun)) return true
  const status = init.at(-1)
  if (isSidecar(last)) return status?.state?.running !== undefined && status.started === true
  return status?.state?.terminated?.exitCode === 0 || status?.lastState?.terminated?.exitCode === 0
}

/** Once all is over nothing waits any more: of what nothing is known is said to have ended badly. */
function asEnded(status: ApiContainerStatus): ApiContainerStatus {
  if (status.state?.terminated) return status
  const message = 'The container could not be located when the pod was terminated'
  return { ...status, state: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message } }, ready: false, started: false }
}

function podIPs({ pod, observed, hostIPs, previous }: PodStatusInput): readonly string[] {
  if (pod.spec?.hostNetwork) return hostIPs
  const newest = observed.sandboxes[0]
  if (newest && newest.ips.length > 0) return newest.ips
  // The last known addresses stay until the pod has others: those who clean up after it look for them.
  return (previous.podIPs ?? []).map(({ ip }) => ip ?? '').filter((ip) => ip !== '')
}

function conditionAt(
  verdict: Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>,
  previous: readonly PodCondition[],
  input: PodStatusInput,
): PodCondition {
  const before = previous.find((condition) => condition.type === verdict.type)
  const generation = input.pod.metadata?.generation
  return {
    type: verdict.type,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    status: verdict.status,
    lastTransitionTime: before?.status === verdict.status && before.lastTransitionTime ? before.lastTransitionTime : input.now,
    ...(verdict.reason ? { reason: verdict.reason } : {}),
    ...(verdict.message ? { message: verdict.message } : {}),
  }
}

/** Lists that a strategic merge would otherwise only add to. */
const REPLACED_LISTS: ReadonlySet<string> = new Set(['podIPs', 'hostIPs'])

/**
 * The strategic merge patch from what the API holds to what it should, or undefined when they agree. It names the uid, so that
 * it fails on another pod of the same name.
 */
export function podStatusPatch(pod: Pod, next: PodStatus): { metadata: { uid: string }; status: Record<string, unknown> } | undefined {
  const current: PodStatus = pod.status ?? {}
  const status: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(next)) {
    if (field === 'conditions') continue
    const now = current[field as keyof PodStatus]
    if (deepEqual(now, value)) continue
    status[field] = REPLACED_LISTS.has(field) && now !== undefined ? [...(value as unknown[]), { $patch: 'replace' }] : value
  }
  for (const field of ['reason', 'message'] as const) if (current[field] && !next[field]) status[field] = null
  const conditions: Record<string, unknown>[] = []
  for (const condition of next.conditions ?? []) {
    if (!isOwn(condition)) continue
    const now = current.conditions?.find(({ type }) => type === condition.type)
    if (now && !conditionDiffers(now, condition)) continue
    const patch: Record<string, unknown> = { ...condition }
    if (now?.reason && !condition.reason) patch['reason'] = null
    if (now?.message && !condition.message) patch['message'] = null
    conditions.push(patch)
  }
  for (const { type } of current.conditions ?? [])
    if (NODE_CONDITIONS.has(type) && !next.conditions?.some((condition) => condition.type === type))
      conditions.push({ $patch: 'delete', type })
  if (conditions.length > 0) status['conditions'] = conditions
  return Object.keys(status).length > 0 ? { metadata: { uid: pod.metadata?.uid ?? '' }, status } : undefined
}

/** Times apart: a condition whose word is the same has not changed. */
const conditionDiffers = (a: PodCondition, b: PodCondition): boolean =>
  a.status !== b.status ||
  (a.reason ?? '') !== (b.reason ?? '') ||
  (a.message ?? '') !== (b.message ?? '') ||
  a.observedGeneration !== b.observedGeneration
