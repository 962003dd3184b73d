/** Texts for the Warning headers of pods and templates: what works, but probably not as meant (upstream's pkg/api/pod/warnings.go). */
import type {
  HostAlias,
  Container,
  ContainerPort,
  DownwardAPIVolumeFile,
  KeyToPath,
  NodeSelectorTerm,
  PersistentVolumeClaimSpec,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Volume,
} from '../../../api/generated/core/v1.ts'
import type { ObjectMeta } from '../../../api/generated/meta/v1.ts'
import { dns1123LabelFaults, labelValueFaults } from '../../../api/names.ts'
import { toMilli } from '../../../api/quantity.ts'
import { ipWarnings } from '../addresses.ts'
import { containersWithPaths } from './os-validation.ts'

export const DEPRECATED_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}

const DEPRECATED_ANNOTATIONS: Readonly<Record<string, string>> = {
  'scheduler.alpha.kubernetes.io/critical-pod': 'non-functional in v1.16+; use the "priorityClassName" field instead',
  'security.alpha.kubernetes.io/sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
  'security.alpha.kubernetes.io/unsafe-sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
}

/** By field, in upstream's order; the second name is the one that is told. */
const DEPRECATED_VOLUMES: readonly (readonly [keyof Volume, string, string])[] = [
  ['photonPersistentDisk', 'photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['gitRepo', 'gitRepo', 'deprecated in v1.11, and disabled by default in v1.33+'],
  ['scaleIO', 'scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['flocker', 'flocker', 'deprecated in v1.22, non-functional in v1.25+'],
  ['storageos', 'storageOS', 'deprecated in v1.22, non-functional in v1.25+'],
  ['quobyte', 'quobyte', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['cephfs', 'cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['rbd', 'rbd', 'deprecated in v1.28, non-functional in v1.31+'],
]

const NO_SELECTOR = 'a null labelSelector results in matching no pod'

/** `hasCheckedValues`: that values are no labels' values is told, not refused, of preferences. */
export function termWarnings(path: string, term: NodeSelectorTerm | undefined, hasCheckedValues: boolean): readonly string[] {
  return (term?.matchExpressions ?? []).flatMap(({ key, values = [] }, i) => {
    const message = DEPRECATED_LABELS[key]
    const at = `${path}.matchExpressions[${i}]`
    return [
      ...(message ? [`${at}.key: ${key} is ${message}`] : []),
      ...(hasCheckedValues
        ? values.flatMap((value, j) => labelValueFaults(value).map((fault) => `${at}.values[${j}]: ${value} is invalid, ${fault}`))
        : []),
    ]
  })
}

function affinityWarnings(path: string, { affinity }: PodSpec): readonly string[] {
  const { nodeAffinity: node } = affinity ?? {}
  const required = node?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  const preferred = node?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  const at = `${path}.affinity.nodeAffinity`
  return [
    ...required.flatMap((term, i) =>
      termWarnings(`${at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`, term, false),
    ),
    ...preferred.flatMap(({ preference }, i) =>
      termWarnings(`${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`, preference, true),
    ),
  ]
}

function podAffinityWarnings(path: string, { affinity }: PodSpec): readonly string[] {
  return (['podAffinity', 'podAntiAffinity'] as const).flatMap((side) => {
    const at = `${path}.affinity.${side}`
    const {
      requiredDuringSchedulingIgnoredDuringExecution: required = [],
      preferredDuringSchedulingIgnoredDuringExecution: preferred = [],
    } = affinity?.[side] ?? {}
    return [
      ...required.flatMap(({ labelSelector }, i) =>
        labelSelector ? [] : [`${at}.requiredDuringSchedulingIgnoredDuringExecution[${i}].labelSelector: ${NO_SELECTOR}`],
      ),
      ...preferred.flatMap(({ podAffinityTerm }, i) =>
        podAffinityTerm?.labelSelector
          ? []
          : [`${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm.labelSelector: ${NO_SELECTOR}`],
      ),
    ]
  })
}

interface PlacedPath {
  readonly path: string
  readonly from: string
}

const pathsOf = (items: readonly (KeyToPath | DownwardAPIVolumeFile)[] | undefined, from: string): readonly PlacedPath[] =>
  (items ?? []).map(({ path = '' }: Partial<KeyToPath>) => ({ path: path.replace(/\/+$/, ''), from }))

/** Texts about each path that is also another's, or within another. `known` grows by them. */
function overlapsOf(paths: readonly PlacedPath[], known: PlacedPath[] = []): readonly string[] {
  const told: string[] = []
  for (const one of paths) {
    for (const other of one.path ? known : []) {
      const isOverlapping = other.path && (`${other.path}/`.startsWith(`${one.path}/`) || `${one.path}/`.startsWith(`${other.path}/`))
      if (isOverlapping) told.push(`${shown(one)} with ${shown(other)}`)
    }
    known.push(one)
  }
  return told
}

const shown = ({ path, from }: PlacedPath): string => (from ? `${JSON.stringify(path)} (${from})` : JSON.stringify(path))

function volumeWarnings(volume: Volume): readonly string[] {
  const { name, configMap, secret, downwardAPI, projected } = volume
  const told = (what: string, overlaps: readonly string[]) =>
    overlaps.map((text) => `volume ${JSON.stringify(name)} (${what}): overlapping paths: ${text}`)
  return [
    ...(configMap ? told(`ConfigMap ${JSON.stringify(configMap.name ?? '')}`, overlapsOf(pathsOf(configMap.items, ''))) : []),
    ...(secret ? told(`Secret ${JSON.stringify(secret.secretName ?? '')}`, overlapsOf(pathsOf(secret.items, ''))) : []),
    ...(downwardAPI ? told('DownwardAPI', overlapsOf(pathsOf(downwardAPI.items, ''))) : []),
    ...(projected ? projectedWarnings(name, projected.sources ?? []) : []),
  ]
}

function projectedWarnings(name: string, sources: NonNullable<Volume['projected']>['sources'] & readonly object[]): readonly string[] {
  const told: string[] = []
  const all: PlacedPath[] = []
  for (const source of sources) {
    if (Object.keys(source).length === 0) {
      told.push(`volume ${JSON.stringify(name)} (Projected) has no sources provided`)
      continue
    }
    const { configMap, secret, downwardAPI, serviceAccountToken } = source
    const paths = configMap?.items
      ? pathsOf(configMap.items, `ConfigMap ${JSON.stringify(configMap.name ?? '')}`)
      : secret?.items
        ? pathsOf(secret.items, `Secret ${JSON.stringify(secret.name ?? '')}`)
        : downwardAPI?.items
          ? pathsOf(downwardAPI.items, 'DownwardAPI')
          : serviceAccountToken
            ? [{ path: serviceAccountToken.path, from: 'ServiceAccountToken' }]
            : []
    for (const text of overlapsOf(paths, all)) told.push(`volume ${JSON.stringify(name)} (Projected): overlapping paths: ${text}`)
  }
  return told
}

const fraction = (at: string, amount: string | undefined): readonly string[] =>
  amount !== undefined && toMilli(amount) % 1000 !== 0
    ? [`${at}: fractional byte value ${JSON.stringify(amount)} is invalid, must be an integer`]
    : []

export const claimSpecWarnings = (path: string, spec: PersistentVolumeClaimSpec | undefined): readonly string[] =>
  (['requests', 'limits'] as const).flatMap((side) => fraction(`${path}.resources.${side}[storage]`, spec?.resources?.[side]?.['storage']))

function containerWarnings(at: string, { resources, env = [] }: Container): readonly string[] {
  const warnings = ['memory', 'ephemeral-storage'].flatMap((name) =>
    (['limits', 'requests'] as const).flatMap((side) => fraction(`${at}.resources.${side}[${name}]`, resources?.[side]?.[name])),
  )
  const seen = new Set<string>()
  env.forEach(({ name, value = '', valueFrom }, i) => {
    // A variable that is built upon its earlier value is meant to hide it.
    const reference = `$(${name})`
    if (seen.has(name) && (valueFrom || value === reference || !value.includes(reference)))
      warnings.push(`${at}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`)
    seen.add(name)
  })
  return warnings
}

/** A port as Go's %+v prints its struct. */
const goPort = ({ name = '', hostPort = 0, containerPort, protocol = '', hostIP = '' }: ContainerPort): string =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort ?? 0} Protocol:${protocol} HostIP:${hostIP}}`

function portWarnings(path: string, spec: PodSpec): readonly string[] {
  const warnings: string[] = []
  const ports = containersWithPaths(path, spec).flatMap(([at, { ports: own = [] }]) =>
    own.map((port, i) => ({ at: `${at}.ports[${i}]`, ip: port.hostIP ?? '', host: port.hostPort ?? 0, port })),
  )
  const known = new Map<string, typeof ports>()
  for (const one of ports) {
    const { at, ip, host, port } = one
    if (ip && !host) warnings.push(`${at}: hostIP set without hostPort: ${goPort(port)}`)
    const key = `${port.containerPort}/${port.protocol}`
    const others = known.get(key) ?? []
    for (const other of others) {
      if (ip === other.ip && host === other.host) warnings.push(`${at}: duplicate port definition with ${other.at}`)
      else if (host === 0 || other.host === 0) warnings.push(`${at}: overlapping port definition with ${other.at}`)
      else if (host === other.host && (ip === '') !== (other.ip === ''))
        warnings.push(`${at}: dangerously ambiguous port definition with ${other.at}`)
    }
    known.set(key, [...others, one])
  }
  const names = new Map<string, string>()
  for (const { at, port } of ports) {
    if (!port.name) continue
    const other = names.get(port.name)
    if (other === undefined) names.set(port.name, at)
    else
      warnings.push(
        `${at}: duplicate port name ${JSON.stringify(port.name)} with ${other}, services and probes that select ports by name will use ${other}`,
      )
  }
  return warnings
}

function annotationWarnings(path: string, meta: ObjectMeta | undefined): readonly string[] {
  return Object.entries(DEPRECATED_ANNOTATIONS).flatMap(([key, message]) =>
    meta?.annotations?.[key] === undefined ? [] : [`${path}[${key}]: ${message}`],
  )
}

/** Texts about items that say again what another has said. */
function repeated<T>(
  items: readonly T[] | undefined,
  keyOf: (item: T) => string,
  tell: (key: string, index: number) => string,
): readonly string[] {
  const seen = new Set<string>()
  return (items ?? []).flatMap((item, i) => {
    const key = keyOf(item)
    if (seen.has(key)) return [tell(key, i)]
    seen.add(key)
    return []
  })
}

/** `prefix` is "" for a pod, "spec.template." for a template. */
function specWarnings(prefix: string, spec: PodSpec, meta: ObjectMeta | undefined): readonly string[] {
  const path = `${prefix}spec`
  const { nodeSelector = {}, topologySpreadConstraints = [], volumes = [], imagePullSecrets, hostAliases, overhead } = spec
  return [
    ...Object.keys(nodeSelector).flatMap((key) =>
      DEPRECATED_LABELS[key] ? [`${path}.nodeSelector[${key}]: ${DEPRECATED_LABELS[key]}`] : [],
    ),
    ...affinityWarnings(path, spec),
    ...topologySpreadConstraints.flatMap(({ topologyKey, labelSelector }, i) => {
      const at = `${path}.topologySpreadConstraints[${i}]`
      const message = DEPRECATED_LABELS[topologyKey]
      return [
        ...(message ? [`${at}.topologyKey: ${topologyKey} is ${message}`] : []),
        ...(labelSelector ? [] : [`${at}.labelSelector: ${NO_SELECTOR}`]),
      ]
    }),
    ...annotationWarnings(`${prefix}metadata.annotations`, meta),
    ...volumes.flatMap((volume, i) =>
      DEPRECATED_VOLUMES.flatMap(([field, name, message]) => [
        ...(volume[field] ? [`${path}.volumes[${i}].${name}: ${message}`] : []),
        ...(field === 'glusterfs' && volume.ephemeral?.volumeClaimTemplate
          ? claimSpecWarnings(`${path}.volumes[${i}].ephemeral.volumeClaimTemplate.spec`, volume.ephemeral.volumeClaimTemplate.spec)
          : []),
      ]),
    ),
    ...volumes.flatMap(volumeWarnings),
    ...repeated(
      hostAliases,
      ({ ip = '' }: Partial<HostAlias>) => ip,
      (ip, i) => `${path}.hostAliases[${i}].ip: duplicate ip ${JSON.stringify(ip)}`,
    ),
    ...repeated(
      imagePullSecrets,
      ({ name = '' }) => name,
      (name, i) => `${path}.imagePullSecrets[${i}].name: duplicate name ${JSON.stringify(name)}`,
    ),
    ...(imagePullSecrets ?? []).flatMap(({ name }, i) => (name ? [] : [`${path}.imagePullSecrets[${i}].name: invalid empty name ""`])),
    ...['memory', 'ephemeral-storage'].flatMap((name) => fraction(`${path}.overhead[${name}]`, overhead?.[name])),
    ...containersWithPaths(path, spec).flatMap(([at, container]) => containerWarnings(at, container)),
    ...portWarnings(path, spec),
    ...((spec.terminationGracePeriodSeconds ?? 0) < 0
      ? [`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`]
      : []),
    ...podAffinityWarnings(path, spec),
    ...(spec.dnsConfig?.nameservers ?? []).flatMap((server, i) => ipWarnings(`${path}.dnsConfig.nameservers[${i}]`, server)),
    ...(hostAliases ?? []).flatMap(({ ip = '' }: Partial<HostAlias>, i) => ipWarnings(`${path}.hostAliases[${i}].ip`, ip)),
  ]
}

export const templateWarnings = (path: string, template: PodTemplateSpec | undefined): readonly string[] =>
  template?.spec ? specWarnings(`${path}.`, template.spec, template.metadata) : []

const nameWarnings = (name: string, use: string): readonly string[] => {
  const faults = name ? dns1123LabelFaults(name) : []
  return faults.length === 0
    ? []
    : [`metadata.name: this is used in ${use}, which can result in surprising behavior; a DNS label is recommended: [${faults.join(' ')}]`]
}

interface Workload {
  readonly metadata?: ObjectMeta
  readonly spec?: { readonly template?: PodTemplateSpec }
}

/** Of a workload whose name goes into those of its pods: at its creation, and when what is wanted of it has changed. */
export function workloadWarnings({ metadata, spec }: Workload, old?: Workload): readonly string[] {
  if (old && metadata?.generation === old.metadata?.generation) return []
  return [
    ...(old ? [] : nameWarnings(metadata?.name ?? '', 'Pod names and hostnames')),
    ...templateWarnings('spec.template', spec?.template),
  ]
}

/** A pod is told of them when it is made, and never again. */
export function podWarnings(pod: Pod, old?: Pod): readonly string[] {
  if (old) return []
  return [...nameWarnings(pod.metadata?.name ?? '', "the Pod's hostname"), ...(pod.spec ? specWarnings('', pod.spec, pod.metadata) : [])]
}
