/**
 * Pods that wait for a node. Four places: *active* (next by priority, then by age), *back-off* (tried in vain lately: 1, 2, 4, 8,
 * then 10 s), *unschedulable* (nothing has happened that could help) and, among those, *gated* (not to be tried yet at all).
 * Cluster events move pods out of unschedulable when a plugin that rejected them says that the event may help.
 *
 * What stays true: a pod is in one place or in flight (popped and not settled), never in two. While pods are in flight, events
 * are remembered, so that none is lost between the snapshot that a decision saw and the pod's return. When nothing is active, pods
 * rejected by plugins are tried before their back-off ends (upstream SchedulerPopFromBackoffQ); pods that failed by an error wait.
 *
 * It holds what the API holds: one entry for each pod without a node, so its size is bounded by the store's.
 */
import { createHeap } from '../base/heap.ts'
import type { Clock } from '../base/clock.ts'
import type { Pod } from '../api/generated/core/v1.ts'
import { emptyView } from './cluster-view.ts'
import type { ClusterView } from './cluster-view.ts'
import { impossible } from './framework.ts'
import type { ClusterEvent, Plugin, Profile, Rejection } from './framework.ts'
import { podInfoOf } from './pod-info.ts'
import type { PodInfo } from './pod-info.ts'

/** A pod that no event has freed is tried all the same after this time (upstream podMaxInUnschedulablePodsDuration). */
const MAXIMUM_UNSCHEDULABLE_MS = 5 * 60_000
/** Events remembered while pods are in flight; beyond it every returning pod counts as worth another try. */
const MAXIMUM_REMEMBERED_EVENTS = 1_000

/** How long pods wait after they were tried in vain: at first, doubling with each time, and at most. */
export interface BackOff {
  readonly initialMs: number
  readonly maximumMs: number
}

const DEFAULT_BACK_OFF: BackOff = { initialMs: 1_000, maximumMs: 10_000 }

/** Told where pods go, and what brought them there: an event, or what is not one. */
export interface QueueObserver {
  entered(queue: 'active' | 'backoff' | 'unschedulable', cause: Cause): void
}

export type Cause =
  | ClusterEvent
  | 'UnschedulablePodAdd'
  | 'UnschedulablePodUpdate'
  | 'ScheduleAttemptFailure'
  | 'BackoffComplete'
  | 'PopFromBackoffQ'
  | 'UnschedulableTimeout'
  | 'ForceActivate'

export interface QueueOptions {
  readonly observer?: QueueObserver | undefined
  readonly backOff?: BackOff | undefined
  /** For plugins that say whether a pod may be tried at all. */
  readonly view?: ClusterView
}

export interface QueuedPod {
  info: PodInfo
  /** Since when it waits in its present place; decides among equal priorities. */
  readonly timestampMs: number
  readonly sequence: number
  /** When it came, and how often it has been tried since. */
  readonly addedMs: number
  attempts: number
  /** How often no node was found. */
  readonly unschedulableCount: number
  /** How often in a row something broke. */
  readonly errorCount: number
  readonly rejectedBy: ReadonlySet<string>
  readonly pendingFor: ReadonlySet<string>
  readonly gatedBy: string | undefined
  readonly backOffEndsMs: number
  place: 'active' | 'back-off' | 'unschedulable' | 'in-flight' | 'gone'
}

/** How a popped pod's attempt ended, when not with a node. */
export interface Failure {
  readonly rejectedBy: ReadonlySet<string>
  readonly pendingFor: ReadonlySet<string>
  /** An error rather than a rejection. */
  readonly isError: boolean
}

