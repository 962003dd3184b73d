/**
 * A container runtime in memory, for tests without root, for fleets of thousands of nodes and for virtual time. It keeps the
 * contract of container-runtime.ts (runtime-suite.ts holds it to that) but runs nothing. What it pretends:
 *
 * - Every image can be pulled, at once, unless its registry's name begins or ends with "invalid" (or the options say otherwise). Images run as a user
 *   other than root.
 * - A container whose command is understood (script.ts) ends as that says. The pod's annotations `proa.dev/exit-after-seconds`
 *   and `proa.dev/exit-code` decide for its regular containers. Otherwise a container that is meant to end does so with 0:
 *   init containers at once, those of Jobs after a second; all others run until they are stopped.
 * - Stopping ends a container at once with exit code 143, as most programs do on SIGTERM.
 * - `exec` runs what script.ts understands and prints everything else back.
 *
 * A running container costs a few objects and no timer.
 */
import type { ExecOutcome, ExecStreams } from '../../api/node-service.ts'
import { randomInt } from '../../base/random.ts'
import type { Runtime } from '../../base/runtime.ts'
import { sleep } from '../../base/clock.ts'
import {
  RuntimeError,
  type ContainerConfig,
  type ContainerRuntime,
  type ContainerStatus,
  type Image,
  type RuntimeEvent,
  type SandboxConfig,
  type SandboxStatus,
} from '../container-runtime.ts'
import { RUNS_TO_COMPLETION_ANNOTATION } from '../identity.ts'
import { parseImageName } from '../image-name.ts'
import { formatLogLine } from '../log-format.ts'
import { textDigest } from '../text-digest.ts'
import { createAddressPool } from './addresses.ts'
import type { SimulatedHost } from './host.ts'
import { runScript, type ScriptOutcome } from './script.ts'

export interface SimulatedRuntimeOptions {
  /** Where logs go; without it containers write none. */
  readonly host?: SimulatedHost
  /** Of pod addresses; the agent tells its own when it knows it. */
  readonly podCidr?: string
  /** How long a sandbox takes. */
  readonly startDelayMs?: number
  readonly pullDelayMs?: number
  /** Why an image cannot be pulled, or undefined. */
  readonly pullFailure?: (image: string) => string | undefined
}

const EXIT_AFTER_ANNOTATION = 'proa.dev/exit-after-seconds'
const EXIT_CODE_ANNOTATION = 'proa.dev/exit-code'

/** Not root, so that pods that insist on that start as they would with a well-made image. */
const IMAGE_UID = 65_534
const JOB_DURATION_MS = 1000
const DEFAULT_CIDR = '10.244.0.0/16'
const STOPPED_EXIT_CODE = 143
const HEX = '0123456789abcdef'
const encoder = new TextEncoder()

interface Sandbox {
  readonly config: SandboxConfig
  status: SandboxStatus
}

interface SimulatedContainer {
  readonly config: ContainerConfig
  readonly sandbox: Sandbox
  status: ContainerStatus
  cancelEnd: (() => void) | undefined
}

const defaultPullFailure = (image: string): string | undefined => {
  const registry = parseImageName(image)?.registry ?? ''
  const isInvalid = registry.startsWith('invalid') || registry.endsWith('.invalid')
  return isInvalid ? `failed to resolve reference "${image}": failed to do request: dial tcp: lookup ${registry}: no such host` : undefined
}

