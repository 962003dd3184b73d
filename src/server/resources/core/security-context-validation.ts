/** Rules of security contexts, of pods and of containers. */
import type { AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext } from '../../../api/generated/core/v1.ts'
import { groupIdFaults, userIdFaults } from '../../../api/names.ts'
import { checkOneOf, checkRequiredOneOf, duplicate, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { validateDescendingPath } from './local-path-validation.ts'

const SYSCTL = /^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$/
const SYSCTL_TEXT = '([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?'

function checkId(errors: FieldErrors, path: string, id: number | undefined, faultsOf: (id: number) => readonly string[]): void {
  if (id !== undefined) for (const fault of faultsOf(id)) errors.push(invalid(path, id, fault))
}

function validateSeccomp(errors: FieldErrors, path: string, profile: SeccompProfile | undefined): void {
  if (!profile) return
  const { type, localhostProfile } = profile
  checkRequiredOneOf(errors, `${path}.type`, type, ['Localhost', 'RuntimeDefault', 'Unconfined'])
  if (type === 'Localhost') {
    if (!localhostProfile) errors.push(required(`${path}.localhostProfile`, 'must be set when seccomp type is Localhost'))
    else validateDescendingPath(errors, `${path}.localhostProfile`, localhostProfile)
  } else if (localhostProfile !== undefined)
    errors.push(invalid(`${path}.localhostProfile`, profile, 'can only be set when seccomp type is Localhost'))
}

function validateAppArmor(errors: FieldErrors, path: string, profile: AppArmorProfile | undefined): void {
  if (!profile) return
  const { type, localhostProfile } = profile
  if (type === 'Localhost') {
    if (!localhostProfile) errors.push(required(`${path}.localhostProfile`, 'must be set when AppArmor type is Localhost'))
    else if (localhostProfile.trim() !== localhostProfile) {
      errors.push(invalid(`${path}.localhostProfile`, localhostProfile, 'must not be padded with whitespace'))
    }
  } else {
    checkRequiredOneOf(errors, `${path}.type`, type, ['Localhost', 'RuntimeDefault', 'Unconfined'])
    if (localhostProfile !== undefined)
      errors.push(invalid(`${path}.localhostProfile`, localhostProfile, 'can only be set when AppArmor type is Localhost'))
  }
}

export function validateSecurityContext(errors: FieldErrors, path: string, context: SecurityContext | undefined, spec: PodSpec): void {
  if (!context) return
  checkId(errors, `${path}.runAsUser`, context.runAsUser, userIdFaults)
  checkId(errors, `${path}.runAsGroup`, context.runAsGroup, groupIdFaults)
  if (context.procMount !== undefined) {
    checkOneOf(errors, `${path}.procMount`, context.procMount, ['Default', 'Unmasked'])
    if (context.procMount === 'Unmasked' && spec.hostUsers !== false) {
      errors.push(invalid(`${path}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`'))
    }
  }
  validateSeccomp(errors, `${path}.seccompProfile`, context.seccompProfile)
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged) errors.push(invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'))
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN')) {
      errors.push(invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'))
    }
  }
  validateAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile)
}

function validateSysctls(errors: FieldErrors, path: string, context: PodSecurityContext, spec: PodSpec): void {
  const names = new Set<string>()
  context.sysctls?.forEach(({ name }, i) => {
    const at = `${path}[${i}].name`
    if (!name) errors.push(required(at))
    else if (name.length > 253 || !SYSCTL.test(name)) {
      errors.push(invalid(at, name, `must have at most 253 characters and match regex ^${SYSCTL_TEXT}$`))
    } else if (names.has(name)) errors.push(duplicate(at, name))
    names.add(name ?? '')
    const dotted = (name ?? '').replaceAll('/', '.')
    const namespaceWord = dotted.startsWith('net.')
      ? 'hostNetwork'
      : /^(kernel\.(sem|shm|msg)|fs\.mqueue\.)/.test(dotted)
        ? 'hostIPC'
        : undefined
    if (namespaceWord && spec[namespaceWord]) errors.push(invalid(at, name, `may not be specified when '${namespaceWord}' is true`))
  })
}

export function validatePodSecurityContext(errors: FieldErrors, path: string, spec: PodSpec): void {
  const context = spec.securityContext
  const specPath = path.slice(0, path.lastIndexOf('.'))
  if (spec.shareProcessNamespace && spec.hostPID) {
    errors.push(invalid(`${path}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled'))
  }
  if (spec.hostUsers === false) {
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC'] as const) {
      if (spec[field]) errors.push(forbidden(`${specPath}.${field}`, 'when `hostUsers` is false'))
    }
  }
  if (!context) return
  checkId(errors, `${path}.fsGroup`, context.fsGroup, groupIdFaults)
  checkId(errors, `${path}.runAsUser`, context.runAsUser, userIdFaults)
  checkId(errors, `${path}.runAsGroup`, context.runAsGroup, groupIdFaults)
  context.supplementalGroups?.forEach((id, i) => checkId(errors, `${path}.supplementalGroups[${i}]`, id, groupIdFaults))
  validateSysctls(errors, `${path}.sysctls`, context, spec)
  if (context.fsGroupChangePolicy !== undefined)
    checkOneOf(errors, `${path}.fsGroupChangePolicy`, context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'])
  validateSeccomp(errors, `${path}.seccompProfile`, context.seccompProfile)
  validateAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile)
  if (context.supplementalGroupsPolicy !== undefined) {
    checkOneOf(errors, `${path}.supplementalGroupsPolicy`, context.supplementalGroupsPolicy, ['Merge', 'Strict'])
  }
  if (context.seLinuxChangePolicy !== undefined)
    checkOneOf(errors, `${path}.seLinuxChangePolicy`, context.seLinuxChangePolicy, ['MountOption', 'Recursive'])
}
