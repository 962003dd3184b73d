/** What was measured in the shape of upstream's /stats/summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1). Pure. */
import type { Pod } from '../api/generated/core/v1.ts'
import type { ContainerUsage, InterfaceUsage } from './container-runtime.ts'
import type { FileSystemUsage } from './host.ts'
import { CONTAINER_NAME_LABEL, POD_UID_LABEL } from './identity.ts'
import type { Measurement } from './usage.ts'

interface Measured {
  readonly cpu: { readonly time: string; readonly usageNanoCores: number; readonly usageCoreNanoSeconds: number }
  readonly memory: {
    readonly time: string
    readonly availableBytes?: number
    readonly usageBytes: number
    readonly workingSetBytes: number
    readonly rssBytes: number
    readonly pageFaults: number
    readonly majorPageFaults: number
  }
}

interface FileSystem {
  readonly time: string
  readonly availableBytes: number
  readonly capacityBytes: number
  readonly usedBytes: number
  readonly inodesFree: number
  readonly inodes: number
  readonly inodesUsed: number
}

interface Interface {
  readonly name: string
  readonly rxBytes: number
  readonly rxErrors: number
  readonly txBytes: number
  readonly txErrors: number
}

type Network = Interface & { readonly time: string; readonly interfaces: readonly Interface[] }

export interface ContainerStats extends Measured {
  readonly name: string
  readonly startTime: string | null
  readonly rootfs?: FileSystem
}

export interface PodStats extends Measured {
  readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string }
  readonly startTime: string | null
  readonly containers: readonly ContainerStats[]
  readonly network?: Network
  readonly 'ephemeral-storage'?: FileSystem
}

export interface Summary {
  readonly node: Measured & {
    readonly nodeName: string
    readonly network?: Network
    readonly fs: FileSystem
    readonly runtime: { readonly imageFs?: FileSystem }
    readonly rlimit: { readonly time: string; readonly maxpid: number; readonly curproc: number }
  }
  readonly pods: readonly PodStats[]
}

const timeOf = (ms: number): string => new Date(ms).toISOString()

interface Figures {
  readonly atMs: number
  readonly cpuNanoseconds: number
  readonly workingSetBytes: number
  readonly usageBytes?: number
  readonly rssBytes?: number
  readonly pageFaults?: number
  readonly majorPageFaults?: number
}

function measured(figures: Figures, cpuNanoCores: number, availableBytes?: number): Measured {
  const time = timeOf(figures.atMs)
  const { workingSetBytes, usageBytes = workingSetBytes, rssBytes = 0, pageFaults = 0, majorPageFaults = 0 } = figures
  return {
    cpu: { time, usageNanoCores: cpuNanoCores, usageCoreNanoSeconds: figures.cpuNanoseconds },
    memory: {
      time,
      ...(availableBytes === undefined ? {} : { availableBytes }),
      usageBytes,
      workingSetBytes,
      rssBytes,
      pageFaults,
      majorPageFaults,
    },
  }
}

/** What somebody uses of a file system that others use, too. */
function fileSystem(time: string, fs: FileSystemUsage, used: { readonly usedBytes: number; readonly inodesUsed: number }): FileSystem {
  return {
    time,
    availableBytes: fs.availableBytes,
    capacityBytes: fs.capacityBytes,
    usedBytes: used.usedBytes,
    inodesFree: fs.inodesFree,
    inodes: fs.inodes,
    inodesUsed: used.inodesUsed,
  }
}

function network(time: string, interfaces: readonly InterfaceUsage[]): { readonly network?: Network } {
  const first = interfaces.find(({ name }) => name === 'eth0') ?? interfaces[0]
  return first ? { network: { time, ...first, interfaces } } : {}
}

export function summarize(nodeName: string, measurement: Measurement, pods: readonly Pod[]): Summary {
  const { machine, imageFs, cpuNanoCores, containers, networks } = measurement
  const byUid = new Map(pods.map((pod) => [pod.metadata?.uid ?? '', pod]))
  const time = timeOf(machine.atMs)
  const { nodeFs } = machine
  const groups = Map.groupBy(containers, ({ labels }) => labels[POD_UID_LABEL] ?? '')
  return {
    node: {
      nodeName,
      ...measured(machine, cpuNanoCores.get('') ?? 0, machine.availableBytes),
      ...network(time, machine.interfaces),
      fs: fileSystem(time, nodeFs, { usedBytes: nodeFs.usedBytes, inodesUsed: nodeFs.inodes - nodeFs.inodesFree }),
      runtime: imageFs ? { imageFs: fileSystem(time, nodeFs, imageFs) } : {},
      rlimit: { time, maxpid: machine.processes.max, curproc: machine.processes.current },
    },
    pods: [...groups].flatMap(([uid, own]) => {
      const pod = byUid.get(uid)
      const interfaces = networks.find(({ labels }) => labels[POD_UID_LABEL] === uid)?.interfaces ?? []
      return pod ? podStats(pod, own, interfaces, measurement) : []
    }),
  }
}

/** A pod's usage is that of its containers together. */
function podStats(
  pod: Pod,
  own: readonly ContainerUsage[],
  interfaces: readonly InterfaceUsage[],
  { cpuNanoCores, machine }: Measurement,
): PodStats {
  const sum = (of: (usage: ContainerUsage) => number | undefined) => own.reduce((total, usage) => total + (of(usage) ?? 0), 0)
  const time = timeOf(Math.max(...own.map(({ atMs }) => atMs)))
  const rate = ({ id }: ContainerUsage) => cpuNanoCores.get(id) ?? 0
  const total: Figures = {
    atMs: Date.parse(time),
    cpuNanoseconds: sum((usage) => usage.cpuNanoseconds),
    workingSetBytes: sum((usage) => usage.workingSetBytes),
    usageBytes: sum((usage) => usage.usageBytes),
    rssBytes: sum((usage) => usage.rssBytes),
    pageFaults: sum((usage) => usage.pageFaults),
    majorPageFaults: sum((usage) => usage.majorPageFaults),
  }
  const layers = {
    usedBytes: sum((usage) => usage.writableLayer?.usedBytes),
    inodesUsed: sum((usage) => usage.writableLayer?.inodesUsed),
  }
  return {
    podRef: { name: pod.metadata?.name ?? '', namespace: pod.metadata?.namespace ?? '', uid: pod.metadata?.uid ?? '' },
    startTime: pod.status?.startTime ?? null,
    ...measured(total, sum(rate)),
    ...network(time, interfaces),
    'ephemeral-storage': fileSystem(time, machine.nodeFs, layers),
    containers: own.map((usage) => {
      const name = usage.labels[CONTAINER_NAME_LABEL] ?? ''
      return {
        name,
        startTime: startOf(pod, name),
        ...measured(usage, rate(usage)),
        ...(usage.writableLayer ? { rootfs: fileSystem(timeOf(usage.atMs), machine.nodeFs, usage.writableLayer) } : {}),
      }
    }),
  }
}

function startOf({ status }: Pod, name: string): string | null {
  const lists = [status?.containerStatuses, status?.initContainerStatuses, status?.ephemeralContainerStatuses]
  const found = lists.flatMap((list) => list ?? []).find((one) => one.name === name)
  return found?.state?.running?.startedAt ?? null
}