export function createSimulatedRuntime(runtime: Runtime, options: SimulatedRuntimeOptions = {}): ContainerRuntime {
  const { clock, random } = runtime
  const sandboxes = new Map<string, Sandbox>()
  const containers = new Map<string, SimulatedContainer>()
  const images = new Map<string, Image>()
  const subscribers = new Set<{ readonly waiting: Map<string, RuntimeEvent>; wake: (() => void) | undefined }>()
  let addresses = createAddressPool(options.podCidr ?? DEFAULT_CIDR)
  const pullFailure = options.pullFailure ?? defaultPullFailure

  const makeId = (): string => {
    let id = ''
    for (let index = 0; index < 32; index++) id += HEX[randomInt(random, 16)]
    return id
  }

  /** One waiting event an object is enough: the reader asks for the state as it is then. So the queue is no longer than the pods. */
  function emit(event: RuntimeEvent): void {
    for (const subscriber of subscribers) {
      subscriber.waiting.set(event.id, event)
      subscriber.wake?.()
    }
  }

  const findSandbox = (id: string): Sandbox => {
    const sandbox = sandboxes.get(id)
    if (!sandbox) throw new RuntimeError('NotFound', `an error occurred when try to find sandbox "${id}": not found`)
    return sandbox
  }
  const findContainer = (id: string): SimulatedContainer => {
    const container = containers.get(id)
    if (!container) throw new RuntimeError('NotFound', `an error occurred when try to find container "${id}": not found`)
    return container
  }
  const findRunning = (id: string): SimulatedContainer => {
    const container = findContainer(id)
    if (container.status.state !== 'RUNNING') throw new RuntimeError('Unknown', `container "${id}" is not running`)
    return container
  }

  function print(container: SimulatedContainer, text: string): void {
    if (container.status.logPath === '') return
    const time = new Date(clock.now()).toISOString().replace('Z', '000000Z')
    options.host?.append(container.status.logPath, formatLogLine(time, 'stdout', text))
  }

  function end(container: SimulatedContainer, exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error'): void {
    if (container.status.state === 'EXITED') return
    container.cancelEnd?.()
    container.cancelEnd = undefined
    container.status = { ...container.status, state: 'EXITED', finishedAtMs: clock.now(), exitCode, reason }
    emit({ kind: 'container', id: container.status.id, sandboxId: container.sandbox.status.id })
  }

  /** How a container that starts now will end. */
  function fateOf({ config, sandbox }: SimulatedContainer): ScriptOutcome {
    const script = runScript([...config.command, ...config.args])
    const role = config.annotations[RUNS_TO_COMPLETION_ANNOTATION]
    const { [EXIT_AFTER_ANNOTATION]: after, [EXIT_CODE_ANNOTATION]: code } = sandbox.config.annotations
    const output = script?.output ?? []
    if (role !== 'init' && (after !== undefined || code !== undefined))
      return { afterMs: after === undefined ? JOB_DURATION_MS : Number(after) * 1000, exitCode: Number(code ?? 0), output }
    if (script) return script
    if (role === undefined) return { afterMs: undefined, exitCode: 0, output }
    return { afterMs: role === 'init' ? 0 : JOB_DURATION_MS, exitCode: 0, output }
  }

  async function stopSandbox(sandbox: Sandbox): Promise<void> {
    for (const container of containers.values()) if (container.sandbox === sandbox) end(container, 137)
    if (!sandbox.status.isReady) return
    for (const ip of sandbox.status.ips) addresses.give(ip)
    sandbox.status = { ...sandbox.status, isReady: false, ips: [] }
    emit({ kind: 'sandbox', id: sandbox.status.id, sandboxId: sandbox.status.id })
  }

  function execute(container: SimulatedContainer, command: readonly string[]): { readonly text: string; readonly exitCode: number } {
    const name = command[0]?.slice(command[0].lastIndexOf('/') + 1)
    if (name === 'env' || name === 'printenv')
      return { text: container.config.env.map(({ key, value }) => `${key}=${value}\n`).join(''), exitCode: 0 }
    const script = runScript(command)
    if (script) return { text: script.output.map((line) => `${line}\n`).join(''), exitCode: script.exitCode }
    return { text: `simulated: ${command.join(' ')}\n`, exitCode: 0 }
  }

  async function exec(id: string, command: readonly string[], _tty: boolean, streams: ExecStreams): Promise<ExecOutcome> {
    const { text, exitCode } = execute(findRunning(id), command)
    const writer = streams.stdout?.getWriter()
    await writer?.write(encoder.encode(text))
    await writer?.close()
    return { exitCode }
  }

  async function* events(signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
    const subscriber = { waiting: new Map<string, RuntimeEvent>(), wake: undefined as (() => void) | undefined }
    subscribers.add(subscriber)
    try {
      while (!signal.aborted) {
        for (const [id, event] of subscriber.waiting) {
          subscriber.waiting.delete(id)
          yield event
        }
        if (subscriber.waiting.size > 0 || signal.aborted) continue
        await new Promise<void>((resolve) => {
          const done = () => {
            subscriber.wake = undefined
            signal.removeEventListener('abort', done)
            resolve()
          }
          subscriber.wake = done
          signal.addEventListener('abort', done, { once: true })
        })
      }
    } finally {
      subscribers.delete(subscriber)
    }
  }

  return {
    version: async () => ({ name: 'simulated', version: '1.0.0' }),
    status: async () => ({ runtimeReady: true, networkReady: true, message: '' }),
    async setPodCidr(cidr) {
      if (sandboxes.size === 0) addresses = createAddressPool(cidr)
    },
    async runPodSandbox(config, _handler, signal) {
      if (options.startDelayMs) await sleep(clock, options.startDelayMs, signal)
      const id = makeId()
      const ips = config.linux.security.namespaces.network === 'NODE' ? [] : [addresses.take()]
      const { metadata, labels, annotations } = config
      sandboxes.set(id, { config, status: { id, metadata, isReady: true, createdAtMs: clock.now(), ips, labels, annotations } })
      emit({ kind: 'sandbox', id, sandboxId: id })
      return id
    },
    async stopPodSandbox(id) {
      const sandbox = sandboxes.get(id)
      if (sandbox) await stopSandbox(sandbox)
    },
    async removePodSandbox(id) {
      const sandbox = sandboxes.get(id)
      if (!sandbox) return
      await stopSandbox(sandbox)
      for (const [containerId, container] of containers) if (container.sandbox === sandbox) containers.delete(containerId)
      sandboxes.delete(id)
    },
    podSandboxStatus: async (id) => findSandbox(id).status,
    listPodSandboxes: async () => [...sandboxes.values()].map(({ status }) => status),
    async createContainer(sandboxId, config) {
      const sandbox = findSandbox(sandboxId)
      if (!sandbox.status.isReady) throw new RuntimeError('Unknown', `sandbox container "${sandboxId}" is not running`)
      const image = [...images.values()].find((candidate) => candidate.id === config.imageId)
      if (!image) throw new RuntimeError('NotFound', `failed to get image from containerd "${config.imageId}": image not found`)
      const id = makeId()
      const status: ContainerStatus = {
        id,
        metadata: config.metadata,
        state: 'CREATED',
        createdAtMs: clock.now(),
        startedAtMs: 0,
        finishedAtMs: 0,
        exitCode: 0,
        reason: '',
        message: '',
        image: image.tags[0] ?? image.digests[0] ?? '',
        imageRef: image.digests[0] ?? image.id,
        labels: config.labels,
        annotations: config.annotations,
        logPath: config.logPath === '' ? '' : `${sandbox.config.logDirectory}/${config.logPath}`,
      }
      containers.set(id, { config, sandbox, status, cancelEnd: undefined })
      emit({ kind: 'container', id, sandboxId })
      return id
    },
    async startContainer(id) {
      const container = findContainer(id)
      if (container.status.state !== 'CREATED') throw new RuntimeError('Unknown', `container "${id}" is in ${container.status.state} state`)
      container.status = { ...container.status, state: 'RUNNING', startedAtMs: clock.now() }
      emit({ kind: 'container', id, sandboxId: container.sandbox.status.id })
      const { afterMs, exitCode, output } = fateOf(container)
      for (const line of output) print(container, line)
      if (output.length === 0) print(container, `simulated container ${container.config.metadata.name} started`)
      if (afterMs !== undefined) container.cancelEnd = clock.setTimeout(() => end(container, exitCode), afterMs)
    },
    async stopContainer(id) {
      const container = containers.get(id)
      if (!container) return
      if (container.status.state === 'RUNNING') end(container, STOPPED_EXIT_CODE)
      else end(container, 0)
    },
    async removeContainer(id) {
      const container = containers.get(id)
      if (!container) return
      end(container, 137)
      containers.delete(id)
    },
    async updateContainerResources(id) {
      findContainer(id)
    },
    containerStatus: async (id) => findContainer(id).status,
    listContainers: async () => [...containers.values()].map(({ status, sandbox }) => ({ ...status, sandboxId: sandbox.status.id })),
    async execSync(id, command) {
      const { text, exitCode } = execute(findRunning(id), command)
      return { stdout: encoder.encode(text), stderr: new Uint8Array(), exitCode }
    },
    exec,
    async attach(id, _tty, streams) {
      findRunning(id)
      const writer = streams.stdout?.getWriter()
      await writer?.write(encoder.encode('a simulated container has nothing to attach to\n'))
      await writer?.close()
      return { exitCode: 0 }
    },
    async portForward(sandboxId, port) {
      findSandbox(sandboxId)
      throw new RuntimeError(
        'Unavailable',
        `failed to connect to localhost:${port} inside namespace "${sandboxId}": simulated containers do not listen`,
      )
    },
    listImages: async () => [...images.values()],
    imageStatus: async (image) => images.get(image) ?? [...images.values()].find(({ id }) => id === image),
    async pullImage(image, _credentials, signal) {
      if (options.pullDelayMs) await sleep(clock, options.pullDelayMs, signal)
      const why = pullFailure(image)
      if (why !== undefined) throw new RuntimeError('NotFound', `failed to pull and unpack image "${image}": ${why}`)
      let known = images.get(image)
      if (!known) {
        const digest = `sha256:${textDigest(image, 64)}`
        const repository = parseImageName(image)?.repository ?? image
        known = {
          id: `sha256:${textDigest(`config of ${image}`, 64)}`,
          tags: [image],
          digests: [`${repository}@${digest}`],
          sizeBytes: 1_000_000,
          uid: IMAGE_UID,
        }
        images.set(image, known)
      }
      return known.id
    },
    async removeImage(image) {
      for (const [name, known] of images) if (name === image || known.id === image) images.delete(name)
    },
    events,
  }
}
