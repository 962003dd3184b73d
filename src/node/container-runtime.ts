/**
 * What the node agent asks of a container runtime: the Container Runtime Interface (k8s.io/cri-api runtime/v1) in our spelling.
 * Two implementations pass one contract test: `cri/` (containerd by gRPC) and `simulated/`.
 */
import type { ByteDuplex, ExecOutcome, ExecStreams } from '../api/node-service.ts'

export interface SandboxConfig {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string; readonly attempt: number }
  readonly hostname: string
  readonly logDirectory: string
  readonly dns: { readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[] }
  readonly portMappings: readonly PortMapping[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly linux: {
    readonly cgroupParent: string
    readonly sysctls: Readonly<Record<string, string>>
    readonly security: SecurityContext
  }
}

export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly containerPort: number
  readonly hostPort: number
  readonly hostIP: string
}

/** Where each namespace comes from: the pod's own, the container's own, or the node's. */
export interface NamespaceOptions {
  readonly network: 'POD' | 'NODE'
  readonly pid: 'POD' | 'CONTAINER' | 'NODE'
  readonly ipc: 'POD' | 'NODE'
  /** Shares the processes of this container of the pod instead (CRI's TARGET): ephemeral containers that debug another. */
  readonly targetContainerId?: string
}

export interface SecurityContext {
  readonly namespaces: NamespaceOptions
  readonly privileged: boolean
  readonly runAsUser?: number
  readonly runAsUsername?: string
  readonly runAsGroup?: number
  readonly supplementalGroups: readonly number[]
  readonly readonlyRootfs: boolean
  readonly noNewPrivileges: boolean
  readonly addCapabilities: readonly string[]
  readonly dropCapabilities: readonly string[]
  readonly seccomp: { readonly type: 'RuntimeDefault' | 'Unconfined' | 'Localhost'; readonly localhostRef?: string }
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
}

export interface Mount {
  readonly containerPath: string
  readonly hostPath: string
  readonly readonly: boolean
  readonly propagation: 'PRIVATE' | 'HOST_TO_CONTAINER' | 'BIDIRECTIONAL'
  /** Instead of hostPath, which is empty then: the file system of an image, mounted by the runtime (KEP-4639). */
  readonly image?: { readonly id: string; readonly subPath: string }
}

export interface LinuxResources {
  readonly cpuPeriod: number
  /** In microseconds per period; 0 is no limit. */
  readonly cpuQuota: number
  readonly cpuShares: number
  /** 0 is no limit. */
  readonly memoryLimitBytes: number
  readonly oomScoreAdj: number
  /** The CPUs that it may run on, as Linux writes a set; all when absent. */
  readonly cpus?: string
  /** By the size of the pages, as the kernel names it: 2MB. */
  readonly hugePageLimits?: readonly { readonly pageSize: string; readonly limitBytes: number }[]
}

export interface ContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number }
  /** What pullImage or imageStatus returned as the image's id. */
  readonly imageId: string
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly workingDir: string
  readonly env: readonly { readonly key: string; readonly value: string }[]
  readonly mounts: readonly Mount[]
  readonly devices?: readonly { readonly containerPath: string; readonly hostPath: string; readonly permissions: string }[]
  /** Qualified names of the Container Device Interface. */
  readonly cdiDevices?: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Relative to the sandbox's logDirectory. */
  readonly logPath: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly tty: boolean
  readonly resources: LinuxResources
  readonly security: SecurityContext
}

