/**
 * /exec, /attach and /portForward of the node's API, by WebSocket or SPDY/3.1: the parameters are those that upstream's API server and
 * kubelet use between themselves (input, output, error and tty are "1").
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { StreamUse } from '../../api/exchange.ts'
import type { ExecOutcome, PodRef, RemoteStreams } from '../../api/node-service.ts'
import { badRequest, failure } from '../../api/status.ts'
import { acceptUpgrade } from '../../streaming/upgrade.ts'
import { findPod, type PodSource } from './container-logs.ts'

const MAX_PORTS = 100

/** Rejects with an ApiError while the connection can still be answered. */
export async function serveStream(
  source: PodSource,
  kind: 'exec' | 'attach' | 'portForward',
  parts: readonly string[],
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const query = new URL(request.url ?? '/', 'http://node').searchParams
  if (kind === 'portForward') {
    const [namespace = '', name = '', uid] = parts
    const pod = podOf(source, namespace, name, uid)
    const streams = await acceptUpgrade(request, socket, head, { kind: 'portforward', ports: portsOf(query) })
    if (streams?.kind === 'portforward') await forward(source, pod, streams)
    return
  }
  const [namespace = '', name = '', ...rest] = parts
  const [uid, container] = rest.length > 1 ? rest : [undefined, rest[0]]
  if (!container) throw badRequest('a container name is required')
  const pod = podOf(source, namespace, name, uid)
  const use = streamUse(kind, query)
  const words = query.getAll('command')
  if (kind === 'exec' && words.length === 0) throw badRequest('you must specify at least 1 command for the container')
  const remote = await acceptUpgrade(request, socket, head, use)
  if (!remote || remote.kind === 'portforward') return
  const service = source.service()
  const { tty } = use
  remote.finish(
    await outcomeOf(() =>
      kind === 'exec'
        ? service.exec(pod, { container, command: words, tty }, remote.streams)
        : service.attach(pod, { container, tty }, remote.streams),
    ),
  )
}

function podOf(source: PodSource, namespace: string, name: string, uid: string | undefined): PodRef {
  const pod = findPod(source, namespace, name, uid)
  if (!pod) throw failure('NotFound', 'pod does not exist')
  return pod
}

function streamUse(kind: 'exec' | 'attach', query: URLSearchParams): Extract<StreamUse, { kind: 'exec' | 'attach' }> {
  const is = (name: string): boolean => query.get(name) === '1'
  const [stdin, stdout, tty] = [is('input'), is('output'), is('tty')]
  // A terminal has no stderr of its own.
  const stderr = is('error') && !tty
  if (!stdin && !stdout && !stderr) throw badRequest('you must specify at least 1 of stdin, stdout, stderr')
  return { kind, stdin, stdout, stderr, tty }
}

function portsOf(query: URLSearchParams): readonly number[] {
  const ports = query.getAll('port').flatMap((text) => text.split(',').map(Number))
  if (ports.length > MAX_PORTS || ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535))
    throw badRequest(`query parameter "port" is invalid`)
  return ports
}

/** What went wrong is told to the client as the way the command ended. */
async function outcomeOf(run: () => Promise<ExecOutcome>): Promise<ExecOutcome> {
  try {
    return await run()
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

async function forward(
  source: PodSource,
  pod: PodRef,
  { connections, signal }: Extract<RemoteStreams, { kind: 'portforward' }>,
): Promise<void> {
  const open = new Set<Promise<void>>()
  for await (const { port, data, fail } of connections) {
    // One connection that fails leaves the others alone.
    const one = source
      .service()
      .portForward(pod, port, data, signal)
      .catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)))
    open.add(one)
    void one.finally(() => open.delete(one))
  }
  await Promise.all(open)
}
