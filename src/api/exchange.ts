/**
 * A request to the API and its answer, as both ends know them, free of sockets: the HTTP adapter of the server makes these from
 * the wire, the direct transport of the client hands them over as they are (objects shared, nothing serialised).
 */
import type { ListMeta } from './generated/meta/v1.ts'
import type { KubeObject } from './object.ts'
import type { ByteDuplex, RemoteStreams } from './node-service.ts'

export interface UserInfo {
  readonly name: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export interface ApiRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  /** Decoded by the receiver: "/api/v1/namespaces/default/pods/a". */
  readonly path: string
  readonly query: URLSearchParams
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The lines of each header, where the wire had some more than once; absent: `headers` tells it all. */
  readonly headerLines?: Readonly<Record<string, readonly string[] | undefined>>
  /** Bytes from the wire, or an object from the same process (treated as immutable). */
  readonly body?: { readonly bytes: Uint8Array } | { readonly object: KubeObject | readonly unknown[] }
  /** Path and query as the wire had them, for those who pass them on; absent in the same process. */
  readonly target?: string
  /** In place of `body` where a body is passed on and not read: as it comes. */
  readonly bodyStream?: AsyncIterable<Uint8Array>
  /** Names the request in answers and audit events; absent in the same process. */
  readonly auditId?: string
  /** Of the peer; absent in the same process. */
  readonly remoteAddress?: string
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal
}

/** Header fields in order, with repetitions; names in lower case. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

/** One revision of one object: the object and its JSON bytes, each made at most once and shared by all who want it. */
export interface StoredObject {
  readonly object: KubeObject
  /** UTF-8 JSON of `object`, made on first use. */
  readonly bytes: Uint8Array
  /** How many bytes those are; with it comes `copyTo`. Absent where only `bytes` can tell. */
  readonly sizeBytes?: number
  /** Writes the bytes into a larger piece, without making `bytes`. */
  copyTo?(target: Uint8Array, at: number): void
  /** The same in protobuf, as it stands in a list: kept by objects that live on, for the next list. Absent until one was made. */
  protobufItem?: Uint8Array | undefined
  /** The bytes piece by piece, for what is made as it is written (a Table's rows). */
  pieces?(): Iterable<Uint8Array>
}

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'

export interface WatchEvent {
  readonly type: WatchEventType
  readonly object: KubeObject
  /** The line for the wire, `{"type":...,"object":...}\n`, made on first use and shared by all watchers. */
  readonly line: Uint8Array
  /** Of the object in JSON, where that is known without making it. */
  readonly sizeBytes?: number | undefined
}

/** What waits to be told in a watch: for who writes many watches at once. In place of iterating its events. */
export interface WatchQueue {
  /**
   * The next events; none when nothing waits, undefined when the watch is over and all has been taken. Watches that select the same
   * and stand at the same event get the same array.
   */
  take(): readonly WatchEvent[] | undefined
  /** Sets what is called when something has come, or the watch has ended, after `take` gave none. */
  onReady(callback: () => void): void
  /** Nobody listens any more. */
  drop(): void
}

/** What every answer may carry beside its body. */
export interface ResponseHeaders {
  readonly headers?: Readonly<Record<string, string>>
  /** Texts for `Warning: 299` headers (KEP-1693). */
  readonly warnings?: readonly string[]
}

export type ApiResponse = ResponseHeaders &
  (
    | { readonly type: 'object'; readonly status: number; readonly stored: StoredObject }
    | {
        readonly type: 'list'
        readonly status: 200
        readonly apiVersion: string
        readonly kind: string
        readonly metadata: ListMeta
        readonly items: readonly StoredObject[]
      }
    | {
        readonly type: 'watch'
        readonly status: 200
        readonly events: AsyncIterable<readonly WatchEvent[]>
        /** The same events to be taken: one of the two is to be used. */
        readonly queue?: WatchQueue
      }
    | {
        readonly type: 'raw'
        readonly status: number
        readonly contentType: string
        readonly body: Uint8Array | AsyncIterable<Uint8Array>
      }
    /** The connection becomes streams: exec, attach, port-forward. The adapter negotiates SPDY or WebSocket, then calls `serve`. */
    | {
        readonly type: 'upgrade'
        readonly status: 101
        readonly use: StreamUse
        serve(streams: RemoteStreams): Promise<void>
      }
    /** What a server behind this one answered, passed on as it comes. */
    | { readonly type: 'proxied'; readonly status: number; readonly fields: HeaderList; readonly body: AsyncIterable<Uint8Array> }
    /** The connection is joined to one behind this server, which has switched protocols. */
    | { readonly type: 'tunnel'; readonly status: 101; readonly fields: HeaderList; readonly connection: ByteDuplex }
  )

/** What an upgraded connection is for, and so which channels it has. */
export type StreamUse =
  | { readonly kind: 'exec' | 'attach'; readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean; readonly tty: boolean }
  | { readonly kind: 'portforward'; readonly ports: readonly number[] }

/** Answers requests: a server seen by a client in the same process, or a connection to one. Failures are answers with a Status. */
export type Transport = (request: ApiRequest) => Promise<ApiResponse>
