/** Rules of pod specs, in pods and in templates (upstream's ValidatePodSpec and what surrounds it). */
import type { Pod, PodSpec, PodTemplateSpec } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, qualifiedNameFaults, underscoredSubdomainFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import type { FieldError } from '../../../api/status.ts'
import { ipProblem } from '../addresses.ts'
import { validateAnnotations, validateLabels } from '../object-meta.ts'
import { containerTotals } from '../../../api/pod-resources.ts'
import {
  checkFormat,
  checkInRange,
  checkRequiredOneOf,
  duplicate,
  forbidden,
  invalid,
  notFound,
  required,
  tooLong,
  type FieldErrors,
} from '../rules.ts'
import { checkTrimmedImage, validateContainers, validateEphemeralContainers, validateInitContainers } from './container-validation.ts'
import { validatePodResourceName, validateResourceRequirements } from './resource-requirements-validation.ts'
import { validateAffinity, validateSpreadConstraints, validateTolerations } from './scheduling-validation.ts'
import { containersWithPaths, validateHostProcesses, validateOs } from './os-validation.ts'
import { validatePodSecurityContext } from './security-context-validation.ts'
import { validateVolumes } from './volume-validation.ts'

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']
const MAX_INT32 = 2 ** 31 - 1
const MAX_NAMESERVERS = 3
const MAX_SEARCHES = 32
const MAX_SEARCH_CHARACTERS = 2048

function validateHostNetwork(errors: FieldErrors, path: string, spec: PodSpec): void {
  if (!spec.hostNetwork) return
  for (const list of ['containers', 'initContainers'] as const) {
    spec[list]?.forEach((container, i) => {
      container.ports?.forEach((port, j) => {
        // A host port that is still absent is defaulted when the pod is made from the template.
        if (port.hostPort && port.hostPort !== port.containerPort) {
          errors.push(
            invalid(`${path}.${list}[${i}].ports[${j}].hostPort`, port.hostPort, 'must match `containerPort` when `hostNetwork` is true'),
          )
        }
      })
    })
  }
}

function validateDns(errors: FieldErrors, path: string, { dnsConfig, dnsPolicy }: PodSpec): void {
  if (dnsPolicy === 'None') {
    if (!dnsConfig) {
      errors.push(required(path, 'must provide `dnsConfig` when `dnsPolicy` is None'))
      return
    }
    if (!dnsConfig.nameservers?.length) {
      errors.push(required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None'))
      return
    }
  }
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {}
  if (nameservers.length > MAX_NAMESERVERS)
    errors.push(invalid(`${path}.nameservers`, nameservers, `must not have more than ${MAX_NAMESERVERS} nameservers`))
  nameservers.forEach((server, i) => {
    const problem = ipProblem(server)
    if (problem !== undefined) errors.push(invalid(`${path}.nameservers[${i}]`, server, problem))
  })
  if (searches.length > MAX_SEARCHES)
    errors.push(invalid(`${path}.searches`, searches, `must not have more than ${MAX_SEARCHES} search paths`))
  if (searches.join(' ').length > MAX_SEARCH_CHARACTERS) {
    errors.push(
      invalid(
        `${path}.searches`,
        searches,
        `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`,
      ),
    )
  }
  searches.forEach((search, i) => {
    // Labels may begin with an underscore here, as those of SRV records do (KEP-4427).
    if (search !== '.') checkFormat(errors, `${path}.searches[${i}]`, search.replace(/\.$/, ''), underscoredSubdomainFaults)
  })
  options.forEach((option, i) => {
    if (!option.name) errors.push(required(`${path}.options[${i}]`, 'must not be empty'))
  })
}

function validatePodResources(errors: FieldErrors, path: string, spec: PodSpec, claimNames: ReadonlySet<string>): void {
  if (!spec.resources) return
  const at = `${path}.resources`
  if (spec.os?.name === 'windows') return void errors.push(forbidden(at, 'may not be set for a windows pod'))
  if (spec.resources.claims) errors.push(forbidden(`${at}.claims`, 'claims may not be set for Resources at pod-level'))
  validateResourceRequirements(errors, at, spec.resources, claimNames, validatePodResourceName)
  const totals = containerTotals(spec, 'requests')
  for (const [name, amount] of Object.entries(spec.resources.requests ?? {})) {
    const total = totals[name]
    if (total !== undefined && compareQuantities(total, amount) > 0) {
      errors.push(invalid(`${at}.requests[${name}]`, amount, `must be greater than or equal to aggregate container requests of ${total}`))
    }
  }
  for (const list of ['containers', 'initContainers'] as const) {
    spec[list]?.forEach((container, i) => {
      for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
        const most = spec.resources?.limits?.[name]
        if (most !== undefined && compareQuantities(limit, most) > 0) {
          errors.push(
            invalid(`${path}.${list}[${i}].resources.limits[${name}]`, limit, `must be less than or equal to pod limits of ${most}`),
          )
        }
      }
    })
  }
}

