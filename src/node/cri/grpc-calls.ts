/**
 * Calls over gRPC to a unix socket, with failures as RuntimeError. The gRPC library is loaded at the first call: it takes a tenth
 * of a second that nobody should wait for who only looks at `proa --help`.
 */
import type * as Grpc from '@grpc/grpc-js'
import type * as ProtoLoader from '@grpc/proto-loader'
import { RuntimeError } from '../container-runtime.ts'
import { CONTAINERD_EVENTS_PROTO, CONTAINERD_SNAPSHOTS_PROTO, CRI_PROTO } from './cri-proto.ts'
import { parseProto } from '../../grpc/proto-text.ts'

/** Lists of a node with thousands of containers pass the library's own limit of 4 MiB; execSync may return 16. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** How long a call may take where its caller names no time: as upstream's kubelet (runtimeRequestTimeout). */
const DEFAULT_DEADLINE_MS = 120_000
/** CRI's images live in this namespace of containerd. */
export const CRI_NAMESPACE = 'k8s.io'
const RECONNECT_MIN_MS = 20
const RECONNECT_MAX_MS = 1_000

export type ServiceName = 'RuntimeService' | 'ImageService' | 'Events' | 'Snapshots'

export interface CallOptions {
  /** `Infinity` for none. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface GrpcCalls {
  call<T>(service: ServiceName, method: string, request: object, options?: CallOptions): Promise<T>
  /** Ends when the signal aborts, fails with RuntimeError when the stream breaks. */
  stream<T>(service: ServiceName, method: string, request: object, signal: AbortSignal): AsyncIterable<T>
  close(): void
}

type Callback = (error: Grpc.ServiceError | null, answer?: unknown) => void
type Definitions = Parameters<typeof ProtoLoader.fromJSON>[0]
type Method = Grpc.MethodDefinition<object, object>

interface Connection {
  readonly client: Grpc.Client
  /** containerd keeps what belongs to CRI in a namespace of its own; CRI's own calls don't mind. */
  readonly metadata: Grpc.Metadata
  readonly methods: Readonly<Record<ServiceName, Readonly<Record<string, Method>>>>
}

const CODES: Readonly<Record<number, RuntimeError['code']>> = {
  3: 'InvalidArgument',
  4: 'DeadlineExceeded',
  5: 'NotFound',
  6: 'AlreadyExists',
  12: 'Unimplemented',
  14: 'Unavailable',
}
const CANCELLED = 1

export function createGrpcCalls(socketPath: string): GrpcCalls {
  let connecting: Promise<Connection> | undefined
  const connect = (): Promise<Connection> => (connecting ??= open(socketPath))

  const call = async <T>(service: ServiceName, method: string, request: object, options: CallOptions = {}): Promise<T> => {
    const { client, methods, metadata } = await connect()
    options.signal?.throwIfAborted()
    const definition = methods[service][method]!
    const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS
    const deadline = deadlineMs === Infinity ? Infinity : Date.now() + deadlineMs
    return new Promise<T>((resolve, reject) => {
      const callback: Callback = (error, answer) => {
        options.signal?.removeEventListener('abort', cancel)
        if (!error) resolve(answer as T)
        else if (error.code === CANCELLED && options.signal?.aborted) reject(options.signal.reason)
        else reject(runtimeError(error))
      }
      const running = client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        metadata,
        { deadline },
        callback,
      )
      const cancel = () => running.cancel()
      options.signal?.addEventListener('abort', cancel, { once: true })
    })
  }

  async function* stream<T>(service: ServiceName, method: string, request: object, signal: AbortSignal): AsyncGenerator<T> {
    const { client, methods, metadata } = await connect()
    if (signal.aborted) return
    const definition = methods[service][method]!
    const running = client.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadata,
    )
    const cancel = () => running.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      yield* running as AsyncIterable<T>
    } catch (error) {
      if (signal.aborted) return
      throw runtimeError(error as Grpc.ServiceError)
    } finally {
      signal.removeEventListener('abort', cancel)
      running.cancel()
    }
  }

  return {
    call,
    stream,
    close() {
      void connecting?.then(({ client }) => client.close())
    },
  }
}

async function open(socketPath: string): Promise<Connection> {
  const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
  const options = { keepCase: true, longs: String, enums: String, defaults: true, bytes: Buffer }
  const cri = fromJSON(parseProto(CRI_PROTO) as Definitions, options)
  const events = fromJSON(parseProto(CONTAINERD_EVENTS_PROTO) as Definitions, options)
  const snapshots = fromJSON(parseProto(CONTAINERD_SNAPSHOTS_PROTO) as Definitions, options)
  const metadata = new grpc.Metadata()
  metadata.set('containerd-namespace', CRI_NAMESPACE)
  const client = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
  })
  return {
    client,
    metadata,
    methods: {
      RuntimeService: cri['runtime.v1.RuntimeService'] as Grpc.ServiceDefinition,
      ImageService: cri['runtime.v1.ImageService'] as Grpc.ServiceDefinition,
      Events: events['containerd.services.events.v1.Events'] as Grpc.ServiceDefinition,
      Snapshots: snapshots['containerd.services.snapshots.v1.Snapshots'] as Grpc.ServiceDefinition,
    },
  }
}

function runtimeError(error: Grpc.ServiceError): RuntimeError {
  return new RuntimeError(CODES[error.code] ?? 'Unknown', error.details || error.message)
}
