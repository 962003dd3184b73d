/** What may change about a pod: little of its spec, and its status in one direction. */
import type {
  PodResourceClaimStatus,
  Container,
  ContainerStatus,
  EphemeralContainer,
  Pod,
  PodSpec,
  ResourceRequirements,
  ResourceStatus,
  Toleration,
} from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, groupIdFaults, qualifiedNameFaults, userIdFaults } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { familyOfIP, ipProblem } from '../addresses.ts'
import { isSemanticallyEqual, withField } from '../immutable.ts'
import { internalDiff, internalEqual } from '../internal-form.ts'
import {
  checkFormat,
  checkImmutable,
  checkInRange,
  checkOneOf,
  duplicate,
  forbidden,
  internal,
  invalid,
  required,
  type FieldErrors,
} from '../rules.ts'
import { podQosClass } from './pod-qos.ts'
import { checkTrimmedImage } from './container-validation.ts'

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',')

const MIRROR = 'kubernetes.io/config.mirror'
const MAX_INT32 = 2 ** 31 - 1

function validateMirrorAnnotation(errors: FieldErrors, next: Pod, old: Pod): void {
  const after = next.metadata?.annotations?.[MIRROR]
  const before = old.metadata?.annotations?.[MIRROR]
  if (after === before) return
  errors.push(
    forbidden(
      `metadata.annotations[${MIRROR}]`,
      before === undefined ? 'may not add mirror pod annotation' : 'may not remove or update mirror pod annotation',
    ),
  )
}

/** False when the lists do not even have the same length: then nothing more is worth saying. */
function validateContainerList(errors: FieldErrors, path: string, next: readonly Container[], old: readonly Container[]): boolean {
  if (next.length !== old.length) {
    errors.push(forbidden(path, 'pod updates may not add or remove containers'))
    return false
  }
  next.forEach((container, i) => {
    if (!container.image) errors.push(required(`${path}[${i}].image`))
    checkTrimmedImage(errors, `${path}[${i}]`, container.image)
  })
  return true
}

function validateDeadline(errors: FieldErrors, next: number | undefined, old: number | undefined): boolean {
  const path = 'spec.activeDeadlineSeconds'
  if (next === undefined) {
    if (old !== undefined) errors.push(invalid(path, undefined, 'must not update from a positive integer to nil value'))
    return true
  }
  const before = errors.length
  checkInRange(errors, path, next, 0, MAX_INT32)
  if (errors.length > before) return false
  if (old === undefined || old >= next) return true
  errors.push(invalid(path, next, 'must be less than or equal to previous value'))
  return false
}

