/**
 * A cluster inside a program: `await using cluster = await Cluster.start()`. Everything runs in this process on the memory store
 * with simulated nodes; on the real clock, or on a virtual one from a seed, where time passes only when asked for.
 */
import { parseYamlDocuments } from '../api/yaml.ts'
import type { KubeObject, ObjectKey } from '../api/object.ts'
import { isApiError } from '../api/status.ts'
import { createLog, silentLog, type LogLevel, type LogSink } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { Runtime } from '../base/runtime.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'
import { createVirtualClock, type VirtualClock } from '../simulation/virtual-clock.ts'
import { createMemoryStore } from '../store/memory.ts'
import { createAuthority, type KeyPair } from './certificates.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import * as identities from './identities.ts'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { DEFAULT_DNS_ADDRESS, DEFAULT_SERVICE_CIDR, SIMULATED_POD_CIDR } from './defaults.ts'
import type { SchedulerSetup } from './scheduler-setup.ts'
import { startSimulatedNodes } from './simulated-nodes.ts'
import { serveTemporarily, temporaryTokenSigner, type TemporaryServer } from './temporary-server.ts'

export interface ClusterOptions {
  /** How many simulated nodes; default 1. */
  readonly nodes?: number
  /** `virtual`: time passes only in `advance` and `until`, and the same seed gives the same cluster life. Default: real. */
  readonly clock?: 'real' | 'virtual'
  /** Of chance (names, uids, jitter); default 1 on the virtual clock, real chance on the real one. */
  readonly seed?: number
  /** Receives the cluster's log from this level on; default: nobody does. */
  readonly log?: { readonly sink: LogSink; readonly level?: LogLevel }
  /** The scheduler's configuration, and plugins of your own; default: upstream's default profile. */
  readonly scheduler?: SchedulerSetup
}

export interface UntilOptions {
  /** Default 30,000, in the cluster's own time. */
  readonly timeoutMs?: number
}

const START_TIMEOUT_MS = 60_000
const UNTIL_TIMEOUT_MS = 30_000

export class Cluster implements AsyncDisposable {
  /** The administrator's client: typed, in the same process, no sockets. */
  readonly client: Client
  readonly #plane: ControlPlane
  readonly #lifecycle: Lifecycle
  readonly #runtime: Runtime
  readonly #virtual: VirtualClock | undefined
  readonly #authority: () => Promise<KeyPair>
  #served: Promise<TemporaryServer> | undefined

  private constructor(
    runtime: Runtime,
    virtual: VirtualClock | undefined,
    lifecycle: Lifecycle,
    plane: ControlPlane,
    authority: () => Promise<KeyPair>,
  ) {
    this.#runtime = runtime
    this.#authority = authority
    this.#virtual = virtual
    this.#lifecycle = lifecycle
    this.#plane = plane
    this.client = plane.client(identities.administrator)
  }

  /** Resolves when the API answers and all nodes are registered. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const virtual = options.clock === 'virtual' ? createVirtualClock() : undefined
    const seed = options.seed ?? (virtual ? 1 : undefined)
    const runtime: Runtime = {
      clock: virtual ?? systemClock,
      random: seed === undefined ? systemRandom : seededRandom(seed),
      log: options.log ? createLog(options.log.sink, options.log.level) : silentLog,
    }
    const lifecycle = createLifecycle()
    // Keys take a while to make: only clusters that sign or serve have an authority.
    let made: Promise<KeyPair> | undefined
    const authority = () => (made ??= createAuthority(runtime.clock, 'kubernetes'))
    const begun = begin(runtime, lifecycle, authority, options)
    try {
      if (virtual) await passUntilSettled(virtual, begun)
      const plane = await Promise.race([begun, lifecycle.failed])
      return new Cluster(runtime, virtual, lifecycle, plane, authority)
    } catch (error) {
      await stopped(virtual, lifecycle)
      throw error
    }
  }

  /** The cluster's time, in milliseconds since 1970. */
  now(): number {
    return this.#runtime.clock.now()
  }

