/**
 * The scheduler: takes pods off the queue one by one, decides on a snapshot, assumes the pod on its node and binds it while the
 * next pod is decided. Decisions are in schedule-one.ts; this is their wiring to the server.
 *
 * What stays true: a pod's room is counted from the moment of the decision until the binding has failed or the pod is gone, so
 * that no node gets more than it can hold; and every popped pod is settled: bound, given back to the queue, or found gone.
 */
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Pod } from '../api/generated/core/v1.ts'
import type { Client } from '../client/client.ts'
import type { EventRecorder } from '../client/events.ts'
import type { Informers } from '../client/informers.ts'
import { referenceTo } from '../client/object-reference.ts'
import { awaitPermission, hasPreBind, preBindAndBind, reserveAndPermit, unreserve } from './binding.ts'
import type { Refusal, Waiting } from './binding.ts'
import { describeDiagnosis } from './diagnosis.ts'
import { eventKinds, namespaceHandlers, nodeHandlers, objectHandlers, podHandlers } from './event-handlers.ts'
import type { BindContext, Profile } from './framework.ts'
import { clusterViewOf } from './informer-view.ts'
import type { ExtenderConfig } from './extender-config.ts'
import { bindingExtender, createExtenders, scheduleWithExtenders } from './extender.ts'
import type { AskExtender } from './extender.ts'
import { createLimiter } from './limiter.ts'
import type { AttemptResult, SchedulerMetrics } from './metrics.ts'
import { patchPodStatus } from './pod-condition.ts'
import type { StatusChange } from './pod-condition.ts'
import type { PodInfo } from './pod-info.ts'
import { evict } from './preemption.ts'
import { createDefaultProfile } from './profile.ts'
import { createSchedulingQueue } from './queue.ts'
import type { BackOff, Failure, QueuedPod } from './queue.ts'
import { scheduleOne } from './schedule-one.ts'
import type { Decision } from './schedule-one.ts'
import { createDecisionMemory } from './search.ts'
import { createClusterState } from './snapshot.ts'
import { createTelling } from './telling.ts'

export interface SchedulerOptions {
  readonly informers: Informers
  readonly events: EventRecorder
  /** By schedulerName, where pods' events tell which one it was. */
  readonly recorders?: ReadonlyMap<string, EventRecorder>
  /** Default: the default profile alone. Pods of other schedulerNames are left alone. */
  readonly profiles?: readonly Profile[]
  readonly backOff?: BackOff
  readonly metrics?: SchedulerMetrics
  readonly extenders?: { readonly configs: readonly ExtenderConfig[]; readonly ask: AskExtender }
}

/** Bindings and status patches under way. */
const MAXIMUM_IN_FLIGHT = 128
/** How long decisions may keep the thread before others get a turn. */
const SLICE_MS = 8
/** A bound pod that the server has not shown by then is looked up, so that one deleted meanwhile gives its room back. */
const CONFIRMATION_MS = 30_000
/** Events hold at most this (upstream NoteLengthLimit). */
const MAXIMUM_NOTE_LENGTH = 1024

const NO_NAMES: ReadonlySet<string> = new Set()
const ERROR: Failure = { rejectedBy: NO_NAMES, pendingFor: NO_NAMES, isError: true }

