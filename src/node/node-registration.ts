/**
 * Keeps this machine's Node and Lease: registered at the start, the lease renewed every ten seconds, the status written when it
 * changes and every five minutes. The API server decides by the lease whether the node lives.
 */
import type { Lease } from '../api/generated/coordination/v1.ts'
import type { Node, NodeAddress, NodeCondition, Taint } from '../api/generated/core/v1.ts'
import { isApiError } from '../api/status.ts'
import { microTimestamp, sleep, timestamp } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import type { EventRecorder } from '../client/events.ts'
import { createInformer } from '../client/informer.ts'
import type { NodeConfiguration } from './configuration.ts'
import type { ContainerRuntime, Image } from './container-runtime.ts'
import type { DeviceCount } from './devices/device-manager.ts'
import type { Pressure } from './eviction/thresholds.ts'
import type { MachineFacts } from './host.ts'
import { nodeLabels, nodeObject, nodeStatus, nodeStatusPatch } from './node-status.ts'

export interface NodeRegistrationOptions {
  readonly client: Client
  readonly containers: ContainerRuntime
  readonly events: EventRecorder
  readonly facts: MachineFacts
  readonly nodeName: string
  readonly addresses: readonly NodeAddress[]
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly configuration: NodeConfiguration
  readonly kubeletVersion: string
  readonly kubeletPort: number | undefined
  /** When it is not given, the node waits for the controllers to assign one. */
  readonly podCidr: string | undefined
  readonly heartbeatSeconds: number
}

/** What events say when a condition becomes true, and when it becomes false. */
const TRANSITIONS: Readonly<Record<string, readonly [string, string]>> = {
  Ready: ['NodeReady', 'NodeNotReady'],
  MemoryPressure: ['NodeHasInsufficientMemory', 'NodeHasSufficientMemory'],
  DiskPressure: ['NodeHasDiskPressure', 'NodeHasNoDiskPressure'],
  PIDPressure: ['NodeHasInsufficientPID', 'NodeHasSufficientPID'],
}

export interface NodeRegistration {
  /** Resolves with the range of pod addresses once the node is registered and has one. */
  readonly podCidr: Promise<string>
  /** The pressure that the node tells from now on; written at once. */
  setPressure(conditions: readonly Pressure[]): void
  /** The same for what device plugins offer. */
  setDevices(counts: Readonly<Record<string, DeviceCount>>): void
  run(signal: AbortSignal): Promise<void>
}

const LEASE_NAMESPACE = 'kube-node-lease'
const LEASE_SECONDS = 40
const STATUS_PERIOD_MS = 300_000
const RETRY_MS = 500
const MAX_RETRY_MS = 10_000

