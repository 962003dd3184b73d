/** What may change about a pod: little of its spec, and its status in one direction. */
import type { Container, ContainerStatus, EphemeralContainer, Pod, PodSpec, Toleration } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults, qualifiedNameFaults } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { ipProblem } from '../addresses.ts'
import { isSemanticallyEqual, withField } from '../immutable.ts'
import { internalDiff } from '../internal-form.ts'
import { checkFormat, checkImmutable, checkInRange, duplicate, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
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
  if (isSemanticallyEqual(next, old)) return
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
  if (!isSemanticallyEqual(munged, old)) {
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
    const what = after === undefined ? 'removed' : isSemanticallyEqual(before, after) ? undefined : 'changed'
    if (what) errors.push(forbidden('spec.ephemeralContainers', `existing ephemeral containers "${before.name}" may not be ${what}\n`))
  }
}

function validateResize(errors: FieldErrors, next: PodSpec, old: PodSpec): void {
  const stripped = (spec: PodSpec): PodSpec => ({
    ...spec,
    resources: undefined,
    containers: (spec.containers ?? []).map((container) => ({ ...container, resources: undefined, resizePolicy: undefined })),
    initContainers: spec.initContainers?.map((container) => ({ ...container, resources: undefined, resizePolicy: undefined })),
  })
  if (!isSemanticallyEqual(stripped(next), stripped(old))) errors.push(forbidden('spec', 'only cpu and memory resources are mutable\n'))
  const resized = (field: 'containers' | 'initContainers'): void => {
    next[field]?.forEach((container, i) => {
      for (const side of ['requests', 'limits'] as const) {
        const after = container.resources?.[side] ?? {}
        const before = old[field]?.[i]?.resources?.[side] ?? {}
        for (const name of new Set([...Object.keys(after), ...Object.keys(before)])) {
          if (after[name] === before[name]) continue
          const path = `spec.${field}[${i}].resources.${side}`
          if (name !== 'cpu' && name !== 'memory') errors.push(forbidden(path, 'only cpu and memory resources are mutable'))
          else if (after[name] === undefined) errors.push(forbidden(path, `resource ${side} cannot be removed`))
        }
      }
    })
  }
  resized('containers')
  resized('initContainers')
}

export function validatePodUpdate(next: Pod, old: Pod, subresource?: string): readonly FieldError[] {
  const errors: FieldErrors = []
  validateMirrorAnnotation(errors, next, old)
  if (!next.spec || !old.spec) return errors
  if (subresource === 'ephemeralcontainers') validateEphemeralUpdate(errors, next, old)
  else if (subresource === 'resize') validateResize(errors, next.spec, old.spec)
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

function validateIPs(errors: FieldErrors, path: string, ips: readonly { readonly ip?: string }[] | undefined): void {
  const seen = new Set<string>()
  ips?.forEach(({ ip = '' }, i) => {
    const problem = ipProblem(ip)
    if (problem !== undefined) errors.push(invalid(`${path}[${i}]`, ip, problem))
    if (seen.has(ip)) errors.push(duplicate(`${path}[${i}]`, ip))
    seen.add(ip)
  })
}

export function validatePodStatusUpdate(next: Pod, old: Pod): readonly FieldError[] {
  const errors: FieldErrors = []
  validateMirrorAnnotation(errors, next, old)
  const status = next.status ?? {}
  const before = old.status ?? {}
  status.conditions?.forEach(({ type, observedGeneration = 0 }, i) => {
    checkFormat(errors, `status.conditions[${i}].type`, type, qualifiedNameFaults)
    if (observedGeneration < 0)
      errors.push(invalid(`status.conditions[${i}].observedGeneration`, observedGeneration, 'must be a non-negative integer'))
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
  validateIPs(errors, 'status.podIPs', status.podIPs)
  validateIPs(errors, 'status.hostIPs', status.hostIPs)
  return errors
}
