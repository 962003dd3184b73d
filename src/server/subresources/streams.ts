/**
 * pods/exec, attach and portforward: everything is checked here, then the answer asks the adapter to turn the connection into
 * streams and to hand them to `serve`, which joins them to the node's.
 */
import type { ApiResponse, StreamUse } from '../../api/exchange.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import type { ExecOutcome, NodeService, RemoteStreams } from '../../api/node-service.ts'
import { badRequest, invalid } from '../../api/status.ts'
import { assert } from '../../base/assert.ts'
import type { Core, ResourceCall } from '../core.ts'
import { isTrue } from '../request-info.ts'
import { admitConnection } from './connect.ts'
import { assignedNode, containerOf, podOf, refOf } from './pod-container.ts'
import { checkVerb } from './verbs.ts'

const MAX_PORTS = 100

interface StreamOptions {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/** stdout and stderr are on unless told otherwise (defaults of PodExecOptions); a terminal has no stderr of its own. */
function streamOptions(query: URLSearchParams): StreamOptions {
  const tty = isTrue(query.get('tty'))
  const stdout = query.has('stdout') ? isTrue(query.get('stdout')) : true
  const stderr = query.has('stderr') ? isTrue(query.get('stderr')) : true
  return { stdin: isTrue(query.get('stdin')), stdout, stderr: stderr && !tty, tty }
}

async function connect(core: Core, call: ResourceCall, kind: string, options: KubeObject): Promise<Pod> {
  checkVerb(call)
  await admitConnection(core, call, kind, options)
  return podOf(core, call)
}

type Run = (
  node: NodeService,
  pod: Pod,
  container: string,
  streams: Extract<RemoteStreams, { kind: 'exec' | 'attach' }>['streams'],
) => Promise<ExecOutcome>

async function command(core: Core, call: ResourceCall, kind: 'exec' | 'attach', admitted: KubeObject, run: Run): Promise<ApiResponse> {
  const { query } = call.request
  const options = streamOptions(query)
  const pod = await connect(core, call, kind === 'exec' ? 'PodExecOptions' : 'PodAttachOptions', {
    ...admitted,
    ...options,
    container: query.get('container') ?? '',
  })
  const container = containerOf(pod, query.get('container') ?? '')
  const node = assignedNode(core, pod)
  return {
    type: 'upgrade',
    status: 101,
    use: { kind, ...options },
    async serve(remote) {
      assert(remote.kind === kind, 'the streams are those that were asked for')
      remote.finish(await outcomeOf(() => run(node, pod, container, remote.streams)))
    },
  }
}

/** A node that fails is told to the client as the way the command ended. */
async function outcomeOf(run: () => Promise<ExecOutcome>): Promise<ExecOutcome> {
  try {
    return await run()
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

export async function exec(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { query } = call.request
  const words = query.getAll('command')
  if (words.length === 0) throw badRequest('you must specify at least 1 command for the container')
  const { tty } = streamOptions(query)
  return command(core, call, 'exec', { command: words }, (node, pod, container, streams) =>
    node.exec(refOf(pod), { container, command: words, tty }, streams),
  )
}

export async function attach(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { tty } = streamOptions(call.request.query)
  return command(core, call, 'attach', {}, (node, pod, container, streams) => node.attach(refOf(pod), { container, tty }, streams))
}

export async function portForward(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const ports = portsOf(call.request.query, call.info.name)
  const pod = await connect(core, call, 'PodPortForwardOptions', { ports })
  const node = assignedNode(core, pod)
  const use: StreamUse = { kind: 'portforward', ports }
  return {
    type: 'upgrade',
    status: 101,
    use,
    async serve(remote) {
      assert(remote.kind === 'portforward', 'the streams are those that were asked for')
      const open = new Set<Promise<void>>()
      for await (const { port, data, fail } of remote.connections) {
        // One connection that fails leaves the others alone.
        const one = node
          .portForward(refOf(pod), port, data, remote.signal)
          .catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)))
        open.add(one)
        void one.finally(() => open.delete(one))
      }
      await Promise.all(open)
    },
  }
}

function portsOf(query: URLSearchParams, name: string): readonly number[] {
  const texts = query
    .getAll('ports')
    .flatMap((text) => text.split(','))
    .filter((text) => text !== '')
  const ports = texts.map(Number)
  if (ports.length <= MAX_PORTS && ports.every((port) => Number.isInteger(port) && port > 0 && port <= 65_535)) return ports
  const detail = `Invalid value: ${JSON.stringify(texts.join(','))}: must be between 1 and 65535, inclusive`
  throw invalid('', 'PodPortForwardOptions', name, [{ type: 'FieldValueInvalid', field: 'ports', detail }])
}
