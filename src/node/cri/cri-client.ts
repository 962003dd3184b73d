/**
 * A container runtime reached by CRI v1 over its unix socket. Thin: messages are translated by cri-requests.ts and cri-answers.ts,
 * streams by cri-streaming.ts, events by cri-events.ts.
 */
import type { Runtime } from '../../base/runtime.ts'
import { RuntimeError, type ContainerRuntime } from '../container-runtime.ts'
import {
  containerStatusOf,
  containerSummaryOf,
  fileSystemOf,
  imageOf,
  networkUsageOf,
  sandboxStatusOf,
  sandboxSummaryOf,
  usageOf,
} from './cri-answers.ts'
import { criEvents } from './cri-events.ts'
import type {
  WireCondition,
  WireContainer,
  WireContainerStats,
  WireContainerStatus,
  WireFilesystemUsage,
  WireImage,
  WireSandbox,
  WireSandboxStats,
  WireSandboxStatus,
} from './cri-messages.ts'
import { containerMessage, resourcesMessage, sandboxMessage } from './cri-requests.ts'
import { forwardPortAt, runCommandAt } from './cri-streaming.ts'
import { createGrpcCalls } from './grpc-calls.ts'
import { mountImage, releaseImages, takesImageMounts } from './image-mounts.ts'

/** A sandbox may wait for its network and its image longer than other calls. */
const SANDBOX_DEADLINE_MS = 240_000
/** What a stop may take beyond the grace period. */
const STOP_MARGIN_MS = 120_000

export interface CriOptions {
  /** Path of the runtime's unix socket. */
  readonly socket: string
}

export interface CriRuntime extends ContainerRuntime {
  close(): void
}

