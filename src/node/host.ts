/**
 * What the node agent asks of the machine it runs on: files, mounts, logs, facts. `host/` does it on Linux, `simulated/` in
 * memory. Paths are absolute.
 */
import type { Log } from '../base/log.ts'
import type { InterfaceUsage } from './container-runtime.ts'
import type { HugePages } from './huge-pages.ts'
import type { DevicePluginEvents } from './devices/device-manager.ts'

export interface MachineFacts {
  readonly hostname: string
  readonly machineId: string
  readonly bootId: string
  readonly systemUuid: string
  readonly kernelVersion: string
  readonly osImage: string
  readonly architecture: 'amd64' | 'arm64'
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly ephemeralStorageBytes: number
  /** What is set aside as huge pages; absent where there are none. */
  readonly hugePages?: HugePages
}

/** What is used of the machine, counted since its start where it is a count. */
export interface MachineUsage {
  readonly atMs: number
  readonly cpuNanoseconds: number
  readonly workingSetBytes: number
  readonly availableBytes: number
  readonly rssBytes: number
  readonly pageFaults: number
  readonly majorPageFaults: number
  readonly interfaces: readonly InterfaceUsage[]
  /** The file system of the node's own directory. */
  readonly nodeFs: FileSystemUsage
  readonly processes: { readonly current: number; readonly max: number }
}

export interface FileSystemUsage {
  readonly capacityBytes: number
  readonly availableBytes: number
  readonly usedBytes: number
  readonly inodes: number
  readonly inodesFree: number
}

/** A file of a projected volume. */
export interface ProjectedFile {
  /** Relative, may contain directories. */
  readonly path: string
  readonly data: Uint8Array
  readonly mode: number
  readonly uid?: number
}

export interface Host {
  /** Lets device plugins register below the directory until the signal aborts; hosts that have none leave it out. */
  servePlugins?(directory: string, events: DevicePluginEvents, log: Log, signal: AbortSignal): Promise<void>
  facts(): Promise<MachineFacts>
  /** Machines that measure nothing leave it out. */
  machineUsage?(): Promise<MachineUsage>
  /** What the files below a directory take on its file system; 0 when it does not exist. Other file systems below are not counted. */
  treeUsage(path: string): Promise<{ readonly usedBytes: number; readonly inodesUsed: number }>
  makeDirectory(path: string, mode: number): Promise<void>
  /** Sets group and group bits down the tree, as fsGroup asks. */
  setGroup(path: string, gid: number): Promise<void>
  /** Writes the files so that a reader sees either the old set or the new one whole (a ..data link that is swapped). */
  writeProjected(directory: string, files: readonly ProjectedFile[], gid: number | undefined): Promise<void>
  writeFile(path: string, data: string | Uint8Array, mode: number): Promise<void>
  /** The last `limitBytes` of a file; undefined when it does not exist. Links are not followed. */
  readTail(path: string, limitBytes: number): Promise<Uint8Array | undefined>
  /** A file of the node itself (/etc/hosts, resolv.conf), links followed; undefined when it does not exist. */
  readNodeFile(path: string): Promise<string | undefined>
  /**
   * Raw bytes of a log from an offset. With `until`, goes on with what is added, also when another file takes the path (the log is
   * rotated), and when that aborts, to the end of what is there.
   */
  readLog(
    path: string,
    options: { readonly fromByte: number; readonly until?: AbortSignal; readonly signal: AbortSignal },
  ): AsyncIterable<Uint8Array>
  rename(from: string, to: string): Promise<void>
  /** Writes a file compressed (gzip) by way of `unfinished`, then removes it. */
  compress(from: string, to: string, unfinished: string): Promise<void>
  fileSize(path: string): Promise<number | undefined>
  pathType(path: string): Promise<'missing' | 'file' | 'directory' | 'socket' | 'charDevice' | 'blockDevice' | 'other'>
  /** Nothing happens when one is mounted there already. */
  mountTmpfs(path: string, mode: number, sizeBytes: number | undefined): Promise<void>
  /** The same of huge pages of a size: "2Mi". */
  mountHugePages(path: string, pageSize: string): Promise<void>
  /**
   * Makes a subPath of a volume available at `target` (a path of the pod's own directory), and resolves with the path to mount:
   * made as a directory when it does not exist, links resolved, refused with an error when it leads out of the volume. What a
   * container does to the volume meanwhile cannot lead elsewhere.
   */
  prepareSubPath(volumePath: string, subPath: string, target: string): Promise<string>
  /** Unmounts what is mounted below the path, then removes the tree. Nothing happens when it does not exist. */
  removeTree(path: string): Promise<void>
  listDirectory(path: string): Promise<readonly string[]>
  /** Calls back when something in the directory changes; hosts that cannot tell leave it out. */
  watchDirectory?(path: string, onChange: () => void, signal: AbortSignal): void
  /** cgroup of a pod: made with its limits (or brought to them), removed with its pod. A limit that is not given is none. `parent` is what the sandbox names as cgroupParent. */
  createPodCgroup(
    parent: string,
    resources: { readonly cpuShares: number; readonly cpuQuota?: number; readonly memoryLimitBytes?: number; readonly pidsLimit?: number },
  ): Promise<void>
  removePodCgroup(parent: string): Promise<void>
  /** Resolves with what a program writes; rejects when it fails, or takes longer. Hosts that run none leave it out. */
  runProgram?(
    path: string,
    args: readonly string[],
    options: { readonly env: Readonly<Record<string, string>>; readonly input: string; readonly timeoutMs: number },
  ): Promise<string>
  /** A TCP connection probe or HTTP GET from the node's side. */
  probeTcp(host: string, port: number, timeoutMs: number): Promise<boolean>
  probeHttp(
    url: string,
    headers: Readonly<Record<string, string>>,
    timeoutMs: number,
  ): Promise<{ readonly status: number; readonly body: string } | { readonly error: string }>
  /** Asks the gRPC health service of the port about a service; "" asks about the server as a whole. */
  probeGrpc(host: string, port: number, service: string, timeoutMs: number): Promise<GrpcHealth>
}

/** The status that a gRPC health service gave (SERVING is health), or why there is none. */
export type GrpcHealth = { readonly status: string } | { readonly error: string }
