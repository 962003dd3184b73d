/**
 * The node agent (upstream: kubelet): registers the machine, watches the pods that are bound to it, and has a worker for each.
 * A restarted agent adopts what runs: workers find their sandboxes and containers by label, nothing is restarted, exits in
 * between are reported, and what belongs to no pod any more is removed. Static pods are not built.
 */
import type { NodeAddress, Pod, Service, Taint } from '../api/generated/core/v1.ts'
import type { NodeService } from '../api/node-service.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import { createEventRecorder, type EventRecorder } from '../client/events.ts'
import { createInformer, type Informer } from '../client/informer.ts'
import { orAborted } from './abort.ts'
import { allocationFailed, rejectionOf, type NodeRoom, type Rejection } from './admission.ts'
import { nodeConfiguration, type KubeletConfiguration } from './configuration.ts'
import type { ContainerRuntime } from './container-runtime.ts'
import { createCounters, type Counters } from './counters.ts'
import { createCpuManager } from './cpu-manager.ts'
import { createDeviceManager } from './devices/device-manager.ts'
import { followPlugins } from './devices/follow-plugins.ts'
import { createCpuSharing, type CpuSharing } from './cpu-sharing.ts'
import { createCredentialPlugins, type CredentialPluginsOptions } from './credential-plugins.ts'
import { parseResolvConf } from './dns.ts'
import type { Pressure } from './eviction/thresholds.ts'
import { createObjectFollower } from './followed-objects.ts'
import type { Host } from './host.ts'
import { secretsRoot } from './identity.ts'
import { createImageStore } from './images.ts'
import type { NodeContext } from './node-context.ts'
import { createNodeRegistration } from './node-registration.ts'
import { allocatable } from './node-status.ts'
import { createNodeService } from './node-service.ts'
import { removeOrphans } from './orphans.ts'
import { isTerminalPhase } from './pod-phase.ts'
import { createPodWorker, type PodWorker } from './pod-worker.ts'
import { podsToPreempt } from './preemption.ts'
import { createStaticPods, type StaticPods } from './static/static-pods.ts'
import type { StatusWriter } from './status-writer.ts'
import { createUpkeep } from './upkeep.ts'
import { createUsageMeter, type UsageMeter } from './usage.ts'

export interface NodeAgentOptions {
  readonly client: Client
  readonly containers: ContainerRuntime
  readonly host: Host
  readonly nodeName: string
  /** InternalIP first; the first two InternalIPs are the pods' host IPs. */
  readonly addresses: readonly NodeAddress[]
  /** Default: waits until the controllers assign one. */
  readonly podCidr?: string
  readonly clusterDns: readonly string[]
  /** Default: cluster.local. */
  readonly clusterDomain?: string
  /** Pods' volumes and files: <dataDirectory>/pods/<uid>. */
  readonly dataDirectory: string
  /** Where device plugins register; none may when it is not given. */
  readonly devicePluginDirectory?: string
  /** Default: <dataDirectory>/logs. */
  readonly logsDirectory?: string
  /** Before "/kubepods" in the names of cgroups: tells apart several nodes on one machine. Default: none. */
  readonly cgroupRoot?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly taints?: readonly Taint[]
  /** Fields of a KubeletConfiguration; upstream's defaults else. */
  readonly configuration?: KubeletConfiguration
  /** Default: v1.36.3. */
  readonly kubeletVersion?: string
  /** Where the node's own API listens, when it does. */
  readonly kubeletPort?: number
  /** Programs that know credentials of registries. */
  readonly credentialPlugins?: CredentialPluginsOptions
  /** Default: 10. */
  readonly heartbeatSeconds?: number
  /** The node's resolv.conf. Default: /etc/resolv.conf. */
  readonly resolvConf?: string
  /** Services of all namespaces, when something in the process watches them already. */
  readonly services?: Informer<Service>
  /** Default: one of its own. */
  readonly events?: EventRecorder
}

export interface NodeAgent {
  /** Logs, exec, attach and port-forward of the node's pods. */
  readonly service: NodeService
  /** What the node and its pods use. */
  readonly meter: UsageMeter
  readonly counters: Counters
  /** Resolves when the node is registered and its pods are watched. */
  readonly ready: Promise<void>
  run(signal: AbortSignal): Promise<void>
}

const RETRY_MS = 1000
const MAX_KNOWN_SANDBOXES = 512
const PREEMPTED = 'Pod was preempted by Kubelet to accommodate a critical pod.'

/** Not one that this node took up before: what it once admitted it keeps. */
const isNew = (pod: Pod): boolean => pod.status?.startTime === undefined && pod.metadata?.deletionTimestamp === undefined

