/**
 * Small random clusters made from seeds, of everything that a scheduler looks at: what upstream's scheduler decides on them is recorded,
 * and what proa's decides is compared with it. Objects say all that admission would fill in, so that they mean the same stored or not.
 */
import type {
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodSpec,
  Service,
  Taint,
} from '../../src/api/generated/core/v1.ts'
import type { CSINode, StorageClass } from '../../src/api/generated/storage/v1.ts'
import { randomInt, seededRandom } from '../../src/base/random.ts'

export interface RandomCluster {
  readonly namespaces: readonly Namespace[]
  readonly nodes: readonly Node[]
  readonly csiNodes: readonly CSINode[]
  readonly classes: readonly StorageClass[]
  readonly volumes: readonly PersistentVolume[]
  readonly claims: readonly PersistentVolumeClaim[]
  readonly services: readonly Service[]
  /** Pods on nodes: spec.nodeName is set. */
  readonly placed: readonly Pod[]
  /** To be scheduled one after the other. */
  readonly waiting: readonly Pod[]
}

const ZONE = 'topology.kubernetes.io/zone'
const HOST = 'kubernetes.io/hostname'
const DRIVER = 'csi.example.com'
/** An image has the same size wherever it lies. */
const IMAGES: Readonly<Record<string, number>> = {
  'registry/one:1': 90_000_000,
  'registry/two:1': 400_000_000,
  'registry/three:latest': 900_000_000,
}
const NAMESPACES = ['ns-a', 'ns-b']
/** By name: value. The recorder makes the classes. */
export const PRIORITIES: Readonly<Record<string, { readonly value: number; readonly preemptionPolicy: string }>> = {
  low: { value: 0, preemptionPolicy: 'PreemptLowerPriority' },
  middle: { value: 100, preemptionPolicy: 'PreemptLowerPriority' },
  polite: { value: 500, preemptionPolicy: 'Never' },
  high: { value: 1000, preemptionPolicy: 'PreemptLowerPriority' },
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export function makeCluster(seed: number): RandomCluster {
  const random = seededRandom(seed)
  const below = (bound: number): number => randomInt(random, bound)
  const chance = (share: number): boolean => random.next() < share
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const some = <T>(list: readonly T[], share: number): readonly T[] => list.filter(() => chance(share))
  // Each cluster has a bent of its own, so that rare things meet often enough.
  const bent = {
    affinity: chance(0.45) ? 0.6 : 0.05,
    spread: chance(0.45) ? 0.6 : 0.05,
    taints: chance(0.4) ? 0.5 : 0.05,
    ports: chance(0.2) ? 0.5 : 0.02,
    volumes: chance(0.25),
    priorities: chance(0.25),
    crowded: chance(0.5),
    images: chance(0.3),
  }
  const nodeCount = 2 + below(6)
  const colors = ['red', 'green', 'blue']
  const tiers = ['front', 'back']

  const taint = (): Taint => ({
    key: pick(['dedicated', 'gpu']),
    value: pick(['a', 'b']),
    effect: pick(['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
  })
  const nodes = Array.from({ length: nodeCount }, (_, i): Node => {
    const name = `node-${i}`
    const capacity = {
      cpu: pick(['1', '2', '4']),
      memory: pick(['2Gi', '4Gi', '8Gi']),
      'ephemeral-storage': pick(['10Gi', '20Gi']),
      pods: bent.crowded ? pick(['3', '5', '110']) : '110',
      ...(chance(0.3) ? { 'example.com/gpu': pick(['1', '2', '4']) } : {}),
    }
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          ...(chance(0.95) ? { [HOST]: name } : {}),
          ...(chance(0.85) ? { [ZONE]: pick(['z1', 'z2', 'z3']) } : {}),
          ...(chance(0.5) ? { disk: pick(['ssd', 'hdd']) } : {}),
          ...(chance(0.5) ? { rank: pick(['1', '2', '3', '10']) } : {}),
        },
      },
      spec: {
        ...(chance(bent.taints) ? { taints: chance(0.3) ? dedupe([taint(), taint()]) : [taint()] } : {}),
        ...(chance(0.08) ? { unschedulable: true } : {}),
      },
      status: {
        capacity,
        allocatable: capacity,
        ...(bent.images
          ? {
              images: some(Object.keys(IMAGES), 0.5).map((image) => ({
                names: [image],
                sizeBytes: IMAGES[image]!,
              })),
            }
          : {}),
      },
    }
  })

  const namespaces = NAMESPACES.map((name, i): Namespace => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { team: i === 0 ? 'x' : 'y' } },
  }))

  const selector = () =>
    chance(0.75)
      ? { matchLabels: { color: pick(colors) } }
      : {
          matchExpressions: [
            {
              key: pick(['color', 'tier']),
              operator: pick(['In', 'NotIn', 'Exists', 'DoesNotExist']),
              values: [pick(colors), pick(tiers)],
            },
          ].map(withoutValues),
        }
  const term = () => ({
    labelSelector: selector(),
    topologyKey: pick([HOST, ZONE, ZONE, 'disk']),
    ...(chance(0.15) ? { namespaces: [pick(NAMESPACES)] } : {}),
    ...(chance(0.15) ? { namespaceSelector: chance(0.5) ? {} : { matchLabels: { team: pick(['x', 'y']) } } } : {}),
  })
  const weighted = () => ({ weight: 1 + below(100), podAffinityTerm: term() })
  const requirement = () =>
    pick([
      { key: 'disk', operator: 'In', values: [pick(['ssd', 'hdd'])] },
      { key: 'disk', operator: 'Exists' },
      { key: ZONE, operator: 'NotIn', values: [pick(['z1', 'z2'])] },
      { key: 'rank', operator: 'Gt', values: [pick(['1', '2'])] },
      { key: 'rank', operator: 'Lt', values: ['5'] },
      { key: 'disk', operator: 'DoesNotExist' },
    ])
  const nodeTerm = () =>
    chance(0.12)
      ? { matchFields: [{ key: 'metadata.name', operator: pick(['In', 'In', 'NotIn']), values: [`node-${below(nodeCount)}`] }] }
      : { matchExpressions: chance(0.3) ? [requirement(), requirement()] : [requirement()] }

  function affinityOf(): PodSpec['affinity'] {
    return {
      ...(chance(0.35)
        ? {
            nodeAffinity: {
              ...(chance(0.6)
                ? {
                    requiredDuringSchedulingIgnoredDuringExecution: {
                      nodeSelectorTerms: chance(0.3) ? [nodeTerm(), nodeTerm()] : [nodeTerm()],
                    },
                  }
                : {}),
              ...(chance(0.5)
                ? {
                    preferredDuringSchedulingIgnoredDuringExecution: [
                      { weight: 1 + below(100), preference: { matchExpressions: [requirement()] } },
                    ],
                  }
                : {}),
            },
          }
        : {}),
      ...(chance(bent.affinity)
        ? {
            podAffinity: {
              ...(chance(0.5) ? { requiredDuringSchedulingIgnoredDuringExecution: chance(0.2) ? [term(), term()] : [term()] } : {}),
              ...(chance(0.5) ? { preferredDuringSchedulingIgnoredDuringExecution: [weighted()] } : {}),
            },
          }
        : {}),
      ...(chance(bent.affinity)
        ? {
            podAntiAffinity: {
              ...(chance(0.5) ? { requiredDuringSchedulingIgnoredDuringExecution: [term()] } : {}),
              ...(chance(0.5) ? { preferredDuringSchedulingIgnoredDuringExecution: [weighted()] } : {}),
            },
          }
        : {}),
    }
  }

  const constraint = () => ({
    maxSkew: 1 + below(2),
    topologyKey: pick([HOST, ZONE, ZONE, 'disk']),
    whenUnsatisfiable: pick(['DoNotSchedule', 'DoNotSchedule', 'ScheduleAnyway']),
    labelSelector: selector(),
    ...(chance(0.3) ? { nodeAffinityPolicy: pick(['Honor', 'Ignore']) } : {}),
    ...(chance(0.4) ? { nodeTaintsPolicy: pick(['Honor', 'Ignore']) } : {}),
    ...(chance(0.2) ? { matchLabelKeys: ['version'] } : {}),
  })
  function constraintsOf(): PodSpec['topologySpreadConstraints'] {
    const list: Mutable<NonNullable<PodSpec['topologySpreadConstraints']>[number]>[] = chance(0.4)
      ? [constraint(), constraint()]
      : [constraint()]
    const seen = new Set<string>()
    return list.filter((one) => {
      if (one.whenUnsatisfiable === 'DoNotSchedule' && chance(0.25)) one.minDomains = 1 + below(4)
      const key = `${one.topologyKey} ${one.whenUnsatisfiable}`
      return !seen.has(key) && Boolean(seen.add(key))
    })
  }

  const requests = (): Record<string, string> => ({
    ...(chance(0.8) ? { cpu: pick(['100m', '250m', '500m', '1', '1500m']) } : {}),
    ...(chance(0.7) ? { memory: pick(['64Mi', '256Mi', '1Gi', '2Gi', '3Gi']) } : {}),
    ...(chance(0.1) ? { 'ephemeral-storage': pick(['1Gi', '9Gi', '15Gi']) } : {}),
  })
  const toleration = () => ({
    key: pick(['dedicated', 'gpu']),
    ...(chance(0.5) ? { operator: 'Exists' } : { operator: 'Equal', value: pick(['a', 'b']) }),
    ...(chance(0.6) ? { effect: pick(['NoSchedule', 'NoExecute', 'PreferNoSchedule']) } : {}),
  })

  const claims: PersistentVolumeClaim[] = []
  const volumes: PersistentVolume[] = []
  if (bent.volumes) {
    for (let i = 0; i < 4; i++) {
      const namespace = pick(NAMESPACES)
      const [claimName, volumeName] = [`claim-${i}`, `volume-${i}`]
      const accessModes = [pick(['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany'])]
      const labels: Record<string, string> = chance(0.3) ? { [ZONE]: chance(0.3) ? 'z1__z2' : pick(['z1', 'z2', 'z3']) } : {}
      const reach = chance(0.4)
        ? {
            nodeAffinity: {
              required: {
                nodeSelectorTerms: [{ matchExpressions: [{ key: HOST, operator: 'NotIn', values: [`node-${below(nodeCount)}`] }] }],
              },
            },
          }
        : {}
      const isThere = chance(0.95)
      if (isThere)
        volumes.push({
          apiVersion: 'v1',
          kind: 'PersistentVolume',
          metadata: { name: volumeName, labels },
          spec: {
            capacity: { storage: '1Gi' },
            accessModes,
            storageClassName: 'fast',
            csi: { driver: DRIVER, volumeHandle: volumeName },
            claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claimName },
            ...reach,
          },
        })
      const isBound = chance(0.9)
      claims.push({
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: claimName, namespace, ...(isBound ? { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } } : {}) },
        spec: { accessModes, resources: { requests: { storage: '1Gi' } }, storageClassName: 'fast', ...(isBound ? { volumeName } : {}) },
      })
    }
  }

  function podOf(name: string, isPlaced: boolean): Pod {
    const namespace = pick(NAMESPACES)
    const gpu: Record<string, string> = chance(0.12) ? { 'example.com/gpu': pick(['1', '2']) } : {}
    // What a pod asks for as a whole cannot be less than what its containers ask for.
    const isWhole = chance(0.06)
    const amounts = () => (isWhole ? { cpu: '100m', memory: '64Mi' } : requests())
    const containerCount = chance(0.2) ? 2 : 1
    const containers = Array.from({ length: containerCount }, (_, i) => {
      const wanted = { ...amounts(), ...(i === 0 ? gpu : {}) }
      const hostPort = 8080 + below(2)
      return {
        name: `c${i}`,
        image: pick(['registry/one:1', 'registry/two:1', 'registry/three', 'other']),
        resources: { requests: wanted, ...(i === 0 ? { limits: gpu } : {}) },
        ...(i === 0 && chance(bent.ports)
          ? {
              ports: [
                {
                  containerPort: hostPort,
                  hostPort,
                  protocol: pick(['TCP', 'TCP', 'UDP']),
                  ...(chance(0.3) ? { hostIP: pick(['127.0.0.1', '10.0.0.1']) } : {}),
                },
              ],
            }
          : {}),
      }
    })
    const initContainers = chance(0.15)
      ? [{ name: 'init', image: 'other', resources: { requests: amounts() }, ...(chance(0.4) ? { restartPolicy: 'Always' } : {}) }]
      : undefined
    const priority = bent.priorities ? pick(Object.keys(PRIORITIES)) : 'low'
    const own = claims.filter((claim) => claim.metadata?.namespace === namespace)
    const claimName = chance(0.05) ? 'missing' : own.length > 0 ? pick(own).metadata?.name : undefined
    const wantsClaim = bent.volumes && claimName !== undefined && chance(0.6)
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace,
        uid: name,
        labels: {
          ...(chance(0.8) ? { color: pick(colors) } : {}),
          ...(chance(0.5) ? { tier: pick(tiers) } : {}),
          ...(chance(0.4) ? { version: pick(['1', '2']) } : {}),
        },
      },
      spec: {
        schedulerName: 'default-scheduler',
        priority: PRIORITIES[priority]!.value,
        priorityClassName: priority,
        preemptionPolicy: PRIORITIES[priority]!.preemptionPolicy,
        containers,
        ...(initContainers ? { initContainers } : {}),
        ...(isWhole ? { resources: { requests: { cpu: pick(['500m', '2']), memory: pick(['512Mi', '3Gi']) } } } : {}),
        ...(isPlaced ? { nodeName: `node-${below(nodeCount)}` } : {}),
        ...(chance(0.1) ? { nodeSelector: { disk: pick(['ssd', 'hdd']) } } : {}),
        affinity: affinityOf()!,
        ...(chance(bent.spread) ? { topologySpreadConstraints: constraintsOf()! } : {}),
        ...(chance(bent.taints * 0.8) ? { tolerations: [toleration(), ...(chance(0.3) ? [toleration()] : [])] } : {}),
        ...(wantsClaim ? { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: claimName } }] } : {}),
        terminationGracePeriodSeconds: 0,
      },
    }
  }

  // Each has run for a time of its own: of equal pods the younger is pushed aside.
  const started = (pod: Pod, i: number): Pod => ({ ...pod, status: { startTime: `2026-01-01T00:${String(i).padStart(2, '0')}:00Z` } })
  const single = new Set(
    claims.filter(({ spec }) => spec?.accessModes?.includes('ReadWriteOncePod')).map(({ metadata }) => metadata!.name!),
  )
  const drawn = Array.from({ length: below(nodeCount * 4) }, (_, i) => started(podOf(`placed-${i}`, true), i))
  const placed = withoutSharedClaims(withoutSharedPorts(drawn), single)
  const waiting = Array.from({ length: 4 }, (_, i) => podOf(`waiting-${i}`, false))
  const services: Service[] = chance(0.3)
    ? [
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'svc', namespace: pick(NAMESPACES) },
          spec: { selector: { color: pick(colors) }, ports: [{ port: 80, protocol: 'TCP' }] },
        },
      ]
    : []
  const csiNodes = bent.volumes
    ? nodes.flatMap(({ metadata }): CSINode[] =>
        chance(0.6)
          ? [
              {
                apiVersion: 'storage.k8s.io/v1',
                kind: 'CSINode',
                metadata: { name: metadata!.name! },
                spec: { drivers: [{ name: DRIVER, nodeID: metadata!.name!, allocatable: { count: 1 + below(2) } }] },
              },
            ]
          : [],
      )
    : []
  const classes: StorageClass[] = bent.volumes
    ? [
        {
          apiVersion: 'storage.k8s.io/v1',
          kind: 'StorageClass',
          metadata: { name: 'fast' },
          provisioner: DRIVER,
          volumeBindingMode: 'Immediate',
        },
      ]
    : []
  return { namespaces, nodes, csiNodes, classes, volumes, claims, services, placed, waiting }
}

