/** From a pod's and container's security context to the runtime's; the container's word goes before the pod's. */
import type { Container, Pod, SeccompProfile } from '../api/generated/core/v1.ts'
import type { Image, NamespaceOptions, SecurityContext } from './container-runtime.ts'
import { ConfigurationError } from './environment.ts'
import { describePod, identityOf } from './identity.ts'

const MASKED_PATHS: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const READONLY_PATHS: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

export const namespacesOf = (pod: Pod): NamespaceOptions => ({
  network: pod.spec?.hostNetwork ? 'NODE' : 'POD',
  pid: pod.spec?.hostPID ? 'NODE' : pod.spec?.shareProcessNamespace ? 'POD' : 'CONTAINER',
  ipc: pod.spec?.hostIPC ? 'NODE' : 'POD',
})

const seccompOf = (profile: SeccompProfile | undefined): SecurityContext['seccomp'] => {
  if (profile?.type === 'RuntimeDefault') return { type: 'RuntimeDefault' }
  if (profile?.type === 'Localhost')
    return { type: 'Localhost', ...(profile.localhostProfile === undefined ? {} : { localhostRef: profile.localhostProfile }) }
  return { type: 'Unconfined' }
}

const groupsOf = (pod: Pod): readonly number[] => {
  const context = pod.spec?.securityContext
  return [...(context?.fsGroup === undefined ? [] : [context.fsGroup]), ...(context?.supplementalGroups ?? [])]
}

const isPrivileged = (container: Container): boolean => container.securityContext?.privileged === true

export function sandboxSecurity(pod: Pod): SecurityContext {
  const context = pod.spec?.securityContext
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  return {
    namespaces: namespacesOf(pod),
    privileged: all.some(isPrivileged),
    ...(context?.runAsUser === undefined ? {} : { runAsUser: context.runAsUser }),
    ...(context?.runAsGroup === undefined ? {} : { runAsGroup: context.runAsGroup }),
    supplementalGroups: groupsOf(pod),
    readonlyRootfs: false,
    noNewPrivileges: false,
    addCapabilities: [],
    dropCapabilities: [],
    seccomp: { type: 'RuntimeDefault' },
    maskedPaths: [],
    readonlyPaths: [],
  }
}

export function containerSecurity(pod: Pod, container: Container, image: Pick<Image, 'uid' | 'username'>): SecurityContext {
  const own = container.securityContext ?? {}
  const shared = pod.spec?.securityContext ?? {}
  const runAsUser = own.runAsUser ?? shared.runAsUser ?? image.uid
  const username = own.runAsUser === undefined && shared.runAsUser === undefined && image.uid === undefined ? image.username : undefined
  const runAsGroup = own.runAsGroup ?? shared.runAsGroup
  verifyNonRoot(pod, container, image)
  const isUnmasked = own.procMount === 'Unmasked'
  return {
    namespaces: namespacesOf(pod),
    privileged: own.privileged ?? false,
    ...(runAsUser === undefined ? {} : { runAsUser }),
    ...(username ? { runAsUsername: username } : {}),
    ...(runAsGroup === undefined ? {} : { runAsGroup }),
    supplementalGroups: groupsOf(pod),
    readonlyRootfs: own.readOnlyRootFilesystem ?? false,
    noNewPrivileges: own.allowPrivilegeEscalation === false,
    addCapabilities: own.capabilities?.add ?? [],
    dropCapabilities: own.capabilities?.drop ?? [],
    seccomp: own.privileged ? { type: 'Unconfined' } : seccompOf(own.seccompProfile ?? shared.seccompProfile),
    maskedPaths: isUnmasked ? [] : MASKED_PATHS,
    readonlyPaths: isUnmasked ? [] : READONLY_PATHS,
  }
}

/** runAsNonRoot is a promise to the user: what cannot be known to keep it does not run. */
function verifyNonRoot(pod: Pod, container: Container, image: Pick<Image, 'uid' | 'username'>): void {
  const own = container.securityContext ?? {}
  const shared = pod.spec?.securityContext ?? {}
  if (!(own.runAsNonRoot ?? shared.runAsNonRoot)) return
  const where = `(pod: "${describePod(identityOf(pod))}", container: ${container.name})`
  const runAsUser = own.runAsUser ?? shared.runAsUser
  if (runAsUser !== undefined) {
    if (runAsUser === 0) throw new ConfigurationError(`container's runAsUser breaks non-root policy ${where}`)
  } else if (image.uid === 0 || (image.uid === undefined && !image.username)) {
    throw new ConfigurationError(`container has runAsNonRoot and image will run as root ${where}`)
  } else if (image.uid === undefined) {
    throw new ConfigurationError(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${where}`,
    )
  }
}
