/** CRI's words to ours: pure translation of what a runtime answers. */
import type {
  ContainerStatus,
  ContainerState,
  ContainerSummary,
  ContainerUsage,
  Image,
  ImageFsUsage,
  PodNetworkUsage,
  SandboxStatus,
} from '../container-runtime.ts'
import type {
  WireContainer,
  WireContainerState,
  WireContainerStats,
  WireFilesystemUsage,
  WireSandboxStats,
  WireContainerStatus,
  WireImage,
  WireSandbox,
  WireSandboxStatus,
} from './cri-messages.ts'
import { PAUSE_IMAGE } from './pause-image.ts'

const STATES: Readonly<Record<WireContainerState, ContainerState>> = {
  CONTAINER_CREATED: 'CREATED',
  CONTAINER_RUNNING: 'RUNNING',
  CONTAINER_EXITED: 'EXITED',
  CONTAINER_UNKNOWN: 'UNKNOWN',
}

/** 0 stays 0: it has not happened. */
export const millisecondsOf = (nanoseconds: string): number => Number(BigInt(nanoseconds) / 1_000_000n)

export function sandboxSummaryOf(sandbox: WireSandbox): Omit<SandboxStatus, 'ips'> {
  const { name, namespace, uid, attempt } = sandbox.metadata
  return {
    id: sandbox.id,
    metadata: { name, namespace, uid, attempt },
    isReady: sandbox.state === 'SANDBOX_READY',
    createdAtMs: millisecondsOf(sandbox.created_at),
    labels: sandbox.labels,
    annotations: sandbox.annotations,
  }
}

export function sandboxStatusOf(status: WireSandboxStatus): SandboxStatus {
  const { network } = status
  const ips = network?.ip ? [network.ip, ...network.additional_ips.map(({ ip }) => ip)] : []
  return { ...sandboxSummaryOf(status), ips }
}

export function containerSummaryOf(container: WireContainer): ContainerSummary {
  return {
    id: container.id,
    sandboxId: container.pod_sandbox_id,
    imageRef: container.image_ref,
    metadata: { name: container.metadata.name, attempt: container.metadata.attempt },
    state: STATES[container.state],
    createdAtMs: millisecondsOf(container.created_at),
    labels: container.labels,
    annotations: container.annotations,
  }
}

const countOf = (count: { readonly value: string } | null): number => Number(count?.value ?? 0)

/** Nothing when it was not measured. */
export function usageOf({ attributes, cpu, memory, writable_layer: layer }: WireContainerStats): ContainerUsage | undefined {
  if (!cpu?.usage_core_nano_seconds || !memory?.working_set_bytes) return undefined
  return {
    id: attributes.id,
    labels: attributes.labels,
    atMs: millisecondsOf(cpu.timestamp),
    cpuNanoseconds: countOf(cpu.usage_core_nano_seconds),
    workingSetBytes: countOf(memory.working_set_bytes),
    usageBytes: countOf(memory.usage_bytes),
    rssBytes: countOf(memory.rss_bytes),
    pageFaults: countOf(memory.page_faults),
    majorPageFaults: countOf(memory.major_page_faults),
    ...(layer ? { writableLayer: { usedBytes: countOf(layer.used_bytes), inodesUsed: countOf(layer.inodes_used) } } : {}),
  }
}

export function networkUsageOf({ attributes, linux }: WireSandboxStats): PodNetworkUsage | undefined {
  const network = linux?.network
  if (!network) return undefined
  const all = [...(network.default_interface ? [network.default_interface] : []), ...network.interfaces]
  return {
    sandboxId: attributes.id,
    labels: attributes.labels,
    interfaces: all.map((one) => ({
      name: one.name,
      rxBytes: countOf(one.rx_bytes),
      rxErrors: countOf(one.rx_errors),
      txBytes: countOf(one.tx_bytes),
      txErrors: countOf(one.tx_errors),
    })),
  }
}

export const fileSystemOf = ({ fs_id, used_bytes, inodes_used }: WireFilesystemUsage): ImageFsUsage => ({
  mountpoint: fs_id?.mountpoint ?? '',
  usedBytes: countOf(used_bytes),
  inodesUsed: countOf(inodes_used),
})

export function containerStatusOf(status: WireContainerStatus): ContainerStatus {
  return {
    id: status.id,
    metadata: { name: status.metadata.name, attempt: status.metadata.attempt },
    state: STATES[status.state],
    createdAtMs: millisecondsOf(status.created_at),
    startedAtMs: millisecondsOf(status.started_at),
    finishedAtMs: millisecondsOf(status.finished_at),
    exitCode: status.exit_code,
    reason: status.reason,
    message: status.message,
    image: status.image?.image ?? '',
    imageRef: status.image_ref,
    labels: status.labels,
    annotations: status.annotations,
    logPath: status.log_path,
  }
}

export function imageOf(image: WireImage): Image {
  return {
    id: image.id,
    tags: image.repo_tags,
    digests: image.repo_digests,
    sizeBytes: Number(image.size),
    ...(image.uid ? { uid: Number(image.uid.value) } : {}),
    ...(image.username === '' ? {} : { username: image.username }),
    // containerd pins the image of sandboxes from 1.7 on.
    ...(image.pinned || image.repo_tags.includes(PAUSE_IMAGE) ? { isPinned: true } : {}),
  }
}