  /** Lets time pass on the virtual clock. */
  async advance(ms: number): Promise<void> {
    if (!this.#virtual) throw new Error("advance needs the virtual clock: Cluster.start({ clock: 'virtual' })")
    await this.#virtual.advance(ms)
  }

  /** Creates each object, or brings it to what is given where it exists (by patch). Takes objects, or YAML with one or more documents. */
  async apply(objects: string | KubeObject | readonly KubeObject[]): Promise<readonly KubeObject[]> {
    const list =
      typeof objects === 'string'
        ? (parseYamlDocuments(objects) as readonly KubeObject[])
        : Array.isArray(objects)
          ? (objects as readonly KubeObject[])
          : [objects as KubeObject]
    const applied: KubeObject[] = []
    for (const object of list) applied.push(await this.#applyOne(object))
    return applied
  }

  async #applyOne(object: KubeObject): Promise<KubeObject> {
    const kind: KindName = `${object.apiVersion}/${object.kind}`
    try {
      return await this.client.create(kind, object)
    } catch (error) {
      if (!isApiError(error, 'AlreadyExists')) throw error
      const key = { namespace: object.metadata?.namespace, name: object.metadata?.name ?? '' }
      return this.client.patch(kind, key, 'merge', object)
    }
  }

  /**
   * Resolves with the object once the predicate holds for it (undefined stands for an object that does not exist). Rejects after
   * the time with the object's last state in the message. On the virtual clock, lets time pass meanwhile.
   */
  async until<K extends KindName>(
    kind: K,
    key: ObjectKey,
    predicate: (object: ObjectOf<K> | undefined) => boolean,
    { timeoutMs = UNTIL_TIMEOUT_MS }: UntilOptions = {},
  ): Promise<ObjectOf<K> | undefined> {
    const over = new AbortController()
    const cancelTimer = this.#runtime.clock.setTimeout(() => over.abort(), timeoutMs)
    let last: ObjectOf<K> | undefined
    let isMet = false
    const following = this.#follow(kind, key, over.signal, (object) => {
      last = object
      isMet ||= predicate(object)
      return isMet
    })
    try {
      if (this.#virtual) await this.#virtual.until(() => isMet || over.signal.aborted, timeoutMs)
      await Promise.race([following, this.#lifecycle.failed])
      if (isMet) return last
      throw new Error(
        `${kind} ${key.namespace ? `${key.namespace}/` : ''}${key.name} was not as wanted within ${timeoutMs} ms; it is ${JSON.stringify(last)}`,
      )
    } finally {
      cancelTimer()
      over.abort()
    }
  }

  /** Hands on the state of one object, first as it is, then after each change, until `see` returns true or the signal aborts. */
  async #follow<K extends KindName>(
    kind: K,
    key: ObjectKey,
    signal: AbortSignal,
    see: (object: ObjectOf<K> | undefined) => boolean,
  ): Promise<void> {
    const scope = { ...(key.namespace ? { namespace: key.namespace } : {}), fieldSelector: `metadata.name=${key.name}` }
    const list = await this.client.list(kind, scope)
    if (see(list.items[0])) return
    const watched = new AbortController()
    const events = this.client.watch(kind, {
      ...scope,
      resourceVersion: list.metadata.resourceVersion ?? '',
      signal: AbortSignal.any([signal, watched.signal]),
    })
    try {
      for await (const batch of events) {
        for (const { type, object } of batch) {
          if (type === 'ERROR') throw new Error(`the watch ended: ${JSON.stringify(object)}`)
          if (type !== 'BOOKMARK' && see(type === 'DELETED' ? undefined : object)) return
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      watched.abort()
    }
  }

  /** YAML of a kubeconfig that any client can use; starts listening on loopback at the first call. Real clock only. */
  async kubeconfig(): Promise<string> {
    if (this.#virtual) throw new Error('a cluster on the virtual clock has no time to answer other programs: use cluster.client')
    this.#served ??= serveTemporarily(this.#runtime, this.#lifecycle, this.#plane.server, this.#authority)
    return (await this.#served).kubeconfig
  }

  /** Stops every part, last started first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await stopped(this.#virtual, this.#lifecycle)
  }
}

async function begin(
  runtime: Runtime,
  lifecycle: Lifecycle,
  authority: () => Promise<KeyPair>,
  options: ClusterOptions,
): Promise<ControlPlane> {
  const plane = await startControlPlane(runtime, lifecycle, {
    store: createMemoryStore(),
    rootCa: '',
    authority,
    podCidr: SIMULATED_POD_CIDR,
    serviceCidr: DEFAULT_SERVICE_CIDR,
    tokenSigner: temporaryTokenSigner(),
    ...(options.scheduler ? { scheduler: options.scheduler } : {}),
  })
  await startSimulatedNodes(runtime, lifecycle, plane, { count: options.nodes ?? 1, dnsAddress: DEFAULT_DNS_ADDRESS })
  return plane
}

/** Lets virtual time pass until the promise is settled. */
async function passUntilSettled(clock: VirtualClock, promise: Promise<unknown>): Promise<void> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  if (!(await clock.until(() => isSettled, START_TIMEOUT_MS))) throw new Error(`not settled within ${START_TIMEOUT_MS} ms of virtual time`)
}

/** What is under way at a stop may wait for timers, which on the virtual clock must be let pass. */
async function stopped(virtual: VirtualClock | undefined, lifecycle: Lifecycle): Promise<void> {
  const stopping = lifecycle.stop()
  if (virtual) await passUntilSettled(virtual, stopping)
  await stopping
}
