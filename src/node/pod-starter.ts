/** Carries out what a pod's plan says to start: its sandbox and its containers. Failures are values that hold the next try back. */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import { orAborted } from './abort.ts'
import { containerConfig, ImageMountError } from './container-config.ts'
import { ConfigurationError } from './environment.ts'
import type { FollowedObjects } from './followed-objects.ts'
import { credentialsFor } from './credentials.ts'
import { runHook } from './hooks.ts'
import { describePod, identityOf, podLogDirectory, podCgroup } from './identity.ts'
import type { ImageFailure, ImageOutcome, ImageRequest } from './images.ts'
import { removeLogs } from './log-rotation.ts'
import type { NodeContext } from './node-context.ts'
import { newestContainer } from './observation.ts'
import type { PodEvents } from './pod-events.ts'
import type { PodObserver } from './pod-observer.ts'
import { planSandbox, type Hold, type PodAction } from './pod-plan.ts'
import { killAll, killContainer, podGraceSeconds } from './pod-termination.ts'
import { podCgroupResources, qosClass } from './resources.ts'
import { sandboxConfig } from './sandbox-config.ts'
import type { MountedVolume, PodVolumes } from './volumes/pod-volumes.ts'

export interface PodStarter {
  /** Undefined when it worked. */
  createSandbox(pod: Pod, attempt: number, signal: AbortSignal): Promise<Hold | undefined>
  startContainer(
    pod: Pod,
    container: Container,
    action: Extract<PodAction, { do: 'start' }>,
    signal: AbortSignal,
  ): Promise<Hold | undefined>
}

export interface PodStarterOptions {
  readonly node: NodeContext
  readonly events: PodEvents
  readonly observer: PodObserver
  readonly volumes: PodVolumes
  readonly objects: FollowedObjects
}

/** When a start that failed for no reason of its own is tried again, as upstream's sync loop does. */
const RETRY_MS = 10_000
/** Only another spec or another image can help. */
const NEVER_MS = 24 * 3_600_000

