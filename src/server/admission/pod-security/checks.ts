/**
 * The Pod Security Standards, check by check (k8s.io/pod-security-admission/policy): what each forbids, from which version on, in
 * upstream's words. Pure: a pod goes in, what is wrong with it comes out. A namespace that pins a version keeps the checks as they
 * were then, so a row is never changed, only followed by a later one.
 */
import type { Container, PodSecurityContext, PodSpec, SecurityContext, Volume } from '../../../api/generated/core/v1.ts'
import type { ObjectMeta } from '../../../api/generated/meta/v1.ts'
import {
  ALLOWED_CAPABILITIES,
  ALLOWED_SELINUX_TYPES,
  ALLOWED_SYSCTLS,
  ALLOWED_VOLUMES,
  RESTRICTED_VOLUMES,
  containersWhere,
  containersText,
  counted,
  quoted,
  setters,
  sorted,
  visited,
} from './check-parts.ts'

/** A pod, or the template of one. */
export interface PodLike {
  readonly metadata: ObjectMeta
  readonly spec: PodSpec
}

export interface Refusal {
  /** Always told. */
  readonly reason: string
  /** Which parts of this pod. */
  readonly detail: string
}

export type CheckPod = (pod: PodLike) => Refusal | undefined

export interface Check {
  readonly id: string
  readonly level: 'baseline' | 'restricted'
  /** The minor version of Kubernetes from which a form counts, oldest first. */
  readonly versions: readonly (readonly [minor: number, check: CheckPod])[]
  /** The baseline check that this one stands in for at the level restricted. */
  readonly overrides?: string
}

const refusal = (reason: string, detail: string): Refusal => ({ reason, detail })

const isWindows = ({ spec }: PodLike): boolean => spec.os?.name === 'windows'
/** Root in a user namespace is nobody on the host (KEP-127). */
const hasUserNamespace = ({ spec }: PodLike): boolean => spec.hostUsers === false

const unless =
  (isExcepted: (pod: PodLike) => boolean, check: CheckPod): CheckPod =>
  (pod) =>
    isExcepted(pod) ? undefined : check(pod)

const allowPrivilegeEscalation: CheckPod = ({ spec }) => {
  const bad = containersWhere(spec, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false)
  if (bad.length === 0) return undefined
  return refusal('allowPrivilegeEscalation != false', `${containersText(bad)} must set securityContext.allowPrivilegeEscalation=false`)
}

const APPARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'
const APPARMOR_TYPES: ReadonlySet<string> = new Set(['RuntimeDefault', 'Localhost'])
const isAppArmorValueFine = (value: string): boolean => value === '' || value === 'runtime/default' || value.startsWith('localhost/')

const appArmorProfile: CheckPod = ({ metadata, spec }) => {
  const bad = badSetters(spec, ({ appArmorProfile: profile }) => (profile && !APPARMOR_TYPES.has(profile.type) ? [profile.type] : []))
  const annotations = Object.entries(metadata.annotations ?? {})
    .filter(([key, value]) => key.startsWith(APPARMOR_ANNOTATION) && !isAppArmorValueFine(value))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .toSorted()
  const values = [...bad.values, ...annotations]
  const who = [...bad.setters, ...(annotations.length > 0 ? [counted('annotation', annotations.length)] : [])]
  if (who.length === 0) return undefined
  return refusal(
    counted('forbidden AppArmor profile', values.length),
    `${who.join(' and ')} must not set AppArmor profile type to ${quoted(values)}`,
  )
}

/** Who sets a value in a security context that is not allowed, and which: the pod's first, then the containers'. */
function badSetters(
  spec: PodSpec,
  badOf: (context: PodSecurityContext | SecurityContext) => readonly string[],
): { readonly setters: readonly string[]; readonly values: readonly string[] } {
  const values = new Set(badOf(spec.securityContext ?? {}))
  const isPodBad = values.size > 0
  const containers = containersWhere(spec, ({ securityContext }) => {
    const bad = badOf(securityContext ?? {})
    for (const value of bad) values.add(value)
    return bad.length > 0
  })
  return { setters: setters(isPodBad, containers), values: sorted(values) }
}