export interface SchedulingQueue {
  /** Pods in each place, for metrics and tests. */
  readonly sizes: {
    readonly active: number
    readonly backOff: number
    readonly unschedulable: number
    readonly gated: number
    readonly inFlight: number
  }
  /** How many waiting pods each plugin has rejected: labels of plugin and profile. */
  rejections(): ReadonlyMap<string, number>
  add(pod: Pod): void
  /** The pod changed while it waited. */
  update(pod: Pod): void
  remove(uid: string): void
  /** The next pod to try, or undefined when none is due. */
  tryPop(): QueuedPod | undefined
  /** Resolves with the next pod; undefined when the signal aborts. */
  pop(signal: AbortSignal): Promise<QueuedPod | undefined>
  /** The popped pod found its way, or is gone. */
  done(pod: QueuedPod): void
  /** The popped pod comes back; `current` is its newest revision. */
  giveBack(pod: QueuedPod, current: Pod, failure: Failure): void
  /** Something happened: pods that it may help become active or back off. */
  happened(event: ClusterEvent, isConcerned?: (pod: PodInfo) => boolean): void
  /** Tries an unschedulable pod again at once: what it waited for will not come. */
  retry(uid: string): void
  /** The rejection that keeps the pod gated, if it is. */
  gateOf(uid: string): Rejection | undefined
}

const NO_NAMES: ReadonlySet<string> = new Set()

/** What an update to a waiting pod means for its chances. */
function ownEvents(pod: PodInfo, old: PodInfo): readonly ClusterEvent[] {
  const events: ClusterEvent[] = []
  const [now, before] = [pod.pod.spec, old.pod.spec]
  if (!sameLabels(pod.labels, old.labels)) events.push({ kind: 'own-labels', pod, old })
  if (!now?.schedulingGates?.length && before?.schedulingGates?.length) events.push({ kind: 'own-gates', pod, old })
  if ((now?.tolerations?.length ?? 0) !== (before?.tolerations?.length ?? 0)) events.push({ kind: 'own-tolerations', pod, old })
  if (pod.pod.status?.resourceClaimStatuses !== old.pod.status?.resourceClaimStatuses) events.push({ kind: 'own-claims', pod, old })
  if (hasScaledDown(pod, old)) events.push({ kind: 'own-scaled-down', pod, old })
  return events
}

export function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  if (a === b) return true
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

export function hasScaledDown({ requests: now }: PodInfo, { requests: before }: PodInfo): boolean {
  if (now.cpuMilli < before.cpuMilli || now.memoryBytes < before.memoryBytes || now.ephemeralStorageBytes < before.ephemeralStorageBytes)
    return true
  for (const [name, amount] of before.scalars) if ((now.scalars.get(name) ?? 0) < amount) return true
  return false
}

/** Would one of the plugin's rules have the pod tried again for the event? A plugin without rules is tried for any. */
function isWorthFor(plugin: Plugin | undefined, pod: PodInfo, event: ClusterEvent): boolean {
  if (plugin?.requeueOn === undefined) return true
  try {
    return plugin.requeueOn.some((rule) => rule.on.includes(event.kind) && (rule.isWorth?.(pod, event) ?? true))
  } catch {
    // A rule that cannot say counts as one that says so: a superfluous try costs less than a pod that waits for ever.
    return true
  }
}

/** A plugin that cannot say whether the pod may be tried keeps it until the pod or something that concerns the plugin changes. */
function gateRejection(plugin: Plugin, pod: Pod, view: ClusterView): Rejection | undefined {
  try {
    return plugin.preEnqueue!(pod, view)
  } catch (error) {
    return impossible(`running PreEnqueue plugin "${plugin.name}": ${error instanceof Error ? error.message : String(error)}`)
  }
}

