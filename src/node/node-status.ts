/** The Node object of this machine: capacity, conditions, addresses and facts, in upstream's words. Pure. */
import type { ContainerImage, Node, NodeAddress, NodeCondition, NodeStatus, Taint } from '../api/generated/core/v1.ts'
import { quantityOfMilli } from '../api/quantity.ts'
import { cpuSet, type NodeConfiguration } from './configuration.ts'
import type { Image } from './container-runtime.ts'
import type { DeviceCount } from './devices/device-manager.ts'
import { quantityAt, type Pressure } from './eviction/thresholds.ts'
import type { MachineFacts } from './host.ts'
import { pageSizeName } from './huge-pages.ts'
import { bytesOf, milliOf } from './quantities.ts'

export interface NodeStatusInput {
  readonly facts: MachineFacts
  readonly addresses: readonly NodeAddress[]
  readonly configuration: NodeConfiguration
  readonly kubeletVersion: string
  /** "containerd://1.6.20" */
  readonly runtimeVersion: string
  readonly images: readonly Image[]
  /** What is not ready; empty when the node is. */
  readonly problems: readonly string[]
  readonly pressure: readonly Pressure[]
  /** What device plugins offer, by resource. */
  readonly devices: Readonly<Record<string, DeviceCount>>
  readonly kubeletPort: number | undefined
  /** The time now, as metav1.Time. */
  readonly now: string
}

/** Upstream's limits of the image list: it must not grow the object without end. */
const MAX_IMAGES = 50
const MAX_NAMES_PER_IMAGE = 5

/** As quantities of this size are written: 4Mi, not 4194304. */
const quantityOfBytes = (bytes: number): string => (bytes === 0 ? '0' : pageSizeName(bytes))
const kibibytes = (bytes: number): string => `${Math.floor(bytes / 1024)}Ki`

/**
 * What pods may use together: all but what is reserved for the system and the agent, and what evictions keep free (upstream's
 * pkg/kubelet/cm/node_container_manager).
 */
export function allocatable({ facts, configuration }: Pick<NodeStatusInput, 'facts' | 'configuration'>): Room {
  const { systemReserved, kubeReserved, evictionHard, reservedSystemCPUs } = configuration
  const reserved = (name: string, of: (quantity: string | undefined) => number) => of(systemReserved[name]) + of(kubeReserved[name])
  const threshold = (signal: string, capacity: number) => quantityAt(evictionHard[signal] ?? '0', capacity)
  const left = (capacity: number, taken: number) => Math.max(0, capacity - taken)
  const exclusive = reservedSystemCPUs === '' ? undefined : cpuSet(reservedSystemCPUs).length * 1000
  const { memoryBytes, ephemeralStorageBytes, cpuCount, hugePages = {} } = facts
  const hugeBytes = Object.values(hugePages).reduce((sum, bytes) => sum + bytes, 0)
  return {
    cpuMilli: left(cpuCount * 1000, exclusive ?? reserved('cpu', milliOf)),
    memoryBytes: left(memoryBytes, reserved('memory', bytesOf) + threshold('memory.available', memoryBytes) + hugeBytes),
    ephemeralStorageBytes: left(
      ephemeralStorageBytes,
      reserved('ephemeral-storage', bytesOf) + threshold('nodefs.available', ephemeralStorageBytes),
    ),
  }
}

export interface Room {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly ephemeralStorageBytes: number
}

export function nodeStatus(input: NodeStatusInput, previous: NodeStatus | undefined): NodeStatus {
  const { facts, configuration } = input
  const pages = Object.entries(facts.hugePages ?? {}).map(([size, bytes]) => [`hugepages-${size}`, quantityOfBytes(bytes)])
  const fixed = { 'hugepages-1Gi': '0', 'hugepages-2Mi': '0', ...Object.fromEntries(pages), pods: String(configuration.maxPods) }
  const room = allocatable(input)
  const devices = (field: keyof DeviceCount) =>
    Object.fromEntries(Object.entries(input.devices).map(([name, count]) => [name, String(count[field])]))
  return {
    capacity: {
      ...fixed,
      ...devices('capacity'),
      cpu: String(facts.cpuCount),
      memory: kibibytes(facts.memoryBytes),
      'ephemeral-storage': kibibytes(facts.ephemeralStorageBytes),
    },
    allocatable: {
      ...fixed,
      ...devices('allocatable'),
      cpu: quantityOfMilli(room.cpuMilli),
      memory: kibibytes(room.memoryBytes),
      'ephemeral-storage': String(room.ephemeralStorageBytes),
    },
    conditions: conditions(input, previous?.conditions ?? []),
    addresses: input.addresses,
    daemonEndpoints: { kubeletEndpoint: { Port: input.kubeletPort ?? 0 } },
    nodeInfo: {
      machineID: facts.machineId,
      systemUUID: facts.systemUuid,
      bootID: facts.bootId,
      kernelVersion: facts.kernelVersion,
      osImage: facts.osImage,
      containerRuntimeVersion: input.runtimeVersion,
      kubeletVersion: input.kubeletVersion,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: facts.architecture,
    },
    images: imageList(input.images),
  }
}