const truncated = (message: string): string =>
  message.length <= MAXIMUM_NOTE_LENGTH ? message : `${message.slice(0, MAXIMUM_NOTE_LENGTH - 4)} ...`

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Runs until the signal aborts. The informers are run by their owner. */
export async function runScheduler(runtime: Runtime, client: Client, options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  const { clock, random } = runtime
  const log = runtime.log.with({ component: 'scheduler' })
  const { informers, events, metrics } = options
  const profiles = new Map((options.profiles ?? [createDefaultProfile()]).map((profile) => [profile.schedulerName, profile]))
  const pods = informers.of('v1/Pod')
  const view = clusterViewOf(informers)
  const state = createClusterState(view)
  const queue = createSchedulingQueue(clock, profiles, { backOff: options.backOff, view, observer: metrics?.queue })
  metrics?.watch(state, queue)
  const limiter = createLimiter(MAXIMUM_IN_FLIGHT)
  const context: BindContext = { runtime, client, view, signal }
  const memory = createDecisionMemory()
  const telling = createTelling(clock)
  /** Of pods that wait for permission, by uid. */
  const waitingFor = new Map<string, AbortController>()
  /** Where pods that are being bound will go, as was told of them, by uid. */
  const toldOf = new Map<string, string>()
  /** When the attempts under way began. */
  const begun = new WeakMap<QueuedPod, number>()
  const extenders = options.extenders ? createExtenders(options.extenders.configs, options.extenders.ask, signal) : []
  let start = 0
  let sweep: (() => void) | undefined

  /** The pod as the server has it now, if it is still the same one and without a node. */
  function stillWaiting(info: PodInfo): Pod | undefined {
    const current = pods.cache.get(info.key)
    return current?.metadata?.uid === info.uid && !current.spec?.nodeName ? current : undefined
  }

  function record(info: PodInfo, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const recorder = options.recorders?.get(info.pod.spec?.schedulerName ?? '') ?? events
    recorder.record(referenceTo('v1/Pod', info.pod), type, reason, truncated(message))
  }

  async function patchStatus(pod: Pod, change: StatusChange): Promise<void> {
    try {
      await patchPodStatus(clock, client, pod, change)
    } catch (error) {
      if (!signal.aborted && pods.cache.get(`${pod.metadata?.namespace}/${pod.metadata?.name}`)) {
        log.warn('pod status not written', { pod: pod.metadata?.name, namespace: pod.metadata?.namespace, error: textOf(error) })
      }
    }
  }

  const writeStatus = (pod: Pod, change: StatusChange): void => limiter.start(() => patchStatus(pod, change))

  function ended(entry: QueuedPod, result: AttemptResult): void {
    const seconds = (clock.monotonic() - (begun.get(entry) ?? clock.monotonic())) / 1_000
    metrics?.attempted(entry.info.pod.spec?.schedulerName ?? '', result, seconds)
    if (result === 'scheduled') metrics?.bound(entry.attempts, (clock.now() - entry.addedMs) / 1_000)
  }

  /** Gives the pod back to the queue and tells why, unless it is gone or has found a node without us. */
  function failed(entry: QueuedPod, failure: Failure, message: string, nominatedNodeName?: string | null): void {
    ended(entry, failure.isError ? 'error' : 'unschedulable')
    const waiting = stillWaiting(entry.info)
    if (!waiting) return queue.done(entry)
    // What was told of it may not have come back yet, and is to be taken back all the same.
    const told = toldOf.get(entry.info.uid)
    const current = told === undefined ? waiting : { ...waiting, status: { ...waiting.status, nominatedNodeName: told } }
    queue.giveBack(entry, waiting, failure)
    record(entry.info, 'Warning', 'FailedScheduling', message)
    const reason = failure.isError ? 'SchedulerError' : 'Unschedulable'
    writeStatus(current, {
      condition: { type: 'PodScheduled', status: 'False', reason, message },
      ...(nominatedNodeName === undefined ? {} : { nominatedNodeName }),
    })
  }

  function refused(entry: QueuedPod, { plugin, rejection }: Refusal): void {
    if (state.forget(entry.info.uid)) queue.happened({ kind: 'pod-deleted', pod: entry.info }, (other) => other.uid !== entry.info.uid)
    const message = describeDiagnosis({
      nodeCount: 1,
      rejections: [rejection],
      absent: undefined,
      preFilterMessage: '',
      postFilterMessage: '',
    })
    const names = new Set([plugin])
    failed(
      entry,
      { rejectedBy: rejection.isPending ? NO_NAMES : names, pendingFor: rejection.isPending ? names : NO_NAMES, isError: false },
      message,
      null,
    )
  }

  function scheduleSweep(): void {
    sweep ??= clock.setTimeout(() => {
      sweep = undefined
      for (const info of state.overdue(clock.now())) {
        if (stillWaiting(info)) state.bound(info.uid, clock.now() + CONFIRMATION_MS)
        else if (state.forget(info.uid)) {
          log.info('assumed pod is gone', { pod: info.key })
          queue.happened({ kind: 'pod-deleted', pod: info })
        }
      }
      if (state.hasAssumed) scheduleSweep()
    }, CONFIRMATION_MS)
  }

  async function permission(info: PodInfo, waiting: readonly Waiting[]): Promise<Refusal | undefined> {
    const cancel = new AbortController()
    waitingFor.set(info.uid, cancel)
    try {
      return await awaitPermission(waiting, context, cancel.signal)
    } finally {
      waitingFor.delete(info.uid)
    }
  }

  async function bind(entry: QueuedPod, profile: Profile, nodeName: string, waiting: readonly Waiting[]): Promise<void> {
    const { info } = entry
    try {
      // What takes a while is told beforehand, so that nobody makes room for the pod elsewhere meanwhile (KEP-5278).
      const current = waiting.length > 0 || hasPreBind(profile, info, nodeName) ? stillWaiting(info) : undefined
      if (current) {
        toldOf.set(info.uid, nodeName)
        await patchStatus(current, { nominatedNodeName: nodeName })
      }
      const refusal = waiting.length > 0 ? await permission(info, waiting) : undefined
      if (refusal) {
        unreserve(profile, info, nodeName, log)
        refused(entry, refusal)
        return
      }
      await preBindAndBind(profile, info, nodeName, context, bindingExtender(extenders, info, nodeName))
    } catch (error) {
      unreserve(profile, info, nodeName, log)
      if (state.forget(info.uid)) queue.happened({ kind: 'pod-deleted', pod: info })
      if (signal.aborted) return
      log.warn('pod not bound', { pod: info.key, node: nodeName, error: textOf(error) })
      failed(entry, ERROR, textOf(error), null)
      return
    } finally {
      toldOf.delete(info.uid)
    }
    state.bound(info.uid, clock.now() + CONFIRMATION_MS)
    scheduleSweep()
    ended(entry, 'scheduled')
    queue.done(entry)
    log.debug('pod bound', { pod: info.key, node: nodeName })
    telling.later(() => record(info, 'Normal', 'Scheduled', `Successfully assigned ${info.key} to ${nodeName}`))
  }

  /** Lesser pods that were promised room on the node may not get it any more: they look for another at once. */
  function releaseLesser(preemptor: PodInfo, nodeName: string): void {
    for (const other of state.snapshot().nominated(nodeName)) {
      if (other.priority >= preemptor.priority) continue
      state.clearNomination(other.uid)
      const current = stillWaiting(other)
      if (current) writeStatus(current, { nominatedNodeName: null })
      queue.retry(other.uid)
    }
  }

  /** True when the pod was waiting for permission to go to its node, which it does not get now. */
  function sendBack(uid: string): boolean {
    const cancel = waitingFor.get(uid)
    cancel?.abort()
    return cancel !== undefined
  }

  function rejected(entry: QueuedPod, decision: Extract<Decision, { kind: 'none' }>): void {
    const { info } = entry
    const { preemption, rejectedBy, pendingFor } = decision
    if ((profiles.get(info.pod.spec?.schedulerName ?? '')?.points.postFilter.length ?? 0) > 0)
      metrics?.preempted(preemption?.victims.length ?? 0)
    if (preemption) {
      state.nominate(info, preemption.nominate)
      const { nominate: node, victims } = preemption
      releaseLesser(info, node)
      // Who still waits for permission is sent back to the queue, and need not be deleted.
      const placed = victims.filter(({ uid }) => !sendBack(uid))
      limiter.start(async () => {
        if (!(await evict({ runtime, client, events, preemptor: info, node, victims: placed }))) queue.retry(info.uid)
      })
    } else if (decision.clearNomination) state.clearNomination(info.uid)
    const { effect } = decision
    if (effect) {
      limiter.start(async () => {
        try {
          await effect(context)
        } catch (error) {
          if (!signal.aborted) log.warn('post-filter failed', { pod: info.key, error: textOf(error) })
        }
      })
    }
    const nomination = preemption?.nominate ?? (decision.clearNomination ? null : undefined)
    failed(entry, { rejectedBy, pendingFor, isError: false }, decision.message, nomination)
  }

  /** Settles the pod at once, or, where extenders are asked, when they have answered. */
  function attempt(entry: QueuedPod): Promise<void> | undefined {
    const { info } = entry
    const profile = profiles.get(info.pod.spec?.schedulerName ?? '')
    if (!profile || state.isAssumed(info.uid)) {
      queue.done(entry)
      return undefined
    }
    if (info.pod.metadata?.deletionTimestamp) {
      record(info, 'Warning', 'FailedScheduling', `skip schedule deleting pod: ${info.key}`)
      queue.done(entry)
      return undefined
    }
    // A plugin's bug, or an extender that does not answer, must not stop the others' pods.
    const broke = (error: unknown) => {
      state.forget(info.uid)
      log.error('scheduling failed', { pod: info.key, error })
      failed(entry, ERROR, textOf(error), null)
    }
    begun.set(entry, clock.monotonic())
    telling.busy()
    try {
      const searching = { start, nominatedNode: state.nominationOf(info.uid), memory }
      if (extenders.length > 0)
        return scheduleWithExtenders(extenders, state.snapshot(), info, profile, random, searching)
          .then((decision) => settle(entry, profile, decision))
          .catch(broke)
      settle(entry, profile, scheduleOne(state.snapshot(), info, profile, random, searching))
    } catch (error) {
      broke(error)
    }
    return undefined
  }

  function settle(entry: QueuedPod, profile: Profile, decision: Decision): void {
    const { info } = entry
    start = decision.nextStart
    metrics?.decided((clock.monotonic() - begun.get(entry)!) / 1_000)
    if (decision.kind === 'none') return rejected(entry, decision)
    const { nodeName } = decision
    state.assume(info, nodeName)
    const permits = reserveAndPermit(profile, info, nodeName, state.snapshot(), log)
    if ('rejection' in permits) return refused(entry, permits)
    limiter.start(() => bind(entry, profile, nodeName, permits))
  }

  // Nodes and what runs on them must be known before the first decision; asking for an informer is what makes it one to wait for.
  const nodes = informers.of('v1/Node')
  const namespaces = informers.of('v1/Namespace')
  await Promise.race([
    informers.synced(),
    new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
  ])
  const removals = [
    nodes.addHandlers(nodeHandlers(state, queue)),
    pods.addHandlers(podHandlers({ state, queue, isOurs: (pod) => profiles.has(pod.spec?.schedulerName ?? '') })),
    namespaces.addHandlers(namespaceHandlers(queue)),
    ...eventKinds.map(([kind, event, when]) => informers.of(kind).addHandlers(objectHandlers(queue, event, when))),
  ]
  try {
    let sliceStartMs = clock.monotonic()
    while (!signal.aborted) {
      await limiter.room()
      const entry = await queue.pop(signal)
      if (!entry) break
      await attempt(entry)
      if (clock.monotonic() - sliceStartMs < SLICE_MS) continue
      await sleep(clock, 0)
      sliceStartMs = clock.monotonic()
    }
  } finally {
    for (const remove of removals) remove()
    sweep?.()
    await limiter.idle()
    telling.flush()
  }
}