export function createSchedulingQueue(
  clock: Clock,
  profiles: ReadonlyMap<string, Profile>,
  { backOff: backOffTimes = DEFAULT_BACK_OFF, view = emptyView, observer }: QueueOptions = {},
): SchedulingQueue {
  const sortPlugin = profiles.values().next().value?.points.queueSort[0]
  /** The profile's order; pods that it does not tell apart in the order of their coming. */
  const comesFirst = (a: QueuedPod, b: QueuedPod): boolean => {
    if (!sortPlugin) return a.sequence < b.sequence
    if (sortPlugin.queueSort!(a, b)) return true
    return a.sequence < b.sequence && !sortPlugin.queueSort!(b, a)
  }
  const backOffEndsFirst = (a: QueuedPod, b: QueuedPod): boolean =>
    a.backOffEndsMs !== b.backOffEndsMs ? a.backOffEndsMs < b.backOffEndsMs : comesFirst(a, b)
  const backOffMs = (count: number): number =>
    count === 0 ? 0 : Math.min(backOffTimes.maximumMs, backOffTimes.initialMs * 2 ** (count - 1))
  const pods = new Map<string, QueuedPod>()
  const active = createHeap(comesFirst)
  /** Rejected by a plugin, and failed by an error: only the former may be tried early. */
  const backOff = createHeap(backOffEndsFirst)
  const errorBackOff = createHeap(backOffEndsFirst)
  /** In the order of their timestamps. */
  const unschedulable = new Set<QueuedPod>()
  const inFlight = new Set<QueuedPod>()
  const gates = new Map<string, Rejection>()
  const remembered: { readonly event: ClusterEvent; readonly isConcerned: ((pod: PodInfo) => boolean) | undefined }[] = []
  /** Number of the first remembered event, and where each pod in flight started reading. */
  let firstRemembered = 0
  const readFrom = new Map<QueuedPod, number>()
  let sequence = 0
  let wake: (() => void) | undefined
  const pluginsByName = new Map([...profiles].map(([name, { plugins }]) => [name, new Map(plugins.map((plugin) => [plugin.name, plugin]))]))

  const backOffOf = (entry: QueuedPod) => (entry.rejectedBy.size > 0 || entry.pendingFor.size > 0 ? backOff : errorBackOff)

  function gate(entry: QueuedPod): QueuedPod {
    const { info } = entry
    for (const plugin of profiles.get(info.pod.spec?.schedulerName ?? '')?.points.preEnqueue ?? []) {
      const rejection = gateRejection(plugin, info.pod, view)
      if (!rejection) continue
      gates.set(info.uid, rejection)
      return { ...entry, gatedBy: plugin.name, rejectedBy: new Set([...entry.rejectedBy, plugin.name]) }
    }
    gates.delete(info.uid)
    return entry.gatedBy === undefined ? entry : { ...entry, gatedBy: undefined }
  }

  /** Puts the pod where it belongs now; it must be nowhere. */
  function place(entry: QueuedPod, wanted: 'active' | 'unschedulable', cause: Cause): void {
    const checked = wanted === 'active' ? gate(entry) : entry
    pods.set(checked.info.uid, checked)
    if (checked.gatedBy !== undefined || wanted === 'unschedulable') {
      checked.place = 'unschedulable'
      unschedulable.add(checked)
      observer?.entered('unschedulable', cause)
      return
    }
    if (checked.backOffEndsMs > clock.now()) {
      checked.place = 'back-off'
      backOffOf(checked).push(checked)
      observer?.entered('backoff', cause)
    } else {
      checked.place = 'active'
      active.push(checked)
      observer?.entered('active', cause)
    }
    wake?.()
  }

  function takeOut(entry: QueuedPod): void {
    if (entry.place === 'active') active.remove(entry)
    else if (entry.place === 'back-off') backOffOf(entry).remove(entry)
    else if (entry.place === 'unschedulable') unschedulable.delete(entry)
    entry.place = 'gone'
  }

  const requeued = (entry: QueuedPod): QueuedPod => ({ ...entry, place: 'gone' })

  /** Whether, and how soon, the event makes the pod worth another try. */
  function worth(entry: QueuedPod, event: ClusterEvent): 'no' | 'after back-off' | 'at once' {
    const { rejectedBy, pendingFor, info } = entry
    if (rejectedBy.size === 0 && pendingFor.size === 0) return 'after back-off'
    const byName = pluginsByName.get(info.pod.spec?.schedulerName ?? '')
    for (const name of pendingFor) if (isWorthFor(byName?.get(name), info, event)) return 'at once'
    // A name that is no plugin's is an extender's: any event may help.
    for (const name of rejectedBy) if (isWorthFor(byName?.get(name), info, event)) return 'after back-off'
    return 'no'
  }

  function requeueIfWorth(entry: QueuedPod, event: ClusterEvent): void {
    const verdict = worth(entry, event)
    if (verdict === 'no') return
    takeOut(entry)
    place(verdict === 'at once' ? { ...entry, place: 'gone', backOffEndsMs: 0 } : requeued(entry), 'active', event)
  }

  function flushBackOff(now: number): void {
    for (const heap of [backOff, errorBackOff]) {
      for (let entry = heap.peek(); entry && entry.backOffEndsMs <= now; entry = heap.peek()) {
        heap.pop()
        entry.place = 'active'
        active.push(entry)
        observer?.entered('active', 'BackoffComplete')
      }
    }
  }

  function flushStale(now: number): void {
    for (const entry of unschedulable) {
      if (entry.gatedBy !== undefined) continue
      if (now - entry.timestampMs < MAXIMUM_UNSCHEDULABLE_MS) return
      takeOut(entry)
      place(requeued(entry), 'active', 'UnschedulableTimeout')
    }
  }

  function tryPop(): QueuedPod | undefined {
    flushBackOff(clock.now())
    let entry = active.pop()
    if (!entry) {
      entry = backOff.pop()
      if (!entry) return undefined
      observer?.entered('active', 'PopFromBackoffQ')
    }
    entry.attempts++
    entry.place = 'in-flight'
    inFlight.add(entry)
    readFrom.set(entry, firstRemembered + remembered.length)
    return entry
  }

  /** When the next pod falls due by time alone. */
  function nextDueMs(): number | undefined {
    // What is in backOff is popped at once when nothing is active, so it needs no timer.
    const due = errorBackOff.peek()?.backOffEndsMs
    for (const entry of unschedulable) {
      if (entry.gatedBy === undefined) return Math.min(due ?? Infinity, entry.timestampMs + MAXIMUM_UNSCHEDULABLE_MS)
    }
    return due
  }

  /** Ends the pod's flight; returns the events since it began, or undefined when some were forgotten. */
  function land(entry: QueuedPod): readonly (typeof remembered)[number][] | undefined {
    const from = readFrom.get(entry)
    inFlight.delete(entry)
    readFrom.delete(entry)
    const missed = from === undefined || from < firstRemembered ? undefined : remembered.slice(from - firstRemembered)
    if (inFlight.size === 0) {
      firstRemembered += remembered.length
      remembered.length = 0
    }
    return missed
  }

  return {
    get sizes() {
      let gated = 0
      for (const entry of unschedulable) if (entry.gatedBy !== undefined) gated++
      return {
        active: active.size,
        backOff: backOff.size + errorBackOff.size,
        unschedulable: unschedulable.size - gated,
        gated,
        inFlight: inFlight.size,
      }
    },
    rejections() {
      const counts = new Map<string, number>()
      for (const { info, rejectedBy, pendingFor } of unschedulable)
        for (const plugin of [...rejectedBy, ...pendingFor]) {
          const labels = `plugin="${plugin}",profile="${info.pod.spec?.schedulerName}"`
          counts.set(labels, (counts.get(labels) ?? 0) + 1)
        }
      return counts
    },
    add(pod) {
      const info = podInfoOf(pod)
      const known = pods.get(info.uid)
      if (known) takeOut(known)
      place(
        {
          info,
          timestampMs: clock.now(),
          sequence: sequence++,
          unschedulableCount: 0,
          errorCount: 0,
          rejectedBy: NO_NAMES,
          pendingFor: NO_NAMES,
          gatedBy: undefined,
          backOffEndsMs: 0,
          addedMs: clock.now(),
          attempts: 0,
          place: 'gone',
        },
        'active',
        'UnschedulablePodAdd',
      )
    },
    update(pod) {
      const info = podInfoOf(pod)
      const entry = pods.get(info.uid)
      if (!entry) return this.add(pod)
      const old = entry.info
      // Priority and age, which decide the order, never change.
      entry.info = info
      if (entry.place === 'active' || entry.place === 'back-off') return
      const events = ownEvents(info, old)
      if (entry.place === 'in-flight') {
        for (const event of events) this.happened(event, (other) => other.uid === info.uid)
        return
      }
      if (entry.gatedBy !== undefined) {
        takeOut(entry)
        place(requeued(entry), 'active', 'UnschedulablePodUpdate')
        return
      }
      for (const event of events) if (entry.place === 'unschedulable') requeueIfWorth(entry, event)
    },
    remove(uid) {
      const entry = pods.get(uid)
      if (!entry) return
      pods.delete(uid)
      gates.delete(uid)
      if (entry.place === 'in-flight') entry.place = 'gone'
      else takeOut(entry)
    },
    tryPop,
    async pop(signal) {
      while (!signal.aborted) {
        flushStale(clock.now())
        const entry = tryPop()
        if (entry) return entry
        await new Promise<void>((resolve) => {
          const due = nextDueMs()
          const cancel = due === undefined ? undefined : clock.setTimeout(resolve, Math.max(0, due - clock.now()))
          const end = () => {
            cancel?.()
            signal.removeEventListener('abort', end)
            resolve()
          }
          wake = end
          signal.addEventListener('abort', end, { once: true })
        })
        wake = undefined
      }
      return undefined
    },
    done(entry) {
      land(entry)
      if (pods.get(entry.info.uid) === entry) pods.delete(entry.info.uid)
      entry.place = 'gone'
    },
    giveBack(entry, current, failure) {
      const missed = land(entry)
      if (entry.place === 'gone') return
      const now = clock.now()
      const unschedulableCount = failure.isError ? entry.unschedulableCount : entry.unschedulableCount + 1
      const errorCount = failure.isError ? entry.errorCount + 1 : 0
      const back: QueuedPod = {
        info: podInfoOf(current),
        timestampMs: now,
        sequence: sequence++,
        unschedulableCount,
        errorCount,
        rejectedBy: failure.rejectedBy,
        pendingFor: failure.pendingFor,
        gatedBy: undefined,
        addedMs: entry.addedMs,
        attempts: entry.attempts,
        backOffEndsMs: now + backOffMs(errorCount > 0 ? errorCount : unschedulableCount),
        place: 'gone',
      }
      // An error says nothing of what would help: it is retried by time alone.
      if (failure.isError) return place(back, 'active', 'ScheduleAttemptFailure')
      const isWorth =
        missed === undefined || missed.some(({ event, isConcerned }) => (isConcerned?.(back.info) ?? true) && worth(back, event) !== 'no')
      place(back, isWorth ? 'active' : 'unschedulable', 'ScheduleAttemptFailure')
    },
    happened(event, isConcerned) {
      if (inFlight.size > 0) {
        remembered.push({ event, isConcerned })
        if (remembered.length > MAXIMUM_REMEMBERED_EVENTS) {
          remembered.shift()
          firstRemembered++
        }
      }
      for (const entry of Array.from(unschedulable)) {
        if (isConcerned && !isConcerned(entry.info)) continue
        // Gated pods wait for their gate alone; a plugin that gates says by its rules when to look again.
        if (entry.gatedBy !== undefined && worth({ ...entry, rejectedBy: new Set([entry.gatedBy]) }, event) === 'no') continue
        requeueIfWorth(entry, event)
      }
    },
    retry(uid) {
      const entry = pods.get(uid)
      if (entry?.place !== 'unschedulable') return
      takeOut(entry)
      place({ ...entry, place: 'gone', backOffEndsMs: 0 }, 'active', 'ForceActivate')
    },
    gateOf: (uid) => gates.get(uid),
  }
}