export interface SandboxStatus {
  readonly id: string
  readonly metadata: SandboxConfig['metadata']
  readonly isReady: boolean
  readonly createdAtMs: number
  /** The pod's addresses, the first one primary; empty with the host's network. */
  readonly ips: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export type ContainerState = 'CREATED' | 'RUNNING' | 'EXITED' | 'UNKNOWN'

/** What a list tells of a container, cheap enough to ask often. */
export interface ContainerSummary {
  readonly id: string
  readonly sandboxId: string
  /** The image's id, or a name of it. */
  readonly imageRef: string
  readonly metadata: ContainerConfig['metadata']
  readonly state: ContainerState
  readonly createdAtMs: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** What a running container has used until now. */
export interface ContainerUsage {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
  readonly atMs: number
  readonly cpuNanoseconds: number
  /** Memory that cannot be taken from it: all but caches that are of no use just now. */
  readonly workingSetBytes: number
  readonly usageBytes?: number
  readonly rssBytes?: number
  readonly pageFaults?: number
  readonly majorPageFaults?: number
  /** Of what it has written outside of volumes. */
  readonly writableLayer?: { readonly usedBytes: number; readonly inodesUsed: number }
}

/** What has gone over the network of a pod until now. */
export interface PodNetworkUsage {
  readonly sandboxId: string
  readonly labels: Readonly<Record<string, string>>
  readonly interfaces: readonly InterfaceUsage[]
}

export interface InterfaceUsage {
  readonly name: string
  readonly rxBytes: number
  readonly rxErrors: number
  readonly txBytes: number
  readonly txErrors: number
}

/** The file system that images are on. */
export interface ImageFsUsage {
  readonly mountpoint: string
  readonly usedBytes: number
  readonly inodesUsed: number
}

export interface ContainerStatus {
  readonly id: string
  readonly metadata: ContainerConfig['metadata']
  readonly state: ContainerState
  readonly createdAtMs: number
  /** 0 when it has not started. */
  readonly startedAtMs: number
  /** 0 when it has not ended. */
  readonly finishedAtMs: number
  readonly exitCode: number
  /** "Completed", "Error", "OOMKilled", "StartError"... */
  readonly reason: string
  readonly message: string
  /** As the pod spec named it. */
  readonly image: string
  /** With digest where known. */
  readonly imageRef: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Absolute. */
  readonly logPath: string
}

export interface Image {
  /** The config digest: "sha256:...". */
  readonly id: string
  readonly tags: readonly string[]
  readonly digests: readonly string[]
  readonly sizeBytes: number
  /** The user of the image's config: a number, or a name. */
  readonly uid?: number
  readonly username?: string
  /** Never to be removed for room: sandboxes are made of it. */
  readonly isPinned?: boolean
}

export interface RegistryCredentials {
  readonly username: string
  readonly password: string
}

export interface ExecSyncResult {
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
  readonly exitCode: number
}

/** Something happened to a container or sandbox: look at that pod again. */
export interface RuntimeEvent {
  readonly kind: 'container' | 'sandbox'
  readonly id: string
  readonly sandboxId: string | undefined
}

/** A failure of the runtime; `code` is the gRPC status name where there is one. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly code: 'NotFound' | 'DeadlineExceeded' | 'Unavailable' | 'Unknown' | 'AlreadyExists' | 'InvalidArgument' | 'Unimplemented'
  constructor(code: RuntimeError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface ContainerRuntime {
  version(): Promise<{ readonly name: string; readonly version: string }>
  /** Told once the node's range of pod addresses is known (CRI's UpdateRuntimeConfig); runtimes that need not know leave it out. */
  setPodCidr?(cidr: string): Promise<void>
  /** Whether the runtime and its network are ready, with the reason when not. */
  status(): Promise<{ readonly runtimeReady: boolean; readonly networkReady: boolean; readonly message: string }>

  runPodSandbox(config: SandboxConfig, handler: string, signal: AbortSignal): Promise<string>
  stopPodSandbox(id: string): Promise<void>
  removePodSandbox(id: string): Promise<void>
  podSandboxStatus(id: string): Promise<SandboxStatus>
  listPodSandboxes(): Promise<readonly Omit<SandboxStatus, 'ips'>[]>

  createContainer(sandboxId: string, config: ContainerConfig, sandbox: SandboxConfig): Promise<string>
  startContainer(id: string): Promise<void>
  /** SIGTERM (or the image's stop signal), then SIGKILL after the grace. Resolves when it has ended. */
  stopContainer(id: string, graceSeconds: number): Promise<void>
  removeContainer(id: string): Promise<void>
  /** Changes the limits of a container that runs; 0 leaves one as it is, a cpuQuota of -1 takes it away. */
  updateContainerResources(id: string, resources: LinuxResources): Promise<void>
  /** Goes on with the log in a new file at its path, after the old one was renamed; runtimes whose logs do not grow leave it out. */
  reopenContainerLog?(id: string): Promise<void>
  containerStatus(id: string): Promise<ContainerStatus>
  listContainers(): Promise<readonly ContainerSummary[]>
  /** Of every running container; runtimes that measure nothing leave it out. */
  usage?(): Promise<readonly ContainerUsage[]>
  /** Of every pod with a network of its own. */
  networkUsage?(): Promise<readonly PodNetworkUsage[]>
  imageFsUsage?(): Promise<ImageFsUsage | undefined>

  execSync(id: string, command: readonly string[], timeoutSeconds: number): Promise<ExecSyncResult>
  exec(id: string, command: readonly string[], tty: boolean, streams: ExecStreams): Promise<ExecOutcome>
  attach(id: string, tty: boolean, streams: ExecStreams): Promise<ExecOutcome>
  portForward(sandboxId: string, port: number, connection: ByteDuplex, signal: AbortSignal): Promise<void>

  listImages(): Promise<readonly Image[]>
  imageStatus(image: string): Promise<Image | undefined>
  /** Resolves with the image's id. */
  pullImage(image: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<string>
  removeImage(image: string): Promise<void>
  /**
   * Mounts an image's file system at a directory of the node that exists, read-only; nothing happens when it is mounted there. Resolves
   * with false, having done nothing, when the runtime takes images as mounts of containers. Runtimes that always do leave it out.
   */
  mountImage?(imageId: string, target: string, podUid: string): Promise<boolean>
  /** Lets go of images mounted for pods that do not hold them any more. Whatever was mounted has been unmounted before. */
  releaseImages?(isHeld: (podUid: string) => boolean): Promise<void>

  /** Until the signal aborts; reconnects by itself. After a gap an event for every known container may come. */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent>
}