export function createNodeAgent(runtime: Runtime, options: NodeAgentOptions): NodeAgent {
  const log = runtime.log.with({ node: options.nodeName })
  const workers = new Map<string, PodWorker>()
  const workerBySandbox = new Map<string, PodWorker>()
  const ready = Promise.withResolvers<void>()
  let pressure: readonly Pressure[] = []
  let statics: StaticPods | undefined
  let sharing: CpuSharing | undefined
  const { client, containers, host } = options
  const counters = createCounters()
  const configuration = nodeConfiguration(options.configuration)

  async function createContext(services: Informer<Service>, events: EventRecorder, signal: AbortSignal): Promise<NodeContext> {
    const { dataDirectory } = options
    await host.makeDirectory(secretsRoot(dataDirectory), 0o700)
    await host.mountTmpfs(secretsRoot(dataDirectory), 0o700, undefined)
    const facts = await host.facts()
    return {
      runtime: { ...runtime, log },
      client,
      containers,
      host,
      images: createImageStore(runtime, containers),
      credentialPlugins:
        options.credentialPlugins && createCredentialPlugins({ clock: runtime.clock, log }, host, options.credentialPlugins),
      objects: createObjectFollower(runtime, client, signal),
      events,
      facts,
      cpuManager: createCpuManager(configuration, facts.cpuCount),
      devices: createDeviceManager(runtime.clock),
      runtimeName: (await containers.version()).name,
      nodeName: options.nodeName,
      configuration,
      counters,
      hostIPs: options.addresses
        .filter(({ type }) => type === 'InternalIP')
        .map(({ address }) => address)
        .slice(0, 2),
      clusterDns: options.clusterDns,
      clusterDomain: options.clusterDomain ?? 'cluster.local',
      dataDirectory,
      logsDirectory: options.logsDirectory ?? `${dataDirectory}/logs`,
      cgroupRoot: options.cgroupRoot ?? '',
      nodeDns: parseResolvConf((await host.readNodeFile(options.resolvConf ?? '/etc/resolv.conf')) ?? ''),
      nodeHosts: (await host.readNodeFile('/etc/hosts')) ?? '',
      startedAtMs: runtime.clock.now(),
      services: () => services.cache.values(),
    }
  }

  /** Which pod an event is about: by the ids that workers know, else by its sandbox. */
  function workerOf(id: string, sandboxId: string | undefined): PodWorker | undefined {
    const isOf = (worker: PodWorker) => worker.owns(id) || (sandboxId !== undefined && worker.owns(sandboxId))
    const known = workerBySandbox.get(sandboxId ?? '')
    if (known && isOf(known)) return known
    const found = workers.values().find(isOf)
    // What is forgotten too early is looked for again.
    if (workerBySandbox.size >= MAX_KNOWN_SANDBOXES) workerBySandbox.clear()
    if (found && sandboxId !== undefined) workerBySandbox.set(sandboxId, found)
    return found
  }

  async function followRuntime(signal: AbortSignal): Promise<void> {
    for await (const event of containers.events(signal)) workerOf(event.id, event.sandboxId)?.observe(event)
  }

  /** Whether the node takes the pod; those that must make room for it are on their way out. */
  function admit(node: NodeContext, pod: Pod): { readonly rejection: Rejection | undefined; readonly victims: readonly PodWorker[] } {
    const free = room(node)
    const others = activePods()
    const victims = podsToPreempt(pod, others, free)
    const rejection = rejectionOf(
      pod,
      others.filter((other) => !victims.includes(other)),
      free,
    )
    if (rejection) return { rejection, victims: [] }
    try {
      node.cpuManager?.allocate(pod)
      node.devices.allocate(pod)
    } catch (error) {
      node.cpuManager?.release(pod.metadata?.uid ?? '')
      return { rejection: allocationFailed(error), victims: [] }
    }
    const leaving = [...workers.values()].filter((worker) => victims.includes(worker.pod))
    for (const worker of leaving)
      worker.evict({ reason: 'Preempting', message: 'Preempted in order to admit critical pod', disruption: PREEMPTED })
    return { rejection, victims: leaving }
  }

  /** It begins when what it must wait for is over. */
  function launch(worker: PodWorker, after: Promise<unknown> = Promise.resolve()): PodWorker {
    const { uid = '', name } = worker.pod.metadata ?? {}
    workers.set(uid, worker)
    sharing?.refresh()
    after
      .then(() => worker.run())
      .catch((error: unknown) => log.error('pod worker failed', { pod: name, error: String(error) }))
      .finally(() => {
        workers.delete(uid)
        sharing?.refresh()
      })
    void worker.ended.then(() => sharing?.release(uid))
    return worker
  }

  function followPods(node: NodeContext, signal: AbortSignal): Informer<Pod> {
    const informer = createInformer(runtime, client, 'v1/Pod', { fieldSelector: `spec.nodeName=${options.nodeName}` })
    const start = (pod: Pod): void => {
      const uid = pod.metadata?.uid ?? ''
      const known = workers.get(uid)
      if (known) return known.update(pod)
      if (statics?.sawMirror(pod)) return
      const { rejection, victims } = isNew(pod) ? admit(node, pod) : { rejection: undefined, victims: [] }
      launch(createPodWorker(node, pod, signal, { rejection }), Promise.all(victims.map(({ ended }) => ended)))
    }
    informer.addHandlers({
      added: start,
      updated(pod, old) {
        // Deleted and made anew under the same name while no watch was open.
        if (pod.metadata?.uid !== old.metadata?.uid) {
          workers.get(old.metadata?.uid ?? '')?.removed(old)
          statics?.lostMirror(old)
        }
        start(pod)
      },
      deleted(pod) {
        workers.get(pod.metadata?.uid ?? '')?.removed(pod)
        statics?.lostMirror(pod)
      },
    })
    return informer
  }

  /** Pods that have their place on the node: one that was deleted at once has none any more, though it still ends here. */
  const activePods = (): readonly Pod[] =>
    [...workers.values()]
      .filter((worker) => worker.state !== 'ended' && !worker.isRemoved && !isTerminalPhase(worker.status.phase))
      .map((worker) => worker.pod)

  const room = (node: NodeContext): NodeRoom => ({
    ...allocatable({ facts: node.facts, configuration }),
    pods: configuration.maxPods,
    pressure,
    allowedSysctls: configuration.allowedUnsafeSysctls,
  })

  async function retry(what: string, task: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        return await task()
      } catch (error) {
        if (signal.aborted) return
        log.warn('node agent tries again', { what, error: String(error) })
        await sleep(runtime.clock, RETRY_MS, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
      }
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    const events = options.events ?? createEventRecorder(runtime, client, { component: 'kubelet', host: options.nodeName })
    const services = options.services ?? createInformer(runtime, client, 'v1/Service')
    const running: Promise<void>[] = options.services ? [] : [services.run(signal)]
    let node: NodeContext | undefined
    await retry('start', async () => void (node = await createContext(services, events, signal)), signal)
    if (!node) return
    const context = node
    const shared = createCpuSharing(context, workers, activePods)
    sharing = shared
    await retry('CPUs of containers', () => shared.adopt(), signal)
    const registration = createNodeRegistration(runtime, {
      client,
      containers,
      events,
      facts: context.facts,
      nodeName: options.nodeName,
      addresses: options.addresses,
      labels: options.labels ?? {},
      taints: options.taints ?? [],
      configuration,
      kubeletVersion: options.kubeletVersion ?? 'v1.36.3',
      kubeletPort: options.kubeletPort,
      podCidr: options.podCidr,
      heartbeatSeconds: options.heartbeatSeconds ?? 10,
    })
    running.push(
      registration.run(signal),
      retry('runtime events', () => followRuntime(signal), signal),
    )
    const { devicePluginDirectory } = options
    if (devicePluginDirectory !== undefined)
      running.push(retry('device plugins', () => followPlugins(context, registration, devicePluginDirectory, signal), signal))
    const upkeep = createUpkeep(context, workers, (conditions) => {
      pressure = conditions
      registration.setPressure(conditions)
    })
    running.push(upkeep.run(signal))
    const cidr = await orAborted(registration.podCidr, signal)
    if (cidr !== undefined) await retry('pod CIDR', async () => containers.setPodCidr?.(cidr), signal)
    if (configuration.staticPodPath !== '') {
      const start = (pod: Pod, writer: StatusWriter) => launch(createPodWorker(context, pod, signal, { writer }))
      statics = createStaticPods({ node: context, directory: configuration.staticPodPath, start })
      // Before orphans are looked for: what runs is adopted.
      await retry('static pods', () => statics!.load(signal), signal)
      running.push(statics.run(signal))
    }
    // Environment variables of services must be known before the first container starts.
    await orAborted(services.synced, signal)
    const pods = followPods(context, signal)
    running.push(pods.run(signal))
    await orAborted(pods.synced, signal)
    if (!signal.aborted) ready.resolve()
    await retry('orphans', () => removeOrphans(context, (uid) => workers.has(uid)), signal)
    await Promise.all(running)
    await Promise.all([...workers.values()].map((worker) => worker.finished))
    if (!options.events) events.close()
  }

  const meter = createUsageMeter(runtime, { containers, host, pods: () => [...workers.values()].map(({ pod }) => pod) })
  return {
    service: createNodeService(
      runtime,
      options,
      { get: (uid) => workers.get(uid), find: (namespace, name) => statics?.find(namespace, name) },
      meter,
    ),
    meter,
    counters,
    ready: ready.promise,
    run,
  }
}