/** Two pods on a node cannot have the same port: the later ones have none. */
function withoutSharedPorts(pods: readonly Pod[]): readonly Pod[] {
  const taken = new Set<string>()
  return pods.map((pod) => {
    const port = pod.spec!.containers[0]!.ports?.[0]
    const key = `${pod.spec!.nodeName} ${port?.hostPort} ${port?.protocol}`
    if (!port || !taken.has(key)) {
      if (port) taken.add(key)
      return pod
    }
    const containers = pod.spec!.containers.map(({ ports: _ports, ...container }) => container)
    return { ...pod, spec: { ...pod.spec!, containers } }
  })
}

/** A claim for one pod has one: the others have no volume. */
function withoutSharedClaims(pods: readonly Pod[], single: ReadonlySet<string>): readonly Pod[] {
  const taken = new Set<string>()
  return pods.map((pod) => {
    const name = pod.spec!.volumes?.[0]?.persistentVolumeClaim?.claimName
    if (name === undefined || !single.has(name)) return pod
    if (!taken.has(name)) {
      taken.add(name)
      return pod
    }
    const { volumes: _volumes, ...spec } = pod.spec!
    return { ...pod, spec }
  })
}

/** A node cannot have two taints of the same key and effect. */
const dedupe = (taints: readonly Taint[]): readonly Taint[] =>
  taints.filter((one, i) => taints.findIndex(({ key, effect }) => key === one.key && effect === one.effect) === i)

const withoutValues = (requirement: { key: string; operator: string; values: string[] }) =>
  requirement.operator === 'Exists' || requirement.operator === 'DoesNotExist'
    ? { key: requirement.key, operator: requirement.operator }
    : { ...requirement, values: requirement.key === 'color' ? [requirement.values[0]!] : [requirement.values[1]!] }