const KIND_LABELS = { regular: 'container', init: 'init_container', ephemeral: 'ephemeral_container' } as const

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export function createPodStarter({ node, events, observer, volumes, objects }: PodStarterOptions): PodStarter {
  const { clock, log } = node.runtime
  const hold = (reason: string, message: string, afterMs = RETRY_MS): Hold => ({ reason, message, untilMs: clock.now() + afterMs })

  async function endOldSandboxes(pod: Pod): Promise<void> {
    const { sandboxes, containers } = observer.current
    if (sandboxes.length === 0) return
    events.pod('Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.')
    const running = containers.filter((status) => status.state === 'RUNNING' || status.state === 'UNKNOWN')
    const podIP = sandboxes[0]?.ips[0]
    await killAll({ node, pod, events, graceSeconds: podGraceSeconds(pod), podIP, signal: new AbortController().signal }, running)
    for (const sandbox of sandboxes) await node.containers.stopPodSandbox(sandbox.id)
    await Promise.all(running.map((status) => observer.refreshContainer(status.id)))
  }

  /** What the pod's RuntimeClass names; the default handler when it has none. */
  async function runtimeHandler(pod: Pod): Promise<string> {
    const name = pod.spec?.runtimeClassName
    return name ? (await node.client.get('node.k8s.io/v1/RuntimeClass', { name })).handler : ''
  }

  function containerIps(pod: Pod): readonly string[] {
    return pod.spec?.hostNetwork ? node.hostIPs : (observer.current.sandboxes[0]?.ips ?? [])
  }

  async function ensureImage(
    pod: Pod,
    image: Pick<ImageRequest, 'image' | 'pullPolicy' | 'events'>,
    signal: AbortSignal,
  ): Promise<ImageOutcome> {
    return node.images.ensure({
      ...image,
      podUid: pod.metadata?.uid ?? '',
      signal,
      async credentialsFor(repository) {
        const names = (pod.spec?.imagePullSecrets ?? []).map(({ name }) => name ?? '')
        const secrets = await Promise.all(names.map((name) => objects.get('v1/Secret', name)))
        const own = credentialsFor(
          repository,
          secrets.filter((secret) => secret !== undefined),
        )
        return [...own, ...((await node.credentialPlugins?.credentialsFor(repository)) ?? [])]
      },
    })
  }

  /** The images that the container mounts as volumes, with where they are on the node; or why one cannot be had. */
  async function imageVolumes(pod: Pod, container: Container, signal: AbortSignal): Promise<Map<string, MountedVolume> | ImageFailure> {
    const found = new Map<string, MountedVolume>()
    for (const { name } of container.volumeMounts ?? []) {
      const source = pod.spec?.volumes?.find((volume) => volume.name === name)?.image
      if (!source || found.has(name)) continue
      const request = { image: source.reference ?? '', pullPolicy: source.pullPolicy, events: events.pod }
      const outcome = await ensureImage(pod, request, signal)
      if ('reason' in outcome) return outcome
      found.set(name, await volumes.mountImage(name, outcome.image.id))
    }
    return found
  }

  /** Dead runs of a container but for the last: upstream keeps one, for `logs --previous` and the last state. */
  async function removeOldRuns(name: string): Promise<void> {
    const dead = observer.current.containers.filter((status) => status.metadata.name === name && status.state === 'EXITED')
    for (const old of dead.slice(1)) {
      await node.containers.removeContainer(old.id)
      if (old.logPath) await removeLogs(node.host, old.logPath)
      observer.forgetContainer(old.id)
    }
  }

  async function postStart(pod: Pod, container: Container, id: string, signal: AbortSignal): Promise<Hold | undefined> {
    const handler = container.lifecycle?.postStart
    if (!handler) return undefined
    const podIP = containerIps(pod)[0]
    const failed = await orAborted(runHook(node, handler, { pod, container, containerId: id, podIP }, signal), signal)
    if (failed === undefined || signal.aborted) return undefined
    events.container(container.name)('Warning', 'FailedPostStartHook', 'PostStartHook failed')
    const status = newestContainer(observer.current, container.name)
    if (status)
      await killContainer({
        node,
        pod,
        events,
        status,
        message: 'FailedPostStartHook',
        graceSeconds: podGraceSeconds(pod),
        podIP,
        signal: new AbortController().signal,
      })
    await observer.refreshContainer(id)
    return hold('PostStartHookError', failed, 0)
  }

  return {
    async createSandbox(pod, attempt, signal) {
      await endOldSandboxes(pod)
      node.counters.increment('kubelet_started_pods_total', {})
      try {
        const config = sandboxConfig(node, pod, attempt)
        await node.host.createPodCgroup(podCgroup(node.cgroupRoot, pod.metadata?.uid ?? '', qosClass(pod)), {
          ...podCgroupResources(pod),
          ...(node.configuration.podPidsLimit > 0 ? { pidsLimit: node.configuration.podPidsLimit } : {}),
        })
        await node.host.makeDirectory(podLogDirectory(node.logsDirectory, identityOf(pod)), 0o755)
        const id = await node.containers.runPodSandbox(config, await runtimeHandler(pod), signal)
        await observer.refreshSandbox(id)
        return undefined
      } catch (error) {
        if (signal.aborted) return undefined
        node.counters.increment('kubelet_started_pods_errors_total', {})
        events.pod('Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${textOf(error)}`)
        return hold('FailedCreatePodSandBox', textOf(error))
      }
    },

    async startContainer(pod, container, action, signal) {
      const record = events.container(container.name)
      const kind = { container_type: KIND_LABELS[action.kind] }
      node.counters.increment('kubelet_started_containers_total', kind)
      const fail = (reason: string, message: string, afterMs?: number): Hold => {
        node.counters.increment('kubelet_started_containers_errors_total', { code: reason, ...kind })
        record('Warning', 'Failed', `Error: ${message}`)
        return hold(reason, message, afterMs)
      }
      const lacksImage = (failure: ImageFailure): Hold => {
        record('Warning', 'Failed', `Error: ${failure.reason}`)
        return { reason: failure.reason, message: failure.message, untilMs: failure.retryAtMs ?? clock.now() + NEVER_MS }
      }
      let mountedImages
      try {
        mountedImages = await orAborted(imageVolumes(pod, container, signal), signal)
      } catch (error) {
        // In the words of a runtime that mounts images by itself (cri-api pkg/errors).
        return fail('CreateContainerError', `ImageVolumeMountFailed: ${textOf(error)}`)
      }
      if (!mountedImages) return undefined
      if ('reason' in mountedImages) return lacksImage(mountedImages)
      const images = mountedImages
      // A pull that others may want goes on without this pod.
      const request = { image: container.image ?? '', pullPolicy: container.imagePullPolicy, events: record }
      const outcome = await orAborted(ensureImage(pod, request, signal), signal)
      if (!outcome) return undefined
      if ('reason' in outcome) return lacksImage(outcome)
      const sandbox = observer.current.sandboxes[0]
      const { isNeeded, attempt } = planSandbox(pod, observer.current)
      if (!sandbox || isNeeded) return undefined
      const podIPs = containerIps(pod)
      let config
      try {
        config = await containerConfig({
          node,
          pod,
          container,
          image: outcome.image,
          restartCount:
            action.restartCount ?? pod.status?.containerStatuses?.find(({ name }) => name === container.name)?.restartCount ?? 0,
          podIPs,
          objects,
          volume: (name) => images.get(name) ?? volumes.get(name),
          containerId: (name) => newestContainer(observer.current, name)?.id,
        })
      } catch (error) {
        if (error instanceof ImageMountError) return fail('CreateContainerError', `ImageVolumeMountFailed: ${error.message}`)
        if (!(error instanceof ConfigurationError))
          log.error('container not configured', { pod: describePod(identityOf(pod)), container: container.name, error: textOf(error) })
        return fail('CreateContainerConfigError', textOf(error))
      }
      await node.host.makeDirectory(`${podLogDirectory(node.logsDirectory, identityOf(pod))}/${container.name}`, 0o755)
      let id: string
      try {
        id = await node.containers.createContainer(sandbox.id, config, sandboxConfig(node, pod, attempt))
      } catch (error) {
        return fail('CreateContainerError', textOf(error))
      }
      record('Normal', 'Created', 'Container created')
      try {
        await node.containers.startContainer(id)
      } catch (error) {
        await observer.refreshContainer(id)
        return fail('RunContainerError', textOf(error).replaceAll(id, container.name))
      }
      record('Normal', 'Started', 'Container started')
      await observer.refreshContainer(id)
      node.cpuManager?.started()
      await removeOldRuns(container.name)
      return postStart(pod, container, id, signal)
    },
  }
}