/** What each condition says while all is well, and when not. */
const PRESSURES: readonly (readonly [Pressure, readonly [string, string], readonly [string, string]])[] = [
  [
    'MemoryPressure',
    ['KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
    ['KubeletHasInsufficientMemory', 'kubelet has insufficient memory available'],
  ],
  ['DiskPressure', ['KubeletHasNoDiskPressure', 'kubelet has no disk pressure'], ['KubeletHasDiskPressure', 'kubelet has disk pressure']],
  [
    'PIDPressure',
    ['KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
    ['KubeletHasInsufficientPID', 'kubelet has insufficient PID available'],
  ],
]

function conditions({ problems, pressure, now }: NodeStatusInput, previous: readonly NodeCondition[]): readonly NodeCondition[] {
  const isReady = problems.length === 0
  const words: readonly Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>[] = [
    ...PRESSURES.map(([type, calm, strained]) => {
      const [reason, message] = pressure.includes(type) ? strained : calm
      return { type, status: pressure.includes(type) ? 'True' : 'False', reason, message }
    }),
    {
      type: 'Ready',
      status: isReady ? 'True' : 'False',
      reason: isReady ? 'KubeletReady' : 'KubeletNotReady',
      message: isReady ? 'kubelet is posting ready status' : problems.length === 1 ? problems[0]! : `[${problems.join(', ')}]`,
    },
  ]
  return words.map((word) => {
    const before = previous.find(({ type }) => type === word.type)
    return {
      ...word,
      lastHeartbeatTime: now,
      lastTransitionTime: before?.status === word.status && before.lastTransitionTime ? before.lastTransitionTime : now,
    }
  })
}

/** The largest first: those are what the scheduler's ImageLocality is for. */
function imageList(images: readonly Image[]): readonly ContainerImage[] {
  return [...images]
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes || (a.id < b.id ? -1 : 1))
    .slice(0, MAX_IMAGES)
    .map((image) => ({ names: [...image.digests, ...image.tags].slice(0, MAX_NAMES_PER_IMAGE), sizeBytes: image.sizeBytes }))
}

export interface NodeObjectInput {
  readonly nodeName: string
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly podCidr: string | undefined
  readonly facts: MachineFacts
}

export const nodeLabels = ({
  nodeName,
  labels,
  facts,
}: Pick<NodeObjectInput, 'nodeName' | 'labels' | 'facts'>): Record<string, string> => ({
  'beta.kubernetes.io/arch': facts.architecture,
  'beta.kubernetes.io/os': 'linux',
  'kubernetes.io/arch': facts.architecture,
  'kubernetes.io/hostname': nodeName,
  'kubernetes.io/os': 'linux',
  ...labels,
})

export const nodeObject = (input: NodeObjectInput, status: NodeStatus): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: input.nodeName,
    labels: nodeLabels(input),
    annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
  },
  spec: {
    ...(input.taints.length > 0 ? { taints: input.taints } : {}),
    ...(input.podCidr === undefined ? {} : { podCIDR: input.podCidr, podCIDRs: [input.podCidr] }),
  },
  status,
})

/**
 * The strategic merge patch to the wanted status; undefined when only heartbeat times differ. Resources that others added
 * (extended resources) stay, and what is only in capacity becomes allocatable, as upstream does for them.
 */
export function nodeStatusPatch(node: Node, next: NodeStatus, isHeartbeatDue: boolean): { status: Record<string, unknown> } | undefined {
  const current = node.status ?? {}
  const status: Record<string, unknown> = {}
  for (const field of ['capacity', 'allocatable'] as const) {
    const changed = Object.entries(next[field] ?? {}).filter(([name, value]) => current[field]?.[name] !== value)
    if (changed.length > 0) status[field] = Object.fromEntries(changed)
  }
  const foreign = Object.entries(current.capacity ?? {}).filter(
    ([name, value]) => !(name in (next.capacity ?? {})) && current.allocatable?.[name] !== value,
  )
  if (foreign.length > 0) status['allocatable'] = { ...(status['allocatable'] as object | undefined), ...Object.fromEntries(foreign) }
  for (const field of ['nodeInfo', 'daemonEndpoints', 'images'] as const)
    if (!isSame(current[field], next[field])) status[field] = next[field]
  if (!isSame(current.addresses, next.addresses))
    status['addresses'] = current.addresses ? [...(next.addresses ?? []), { $patch: 'replace' }] : next.addresses
  const isNews = (next.conditions ?? []).some((condition) => {
    const now = current.conditions?.find(({ type }) => type === condition.type)
    return now?.status !== condition.status || now.reason !== condition.reason || now.message !== condition.message
  })
  if (isNews || isHeartbeatDue) status['conditions'] = next.conditions
  return Object.keys(status).length > 0 ? { status } : undefined
}

/** Servers leave out empty values and zeros. */
function isSame(a: unknown, b: unknown): boolean {
  const text = (value: unknown) =>
    JSON.stringify(value, (_, inner: unknown) =>
      inner !== null && typeof inner === 'object' && !Array.isArray(inner)
        ? Object.fromEntries(
            Object.entries(inner)
              .filter(([, part]) => part !== '' && part !== 0)
              .toSorted(([x], [y]) => (x < y ? -1 : 1)),
          )
        : inner,
    )
  return text(a ?? []) === text(b ?? []) || text(a ?? {}) === text(b ?? {})
}
