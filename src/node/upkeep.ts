/**
 * What the agent does for the node from time to time, whatever its pods do: rotates logs, removes sandboxes and images that nobody needs,
 * looks after pressure. Each task has its own rhythm, and one that fails is told and tried again at its next turn.
 */
import { sleep } from '../base/clock.ts'
import { durationMs } from './configuration.ts'
import type { Image } from './container-runtime.ts'
import { createEvictionManager, EVICTION_PERIOD_MS } from './eviction/manager.ts'
import type { Pressure } from './eviction/thresholds.ts'
import type { MachineUsage } from './host.ts'
import { identityOfLabels } from './identity.ts'
import { bytesOverMark, imagesToFree, recordImages, type ImageRecord } from './images-gc.ts'
import { rotateLog } from './log-rotation.ts'
import type { NodeContext } from './node-context.ts'
import { isMissing } from './pod-observer.ts'
import type { PodWorker } from './pod-worker.ts'

export interface Upkeep {
  run(signal: AbortSignal): Promise<void>
}

const IMAGE_GC_PERIOD_MS = 300_000
const SANDBOX_GC_PERIOD_MS = 60_000

export function createUpkeep(
  node: NodeContext,
  workers: ReadonlyMap<string, PodWorker>,
  onPressure: (conditions: readonly Pressure[]) => void,
): Upkeep {
  const { clock, log } = node.runtime
  const { configuration } = node
  const startedAtMs = clock.now()
  let imageRecords: ReadonlyMap<string, ImageRecord> = new Map()

  async function every(intervalMs: number, what: string, task: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await sleep(clock, intervalMs, signal)
        await task()
      } catch (error) {
        if (signal.aborted) return
        log.warn('node upkeep failed', { what, error: String(error) })
      }
    }
  }

  async function rotateLogs(reopen: (id: string) => Promise<void>): Promise<void> {
    for (const worker of workers.values()) {
      for (const { id, state, logPath } of worker.observed.containers) {
        if (state !== 'RUNNING' || logPath === '') continue
        try {
          await rotateLog({ clock, host: node.host, configuration: node.configuration, reopen }, id, logPath)
        } catch (error) {
          if (!isMissing(error)) log.warn('log not rotated', { path: logPath, error: String(error) })
        }
      }
    }
  }

  async function lookAtImages(): Promise<number> {
    const [images, running] = await Promise.all([node.containers.listImages(), node.containers.listContainers()])
    const used = new Set(running.map(({ imageRef }) => imageRef))
    for (const { pod } of workers.values()) for (const { image } of pod.spec?.volumes ?? []) if (image?.reference) used.add(image.reference)
    const isInUse = (image: Image) => image.isPinned === true || [image.id, ...image.tags, ...image.digests].some((name) => used.has(name))
    const nowMs = clock.now()
    imageRecords = recordImages(imageRecords, images, isInUse, nowMs)
    return nowMs
  }

  async function removeImages(images: readonly Image[]): Promise<number> {
    let freed = 0
    for (const image of images) {
      await node.containers.removeImage(image.id)
      log.info('unused image removed', { image: image.tags[0] ?? image.id, bytes: image.sizeBytes })
      freed += image.sizeBytes
    }
    return freed
  }

  async function collectImages(machineUsage: () => Promise<MachineUsage>): Promise<void> {
    const nowMs = await lookAtImages()
    const maximumAgeMs = durationMs(configuration.imageMaximumGCAge)
    if (maximumAgeMs > 0 && nowMs - startedAtMs > maximumAgeMs)
      await removeImages([...imageRecords.values()].filter(({ lastUsedMs }) => nowMs - lastUsedMs > maximumAgeMs).map(({ image }) => image))
    const { nodeFs } = await machineUsage()
    const marks = { high: configuration.imageGCHighThresholdPercent, low: configuration.imageGCLowThresholdPercent }
    const wanted = bytesOverMark(nodeFs, marks)
    if (wanted <= 0) return
    const freed = await removeImages(imagesToFree(imageRecords.values(), wanted, nowMs, durationMs(configuration.imageMinimumGCAge)))
    if (freed >= wanted) return
    const usedPercent = 100 - Math.floor((nodeFs.availableBytes * 100) / nodeFs.capacityBytes)
    const message =
      `Insufficient free disk space on the node's image filesystem (${usedPercent}% of ${sizeOf(nodeFs.capacityBytes)} used). ` +
      `Failed to free sufficient space by deleting unused images (freed ${freed} bytes). ` +
      'Investigate disk usage, as it could be used by active images, logs, volumes, or other data.'
    const about = { kind: 'Node', apiVersion: 'v1', name: node.nodeName, uid: node.nodeName }
    node.events.record(about, 'Warning', 'FreeDiskSpaceFailed', message)
  }

  /** Sandboxes that were replaced, once none of their containers is kept for its log; the newest of a pod stays. */
  async function collectSandboxes(): Promise<void> {
    const [sandboxes, kept] = await Promise.all([node.containers.listPodSandboxes(), node.containers.listContainers()])
    const occupied = new Set(kept.map(({ sandboxId }) => sandboxId))
    for (const own of Map.groupBy(sandboxes, ({ labels }) => identityOfLabels(labels)?.uid).values()) {
      const newest = own.reduce((a, b) => (b.createdAtMs > a.createdAtMs ? b : a))
      for (const { id, isReady } of own) if (id !== newest.id && !isReady && !occupied.has(id)) await node.containers.removePodSandbox(id)
    }
  }

  /** Whatever is not in use goes, however new it is. */
  async function reclaimDisk(): Promise<void> {
    await collectSandboxes()
    const nowMs = await lookAtImages()
    await removeImages(imagesToFree(imageRecords.values(), Infinity, nowMs, 0))
  }

  return {
    async run(signal) {
      const { containers, host } = node
      const tasks: Promise<void>[] = []
      if (containers.reopenContainerLog) {
        const reopen = (id: string) => containers.reopenContainerLog!(id)
        tasks.push(every(durationMs(configuration.containerLogMonitorInterval), 'logs', () => rotateLogs(reopen), signal))
      }
      if (host.machineUsage) {
        const machineUsage = () => host.machineUsage!()
        const evictions = createEvictionManager(node, machineUsage, { workers, reclaimDisk, onPressure })
        tasks.push(
          every(EVICTION_PERIOD_MS, 'evictions', () => evictions.look(), signal),
          every(IMAGE_GC_PERIOD_MS, 'images', () => collectImages(machineUsage), signal),
          every(SANDBOX_GC_PERIOD_MS, 'sandboxes', collectSandboxes, signal),
        )
      }
      await Promise.all(tasks)
    },
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

function sizeOf(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(bytes, 1)) / 10)))
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`
}
