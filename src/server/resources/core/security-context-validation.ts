/** Rules of security contexts, of pods and of containers. */
import type { AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext } from '../../../api/generated/core/v1.ts'
import { groupIdFaults, userIdFaults } from '../../../api/names.ts'
import { checkOneOf, duplicate, invalid, required, tooLong, type FieldErrors } from '../rules.ts'
import { validateDescendingPath } from './local-path-validation.ts'
import { validateWindowsOptions } from './os-validation.ts'

const MAX_PROFILE_PATH = 4095
const SYSCTL = /^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$/
const SYSCTL_TEXT = '([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?'

function checkId(errors: FieldErrors, path: string, id: number | undefined, faultsOf: (id: number) => readonly string[]): void {
  if (id !== undefined) for (const fault of faultsOf(id)) errors.push(invalid(path, id, fault))
}

function validateSeccomp(errors: FieldErrors, path: string, profile: SeccompProfile | undefined): void {
  if (!profile) return
  const { type, localhostProfile } = profile
  if (!type) errors.push(required(`${path}.type`, 'type is required when seccompProfile is set'))
  else checkOneOf(errors, `${path}.type`, type, ['Localhost', 'RuntimeDefault', 'Unconfined'])
  if (type === 'Localhost') {
    if (localhostProfile === undefined) errors.push(required(`${path}.localhostProfile`, 'must be set when seccomp type is Localhost'))
    else validateDescendingPath(errors, `${path}.localhostProfile`, localhostProfile)
  } else if (localhostProfile !== undefined)
    errors.push(invalid(`${path}.localhostProfile`, profile, 'can only be set when seccomp type is Localhost', 'core/v1.SeccompProfile'))
}

function validateAppArmor(errors: FieldErrors, path: string, profile: AppArmorProfile | undefined): void {
  if (!profile) return
  const { type, localhostProfile } = profile
  if (type === 'Localhost') {
    if (!localhostProfile) errors.push(required(`${path}.localhostProfile`, 'must be set when AppArmor type is Localhost'))
    else if (localhostProfile.trim() !== localhostProfile) {
      errors.push(invalid(`${path}.localhostProfile`, localhostProfile, 'must not be padded with whitespace'))
    }
    if ((localhostProfile?.length ?? 0) > MAX_PROFILE_PATH) errors.push(tooLong(`${path}.localhostProfile`, MAX_PROFILE_PATH))
  } else if (!type) errors.push(required(`${path}.type`, 'type is required when appArmorProfile is set'))
  else {
    checkOneOf(errors, `${path}.type`, type, ['Localhost', 'RuntimeDefault', 'Unconfined'])
    if ((type === 'RuntimeDefault' || type === 'Unconfined') && localhostProfile !== undefined)
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
    if (context.privileged)
      errors.push(
        invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true', 'core/v1.SecurityContext'),
      )
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN')) {
      errors.push(
        invalid(
          path,
          context,
          'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
          'core/v1.SecurityContext',
        ),
      )
    }
  }
  validateWindowsOptions(errors, `${path}.windowsOptions`, context.windowsOptions)
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
  if (spec.shareProcessNamespace && spec.hostPID) {
    errors.push(invalid(`${path}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled'))
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
  validateWindowsOptions(errors, `${path}.windowsOptions`, context.windowsOptions)
  validateAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile)
  if (context.supplementalGroupsPolicy !== undefined) {
    checkOneOf(errors, `${path}.supplementalGroupsPolicy`, context.supplementalGroupsPolicy, ['Merge', 'Strict'])
  }
  if (context.seLinuxChangePolicy !== undefined)
    checkOneOf(errors, `${path}.seLinuxChangePolicy`, context.seLinuxChangePolicy, ['Recursive'])
}