export function createNodeRegistration(runtime: Runtime, options: NodeRegistrationOptions): NodeRegistration {
  const { clock, log } = runtime
  const { client, containers, nodeName } = options
  const podCidr = Promise.withResolvers<string>()
  let assignedCidr = options.podCidr
  let node: Node | undefined
  let lease: Lease | undefined
  let writtenAtMs = -Infinity
  let pressure: readonly Pressure[] = []
  let devices: Readonly<Record<string, DeviceCount>> = {}
  const told = new Map<string, string>()
  let refresh = () => {}
  const runtimeVersion = containers.version().then(({ name, version }) => `${name}://${version}`)

  async function problems(): Promise<readonly string[]> {
    const found: string[] = []
    try {
      const { runtimeReady, networkReady, message } = await containers.status()
      if (!runtimeReady) found.push(`container runtime not ready: ${message}`)
      if (!networkReady) found.push(`container runtime network not ready: ${message}`)
    } catch (error) {
      found.push(`container runtime is down: ${error instanceof Error ? error.message : String(error)}`)
    }
    if (assignedCidr === undefined) found.push('container runtime network not ready: the node has no pod CIDR yet')
    return found
  }

  async function currentStatus() {
    const found = await problems()
    let images: readonly Image[] = []
    if (found.length === 0) images = await containers.listImages()
    const { facts, addresses, kubeletVersion, kubeletPort } = options
    const runtimeName = await runtimeVersion
    return nodeStatus(
      {
        facts,
        addresses,
        kubeletVersion,
        kubeletPort,
        runtimeVersion: runtimeName,
        images,
        problems: found,
        pressure,
        devices,
        configuration: options.configuration,
        now: timestamp(clock),
      },
      node?.status,
    )
  }

  function saw(next: Node): void {
    node = next
    const cidr = next.spec?.podCIDR
    if (assignedCidr === undefined && cidr) assignedCidr = cidr
    if (assignedCidr !== undefined) podCidr.resolve(assignedCidr)
  }

  async function register(): Promise<void> {
    const status = await currentStatus()
    try {
      saw(await client.create('v1/Node', nodeObject(options, status)))
      writtenAtMs = clock.monotonic()
    } catch (error) {
      if (!isApiError(error, 'AlreadyExists')) throw error
      const labels = nodeLabels(options)
      saw(await client.patch('v1/Node', { name: nodeName }, 'strategic', { metadata: { labels } }))
      writtenAtMs = -Infinity
    }
    await updateStatus()
  }

  function tellTransitions(conditions: readonly NodeCondition[]): void {
    const about = { kind: 'Node', apiVersion: 'v1', name: nodeName, uid: node?.metadata?.uid ?? nodeName }
    for (const { type, status } of conditions) {
      const before = told.get(type)
      if (before === status) continue
      told.set(type, status)
      const reason = TRANSITIONS[type]?.[status === 'True' ? 0 : 1]
      // That there is enough of everything goes without saying at the start.
      if (reason && (before !== undefined || type === 'Ready' || status === 'True'))
        options.events.record(about, 'Normal', reason, `Node ${nodeName} status is now: ${reason}`)
    }
  }

  async function updateStatus(): Promise<void> {
    if (!node) return
    const next = await currentStatus()
    const isDue = clock.monotonic() - writtenAtMs >= STATUS_PERIOD_MS
    const patch = nodeStatusPatch(node, next, isDue)
    tellTransitions(next.conditions ?? [])
    if (!patch) return
    saw(await client.patch('v1/Node', { name: nodeName }, 'strategic', patch, { subresource: 'status' }))
    if (patch.status['conditions']) writtenAtMs = clock.monotonic()
  }

  async function renewLease(): Promise<void> {
    const renewTime = microTimestamp(clock)
    const key = { namespace: LEASE_NAMESPACE, name: nodeName }
    const fresh: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        ...key,
        ...(node?.metadata?.uid ? { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: node.metadata.uid }] } : {}),
      },
      spec: { holderIdentity: nodeName, leaseDurationSeconds: LEASE_SECONDS, renewTime },
    }
    try {
      lease = lease
        ? await client.update('coordination.k8s.io/v1/Lease', { ...lease, spec: { ...lease.spec, renewTime } })
        : await client.create('coordination.k8s.io/v1/Lease', fresh)
    } catch (error) {
      if (isApiError(error, 'AlreadyExists', 'Conflict')) lease = await client.get('coordination.k8s.io/v1/Lease', key)
      else if (lease && isApiError(error, 'NotFound')) lease = undefined
      else throw error
      if (lease) lease = await client.update('coordination.k8s.io/v1/Lease', { ...lease, spec: { ...fresh.spec, renewTime } })
    }
  }

  /** Tries again until it works: at the start the API server may not be there yet. */
  async function persist(what: string, task: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (let retryMs = RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
      try {
        return await task()
      } catch (error) {
        log.warn('node not kept up to date', { what, error: String(error) })
        await pause(retryMs, signal)
      }
    }
  }

  const pause = (ms: number, signal: AbortSignal): Promise<void> =>
    sleep(clock, ms, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })

  return {
    podCidr: podCidr.promise,
    setPressure(conditions) {
      pressure = conditions
      refresh()
    },
    setDevices(counts) {
      devices = counts
      refresh()
    },
    async run(signal) {
      await persist('registration', register, signal)
      const informer = createInformer(runtime, client, 'v1/Node', { fieldSelector: `metadata.name=${nodeName}` })
      let updating = Promise.resolve()
      const update = () => {
        updating = updating.then(() => persist('status', updateStatus, signal))
      }
      refresh = update
      informer.addHandlers({
        added: saw,
        updated(next, old) {
          saw(next)
          // A first range of addresses makes the node ready; a new resource must become allocatable.
          if (next.spec?.podCIDR !== old.spec?.podCIDR || next.status?.capacity !== old.status?.capacity) update()
        },
      })
      const watching = informer.run(signal)
      if (assignedCidr !== undefined) update()
      while (!signal.aborted) {
        await persist('lease', renewLease, signal)
        await pause(options.heartbeatSeconds * 1000, signal)
        if (!signal.aborted) update()
      }
      await Promise.all([watching, updating])
    },
  }
}
