/**
 * A node that is not in this process, over its own HTTPS API (node/http): the paths and parameters are those by which upstream's API
 * server asks a kubelet. A command's streams go over SPDY/3.1, whatever the client at our other end speaks.
 */
import type { ByteDuplex, ExecOutcome, ExecStreams, NodeService, NodeUsage, PodRef } from '../../api/node-service.ts'
import { failure, STATUS_CODES, type ApiError, type StatusReason } from '../../api/status.ts'
import { COMMAND_PROTOCOL, FORWARD_PROTOCOL, forwardPort, readText, runCommand } from '../../streaming/remote-command.ts'
import { SpdyConnection } from '../../streaming/spdy-connection.ts'
import type { HeaderList } from '../../api/exchange.ts'
import type { OutgoingRequest, OutgoingResponse, OutgoingTls } from '../outgoing.ts'
import type { HttpOutgoing } from './outgoing.ts'

export interface NodeAddress {
  readonly host: string
  readonly port: number
}

export interface RemoteNodeOptions {
  readonly outgoing: HttpOutgoing
  readonly tls: OutgoingTls
}

export function createRemoteNode(address: NodeAddress, { outgoing, tls }: RemoteNodeOptions): NodeService {
  const asked = (method: string, path: string, headers: HeaderList, signal: AbortSignal): OutgoingRequest => ({
    ...address,
    tls,
    method,
    path,
    headers,
    signal,
  })

  async function connect(path: string, protocol: string, signal: AbortSignal): Promise<SpdyConnection> {
    const headers: HeaderList = [
      ['connection', 'Upgrade'],
      ['upgrade', 'SPDY/3.1'],
      ['x-stream-protocol-version', protocol],
    ]
    const result = await outgoing.dialUpgraded(asked('POST', path, headers, signal)).catch(unreachable)
    if (result.type === 'answered') throw await refusal(result.response)
    return new SpdyConnection(result.socket, { role: 'client', head: Buffer.alloc(0) })
  }

  async function command(path: string, query: URLSearchParams, tty: boolean, streams: ExecStreams): Promise<ExecOutcome> {
    for (const [name, isAsked] of [
      ['input', streams.stdin],
      ['output', streams.stdout],
      ['error', streams.stderr],
      ['tty', tty],
    ] as const)
      if (isAsked) query.set(name, '1')
    const connection = await connect(`${path}?${query.toString()}`, COMMAND_PROTOCOL, streams.signal)
    return runCommand(connection, tty, streams)
  }

  return {
    async logs(pod, { container, ...options }, signal) {
      const query = new URLSearchParams()
      for (const [name, value] of Object.entries(options)) if (value !== undefined && value !== false) query.set(name, String(value))
      const path = `/containerLogs/${placeOf(pod)}/${encodeURIComponent(container)}?${query.toString()}`
      const answer = await outgoing.send(asked('GET', path, [], signal)).catch(unreachable)
      if (answer.status !== 200) throw await refusal(answer)
      return answer.body
    },
    exec: (pod, { container, command: words, tty }, streams) =>
      command(`/exec/${podAnd(pod, container)}`, new URLSearchParams(words.map((word) => ['command', word])), tty, streams),
    attach: (pod, { container, tty }, streams) => command(`/attach/${podAnd(pod, container)}`, new URLSearchParams(), tty, streams),
    async portForward(pod: PodRef, port: number, data: ByteDuplex, signal: AbortSignal) {
      const connection = await connect(`/portForward/${placeOf(pod)}/${encodeURIComponent(pod.uid)}`, FORWARD_PROTOCOL, signal)
      const message = await forwardPort(connection, port, data)
      if (message !== '') throw failure('InternalError', message)
    },
    async usage(signal) {
      const answer = await outgoing.send(asked('GET', '/stats/summary', [], signal)).catch(unreachable)
      if (answer.status !== 200) throw await refusal(answer)
      return usageOf(JSON.parse(await wholeText(answer.body)) as Summary)
    },
  }
}

/** What is read of a kubelet's summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1). */
interface Measured {
  readonly cpu?: { readonly time: string; readonly usageNanoCores?: number }
  readonly memory?: { readonly workingSetBytes?: number }
}
interface Summary {
  readonly node: Measured
  readonly pods: readonly {
    readonly podRef: { readonly namespace: string; readonly name: string }
    readonly containers?: readonly (Measured & { readonly name: string })[]
  }[]
}

/** Of a node with thousands of containers. */
const MAX_SUMMARY_BYTES = 32 * 1024 * 1024

async function wholeText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > MAX_SUMMARY_BYTES) throw failure('InternalError', `the node's summary is longer than ${MAX_SUMMARY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Kubelets do not tell what they average over; upstream's do it over some ten seconds. */
const SUMMARY_WINDOW_MS = 10_000

function usageOf({ node, pods }: Summary): NodeUsage {
  const figures = ({ cpu, memory }: Measured) => ({
    cpuNanoCores: cpu?.usageNanoCores ?? 0,
    workingSetBytes: memory?.workingSetBytes ?? 0,
  })
  return {
    atMs: Date.parse(node.cpu?.time ?? ''),
    windowMs: SUMMARY_WINDOW_MS,
    node: figures(node),
    pods: pods.map(({ podRef, containers = [] }) => ({
      namespace: podRef.namespace,
      name: podRef.name,
      containers: containers.map((container) => ({ name: container.name, ...figures(container) })),
    })),
  }
}

const placeOf = ({ namespace, name }: PodRef): string => `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`

/** With the uid: the name may be another pod's by now. */
const podAnd = (pod: PodRef, container: string): string => `${placeOf(pod)}/${encodeURIComponent(pod.uid)}/${encodeURIComponent(container)}`

function unreachable(error: unknown): never {
  throw failure('InternalError', `error dialing backend: ${error instanceof Error ? error.message : String(error)}`)
}

/** What the node said against it, with its code. */
async function refusal({ status, body }: OutgoingResponse): Promise<ApiError> {
  const text = (await readText(body)).trim()
  return failure(REASONS.get(status) ?? 'InternalError', text || `the node answered with ${status}`, { code: status < 400 ? 500 : status })
}

const REASONS: ReadonlyMap<number, StatusReason> = new Map(
  (['BadRequest', 'NotFound', 'MethodNotAllowed', 'InternalError', 'ServiceUnavailable'] as const).map((reason) => [
    STATUS_CODES[reason],
    reason,
  ]),
)
