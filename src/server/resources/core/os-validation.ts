/** What belongs to one operating system alone: the options of Windows, and the fields that a pod of the other may not have. */
import type { Container, PodSpec, WindowsSecurityContextOptions } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { checkFormat, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'

const SYSTEMS = ['linux', 'windows']
const MAX_SPEC_KIB = 64
const MAX_DOMAIN = 256
const MAX_USER = 104

const NETBIOS = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/
const DNS_DOMAIN = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/
const CONTROL = /\p{Cc}/u

/** All containers of a pod with their paths, in upstream's order. */
export const containersWithPaths = (path: string, spec: PodSpec): readonly (readonly [string, Container])[] =>
  (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    (spec[list] ?? []).map((container, i) => [`${path}.${list}[${i}]`, container] as const),
  )

/** What is wrong with the name of a Windows user, "DOMAIN\user" or "user". */
function userNameFaults(name: string): readonly string[] {
  if (name === '') return ['runAsUserName cannot be an empty string']
  if (CONTROL.test(name)) return ['runAsUserName cannot contain control characters']
  const parts = name.split('\\')
  if (parts.length > 2) return ['runAsUserName cannot contain more than one backslash']
  const domain = parts.length === 2 ? parts[0]! : undefined
  const user = parts.at(-1)!
  const faults: string[] = []
  if ((domain?.length ?? 0) >= MAX_DOMAIN) faults.push(`runAsUserName's Domain length must be under ${MAX_DOMAIN} characters`)
  if (domain !== undefined && !NETBIOS.test(domain) && !DNS_DOMAIN.test(domain))
    faults.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
  if (user === '') faults.push("runAsUserName's User cannot be empty")
  else if (user.length > MAX_USER) faults.push(`runAsUserName's User length must not be longer than ${MAX_USER} characters`)
  if (/^[. ]+$/.test(user)) faults.push("runAsUserName's User cannot contain only periods or spaces")
  if (/["/\\:;|=,+*?<>@[\]]/.test(user)) faults.push('runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]')
  return faults
}

export function validateWindowsOptions(errors: FieldErrors, path: string, options: WindowsSecurityContextOptions | undefined): void {
  if (!options) return
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: text, runAsUserName } = options
  if (name !== undefined) checkFormat(errors, `${path}.gmsaCredentialSpecName`, name, dns1123SubdomainFaults)
  if (text === '') errors.push(invalid(`${path}.gmsaCredentialSpec`, text, 'gmsaCredentialSpec cannot be an empty string'))
  else if ((text?.length ?? 0) > MAX_SPEC_KIB * 1024)
    errors.push(invalid(`${path}.gmsaCredentialSpec`, text, `gmsaCredentialSpec size must be under ${MAX_SPEC_KIB} KiB`))
  if (runAsUserName !== undefined) checkFormat(errors, `${path}.runAsUserName`, runAsUserName, userNameFaults)
}

/** Containers that are processes of a Windows host: all of a pod's or none. */
export function validateHostProcesses(errors: FieldErrors, path: string, spec: PodSpec): void {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess
  const containers = containersWithPaths(path, spec)
  let count = 0
  for (const [at, { securityContext }] of containers) {
    const own = securityContext?.windowsOptions?.hostProcess
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      const why = `pod hostProcess value must be identical if both are specified, was ${ofPod}`
      errors.push(invalid(`${at}.securityContext.windowsOptions.hostProcess`, own, why))
    }
    if (own ?? ofPod) count++
  }
  if (count === 0) return
  if (count !== containers.length)
    errors.push(invalid(path, '', 'If pod contains any hostProcess containers then all containers must be HostProcess containers'))
  if (!spec.hostNetwork)
    errors.push(invalid(`${path}.hostNetwork`, false, 'hostNetwork must be true if pod contains any hostProcess containers'))
}

const NOT_OF_WINDOWS_PODS = [
  'securityContext.appArmorProfile',
  'securityContext.seLinuxOptions',
  'hostUsers',
  'hostPID',
  'hostIPC',
  'securityContext.seccompProfile',
  'securityContext.fsGroup',
  'securityContext.fsGroupChangePolicy',
  'securityContext.sysctls',
  'shareProcessNamespace',
  'securityContext.runAsUser',
  'securityContext.runAsGroup',
  'securityContext.supplementalGroups',
  'securityContext.supplementalGroupsPolicy',
  'securityContext.seLinuxChangePolicy',
]
const NOT_OF_WINDOWS_CONTAINERS = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const

const valueAt = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((part, name) => (part as Readonly<Record<string, unknown>> | undefined)?.[name], value)

const isGiven = (value: unknown): boolean => value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0)

export function validateOs(errors: FieldErrors, path: string, spec: PodSpec): void {
  if (!spec.os) return
  const { name } = spec.os
  if (!name) errors.push(required(`${path}.os.name`))
  else if (!SYSTEMS.includes(name)) errors.push(notSupported(`${path}.os`, name, SYSTEMS))
  else if (name === 'linux') {
    const why = 'windows options cannot be set for a linux pod'
    if (spec.securityContext?.windowsOptions) errors.push(forbidden(`${path}.securityContext.windowsOptions`, why))
    for (const [at, { securityContext }] of containersWithPaths(path, spec))
      if (securityContext?.windowsOptions) errors.push(forbidden(`${at}.securityContext.windowsOptions`, why))
  } else {
    const why = 'cannot be set for a windows pod'
    for (const field of NOT_OF_WINDOWS_PODS) {
      const value = valueAt(spec, field)
      // Of pointers a false is a value too.
      const isSet = field === 'hostUsers' || field === 'shareProcessNamespace' ? value !== undefined : isGiven(value)
      if (isSet) errors.push(forbidden(`${path}.${field}`, why))
    }
    for (const [at, { securityContext }] of containersWithPaths(path, spec))
      for (const field of NOT_OF_WINDOWS_CONTAINERS)
        if (securityContext?.[field] !== undefined) errors.push(forbidden(`${at}.securityContext.${field}`, why))
  }
}
