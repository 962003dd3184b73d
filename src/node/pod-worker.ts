/**
 * One pod on this node, from the first sight of it to the last trace. A worker runs, then terminates, then has ended, and never
 * goes back:
 *
 *   running      observes, plans (pod-plan.ts), acts, and waits for whatever happens next
 *   terminating  the pod was deleted, is finished or failed: its containers are ended, its sandbox is stopped
 *   ended        nothing runs; volumes and cgroup are gone; a pod that is being deleted is removed from the API
 *   gone         the API does not know it and the runtime has nothing of it
 *
 * One loop does everything in turn, so that no two actions of a pod overlap. Whatever happens outside (a changed spec, an exit, a
 * probe's result, a changed Secret) only wakes it. The status is written from what is known at any moment, also while an action
 * is under way. Nothing is polled: when there is nothing to do the worker costs no timer.
 */
import type { Pod, PodStatus, ResourceRequirements } from '../api/generated/core/v1.ts'
import { isApiError } from '../api/status.ts'
import { sleep, timestamp } from '../base/clock.ts'
import { REJECTED_PREFIX, type Rejection } from './admission.ts'
import { raiseBackOff, type BackOff } from './back-off.ts'
import type { RuntimeEvent } from './container-runtime.ts'
import { identityOf, podCgroup, podDirectory, podLogDirectory, podSecretDirectory } from './identity.ts'
import type { NodeContext } from './node-context.ts'
import type { PodObservation, Waiting } from './observation.ts'
import { createPodEvents } from './pod-events.ts'
import { createPodObserver, isMissing } from './pod-observer.ts'
import { isTerminalPhase } from './pod-phase.ts'
import { planPod, type Hold, type PodAction } from './pod-plan.ts'
import { createPodStarter } from './pod-starter.ts'
import { podStatus } from './pod-status.ts'
import { findContainer, killAll, killContainer, killGraceSeconds, podGraceSeconds } from './pod-termination.ts'
import { createPodProbes, type ProbedContainer } from './probes.ts'
import { referencesOf } from './references.ts'
import { currentCgroupResources, planResize, roomForBoth, type ResizePlan } from './resize.ts'
import { podCgroupResources, qosClass } from './resources.ts'
import { createStatusWriter, type StatusWriter } from './status-writer.ts'
import { createPodVolumes } from './volumes/pod-volumes.ts'

export type WorkerState = 'running' | 'terminating' | 'ended' | 'gone'

/** Why the node ends a pod, and how long that may take. */
export interface Eviction extends Rejection {
  /** Default: what the pod asks for. */
  readonly graceSeconds?: number
  /** What the pod's condition DisruptionTarget says of it (KEP-3329). */
  readonly disruption?: string
}

export interface PodWorker {
  readonly state: WorkerState
  readonly pod: Pod
  /** The API let go of it already; it only has to end here. */
  readonly isRemoved: boolean
  /** The API's pod changed. */
  update(pod: Pod): void
  /** The API does not know the pod any more. */
  removed(pod: Pod): void
  /** Something happened to a container or sandbox of this pod. */
  observe(event: RuntimeEvent): void
  /** The node ends a pod that runs, for its own reasons: it fails. */
  evict(eviction: Eviction): void
  /** Until the pod is gone or the signal aborts (then everything is left as it is, to be adopted). */
  run(): Promise<void>
  /** Settles when `run` has. */
  readonly finished: Promise<void>
  /** Resolves when nothing of it runs any more. */
  readonly ended: Promise<void>
  /** Whether a container or sandbox of this id belongs to the pod. */
  owns(id: string): boolean
  /** The id of the container's run that is under way. */
  runningContainer(name: string): string | undefined
  logPath(containerId: string): string | undefined
  containerEnded(containerId: string): Promise<void>
  readonly sandboxId: string | undefined
  /** What the runtime says of it. */
  readonly observed: PodObservation
  /** The status as last generated: newer than the API's. */
  readonly status: PodStatus
}

/** No container is named so. */
const RESIZE_HOLD = '/resize'
const RESIZE_RETRY_MS = 10_000
const VOLUME_RETRY_MS = 500
const MAX_VOLUME_RETRY_MS = 122_000
const FAILED_STEP_RETRY_MS = 1000
/** Beyond 2^31 ms a timer fires at once; a sleep this long is simply repeated. */
const MAX_SLEEP_MS = 86_400_000

export interface PodWorkerOptions {
  /** Why this node does not take the pod: it fails without having run. */
  readonly rejection?: Rejection | undefined
  /** Where its status goes. Default: to the pod in the API. */
  readonly writer?: StatusWriter
}