/** An old toleration may only change how long it holds. */
function validateTolerationsKept(
  errors: FieldErrors,
  next: readonly Toleration[] | undefined,
  old: readonly Toleration[] | undefined,
): void {
  const strip = (toleration: Toleration): Toleration => withField(toleration, 'tolerationSeconds', undefined)
  const isKept = (toleration: Toleration): boolean => (next ?? []).some((other) => isSemanticallyEqual(strip(other), strip(toleration)))
  if (!(old ?? []).every(isKept))
    errors.push(forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'))
}

/** While gated, a pod may be narrowed to fewer nodes; `munged` is the new spec with what was allowed put back. */
function mungeGated(errors: FieldErrors, munged: PodSpec, old: PodSpec): PodSpec {
  let result = munged
  if (!isSemanticallyEqual(result.nodeSelector, old.nodeSelector)) {
    if (Object.entries(old.nodeSelector ?? {}).some(([key, value]) => result.nodeSelector?.[key] !== value)) {
      errors.push(
        invalid('spec.nodeSelector', result.nodeSelector, 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'),
      )
    }
    result = withField(result, 'nodeSelector', old.nodeSelector)
  }
  const before = old.affinity?.nodeAffinity
  const after = result.affinity?.nodeAffinity
  if (isSemanticallyEqual(before, after)) return result
  const oldTerms = before?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  const newTerms = after?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  const path = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms'
  if (oldTerms.length > 0 && oldTerms.length !== newTerms.length) {
    errors.push(invalid(path, newTerms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed'))
  } else {
    oldTerms.forEach((term, i) => {
      const next = newTerms[i]
      const keeps = (field: 'matchExpressions' | 'matchFields'): boolean =>
        (term[field] ?? []).every((requirement) => (next?.[field] ?? []).some((other) => isSemanticallyEqual(other, requirement)))
      if (!keeps('matchExpressions') || !keeps('matchFields')) {
        errors.push(invalid(`${path}[${i}]`, next, 'only additions are allowed (no mutations or deletions)'))
      }
    })
  }
  const affinity = { ...result.affinity, nodeAffinity: before }
  return withField(
    result,
    'affinity',
    old.affinity === undefined && !affinity.podAffinity && !affinity.podAntiAffinity ? undefined : affinity,
  )
}

const withImagesOf = (next: readonly Container[], old: readonly Container[]): readonly Container[] =>
  next.map((container, i) => withField(container, 'image', old[i]?.image))

function validateSpecUpdate(errors: FieldErrors, next: PodSpec, old: PodSpec): void {
  if (!validateContainerList(errors, 'spec.containers', next.containers ?? [], old.containers ?? [])) return
  if (!validateContainerList(errors, 'spec.initContainers', next.initContainers ?? [], old.initContainers ?? [])) return
  if (!validateDeadline(errors, next.activeDeadlineSeconds, old.activeDeadlineSeconds)) return
  validateTolerationsKept(errors, next.tolerations, old.tolerations)
  next.schedulingGates?.forEach(({ name }, i) => {
    if (old.schedulingGates?.some((gate) => gate.name === name)) return
    errors.push(forbidden(`spec.schedulingGates[${i}].name`, `only deletion is allowed, but found new scheduling gate '${name}'`))
  })
  if (internalEqual(next, old, 'core/v1.PodSpec')) return
  let munged: PodSpec = {
    ...next,
    containers: withImagesOf(next.containers ?? [], old.containers ?? []),
    initContainers: next.initContainers && withImagesOf(next.initContainers, old.initContainers ?? []),
    activeDeadlineSeconds: old.activeDeadlineSeconds,
    schedulingGates: old.schedulingGates,
    tolerations: old.tolerations,
  }
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && munged.terminationGracePeriodSeconds === 1) {
    munged = withField(munged, 'terminationGracePeriodSeconds', old.terminationGracePeriodSeconds)
  }
  if (old.schedulingGates?.length) munged = mungeGated(errors, munged, old)
  if (!internalEqual(munged, old, 'core/v1.PodSpec')) {
    const diff = internalDiff(old, munged, 'core/v1.PodSpec')
    errors.push(forbidden('spec', `pod updates may not change fields other than ${UPDATABLE}\n${diff}`))
  }
}

function validateEphemeralUpdate(errors: FieldErrors, next: Pod, old: Pod): void {
  if (old.metadata?.annotations?.[MIRROR] !== undefined) {
    errors.push(forbidden('', 'static pods do not support ephemeral containers'))
    return
  }
  const byName = new Map<string, EphemeralContainer>((next.spec?.ephemeralContainers ?? []).map((container) => [container.name, container]))
  for (const before of old.spec?.ephemeralContainers ?? []) {
    const after = byName.get(before.name)
    const what = after === undefined ? 'removed' : internalEqual(before, after, 'core/v1.EphemeralContainer') ? undefined : 'changed'
    if (what)
      errors.push(
        forbidden(
          'spec.ephemeralContainers',
          `existing ephemeral containers "${before.name}" may not be ${what}\n${what === 'changed' ? internalDiff(before, after, 'core/v1.EphemeralContainer') : ''}`,
        ),
      )
  }
}

const RESIZED = ['cpu', 'memory']

type Amounts = Readonly<Record<string, string>>

const isTakenAway = (next: Amounts = {}, old: Amounts = {}): boolean => Object.keys(old).some((name) => next[name] === undefined)

/** The resources with what a resize may change put back; claims go, as upstream lets them. */
function withOldAmounts(next: ResourceRequirements | undefined, old: ResourceRequirements | undefined): ResourceRequirements {
  const restored = (side: 'requests' | 'limits'): Amounts => ({
    ...Object.fromEntries(Object.entries(next?.[side] ?? {}).filter(([name]) => !RESIZED.includes(name))),
    ...Object.fromEntries(Object.entries(old?.[side] ?? {}).filter(([name]) => RESIZED.includes(name))),
  })
  return { limits: restored('limits'), requests: restored('requests') }
}

/** False when the lists do not match, and nothing more can be compared. */
function validateOrder(errors: FieldErrors, next: PodSpec, old: PodSpec): boolean {
  const before = errors.length
  for (const list of ['containers', 'initContainers'] as const) {
    const [mine, others] = [next[list] ?? [], old[list] ?? []]
    if (mine.length !== others.length) errors.push(forbidden(`spec.${list}`, `${list} may not be added or removed on resize`))
    else {
      others.forEach(({ name }, i) => {
        if (mine[i]?.name !== name) errors.push(forbidden(`spec.${list}[${i}].name`, `${list} may not be renamed or reordered on resize`))
      })
    }
  }
  return errors.length === before
}

function validatePodLevelResize(errors: FieldErrors, next: PodSpec, old: PodSpec): void {
  const isSet = ({ resources }: PodSpec): boolean => Object.keys({ ...resources?.requests, ...resources?.limits }).length > 0
  if (!isSet(next) && !isSet(old)) return
  if (old.resources && !next.resources) return void errors.push(forbidden('spec.resources', 'pod-level resources cannot be removed'))
  for (const side of ['requests', 'limits'] as const) {
    if (isTakenAway(next.resources?.[side], old.resources?.[side]))
      errors.push(forbidden(`spec.resources.${side}`, `pod-level resource ${side} cannot be removed`))
  }
  const kept = { ...withOldAmounts(next.resources, old.resources), claims: next.resources?.claims }
  if (!isSemanticallyEqual(kept, old.resources)) errors.push(forbidden('spec', 'only cpu and memory resources are mutable at pod-level'))
}

function validateResize(errors: FieldErrors, nextPod: Pod, oldPod: Pod): void {
  const [next, old] = [nextPod.spec!, oldPod.spec!]
  const refused = (why: string) => void errors.splice(0, errors.length, forbidden('', why))
  if (oldPod.metadata?.annotations?.[MIRROR] !== undefined) return refused('static pods cannot be resized')
  if (old.os?.name === 'windows') return refused('windows pods cannot be resized')
  if ((oldPod.status?.qosClass ?? podQosClass(oldPod)) !== podQosClass(nextPod))
    errors.push(invalid('spec', oldPod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'))
  const running = oldPod.status?.containerStatuses?.find(({ state }) => state?.running)
  if (running && !running.resources) errors.push(forbidden('spec', 'Pod running on node without support for resize'))
  validatePodLevelResize(errors, next, old)
  if (!validateOrder(errors, next, old)) return
  for (const list of ['initContainers', 'containers'] as const) {
    old[list]?.forEach(({ resources }, i) => {
      for (const side of ['requests', 'limits'] as const) {
        if (isTakenAway(next[list]?.[i]?.resources?.[side], resources?.[side]))
          errors.push(forbidden(`spec.${list}[${i}].resources.${side}`, `resource ${side} cannot be removed`))
      }
    })
  }
  for (const list of ['containers', 'initContainers'] as const) {
    next[list]?.forEach((container, i) => {
      const before = old[list]![i]!
      if (isSemanticallyEqual({ ...container, resources: withOldAmounts(container.resources, before.resources) }, before)) return
      errors.push(
        list === 'containers'
          ? forbidden('spec', 'only cpu and memory resources are mutable')
          : forbidden(`spec.${list}[${i}]`, 'only cpu and memory resources for init or sidecar containers are mutable'),
      )
    })
  }
}

export function validatePodUpdate(next: Pod, old: Pod, subresource?: string): readonly FieldError[] {
  const errors: FieldErrors = []
  validateMirrorAnnotation(errors, next, old)
  if (!next.spec || !old.spec) return errors
  if (subresource === 'ephemeralcontainers') validateEphemeralUpdate(errors, next, old)
  else if (subresource === 'resize') validateResize(errors, next, old)
  // Binding sets the node of a pod that has none; it is the server's own write.
  else if (subresource === undefined) validateSpecUpdate(errors, next.spec, old.spec)
  return errors
}

/** A container that has ended for good does not run again. */
function validateTransitions(
  errors: FieldErrors,
  path: string,
  next: readonly ContainerStatus[],
  old: readonly ContainerStatus[],
  mayRestart: (name: string, exitCode: number) => boolean,
): void {
  old.forEach((before, i) => {
    const ended = before.state?.terminated
    const after = next.find(({ name }) => name === before.name)
    if (!ended || !after || after.state?.terminated || mayRestart(before.name, ended.exitCode ?? 0)) return
    errors.push(forbidden(`${path}[${i}].state`, 'may not be transitioned to non-terminated state'))
  })
}

const NO_CLAIM =
  "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"

type Addresses = readonly { readonly ip?: string }[]

function validateIPs(errors: FieldErrors, path: string, next: Addresses = [], old: Addresses = []): void {
  next.forEach(({ ip = '' }, i) => {
    // A bad one may stay, for it was let in once.
    const problem = old.some((other) => other.ip === ip) ? undefined : ipProblem(ip)
    if (problem !== undefined) errors.push(invalid(`${path}[${i}]`, ip, problem))
  })
  if (next.length < 2) return
  const families = next.map(({ ip = '' }) => familyOfIP(ip))
  const bad = families.indexOf(undefined)
  if (bad >= 0) {
    errors.push(internal(path, `failed to check for dual stack with error:invalid IP[${bad}]: ${next[bad]?.ip ?? ''}`))
  }
  if (bad >= 0 || next.length > 2 || families[0] === families[1])
    errors.push(
      invalid(
        path,
        next,
        'may specify no more than one IP for each IP family',
        path.endsWith('podIPs') ? '[core/v1.PodIP' : '[core/v1.HostIP',
      ),
    )
}

function validateUsers(errors: FieldErrors, path: string, statuses: readonly ContainerStatus[] | undefined, os: string | undefined): void {
  statuses?.forEach(({ user }, i) => {
    const linux = user?.linux
    if (!linux) return
    const at = `${path}[${i}].user.linux`
    if (os === 'windows') return void errors.push(forbidden(at, 'cannot be set for a windows pod'))
    const { uid = 0, gid = 0, supplementalGroups = [] } = linux as Partial<typeof linux>
    for (const fault of userIdFaults(uid)) errors.push(invalid(`${at}.uid`, uid, fault))
    for (const fault of groupIdFaults(gid)) errors.push(invalid(`${at}.gid`, gid, fault))
    supplementalGroups.forEach((id, j) => {
      for (const fault of groupIdFaults(id)) errors.push(invalid(`${at}.supplementalGroups[${j}]`, id, fault))
    })
  })
}

/** What is told of the health of devices is told of devices that the container asked for. */
function validateDeviceHealth(
  errors: FieldErrors,
  path: string,
  statuses: readonly ContainerStatus[] = [],
  containers: readonly Container[] = [],
): void {
  statuses.forEach(({ name: owner, allocatedResourcesStatus = [] }, i) => {
    const resources = containers.find(({ name }) => name === owner)?.resources
    const isKnown = containers.some(({ name }) => name === owner)
    allocatedResourcesStatus.forEach(({ name = '', resources: devices = [] }: Partial<ResourceStatus>, j) => {
      const at = `${path}[${i}].allocatedResourcesStatus[${j}]`
      const isClaim = name.startsWith('claim:')
      const isAsked = isClaim
        ? resources?.claims?.some((claim) => name === `claim:${claim.name}${claim.request ? `/${claim.request}` : ''}`)
        : resources?.requests?.[name] !== undefined
      if (isKnown && !isAsked)
        errors.push(invalid(`${at}.name`, name, isClaim ? NO_CLAIM : "must match one of the container's resource requests"))
      const seen = new Set<string>()
      devices.forEach(({ resourceID, health = '' }, k) => {
        checkOneOf(errors, `${at}.resources[${k}].health`, health, ['Healthy', 'Unhealthy', 'Unknown'])
        if (seen.has(resourceID)) errors.push(duplicate(`${at}.resources[${k}].resourceID`, resourceID))
        seen.add(resourceID)
      })
    })
  })
}

function validateClaimStatuses(errors: FieldErrors, { spec, status }: Pod): void {
  const seen = new Set<string>()
  status?.resourceClaimStatuses?.forEach(({ name = '', resourceClaimName }: Partial<PodResourceClaimStatus>, i) => {
    const at = `status.resourceClaimStatuses[${i}]`
    if (!spec?.resourceClaims?.some((claim) => claim.name === name))
      errors.push(invalid(`${at}.name`, name, 'must match the name of an entry in `spec.resourceClaims`'))
    if (seen.has(name)) errors.push(duplicate(`${at}.name`, name))
    seen.add(name)
    if (resourceClaimName !== undefined) checkFormat(errors, `${at}.resourceClaimName`, resourceClaimName, dns1123SubdomainFaults)
  })
  const extended = status?.extendedResourceClaimStatus
  if (!extended) return
  const path = 'status.extendedResourceClaimStatus'
  const containers = new Map([...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map((container) => [container.name, container]))
  const { requestMappings = [], resourceClaimName = '' } = extended as Partial<typeof extended>
  if (requestMappings.length === 0) errors.push(required(`${path}.requestMappings`, 'at least one request mapping is required'))
  requestMappings.forEach(({ containerName, resourceName, requestName }, i) => {
    const at = `${path}.requestMappings[${i}]`
    const container = containers.get(containerName)
    if (!container)
      errors.push(
        invalid(
          `${at}.containerName`,
          containerName,
          'must match the name of an entry in spec.initContainers.name or spec.containers.name',
        ),
      )
    else if (container.resources?.requests?.[resourceName] === undefined) {
      const why =
        'must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests'
      errors.push(invalid(`${at}.resourceName`, resourceName, why))
    }
    checkFormat(errors, `${path}.requestName`, requestName, dns1123LabelFaults)
  })
  if (!resourceClaimName) errors.push(required(`${path}.resourceClaimName`))
  else checkFormat(errors, `${path}.resourceClaimName`, resourceClaimName, dns1123SubdomainFaults)
}

export function validatePodStatusUpdate(next: Pod, old: Pod): readonly FieldError[] {
  const errors: FieldErrors = []
  validateMirrorAnnotation(errors, next, old)
  const status = next.status ?? {}
  const before = old.status ?? {}
  status.conditions?.forEach(({ type, observedGeneration = 0 }, i) => {
    if (observedGeneration < 0)
      errors.push(invalid(`status.conditions[${i}].observedGeneration`, observedGeneration, 'must be a non-negative integer'))
    // Upstream writes this field's name in Go's way.
    checkFormat(errors, `status.conditions[${i}].Type`, type ?? '', qualifiedNameFaults)
  })
  if (status.nominatedNodeName && status.nominatedNodeName !== before.nominatedNodeName) {
    checkFormat(errors, 'status.nominatedNodeName', status.nominatedNodeName, dns1123SubdomainFaults)
  }
  if ((status.observedGeneration ?? 0) < 0)
    errors.push(invalid('status.observedGeneration', status.observedGeneration, 'must be a non-negative integer'))
  if (before.qosClass) checkImmutable(errors, 'status.qosClass', status.qosClass, before.qosClass)
  const spec = old.spec
  const policy = spec?.restartPolicy
  const mayRestart = (name: string, exitCode: number): boolean => {
    const container = spec?.containers?.find((candidate) => candidate.name === name)
    if (container?.restartPolicyRules?.length) return true
    const own = container?.restartPolicy ?? policy
    return own === 'Always' || (own === 'OnFailure' && exitCode !== 0)
  }
  validateTransitions(errors, 'status.containerStatuses', status.containerStatuses ?? [], before.containerStatuses ?? [], mayRestart)
  validateTransitions(
    errors,
    'status.initContainerStatuses',
    status.initContainerStatuses ?? [],
    before.initContainerStatuses ?? [],
    (name, exitCode) => {
      const container = spec?.initContainers?.find((candidate) => candidate.name === name)
      return container?.restartPolicy === 'Always' || policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
    },
  )
  validateTransitions(
    errors,
    'status.ephemeralContainerStatuses',
    status.ephemeralContainerStatuses ?? [],
    before.ephemeralContainerStatuses ?? [],
    () => false,
  )
  validateClaimStatuses(errors, next)
  validateIPs(errors, 'status.podIPs', status.podIPs, before.podIPs)
  const [firstHost] = status.hostIPs ?? []
  if (firstHost && (firstHost.ip ?? '') !== (status.hostIP ?? ''))
    errors.push(invalid('status.hostIPs[0].ip', firstHost.ip ?? '', 'must be equal to `hostIP`'))
  validateIPs(errors, 'status.hostIPs', status.hostIPs, before.hostIPs)
  validateDeviceHealth(errors, 'status.containerStatuses', status.containerStatuses, spec?.containers)
  validateDeviceHealth(errors, 'status.initContainerStatuses', status.initContainerStatuses, spec?.initContainers)
  for (const list of ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const)
    validateUsers(errors, `status.${list}`, status[list], spec?.os?.name)
  return errors
}