function validateNames(errors: FieldErrors, path: string, spec: PodSpec): void {
  if (spec.serviceAccountName) checkFormat(errors, `${path}.serviceAccountName`, spec.serviceAccountName, dns1123SubdomainFaults)
  if (spec.nodeName) checkFormat(errors, `${path}.nodeName`, spec.nodeName, dns1123SubdomainFaults)
  checkInRange(errors, `${path}.activeDeadlineSeconds`, spec.activeDeadlineSeconds, 1, MAX_INT32)
  if (spec.hostname) checkFormat(errors, `${path}.hostname`, spec.hostname, dns1123LabelFaults)
  if (spec.subdomain) checkFormat(errors, `${path}.subdomain`, spec.subdomain, dns1123LabelFaults)
  validateTolerations(errors, `${path}.tolerations`, spec.tolerations)
  spec.hostAliases?.forEach(({ ip, hostnames }, i) => {
    const problem = ipProblem(ip ?? '')
    if (problem !== undefined) errors.push(invalid(`${path}.hostAliases[${i}].ip`, ip ?? '', problem))
    hostnames?.forEach((name, j) => checkFormat(errors, `${path}.hostAliases[${i}].hostnames[${j}]`, name, dns1123SubdomainFaults))
  })
  if (spec.priorityClassName) checkFormat(errors, `${path}.priorityClassName`, spec.priorityClassName, dns1123SubdomainFaults)
  if (spec.runtimeClassName !== undefined) checkFormat(errors, `${path}.runtimeClassName`, spec.runtimeClassName, dns1123SubdomainFaults)
  if (spec.preemptionPolicy !== undefined) {
    checkRequiredOneOf(errors, `${path}.preemptionPolicy`, spec.preemptionPolicy, ['PreemptLowerPriority', 'Never'])
  }
  if (spec.overhead) validateResourceRequirements(errors, `${path}.overhead`, { limits: spec.overhead }, new Set())
  validateOs(errors, path, spec)
}

function validateGates(errors: FieldErrors, path: string, spec: PodSpec): void {
  spec.readinessGates?.forEach(({ conditionType }, i) => {
    checkFormat(errors, `${path}.readinessGates[${i}].conditionType`, conditionType ?? '', qualifiedNameFaults)
  })
  const seen = new Set<string>()
  spec.schedulingGates?.forEach(({ name }, i) => {
    checkFormat(errors, `${path}.schedulingGates[${i}]`, name ?? '', qualifiedNameFaults)
    if (seen.has(name)) errors.push(duplicate(`${path}.schedulingGates[${i}]`, name))
    seen.add(name)
  })
}