export function createCriRuntime(runtime: Runtime, { socket }: CriOptions): CriRuntime {
  const calls = createGrpcCalls(socket)
  const pods = <T>(method: string, request: object, options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal }) =>
    calls.call<T>('RuntimeService', method, request, options)
  const images = <T>(method: string, request: object, options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal }) =>
    calls.call<T>('ImageService', method, request, options)
  const imageStatus = async (image: string) => {
    const answer = await images<{ image: WireImage | null }>('ImageStatus', { image: { image } })
    return answer.image ? imageOf(answer.image) : undefined
  }

  const version = async () => {
    const answer = await pods<{ runtime_name: string; runtime_version: string }>('Version', { version: 'v1' })
    return { name: answer.runtime_name, version: answer.runtime_version }
  }

  return {
    close: () => calls.close(),
    version,

    async status() {
      const answer = await pods<{ status: { conditions: readonly WireCondition[] } | null }>('Status', { verbose: false })
      const conditions = answer.status?.conditions ?? []
      const isTrue = (type: string) => conditions.some((condition) => condition.type === type && condition.status)
      const troubles = conditions.filter((condition) => !condition.status && condition.type.endsWith('Ready'))
      return {
        runtimeReady: isTrue('RuntimeReady'),
        networkReady: isTrue('NetworkReady'),
        message: troubles
          .map(({ type, reason, message }) => `container runtime ${type}=false reason:${reason} message:${message}`)
          .join('; '),
      }
    },

    async runPodSandbox(config, handler, signal) {
      const request = { config: sandboxMessage(config), runtime_handler: handler }
      const answer = await pods<{ pod_sandbox_id: string }>('RunPodSandbox', request, { deadlineMs: SANDBOX_DEADLINE_MS, signal })
      return answer.pod_sandbox_id
    },
    async stopPodSandbox(id) {
      await pods('StopPodSandbox', { pod_sandbox_id: id }, { deadlineMs: SANDBOX_DEADLINE_MS })
    },
    async removePodSandbox(id) {
      await pods('RemovePodSandbox', { pod_sandbox_id: id })
    },
    async podSandboxStatus(id) {
      const answer = await pods<{ status: WireSandboxStatus }>('PodSandboxStatus', { pod_sandbox_id: id })
      return sandboxStatusOf(answer.status)
    },
    async listPodSandboxes() {
      const answer = await pods<{ items: readonly WireSandbox[] }>('ListPodSandbox', {})
      return answer.items.map(sandboxSummaryOf)
    },

    async createContainer(sandboxId, config, sandbox) {
      const request = { pod_sandbox_id: sandboxId, config: containerMessage(config), sandbox_config: sandboxMessage(sandbox) }
      const answer = await pods<{ container_id: string }>('CreateContainer', request)
      return answer.container_id
    },
    async startContainer(id) {
      await pods('StartContainer', { container_id: id })
    },
    async stopContainer(id, graceSeconds) {
      const deadlineMs = graceSeconds * 1000 + STOP_MARGIN_MS
      await pods('StopContainer', { container_id: id, timeout: graceSeconds }, { deadlineMs })
    },
    async removeContainer(id) {
      await pods('RemoveContainer', { container_id: id })
    },
    async updateContainerResources(id, resources) {
      await pods('UpdateContainerResources', { container_id: id, linux: resourcesMessage(resources) })
    },
    async reopenContainerLog(id) {
      await pods('ReopenContainerLog', { container_id: id })
    },
    async containerStatus(id) {
      const answer = await pods<{ status: WireContainerStatus }>('ContainerStatus', { container_id: id })
      return containerStatusOf(answer.status)
    },
    async listContainers() {
      const answer = await pods<{ containers: readonly WireContainer[] }>('ListContainers', {})
      return answer.containers.map(containerSummaryOf)
    },
    async usage() {
      const answer = await pods<{ stats: readonly WireContainerStats[] }>('ListContainerStats', {})
      return answer.stats.map(usageOf).filter((usage) => usage !== undefined)
    },

    async networkUsage() {
      const answer = await pods<{ stats: readonly WireSandboxStats[] }>('ListPodSandboxStats', {})
      return answer.stats.map(networkUsageOf).filter((usage) => usage !== undefined)
    },
    async imageFsUsage() {
      const answer = await images<{ image_filesystems: readonly WireFilesystemUsage[] }>('ImageFsInfo', {})
      const [first] = answer.image_filesystems
      return first && fileSystemOf(first)
    },

    async execSync(id, command, timeoutSeconds) {
      const request = { container_id: id, cmd: command, timeout: timeoutSeconds }
      // The runtime ends the command at its time-out and says so; ours is for a runtime that does not answer.
      const deadlineMs = timeoutSeconds > 0 ? timeoutSeconds * 1000 + STOP_MARGIN_MS : Infinity
      const answer = await pods<{ stdout: Buffer; stderr: Buffer; exit_code: number }>('ExecSync', request, { deadlineMs })
      return { stdout: answer.stdout, stderr: answer.stderr, exitCode: answer.exit_code }
    },
    async exec(id, command, tty, streams) {
      const wanted = { stdin: !!streams.stdin, stdout: !!streams.stdout, stderr: !!streams.stderr && !tty }
      const answer = await pods<{ url: string }>('Exec', { container_id: id, cmd: command, tty, ...wanted })
      return runCommandAt(answer.url, tty, streams)
    },
    async attach(id, tty, streams) {
      const wanted = { stdin: !!streams.stdin, stdout: !!streams.stdout, stderr: !!streams.stderr && !tty }
      const answer = await pods<{ url: string }>('Attach', { container_id: id, tty, ...wanted })
      return runCommandAt(answer.url, tty, streams)
    },
    async portForward(sandboxId, port, connection, signal) {
      const answer = await pods<{ url: string }>('PortForward', { pod_sandbox_id: sandboxId, port: [port] })
      await forwardPortAt(answer.url, port, connection, signal)
    },

    async listImages() {
      const answer = await images<{ images: readonly WireImage[] }>('ListImages', {})
      return answer.images.map(imageOf)
    },
    imageStatus,
    async pullImage(image, credentials, signal) {
      const request = { image: { image }, ...(credentials ? { auth: credentials } : {}) }
      const answer = await images<{ image_ref: string }>('PullImage', request, { deadlineMs: Infinity, signal })
      const pulled = await imageStatus(answer.image_ref)
      if (!pulled) throw new RuntimeError('NotFound', `image "${image}" was pulled and is gone`)
      return pulled.id
    },
    async removeImage(image) {
      await images('RemoveImage', { image: { image } })
    },
    async mountImage(imageId, target, podUid) {
      if (takesImageMounts(await version())) return false
      await mountImage(calls, imageId, target, podUid)
      return true
    },
    async releaseImages(isHeld) {
      if (!takesImageMounts(await version())) await releaseImages(calls, isHeld)
    },

    events: (signal) => criEvents(runtime, calls, signal),
  }
}
