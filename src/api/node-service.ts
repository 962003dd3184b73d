/**
 * What the API server asks of a node for `logs`, `exec`, `attach` and `port-forward`: the streaming half of upstream's kubelet
 * API. In one process it is called directly; between machines an adapter carries it. Streams are web streams, so that the core
 * stays free of the platform.
 */
export interface PodRef {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface LogOptions {
  readonly container: string
  readonly follow?: boolean
  readonly previous?: boolean
  readonly timestamps?: boolean
  readonly tailLines?: number
  readonly limitBytes?: number
  readonly sinceSeconds?: number
  /** RFC 3339. */
  readonly sinceTime?: string
  /** PodLogOptions.stream: all (default), stdout or stderr. */
  readonly stream?: 'All' | 'Stdout' | 'Stderr'
}

export interface ExecOptions {
  readonly container: string
  readonly command: readonly string[]
  readonly tty: boolean
}

export interface AttachOptions {
  readonly container: string
  readonly tty: boolean
}

export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** The streams of exec and attach; a missing one was not asked for. */
export interface ExecStreams {
  readonly stdin?: ReadableStream<Uint8Array>
  readonly stdout?: WritableStream<Uint8Array>
  readonly stderr?: WritableStream<Uint8Array>
  readonly resize?: ReadableStream<TerminalSize>
  readonly signal: AbortSignal
}

/** One forwarded connection. */
export interface ByteDuplex {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
}

/** What the HTTP adapter gives `serve` of an upgrade answer. */
export type RemoteStreams =
  | {
      readonly kind: 'exec' | 'attach'
      readonly streams: ExecStreams
      /** The last word: how it ended. */ readonly finish: (outcome: ExecOutcome) => void
    }
  | {
      readonly kind: 'portforward'
      /** Each connection that the client opens; `fail` reports an error for this one and leaves the others alone. */
      readonly connections: AsyncIterable<{ readonly port: number; readonly data: ByteDuplex; readonly fail: (message: string) => void }>
      readonly signal: AbortSignal
    }

/** How a command ended: its exit code, or why it could not run. */
export type ExecOutcome = { readonly exitCode: number } | { readonly error: string }

/** What is used at a moment: CPU as an average of the time just before it. */
export interface ResourceUsage {
  readonly cpuNanoCores: number
  readonly workingSetBytes: number
}

/** What a node and its running containers use: the figures of the metrics.k8s.io API. */
export interface NodeUsage {
  readonly atMs: number
  /** What CPU was averaged over. */
  readonly windowMs: number
  readonly node: ResourceUsage
  readonly pods: readonly (Omit<PodRef, 'uid'> & { readonly containers: readonly (ResourceUsage & { readonly name: string })[] })[]
}

/** A node's side. Failures before the first byte are ApiErrors. */
export interface NodeService {
  logs(pod: PodRef, options: LogOptions, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  exec(pod: PodRef, options: ExecOptions, streams: ExecStreams): Promise<ExecOutcome>
  attach(pod: PodRef, options: AttachOptions, streams: ExecStreams): Promise<ExecOutcome>
  portForward(pod: PodRef, port: number, connection: ByteDuplex, signal: AbortSignal): Promise<void>
  usage?(signal: AbortSignal): Promise<NodeUsage>
}

/** Finds the service of a node by name; undefined when the node cannot be reached. */
export type NodeConnector = (nodeName: string) => NodeService | undefined
