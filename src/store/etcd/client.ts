/**
 * Calls of an etcd with several members. One is spoken to as long as it answers; when it does not, or has lost its cluster, the next
 * is. What has surely not been done is tried on each in turn; a write whose answer was lost is not tried again.
 */
import type * as Grpc from '@grpc/grpc-js'
import type * as ProtoLoader from '@grpc/proto-loader'
import { parseProto } from '../../grpc/proto-text.ts'
import { StoreUnavailable } from '../store.ts'
import { ETCD_PROTO, type WatchResponse } from './etcd-proto.ts'

export interface EtcdConnection {
  /** "https://10.0.0.1:2379", or http. */
  readonly endpoints: readonly string[]
  /** PEM: whom to believe, and who we are. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

export type Method = 'Range' | 'Txn' | 'Compact'

export interface WatchStream extends AsyncIterable<WatchResponse> {
  send(request: object): void
  close(): void
}

export interface EtcdClient {
  call<T>(method: Method, request: object): Promise<T>
  /** On the member that is spoken to; a stream that breaks moves on to the next. */
  watch(): Promise<WatchStream>
  close(): void
}

/** etcd's own word on why a call failed, and its gRPC code. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export const INVALID_ARGUMENT = 3
export const OUT_OF_RANGE = 11
const DEADLINE_EXCEEDED = 4
const UNAVAILABLE = 14

const DEFAULT_PORT = 2379
/** A read of many objects passes the library's limit of 4 MiB. */
const MAX_MESSAGE_BYTES = 512 << 20
const CALL_TIMEOUT_MS = 10_000
/** A member that is cut off is noticed so soon. */
const KEEPALIVE_MS = 3_000
const KEEPALIVE_TIMEOUT_MS = 2_000
const RECONNECT_MIN_MS = 50
const RECONNECT_MAX_MS = 1_000

type Definitions = Parameters<typeof ProtoLoader.fromJSON>[0]

export async function connectEtcd({ endpoints, tls }: EtcdConnection): Promise<EtcdClient> {
  // Loaded here: who keeps no data in etcd need not wait for it.
  const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
  const definitions = fromJSON(parseProto(ETCD_PROTO) as Definitions, { keepCase: true, longs: Number, defaults: true, bytes: Buffer })
  const kv = definitions['etcdserverpb.KV'] as Grpc.ServiceDefinition
  const watchMethod = (definitions['etcdserverpb.Watch'] as Grpc.ServiceDefinition)['Watch']!
  const clients = endpoints.map((endpoint) => {
    const { protocol, hostname, port } = new URL(endpoint)
    return new grpc.Client(
      `${hostname}:${port || DEFAULT_PORT}`,
      protocol === 'https:' ? secure(grpc, tls) : grpc.credentials.createInsecure(),
      {
        'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
        'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
        'grpc.keepalive_time_ms': KEEPALIVE_MS,
        'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
        'grpc.keepalive_permit_without_calls': 1,
        'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
        'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
      },
    )
  })
  // A member without a leader must not answer a watch with silence.
  const withLeader = new grpc.Metadata()
  withLeader.set('hasleader', 'true')
  let current = 0
  /** Moves on from a member, unless somebody has already. */
  const leave = (index: number) => {
    if (current === index) current = (index + 1) % clients.length
  }

  const callAt = <T>(index: number, method: Method, request: object): Promise<T> => {
    const { path, requestSerialize, responseDeserialize } = kv[method]!
    return new Promise<T>((resolve, reject) => {
      const deadline = Date.now() + CALL_TIMEOUT_MS
      clients[index]!.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error, answer) => {
        if (error) reject(new EtcdError(error.code, error.details || error.message))
        else resolve(answer as T)
      })
    })
  }

  return {
    async call<T>(method: Method, request: object): Promise<T> {
      for (let tries = 1; ; tries++) {
        const index = current
        try {
          return await callAt<T>(index, method, request)
        } catch (error) {
          if (!(error instanceof EtcdError)) throw error
          if (error.code !== UNAVAILABLE && error.code !== DEADLINE_EXCEEDED) throw error
          leave(index)
          const isUndone = method !== 'Txn' || (error.code === UNAVAILABLE && wasNotSent(error.message))
          if (!isUndone || tries >= clients.length) throw new StoreUnavailable(`etcd does not answer: ${error.message}`, { cause: error })
        }
      }
    },
    async watch() {
      const index = current
      const { path, requestSerialize, responseDeserialize } = watchMethod
      const stream = clients[index]!.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, withLeader)
      return {
        send: (request) => void stream.write(request),
        close: () => stream.cancel(),
        async *[Symbol.asyncIterator]() {
          try {
            yield* stream as AsyncIterable<WatchResponse>
          } catch (error) {
            leave(index)
            throw new EtcdError((error as Grpc.ServiceError).code, (error as Grpc.ServiceError).details)
          }
        },
      }
    },
    close() {
      for (const client of clients) client.close()
    },
  }
}

function secure(grpc: typeof Grpc, { ca, cert, key }: NonNullable<EtcdConnection['tls']> = {}): Grpc.ChannelCredentials {
  const bytes = (text: string | undefined) => (text === undefined ? null : Buffer.from(text))
  return grpc.credentials.createSsl(bytes(ca), bytes(key), bytes(cert))
}

/** What the library says when no connection could be had, and etcd when it refused the proposal before it was made. */
const wasNotSent = (message: string): boolean => /No connection established|Name resolution failed|etcdserver: no leader/.test(message)