export function createPodWorker(
  node: NodeContext,
  first: Pod,
  signal: AbortSignal,
  { rejection, writer = createStatusWriter(node.runtime, node.client, first, signal) }: PodWorkerOptions = {},
): PodWorker {
  const { clock } = node.runtime
  const identity = identityOf(first)
  const log = node.runtime.log.with({ pod: identity.name, namespace: identity.namespace })
  const events = createPodEvents(node.events, () => writer.pod)
  const observer = createPodObserver(node, identity.uid)
  const objects = node.objects.follow(identity.namespace, referencesOf(first), () => {
    areVolumesStale = true
    releaseConfigurationHolds()
    wake()
  })
  const volumes = createPodVolumes(node.runtime, first, {
    client: node.client,
    host: node.host,
    containers: node.containers,
    objects,
    directory: podDirectory(node.dataDirectory, identity.uid),
    secretDirectory: podSecretDirectory(node.dataDirectory, identity.uid),
  })
  const starter = createPodStarter({ node, events, observer, volumes, objects })
  const probes = createPodProbes(node, events, () => {
    publish()
    wake()
  })

  let state: WorkerState = 'running'
  let status: PodStatus = first.status ?? {}
  let isRemoved = false
  let isFinished = false
  let isClean = false
  let failure: (Rejection & Partial<Eviction>) | undefined = rejection
  if (rejection) events.pod('Warning', rejection.reason, rejection.message.replace(REJECTED_PREFIX, ''))
  const isRejected = rejection !== undefined || (isTerminalPhase(first.status?.phase) && first.status?.containerStatuses === undefined)
  /** What running containers were given last, by id. */
  const applied = new Map<string, ResourceRequirements>()
  let resize: { readonly problem: string } | undefined
  let waiting: ReadonlyMap<string, Waiting> = new Map()
  const backOffs = new Map<string, BackOff>()
  const holds = new Map<string, Hold>()
  /** Exits whose back-off was told as an event already. */
  const toldCrashes = new Map<string, number>()
  const startTime = first.status?.startTime ?? timestamp(clock)
  let areVolumesSetUp = false
  let areVolumesStale = true
  let volumeRetryMs = VOLUME_RETRY_MS
  let volumeRetryAtMs = 0
  /** Aborts what is under way for a running pod once it must terminate. */
  const work = new AbortController()
  const workSignal = AbortSignal.any([signal, work.signal])
  let isAwake = true
  let resume: (() => void) | undefined
  const finished = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()

  function wake(): void {
    isAwake = true
    resume?.()
  }

  async function waitUntil(atMs: number | undefined): Promise<void> {
    if (isAwake || signal.aborted) return
    await new Promise<void>((resolve) => {
      const cancel = atMs === undefined ? undefined : clock.setTimeout(done, Math.min(Math.max(0, atMs - clock.now()), MAX_SLEEP_MS))
      function done(): void {
        cancel?.()
        resume = undefined
        resolve()
      }
      resume = done
    })
  }

  const podIPs = (): readonly string[] => (writer.pod.spec?.hostNetwork ? node.hostIPs : (observer.current.sandboxes[0]?.ips ?? []))

  function updateProbes(): void {
    const pod = writer.pod
    const running: ProbedContainer[] = []
    for (const container of observer.current.containers) {
      const spec = container.state === 'RUNNING' ? findContainer(pod, container.metadata.name) : undefined
      if (!spec) continue
      const isAdopted = container.startedAtMs < node.startedAtMs
      const known = isAdopted
        ? [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find((one) =>
            one.containerID?.endsWith(container.id),
          )
        : undefined
      running.push({
        container: spec,
        containerId: container.id,
        startedAtMs: container.startedAtMs,
        wasStarted: known?.started === true,
        wasReady: known?.ready === true,
      })
    }
    probes.update(pod, running, podIPs()[0])
  }

  /** Generates the status from what is known now and has it written when it differs. */
  function publish(): void {
    if (state === 'gone') return
    updateProbes()
    status = podStatus({
      pod: writer.pod,
      observed: observer.current,
      previous: status,
      waiting,
      probes,
      messages: observer.messages,
      runtimeName: node.runtimeName,
      hostIPs: node.hostIPs,
      startTime,
      now: timestamp(clock),
      isTerminal: state === 'ended',
      isRejected,
      applied: (id) => appliedTo(id),
      resize: state === 'running' ? resize : undefined,
      failure,
    })
    writer.want(status)
  }

  function releaseConfigurationHolds(): void {
    for (const [name, hold] of holds) if (hold.reason === 'CreateContainerConfigError') holds.set(name, { ...hold, untilMs: 0 })
  }

  /** True when all stand; else when to try again is noted. */
  async function setUpVolumes(): Promise<boolean> {
    const refreshAtMs = volumes.refreshAtMs
    const isOld = refreshAtMs !== undefined && refreshAtMs <= clock.now()
    if (areVolumesSetUp && !areVolumesStale && !isOld) return true
    if (!areVolumesStale && !isOld && volumeRetryAtMs > clock.now()) return areVolumesSetUp
    areVolumesStale = false
    const failures = await volumes.setUp(writer.pod, { podIPs: podIPs(), hostIPs: node.hostIPs, facts: node.facts })
    if (failures.length === 0) {
      areVolumesSetUp = true
      volumeRetryMs = VOLUME_RETRY_MS
      return true
    }
    for (const { volume, message } of failures)
      events.pod('Warning', 'FailedMount', `MountVolume.SetUp failed for volume "${volume}" : ${message}`)
    volumeRetryAtMs = clock.now() + volumeRetryMs
    volumeRetryMs = Math.min(volumeRetryMs * 2, MAX_VOLUME_RETRY_MS)
    // A volume that cannot be updated does not stop what runs.
    return areVolumesSetUp
  }

  function deadlineMs(): number | undefined {
    const seconds = writer.pod.spec?.activeDeadlineSeconds
    return seconds === undefined ? undefined : Date.parse(writer.pod.status?.startTime ?? startTime) + seconds * 1000
  }

  function mustTerminate(): boolean {
    const pod = writer.pod
    const deadline = deadlineMs()
    if (!failure && deadline !== undefined && deadline <= clock.now() && !isTerminalPhase(status.phase)) {
      failure = { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' }
      events.pod('Normal', failure.reason, failure.message)
    }
    return (
      isRemoved ||
      isFinished ||
      pod.metadata?.deletionTimestamp !== undefined ||
      failure !== undefined ||
      isTerminalPhase(pod.status?.phase) ||
      isTerminalPhase(status.phase)
    )
  }

  /** One turn of a running pod; resolves with when to look again, or undefined to look at once. */
  async function step(): Promise<{ readonly wakeAtMs: number | undefined } | undefined> {
    const resizing = planResize(writer.pod, observer.current, appliedTo, node.facts.memoryBytes)
    resize = resizing.isNeeded ? (resize ?? { problem: '' }) : undefined
    publish()
    if (!(await setUpVolumes())) return { wakeAtMs: earliest(volumeRetryAtMs, deadlineMs()) }
    const plan = planPod({
      pod: writer.pod,
      observed: observer.current,
      probes,
      nowMs: clock.now(),
      backOffs,
      holds,
      resizeRestarts: resizing.restart,
    })
    waiting = plan.waiting
    for (const name of plan.crashing) tellCrash(name)
    publish()
    if (plan.isFinished) {
      // Sidecars may still run: they end with what they served, and only then has the pod a final phase.
      isFinished = true
      return undefined
    }
    if (resizing.update.length > 0 && (holds.get(RESIZE_HOLD)?.untilMs ?? 0) <= clock.now()) {
      await applyResize(resizing)
      return undefined
    }
    if (plan.actions.length === 0)
      return { wakeAtMs: earliest(plan.wakeAtMs, deadlineMs(), volumes.refreshAtMs, resize && holds.get(RESIZE_HOLD)?.untilMs) }
    for (const action of plan.actions) {
      if (mustTerminate() || workSignal.aborted) return undefined
      if (!(await perform(action))) break
    }
    return undefined
  }

  /** Of a container that an earlier agent started the API knows it. */
  function appliedTo(id: string): ResourceRequirements | undefined {
    const known = applied.get(id)
    if (known) return known
    const statuses = [...(writer.pod.status?.containerStatuses ?? []), ...(writer.pod.status?.initContainerStatuses ?? [])]
    return statuses.find(({ containerID }) => containerID?.endsWith(id))?.resources
  }

  async function applyResize(plan: ResizePlan): Promise<void> {
    const pod = writer.pod
    const cgroup = podCgroup(node.cgroupRoot, identity.uid, qosClass(pod))
    const wanted = podCgroupResources(pod)
    const now = currentCgroupResources(pod, (name) => {
      const newest = observer.current.containers.find(({ metadata }) => metadata.name === name)
      return newest && appliedTo(newest.id)
    })
    try {
      await node.host.createPodCgroup(cgroup, roomForBoth(now, wanted))
      for (const { containerId, resources } of plan.update) {
        await node.containers.updateContainerResources(containerId, resources)
        const name = observer.current.containers.find(({ id }) => id === containerId)?.metadata.name
        applied.set(containerId, findContainer(pod, name ?? '')?.resources ?? {})
      }
      await node.host.createPodCgroup(cgroup, wanted)
      holds.delete(RESIZE_HOLD)
      resize = undefined
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      events.pod('Warning', 'ResizeError', `Pod resize error: ${problem}`)
      resize = { problem }
      holds.set(RESIZE_HOLD, { reason: 'ResizeError', message: problem, untilMs: clock.now() + RESIZE_RETRY_MS })
    }
  }

  function tellCrash(name: string): void {
    const failedAtMs = observer.current.containers.find((one) => one.metadata.name === name)?.finishedAtMs ?? 0
    if (toldCrashes.get(name) === failedAtMs) return
    toldCrashes.set(name, failedAtMs)
    events.container(name)(
      'Warning',
      'BackOff',
      `Back-off restarting failed container ${name} in pod ${identity.name}_${identity.namespace}(${identity.uid})`,
    )
  }

  /** False when what comes after it in the plan must wait. */
  async function perform(action: PodAction): Promise<boolean> {
    const pod = writer.pod
    switch (action.do) {
      case 'create-sandbox': {
        const hold = await starter.createSandbox(pod, action.attempt, workSignal)
        if (hold) holds.set('', hold)
        else holds.delete('')
        return false
      }
      case 'kill': {
        const container = observer.current.containers.find(({ id }) => id === action.containerId)
        if (!container) return true
        const graceSeconds = killGraceSeconds(pod, findContainer(pod, action.name), action.reason)
        await killContainer({ node, pod, events, status: container, message: action.message, graceSeconds, podIP: podIPs()[0], signal })
        await observer.refreshContainer(action.containerId)
        return true
      }
      case 'start': {
        const container = findContainer(pod, action.name)
        if (!container) return true
        if (action.failedAtMs !== undefined)
          backOffs.set(action.name, raiseBackOff(backOffs.get(action.name), action.failedAtMs, clock.now()))
        const hold = await starter.startContainer(pod, container, action, workSignal)
        const started = observer.current.containers.find(({ metadata }) => metadata.name === action.name)
        if (started?.state === 'RUNNING') applied.set(started.id, container.resources ?? {})
        if (hold) {
          holds.set(action.name, hold)
          waiting = new Map(waiting).set(action.name, hold)
        } else holds.delete(action.name)
        publish()
        return hold === undefined || action.kind !== 'init'
      }
    }
  }

  async function terminate(): Promise<void> {
    state = 'terminating'
    work.abort()
    waiting = new Map()
    publish()
    await observer.relist()
    const alive = observer.current.containers.filter(isAlive)
    const pod = writer.pod
    const graceSeconds = failure?.graceSeconds === undefined ? podGraceSeconds(pod) : Math.max(failure.graceSeconds, 1)
    await killAll({ node, pod, events, graceSeconds, podIP: podIPs()[0], signal }, alive)
    await Promise.all(alive.map(({ id }) => observer.refreshContainer(id)))
    publish()
    for (const sandbox of observer.current.sandboxes) {
      await node.containers.stopPodSandbox(sandbox.id)
      await observer.refreshSandbox(sandbox.id)
    }
    if (signal.aborted) return
    await Promise.all(observer.current.containers.filter(isAlive).map(({ id }) => observer.refreshContainer(id)))
    state = 'ended'
    ended.resolve()
    publish()
    probes.close()
    objects.release()
    node.images.forget(identity.uid)
    node.counters.forgetPod(identity.uid)
  }

  /** Gives back what the pod held; only then may the API let go of it. Tried again when it fails. */
  async function clean(): Promise<void> {
    await node.host.removeTree(podDirectory(node.dataDirectory, identity.uid))
    if (first.spec?.volumes?.some(({ image }) => image)) await node.containers.releaseImages?.((uid) => uid !== identity.uid)
    await node.host.removeTree(podSecretDirectory(node.dataDirectory, identity.uid))
    await node.host.removePodCgroup(podCgroup(node.cgroupRoot, identity.uid, qosClass(writer.pod)))
    isClean = true
  }

  /** Removes the last traces once the API lets go of the pod. */
  async function leave(): Promise<void> {
    if (!isRemoved) {
      await writer.flush()
      const pod = writer.pod
      try {
        const preconditions = { uid: identity.uid }
        await node.client.delete('v1/Pod', { namespace: identity.namespace, name: identity.name }, { gracePeriodSeconds: 0, preconditions })
      } catch (error) {
        if (!isApiError(error, 'NotFound', 'Conflict')) throw error
      }
      // Finalizers keep the object; the node is done with it all the same once it is let go.
      if ((pod.metadata?.finalizers?.length ?? 0) > 0 && !isRemoved) await untilRemoved()
    }
    for (const container of observer.current.containers) await ignoreMissing(node.containers.removeContainer(container.id))
    for (const sandbox of observer.current.sandboxes) await ignoreMissing(node.containers.removePodSandbox(sandbox.id))
    await node.host.removeTree(podLogDirectory(node.logsDirectory, identity))
    state = 'gone'
  }

  async function untilRemoved(): Promise<void> {
    while (!isRemoved && !signal.aborted) {
      isAwake = false
      await waitUntil(undefined)
    }
  }

  async function turn(): Promise<{ readonly wakeAtMs: number | undefined } | undefined> {
    if (state === 'running') {
      if (!mustTerminate()) return step()
      await terminate()
      return undefined
    }
    if (state === 'terminating') {
      await terminate()
      return undefined
    }
    if (!isClean) await clean()
    if (isRemoved || writer.pod.metadata?.deletionTimestamp !== undefined) {
      await leave()
      return undefined
    }
    return { wakeAtMs: undefined }
  }

  return {
    get state() {
      return state
    },
    get pod() {
      return writer.pod
    },
    get status() {
      return status
    },
    get isRemoved() {
      return isRemoved
    },
    get observed() {
      return observer.current
    },
    get sandboxId() {
      return observer.current.sandboxes[0]?.id
    },
    update(pod) {
      const before = writer.pod
      writer.saw(pod)
      if (before.metadata?.labels !== pod.metadata?.labels || before.metadata?.annotations !== pod.metadata?.annotations)
        areVolumesStale = true
      const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata ?? {}
      if (deletionTimestamp === undefined) {
        // Our own status coming back changes nothing; a new spec or someone else's condition may.
        if (before.spec !== pod.spec || before.status !== pod.status || areVolumesStale) wake()
        return
      }
      work.abort()
      if (state === 'terminating' && deletionGracePeriodSeconds < (before.metadata?.deletionGracePeriodSeconds ?? Infinity))
        hasten(deletionGracePeriodSeconds)
      wake()
    },
    removed(pod) {
      writer.saw(pod)
      isRemoved = true
      work.abort()
      if (state === 'terminating') hasten(0)
      wake()
    },
    evict(eviction) {
      if (state !== 'running' || failure) return
      failure = eviction
      events.pod('Warning', eviction.reason, eviction.message)
      work.abort()
      wake()
    },
    observe(event) {
      const refresh = event.kind === 'container' ? observer.refreshContainer(event.id) : observer.refreshSandbox(event.id)
      refresh.then(
        () => {
          publish()
          wake()
        },
        (error: unknown) => log.warn('runtime not asked', { id: event.id, error: String(error) }),
      )
    },
    finished: finished.promise,
    ended: ended.promise,
    owns: (id) => observer.has(id),
    runningContainer: (name) => observer.current.containers.find((one) => one.metadata.name === name && one.state === 'RUNNING')?.id,
    logPath: (containerId) => observer.current.containers.find(({ id }) => id === containerId)?.logPath,
    containerEnded: (containerId) => observer.ended(containerId),
    run: () => run().finally(finished.resolve),
  }

  async function run(): Promise<void> {
    // One listener for all waits: those of a signal that many share are a list to be gone through.
    signal.addEventListener('abort', wake, { once: true })
    try {
      await loop()
    } finally {
      signal.removeEventListener('abort', wake)
    }
  }

  async function loop(): Promise<void> {
    let isListed = false
    while (!signal.aborted && state !== 'gone') {
      isAwake = false
      try {
        if (!isListed) await observer.relist()
        isListed = true
        const next = await turn()
        if (next) await waitUntil(next.wakeAtMs)
      } catch (error) {
        if (signal.aborted) return
        log.error('pod step failed', { state, error: String(error) })
        await sleep(clock, FAILED_STEP_RETRY_MS, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
      }
    }
  }

  /** A shorter grace reaches containers that are being stopped already. */
  function hasten(graceSeconds: number): void {
    for (const container of observer.current.containers) {
      if (container.state !== 'RUNNING') continue
      ignoreMissing(node.containers.stopContainer(container.id, graceSeconds)).catch((error: unknown) =>
        log.warn('container not hastened', { error: String(error) }),
      )
    }
  }
}

const isAlive = ({ state }: { readonly state: string }): boolean => state !== 'EXITED'

async function ignoreMissing(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

function earliest(...times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined
  for (const time of times) if (time !== undefined) first = Math.min(first ?? time, time)
  return first
}
