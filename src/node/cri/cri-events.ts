/**
 * Tells when something happened to a container or a sandbox, from the best source that the runtime has:
 *
 * 1. CRI's GetContainerEvents (containerd 2);
 * 2. containerd's own events on the same socket (any containerd). These come some milliseconds before CRI's answers show the
 *    change, so an exit is told when CRI shows it;
 * 3. comparing lists, for any other runtime.
 *
 * After a break everything that is known is told again: nothing is lost, something may be told twice.
 */
import { sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import { RuntimeError, type RuntimeEvent } from '../container-runtime.ts'
import type { WireContainer, WireSandbox } from './cri-messages.ts'
import type { GrpcCalls } from './grpc-calls.ts'

const RECONNECT_MS = 250
const RELIST_MS = 1_000
/** How long CRI may lag behind containerd's events, and how often it is asked meanwhile. */
const SETTLE_MS = 5_000
const SETTLE_STEP_MS = 5
/** Events that wait for a slow reader; beyond that the oldest go, and a relist makes up for them. */
const MAX_WAITING = 10_000

type Source = (runtime: Runtime, calls: GrpcCalls, signal: AbortSignal) => AsyncIterable<RuntimeEvent>

export async function* criEvents(runtime: Runtime, calls: GrpcCalls, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  const sources: Source[] = [fromCri, fromContainerd, fromLists]
  let isReconnect = false
  while (!signal.aborted) {
    try {
      if (isReconnect) yield* everything(calls)
      yield* sources[0]!(runtime, calls, signal)
    } catch (error) {
      if (signal.aborted) return
      const isMissing = error instanceof RuntimeError && error.code === 'Unimplemented' && sources.length > 1
      if (isMissing) {
        sources.shift()
        continue
      }
      runtime.log.warn('runtime events were interrupted', { error: String(error) })
    }
    isReconnect = true
    if (!signal.aborted) await pause(runtime, RECONNECT_MS, signal)
  }
}

async function* fromCri(_runtime: Runtime, calls: GrpcCalls, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  type Event = { readonly container_id: string; readonly pod_sandbox_status: { readonly id: string } | null }
  for await (const event of calls.stream<Event>('RuntimeService', 'GetContainerEvents', {}, signal)) {
    const sandboxId = event.pod_sandbox_status?.id
    const kind = event.container_id === sandboxId ? 'sandbox' : 'container'
    yield { kind, id: event.container_id, sandboxId }
  }
}

async function* fromContainerd(runtime: Runtime, calls: GrpcCalls, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  const ready: RuntimeEvent[] = []
  let wake = () => {}
  let failure: unknown
  let isOver = false
  const fail = (error: unknown) => {
    failure ??= error
    wake()
  }
  const push = (event: RuntimeEvent) => {
    if (ready.length >= MAX_WAITING) {
      ready.shift()
      fail(new RuntimeError('Unavailable', 'too many events for their reader'))
    }
    ready.push(event)
    wake()
  }
  const stop = new AbortController()
  const inner = AbortSignal.any([signal, stop.signal])
  const reading = (async () => {
    for await (const { event } of calls.stream<Envelope>('Events', 'Subscribe', { filters: FILTERS }, inner)) {
      const change = event ? taskChange(event) : undefined
      if (change) void settled(runtime, calls, change, inner).then((found) => found && push(found), fail)
    }
  })()
    .catch(fail)
    .finally(() => {
      isOver = true
      wake()
    })
  try {
    while (!isOver || ready.length > 0) {
      const next = ready.shift()
      if (next) yield next
      else if (failure) break
      else await new Promise<void>((resolve) => (wake = resolve))
    }
    if (failure) throw failure
  } finally {
    stop.abort()
    await reading
  }
}

interface Envelope {
  readonly event: { readonly type_url: string; readonly value: Buffer } | null
}

interface TaskChange {
  readonly id: string
  readonly isExit: boolean
}

const FILTERS = ['topic=="/tasks/exit"', 'topic=="/tasks/oom"', 'topic=="/tasks/start"']

/** The container that an event is about; undefined for the end of an exec in it. */
function taskChange({ type_url, value }: { readonly type_url: string; readonly value: Buffer }): TaskChange | undefined {
  // In all three messages field 1 is the container; in TaskExit field 2 is the process, which is the container's own or an exec.
  const containerId = textField(value, 0, 1)
  if (!containerId) return undefined
  const isExit = type_url.endsWith('TaskExit')
  if (isExit && textField(value, containerId.end, 2)?.text !== containerId.text) return undefined
  return { id: containerId.text, isExit }
}

/** A short text field of a protobuf message that stands at `offset`. */
function textField(bytes: Buffer, offset: number, number: number): { readonly text: string; readonly end: number } | undefined {
  const lengthDelimited = 2
  if (bytes[offset] !== ((number << 3) | lengthDelimited)) return undefined
  const length = bytes[offset + 1]!
  if (length > 127) return undefined
  const end = offset + 2 + length
  return { text: bytes.toString('utf8', offset + 2, end), end }
}

/** The event, once CRI knows of it; undefined when the container is not CRI's, or gone. */
async function settled(
  runtime: Runtime,
  calls: GrpcCalls,
  { id, isExit }: TaskChange,
  signal: AbortSignal,
): Promise<RuntimeEvent | undefined> {
  const giveUpAt = runtime.clock.monotonic() + SETTLE_MS
  for (;;) {
    const { containers } = await calls.call<{ containers: readonly WireContainer[] }>(
      'RuntimeService',
      'ListContainers',
      { filter: { id } },
      { signal },
    )
    const container = containers[0]
    const isLate = runtime.clock.monotonic() >= giveUpAt
    if (container && (!isExit || container.state === 'CONTAINER_EXITED' || isLate))
      return { kind: 'container', id, sandboxId: container.pod_sandbox_id }
    if (!container) {
      const { items } = await calls.call<{ items: readonly WireSandbox[] }>(
        'RuntimeService',
        'ListPodSandbox',
        { filter: { id } },
        { signal },
      )
      const sandbox = items[0]
      if (!sandbox) return undefined
      if (!isExit || sandbox.state === 'SANDBOX_NOTREADY' || isLate) return { kind: 'sandbox', id, sandboxId: id }
    }
    await sleep(runtime.clock, SETTLE_STEP_MS, signal)
  }
}

async function* fromLists(runtime: Runtime, calls: GrpcCalls, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  let known = new Map<string, string>()
  while (!signal.aborted) {
    const now = new Map<string, string>()
    for await (const [event, state] of listed(calls)) {
      now.set(event.id, state)
      if (known.get(event.id) !== state) yield event
    }
    for (const id of known.keys()) if (!now.has(id)) yield { kind: 'container', id, sandboxId: undefined }
    known = now
    await pause(runtime, RELIST_MS, signal)
  }
}

async function* everything(calls: GrpcCalls): AsyncGenerator<RuntimeEvent> {
  for await (const [event] of listed(calls)) yield event
}

async function* listed(calls: GrpcCalls): AsyncGenerator<readonly [RuntimeEvent, string]> {
  const { items } = await calls.call<{ items: readonly WireSandbox[] }>('RuntimeService', 'ListPodSandbox', {})
  for (const { id, state } of items) yield [{ kind: 'sandbox', id, sandboxId: id }, state]
  const { containers } = await calls.call<{ containers: readonly WireContainer[] }>('RuntimeService', 'ListContainers', {})
  for (const { id, state, pod_sandbox_id } of containers) yield [{ kind: 'container', id, sandboxId: pod_sandbox_id }, state]
}

/** As sleep, but an abort just ends it. */
async function pause(runtime: Runtime, delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(runtime.clock, delayMs, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}
