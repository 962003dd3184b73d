/**
 * Requests that the API server itself makes: to programs behind the proxy subresources, to webhooks, to kubelets. The core decides
 * whom to ask and what an answer means; the adapter (http/outgoing.ts) owns sockets, TLS and their limits.
 */
import type { HeaderList } from '../api/exchange.ts'
import type { ByteDuplex } from '../api/node-service.ts'

/** Certificates are PEM. */
export interface OutgoingTls {
  /** The name that the certificate must carry; default: the host. */
  readonly serverName?: string
  /** Default: the authorities that the platform trusts. */
  readonly ca?: string
  /** Who we are, for servers that ask. */
  readonly cert?: string
  readonly key?: string
  /** Any certificate will do. Upstream's proxy to pods and services checks none. */
  readonly isUnverified?: true
}

export interface OutgoingRequest {
  /** A name or an address without brackets. */
  readonly host: string
  readonly port: number
  /** Absent: plain HTTP. */
  readonly tls?: OutgoingTls
  readonly method: string
  /** Path and query, escaped. */
  readonly path: string
  /** With `host` where it is not to be the address itself. */
  readonly headers: HeaderList
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>
  /** Ends the request, and its answer while that is read. Deadlines are the caller's. */
  readonly signal: AbortSignal
}

export interface OutgoingResponse {
  readonly status: number
  readonly headers: HeaderList
  /** Fails when the connection breaks before the end. Whoever does not read it to its end returns from its iterator. */
  readonly body: AsyncIterable<Uint8Array>
}

export type UpgradeResult =
  | { readonly type: 'upgraded'; readonly headers: HeaderList; readonly connection: ByteDuplex }
  /** The server would not switch protocols. */
  | { readonly type: 'answered'; readonly response: OutgoingResponse }

export interface Outgoing {
  /** Resolves when the head of the answer is there; rejects in Go's words for what went wrong ("dial tcp ...: connection refused"). */
  send(request: OutgoingRequest): Promise<OutgoingResponse>
  /** A request that asks for another protocol, over a connection of its own. */
  upgrade(request: OutgoingRequest): Promise<UpgradeResult>
  /** The addresses of a name. */
  resolve(host: string): Promise<readonly string[]>
  close(): void
}

/** What the proxy subresources and the aggregation layer need. */
export interface ProxyRoads {
  readonly outgoing: Outgoing
  /** How this server shows itself to kubelets, and what it trusts there. Absent: without a certificate, trusting any. */
  readonly kubeletTls?: OutgoingTls
  /** How it shows itself to aggregated API servers. Absent: without a certificate. */
  readonly aggregatorTls?: Pick<OutgoingTls, 'cert' | 'key'>
  /** Lets requests go to this machine itself. Only tests, whose backends live on loopback, may say so. */
  readonly allowsLoopback?: true
}