function validateResourceClaims(errors: FieldErrors, path: string, spec: PodSpec): ReadonlySet<string> {
  const names = new Set<string>()
  spec.resourceClaims?.forEach((claim, i) => {
    const { name, resourceClaimName, resourceClaimTemplateName } = claim
    const at = `${path}.resourceClaims[${i}]`
    if (!name) errors.push(required(`${at}.name`))
    else if (names.has(name)) errors.push(duplicate(`${at}.name`, name))
    else checkFormat(errors, `${at}.name`, name, dns1123LabelFaults)
    if (name) names.add(name)
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      errors.push(
        invalid(
          at,
          claim,
          'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
          'core/v1.PodResourceClaim',
        ),
      )
    } else if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      errors.push(invalid(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`', 'core/v1.PodResourceClaim'))
    }
    if (resourceClaimName !== undefined) checkFormat(errors, `${at}.resourceClaimName`, resourceClaimName, dns1123SubdomainFaults)
    if (resourceClaimTemplateName !== undefined)
      checkFormat(errors, `${at}.resourceClaimTemplateName`, resourceClaimTemplateName, dns1123SubdomainFaults)
  })
  return names
}

/** A pod with users of its own shares no namespaces with the host. The names are as upstream spells them. */
function validateHostUsers(errors: FieldErrors, path: string, spec: PodSpec): void {
  if (spec.hostUsers !== false) return
  const why = 'when `hostUsers` is false'
  if (spec.hostNetwork) errors.push(forbidden(`${path}.hostNetwork`, why))
  if (spec.hostPID) errors.push(forbidden(`${path}.HostPID`, why))
  if (spec.hostIPC) errors.push(forbidden(`${path}.HostIPC`, why))
  for (const [at, { volumeDevices }] of containersWithPaths(path, spec))
    if (volumeDevices?.length) errors.push(forbidden(`${at}.volumeDevices`, why))
}

const MAX_HOSTNAME_BYTES = 64

function validateHostname(errors: FieldErrors, path: string, { hostnameOverride, setHostnameAsFQDN, hostNetwork }: PodSpec): void {
  if (hostnameOverride === undefined) return
  const at = `${path}.hostnameOverride`
  if (setHostnameAsFQDN) errors.push(forbidden(at, 'may not be specified when setHostnameAsFQDN is true'))
  if (hostNetwork) errors.push(forbidden(at, 'may not be specified when hostNetwork is true'))
  if (hostnameOverride.length > MAX_HOSTNAME_BYTES) errors.push(tooLong(at, MAX_HOSTNAME_BYTES))
  checkFormat(errors, at, hostnameOverride, dns1123SubdomainFaults)
}

/** Variables out of files are read from volumes of the pod alone. */
function validateFileKeys(errors: FieldErrors, path: string, spec: PodSpec): void {
  for (const [at, { env }] of containersWithPaths(path, spec)) {
    env?.forEach(({ valueFrom }, i) => {
      const name = valueFrom?.fileKeyRef?.volumeName
      if (!valueFrom?.fileKeyRef) return
      const volume = spec.volumes?.find((candidate) => candidate.name === name)
      const field = `${at}.env[${i}].valueFrom.fileKeyRef.volumeName`
      if (!volume) errors.push(notFound(field, name ?? ''))
      else if (!volume.emptyDir) errors.push(invalid(field, name, 'referenced volume must be of type emptyDir'))
    })
  }
}

export function validatePodSpec(errors: FieldErrors, path: string, spec: PodSpec, podName?: string): void {
  const graceSeconds = spec.terminationGracePeriodSeconds
  if (graceSeconds === undefined) errors.push(required(`${path}.terminationGracePeriodSeconds`))
  const volumes = validateVolumes(errors, `${path}.volumes`, spec.volumes, podName)
  const claimNames = validateResourceClaims(errors, path, spec)
  // A negative time is one second.
  const around = { volumes, claimNames, graceSeconds: graceSeconds !== undefined && graceSeconds < 0 ? 1 : graceSeconds, spec }
  const containers = spec.containers ?? []
  const initContainers = spec.initContainers ?? []
  validateContainers(errors, `${path}.containers`, containers, around)
  validateInitContainers(errors, `${path}.initContainers`, initContainers, containers, around)
  validateEphemeralContainers(
    errors,
    `${path}.ephemeralContainers`,
    spec.ephemeralContainers ?? [],
    [...containers, ...initContainers],
    around,
  )
  validatePodResources(errors, path, spec, claimNames)
  validateHostNetwork(errors, path, spec)
  checkRequiredOneOf(errors, `${path}.restartPolicy`, spec.restartPolicy, RESTART_POLICIES)
  checkRequiredOneOf(errors, `${path}.dnsPolicy`, spec.dnsPolicy, DNS_POLICIES)
  validateLabels(errors, `${path}.nodeSelector`, spec.nodeSelector)
  validatePodSecurityContext(errors, `${path}.securityContext`, spec)
  validateAffinity(errors, `${path}.affinity`, spec.affinity)
  validateDns(errors, `${path}.dnsConfig`, spec)
  validateGates(errors, path, spec)
  validateSpreadConstraints(errors, `${path}.topologySpreadConstraints`, spec.topologySpreadConstraints)
  validateHostProcesses(errors, path, spec)
  validateHostUsers(errors, path, spec)
  validateHostname(errors, path, spec)
  validateNames(errors, path, spec)
  validateFileKeys(errors, path, spec)
}

export function validatePodTemplate(errors: FieldErrors, path: string, template: PodTemplateSpec): void {
  validateLabels(errors, `${path}.labels`, template.metadata?.labels)
  validateAnnotations(errors, `${path}.annotations`, template.metadata?.annotations)
  if (!template.spec) {
    errors.push(required(`${path}.spec.containers`))
    return
  }
  validatePodSpec(errors, `${path}.spec`, template.spec)
  if (template.spec.ephemeralContainers?.length)
    errors.push(forbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'))
}

export function validatePod(pod: Pod): readonly FieldError[] {
  const errors: FieldErrors = []
  const spec = pod.spec
  if (!spec) return [required('spec.containers')]
  validatePodSpec(errors, 'spec', spec, pod.metadata?.name)
  if (!spec.serviceAccountName) {
    spec.volumes?.forEach((volume, i) => {
      volume.projected?.sources?.forEach((source, j) => {
        if (!source.serviceAccountToken) return
        const at = `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`
        errors.push(forbidden(at, 'must not be specified when serviceAccountName is not set'))
      })
    })
  }
  for (const list of ['containers', 'initContainers'] as const) {
    spec[list]?.forEach((container, i) => checkTrimmedImage(errors, `spec.${list}[${i}]`, container.image))
  }
  return errors
}

/** Beyond validatePod, for pods that are being made. */
export function validateNewPod({ spec }: Pod): readonly FieldError[] {
  const errors: FieldErrors = []
  if (spec?.ephemeralContainers?.length) errors.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'))
  if (spec?.nodeName && spec.schedulingGates?.length) {
    errors.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'))
  }
  return errors
}
