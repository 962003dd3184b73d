/** The Node object of this machine: capacity, conditions, addresses and facts, in upstream's words. Pure. */
import type { ContainerImage, Node, NodeAddress, NodeCondition, NodeStatus, Taint } from '../api/generated/core/v1.ts'
import type { Image } from './container-runtime.ts'
import type { MachineFacts } from './host.ts'

export interface NodeStatusInput {
  readonly facts: MachineFacts
  readonly addresses: readonly NodeAddress[]
  readonly maxPods: number
  readonly kubeletVersion: string
  /** "containerd://1.6.20" */
  readonly runtimeVersion: string
  readonly images: readonly Image[]
  /** What is not ready; empty when the node is. */
  readonly problems: readonly string[]
  readonly kubeletPort: number | undefined
  /** The time now, as metav1.Time. */
  readonly now: string
}

/** Kept free, so that the node itself survives when its pods use what they may (upstream's eviction threshold). */
const RESERVED_MEMORY_BYTES = 100 * 2 ** 20
const ALLOCATABLE_STORAGE_PERCENT = 90
/** Upstream's limits of the image list: it must not grow the object without end. */
const MAX_IMAGES = 50
const MAX_NAMES_PER_IMAGE = 5

const kibibytes = (bytes: number): string => `${Math.floor(bytes / 1024)}Ki`

export function nodeStatus(input: NodeStatusInput, previous: NodeStatus | undefined): NodeStatus {
  const { facts } = input
  const fixed = { cpu: String(facts.cpuCount), 'hugepages-1Gi': '0', 'hugepages-2Mi': '0', pods: String(input.maxPods) }
  return {
    capacity: { ...fixed, memory: kibibytes(facts.memoryBytes), 'ephemeral-storage': kibibytes(facts.ephemeralStorageBytes) },
    allocatable: {
      ...fixed,
      memory: kibibytes(facts.memoryBytes - RESERVED_MEMORY_BYTES),
      'ephemeral-storage': String(Math.floor((facts.ephemeralStorageBytes * ALLOCATABLE_STORAGE_PERCENT) / 100)),
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

function conditions({ problems, now }: NodeStatusInput, previous: readonly NodeCondition[]): readonly NodeCondition[] {
  const isReady = problems.length === 0
  const words: readonly Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>[] = [
    { type: 'MemoryPressure', status: 'False', reason: 'KubeletHasSufficientMemory', message: 'kubelet has sufficient memory available' },
    { type: 'DiskPressure', status: 'False', reason: 'KubeletHasNoDiskPressure', message: 'kubelet has no disk pressure' },
    { type: 'PIDPressure', status: 'False', reason: 'KubeletHasSufficientPID', message: 'kubelet has sufficient PID available' },
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