const capabilitiesBaseline: CheckPod = ({ spec }) => {
  const { containers, added } = addingOther(spec, ALLOWED_CAPABILITIES)
  if (containers.length === 0) return undefined
  return refusal(
    'non-default capabilities',
    `${containersText(containers)} must not include ${quoted(added)} in securityContext.capabilities.add`,
  )
}

function addingOther(spec: PodSpec, allowed: ReadonlySet<string>) {
  const added = new Set<string>()
  const containers = containersWhere(spec, ({ securityContext }) => {
    const bad = (securityContext?.capabilities?.add ?? []).filter((capability) => !allowed.has(capability))
    for (const capability of bad) added.add(capability)
    return bad.length > 0
  })
  return { containers, added: sorted(added) }
}

const NET_BIND_SERVICE: ReadonlySet<string> = new Set(['NET_BIND_SERVICE'])

const capabilitiesRestricted: CheckPod = ({ spec }) => {
  const keeping = containersWhere(spec, ({ securityContext }) => !securityContext?.capabilities?.drop?.includes('ALL'))
  const { containers, added } = addingOther(spec, NET_BIND_SERVICE)
  const details = [
    ...(keeping.length > 0 ? [`${containersText(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(containers.length > 0
      ? [`${containersText(containers)} must not include ${quoted(added)} in securityContext.capabilities.add`]
      : []),
  ]
  return details.length > 0 ? refusal('unrestricted capabilities', details.join('; ')) : undefined
}

const hostNamespaces: CheckPod = ({ spec }) => {
  const set = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec[field]).map((field) => `${field}=true`)
  return set.length > 0 ? refusal('host namespaces', set.join(', ')) : undefined
}

const hostPathVolumes: CheckPod = ({ spec }) => {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath).map(({ name }) => name)
  return names.length > 0 ? refusal('hostPath volumes', `${counted('volume', names.length)} ${quoted(names)}`) : undefined
}

const hostPorts: CheckPod = ({ spec }) => {
  const ports = new Set<string>()
  const bad = containersWhere(spec, (container) => {
    const own = (container.ports ?? []).filter(({ hostPort }) => hostPort)
    for (const { hostPort } of own) ports.add(String(hostPort))
    return own.length > 0
  })
  if (bad.length === 0) return undefined
  return refusal('hostPort', `${containersText(bad)} ${uses(bad.length)} ${counted('hostPort', ports.size)} ${sorted(ports).join(', ')}`)
}

const uses = (count: number): string => (count === 1 ? 'uses' : 'use')

const hostProbesAndHostLifecycle: CheckPod = ({ spec }) => {
  const hosts = new Set<string>()
  const bad = containersWhere(spec, (container) => {
    const own = handlersOf(container)
      .flatMap((handler) => [handler?.httpGet?.host, handler?.tcpSocket?.host])
      .filter((host) => host !== undefined && host !== '')
    for (const host of own) hosts.add(host!)
    return own.length > 0
  })
  if (bad.length === 0) return undefined
  const what = `${counted('probe or lifecycle host', hosts.size)} ${quoted(sorted(hosts))}`
  return refusal('probe or lifecycle host', `${containersText(bad.toSorted())} ${uses(bad.length)} ${what}`)
}

const handlersOf = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container) => [
  livenessProbe,
  readinessProbe,
  startupProbe,
  lifecycle?.postStart,
  lifecycle?.preStop,
]

const privileged: CheckPod = ({ spec }) => {
  const bad = containersWhere(spec, ({ securityContext }) => securityContext?.privileged === true)
  return bad.length > 0 ? refusal('privileged', `${containersText(bad)} must not set securityContext.privileged=true`) : undefined
}

const procMount: CheckPod = ({ spec }) => {
  const types = new Set<string>()
  const bad = containersWhere(spec, ({ securityContext }) => {
    const type = securityContext?.procMount
    if (type === undefined || type === 'Default') return false
    types.add(type)
    return true
  })
  if (bad.length === 0) return undefined
  return refusal('procMount', `${containersText(bad)} must not set securityContext.procMount to ${quoted(sorted(types))}`)
}

const restrictedVolumes: CheckPod = ({ spec }) => {
  const bad = (spec.volumes ?? []).filter((volume) => !ALLOWED_VOLUMES.some((type) => volume[type] !== undefined))
  if (bad.length === 0) return undefined
  const typeOf = (volume: Volume): string => RESTRICTED_VOLUMES.find((type) => volume[type] !== undefined) ?? 'unknown'
  const types = sorted(new Set(bad.map(typeOf)))
  const who = `${counted('volume', bad.length)} ${quoted(bad.map(({ name }) => name))} ${uses(bad.length)}`
  return refusal('restricted volume types', `${who} ${counted('restricted volume type', types.length)} ${quoted(types)}`)
}

const runAsNonRoot: CheckPod = ({ spec }) => {
  const ofPod = spec.securityContext?.runAsNonRoot
  const explicit = containersWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false)
  const who = setters(ofPod === false, explicit)
  if (who.length > 0) return refusal('runAsNonRoot != true', `${who.join(' and ')} must not set securityContext.runAsNonRoot=false`)
  const implicit = ofPod ? [] : containersWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined)
  if (implicit.length === 0) return undefined
  return refusal('runAsNonRoot != true', `pod or ${containersText(implicit)} must set securityContext.runAsNonRoot=true`)
}

const runAsUser: CheckPod = ({ spec }) => {
  const bad = containersWhere(spec, ({ securityContext }) => securityContext?.runAsUser === 0)
  const who = setters(spec.securityContext?.runAsUser === 0, bad)
  return who.length > 0 ? refusal('runAsUser=0', `${who.join(' and ')} must not set runAsUser=0`) : undefined
}

const seLinuxOptions =
  (allowed: ReadonlySet<string>): CheckPod =>
  ({ spec }) => {
    let isUserSet = false
    let isRoleSet = false
    const types = new Set<string>()
    const isBad = ({ seLinuxOptions: options }: PodSecurityContext | SecurityContext): boolean => {
      if (!options) return false
      const { type = '', user = '', role = '' } = options
      if (!allowed.has(type)) types.add(type)
      isUserSet ||= user !== ''
      isRoleSet ||= role !== ''
      return !allowed.has(type) || user !== '' || role !== ''
    }
    const isPodBad = isBad(spec.securityContext ?? {})
    const who = setters(
      isPodBad,
      containersWhere(spec, ({ securityContext }) => isBad(securityContext ?? {})),
    )
    if (who.length === 0) return undefined
    const what = [
      ...(types.size > 0 ? [`${counted('type', types.size)} ${quoted(sorted(types))}`] : []),
      ...(isUserSet ? ['user may not be set'] : []),
      ...(isRoleSet ? ['role may not be set'] : []),
    ]
    return refusal('seLinuxOptions', `${who.join(' and ')} set forbidden securityContext.seLinuxOptions: ${what.join('; ')}`)
  }

const SECCOMP_TYPES: ReadonlySet<string> = new Set(['Localhost', 'RuntimeDefault'])
const SECCOMP_POD_ANNOTATION = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER_ANNOTATION = 'container.seccomp.security.alpha.kubernetes.io/'
const isSeccompValueFine = (value: string): boolean =>
  value === 'runtime/default' || value === 'docker/default' || value.startsWith('localhost/')

const seccompAnnotations: CheckPod = ({ metadata, spec }) => {
  const keys = [SECCOMP_POD_ANNOTATION, ...visited(spec).map(({ name }) => SECCOMP_CONTAINER_ANNOTATION + name)]
  const bad = new Set<string>()
  for (const key of keys) {
    const value = metadata.annotations?.[key]
    if (value !== undefined && !isSeccompValueFine(value)) bad.add(`${key}=${JSON.stringify(value)}`)
  }
  return bad.size > 0 ? refusal('seccompProfile', `forbidden ${counted('annotation', bad.size)} ${sorted(bad).join(', ')}`) : undefined
}

const seccompBaseline: CheckPod = ({ spec }) => {
  const bad = badSetters(spec, ({ seccompProfile: profile }) => (profile && !SECCOMP_TYPES.has(profile.type) ? [profile.type] : []))
  if (bad.setters.length === 0) return undefined
  return refusal('seccompProfile', `${bad.setters.join(' and ')} must not set securityContext.seccompProfile.type to ${quoted(bad.values)}`)
}

const seccompRestricted: CheckPod = (pod) => {
  const explicit = seccompBaseline(pod)
  if (explicit || pod.spec.securityContext?.seccompProfile) return explicit
  const implicit = containersWhere(pod.spec, ({ securityContext }) => !securityContext?.seccompProfile)
  if (implicit.length === 0) return undefined
  return refusal(
    'seccompProfile',
    `pod or ${containersText(implicit)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  )
}

const sysctls =
  (allowed: ReadonlySet<string>): CheckPod =>
  ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !allowed.has(name))
    return bad.length > 0 ? refusal('forbidden sysctls', bad.join(', ')) : undefined
  }

const windowsHostProcess: CheckPod = ({ spec }) => {
  const bad = containersWhere(spec, ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true)
  const who = setters(spec.securityContext?.windowsOptions?.hostProcess === true, bad)
  if (who.length === 0) return undefined
  return refusal('hostProcess', `${who.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true`)
}

/** Baseline first, then restricted, each by its id: the order in which refusals are told. */
export const checks: readonly Check[] = [
  { id: 'appArmorProfile', level: 'baseline', versions: [[0, appArmorProfile]] },
  { id: 'capabilities_baseline', level: 'baseline', versions: [[0, capabilitiesBaseline]] },
  { id: 'hostNamespaces', level: 'baseline', versions: [[0, hostNamespaces]] },
  { id: 'hostPathVolumes', level: 'baseline', versions: [[0, hostPathVolumes]] },
  { id: 'hostPorts', level: 'baseline', versions: [[0, hostPorts]] },
  { id: 'hostProbesAndHostLifecycle', level: 'baseline', versions: [[34, hostProbesAndHostLifecycle]] },
  { id: 'privileged', level: 'baseline', versions: [[0, privileged]] },
  {
    id: 'procMount',
    level: 'baseline',
    versions: [
      [0, procMount],
      [35, unless(hasUserNamespace, procMount)],
    ],
  },
  {
    id: 'seLinuxOptions',
    level: 'baseline',
    versions: [
      [0, seLinuxOptions(ALLOWED_SELINUX_TYPES[0])],
      [31, seLinuxOptions(ALLOWED_SELINUX_TYPES[31])],
    ],
  },
  {
    id: 'seccompProfile_baseline',
    level: 'baseline',
    versions: [
      [0, seccompAnnotations],
      [19, seccompBaseline],
    ],
  },
  {
    id: 'sysctls',
    level: 'baseline',
    versions: ([0, 27, 29, 32] as const).map((minor) => [minor, sysctls(ALLOWED_SYSCTLS[minor])] as const),
  },
  { id: 'windowsHostProcess', level: 'baseline', versions: [[0, windowsHostProcess]] },
  {
    id: 'allowPrivilegeEscalation',
    level: 'restricted',
    versions: [
      [8, allowPrivilegeEscalation],
      [25, unless(isWindows, allowPrivilegeEscalation)],
    ],
  },
  {
    id: 'capabilities_restricted',
    level: 'restricted',
    overrides: 'capabilities_baseline',
    versions: [
      [22, capabilitiesRestricted],
      [25, unless(isWindows, capabilitiesRestricted)],
    ],
  },
  { id: 'procMount_restricted', level: 'restricted', overrides: 'procMount', versions: [[35, procMount]] },
  { id: 'restrictedVolumes', level: 'restricted', overrides: 'hostPathVolumes', versions: [[0, restrictedVolumes]] },
  {
    id: 'runAsNonRoot',
    level: 'restricted',
    versions: [
      [0, runAsNonRoot],
      [35, unless(hasUserNamespace, runAsNonRoot)],
    ],
  },
  {
    id: 'runAsUser',
    level: 'restricted',
    versions: [
      [23, runAsUser],
      [35, unless(hasUserNamespace, runAsUser)],
    ],
  },
  {
    id: 'seccompProfile_restricted',
    level: 'restricted',
    overrides: 'seccompProfile_baseline',
    versions: [
      [19, seccompRestricted],
      [25, unless(isWindows, seccompRestricted)],
    ],
  },
]
