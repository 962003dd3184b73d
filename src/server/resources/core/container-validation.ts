/** Rules of containers: one by one (validateContainer) and beside each other (validateContainers and the others). */
import type {
  Container,
  ContainerPort,
  EnvFromSource,
  EnvVar,
  EphemeralContainer,
  PodSpec,
  Volume,
  VolumeMount,
} from '../../../api/generated/core/v1.ts'
import {
  configMapKeyFaults,
  dns1123LabelFaults,
  dns1123SubdomainFaults,
  environmentNameFaults,
  portNameFaults,
  portNumberFaults,
} from '../../../api/names.ts'
import {
  checkFormat,
  checkOneOf,
  checkRequiredOneOf,
  duplicate,
  forbidden,
  invalid,
  notFound,
  required,
  tooMany,
  type FieldErrors,
} from '../rules.ts'
import { validateContainerResourceField, validateFieldRef, ENV_FIELDS } from './downward-api-validation.ts'
import { PROTOCOLS } from './endpoints.ts'
import { validateLifecycle, validateProbe } from './probe-validation.ts'
import { validateResourceRequirements } from './resource-requirements-validation.ts'
import { validateSecurityContext } from './security-context-validation.ts'
import { validateDescendingPath, validateNoBacksteps } from './local-path-validation.ts'

/** What the containers of one pod are checked against. */
export interface PodSurroundings {
  readonly volumes: ReadonlyMap<string, Volume>
  readonly claimNames: ReadonlySet<string>
  readonly graceSeconds: number | undefined
  readonly spec: PodSpec
}

function validatePorts(errors: FieldErrors, path: string, ports: readonly ContainerPort[] | undefined): void {
  const names = new Set<string>()
  ports?.forEach((port, i) => {
    const at = `${path}[${i}]`
    if (port.name) {
      const faults = portNameFaults(port.name)
      for (const fault of faults) errors.push(invalid(`${at}.name`, port.name, fault))
      if (faults.length === 0 && names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name))
      names.add(port.name)
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`))
    else for (const fault of portNumberFaults(port.containerPort)) errors.push(invalid(`${at}.containerPort`, port.containerPort, fault))
    if (port.hostPort) for (const fault of portNumberFaults(port.hostPort)) errors.push(invalid(`${at}.hostPort`, port.hostPort, fault))
    checkRequiredOneOf(errors, `${at}.protocol`, port.protocol, PROTOCOLS)
  })
}

function validateValueFrom(errors: FieldErrors, path: string, { value, valueFrom }: EnvVar): void {
  if (!valueFrom) return
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = valueFrom
  if (fieldRef) validateFieldRef(errors, `${path}.fieldRef`, fieldRef, ENV_FIELDS)
  if (resourceFieldRef) validateContainerResourceField(errors, `${path}.resourceFieldRef`, resourceFieldRef, false)
  for (const [name, ref] of [
    ['configMapKeyRef', configMapKeyRef],
    ['secretKeyRef', secretKeyRef],
  ] as const) {
    if (!ref) continue
    checkFormat(errors, `${path}.${name}.name`, ref.name ?? '', dns1123SubdomainFaults)
    if (!ref.key) errors.push(required(`${path}.${name}.key`))
    else checkFormat(errors, `${path}.${name}.key`, ref.key, configMapKeyFaults)
  }
  if (fileKeyRef) {
    const { key, volumeName, path: file } = fileKeyRef
    if (!key) errors.push(required(`${path}.fileKeyRef.key`))
    else checkFormat(errors, `${path}.fileKeyRef.key`, key, environmentNameFaults)
    if (!volumeName) errors.push(required(`${path}.fileKeyRef.volumeName`))
    else checkFormat(errors, `${path}.fileKeyRef.volumeName`, volumeName, dns1123LabelFaults)
    if (!file) errors.push(required(`${path}.fileKeyRef.path`))
    else validateNoBacksteps(errors, `${path}.fileKeyRef.path`, file)
  }
  const count = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef].filter((source) => source !== undefined).length
  if (count === 0) {
    errors.push(invalid(path, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'))
  } else if (value) errors.push(invalid(path, '', 'may not be specified when `value` is not empty'))
  else if (count > 1) errors.push(invalid(path, '', 'may not have more than one field specified at a time'))
}

function validateEnv(errors: FieldErrors, path: string, env: readonly EnvVar[] | undefined): void {
  env?.forEach((variable, i) => {
    const at = `${path}[${i}]`
    if (!variable.name) errors.push(required(`${at}.name`))
    else checkFormat(errors, `${at}.name`, variable.name, environmentNameFaults)
    validateValueFrom(errors, `${at}.valueFrom`, variable)
  })
}

function checkNamePrefix(errors: FieldErrors, path: string, name: string): void {
  const masked = name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name
  for (const fault of dns1123SubdomainFaults(masked)) errors.push(invalid(path, name, fault))
}

function validateEnvFrom(errors: FieldErrors, path: string, sources: readonly EnvFromSource[] | undefined): void {
  sources?.forEach(({ prefix, configMapRef, secretRef }, i) => {
    const at = `${path}[${i}]`
    if (prefix) checkFormat(errors, `${at}.prefix`, prefix, environmentNameFaults)
    for (const [name, ref] of Object.entries({ configMapRef, secretRef })) {
      if (ref && !ref.name) errors.push(required(`${at}.${name}.name`))
      // The name may be the beginning of a generated one, and so end in a dash.
      else if (ref?.name) checkNamePrefix(errors, `${at}.${name}.name`, ref.name)
    }
    if (!configMapRef && !secretRef) errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'))
    else if (configMapRef && secretRef) errors.push(invalid(path, '', 'may not have more than one field specified at a time'))
  })
}

function validateMount(errors: FieldErrors, path: string, mount: VolumeMount, container: Container): void {
  const list = path.slice(0, path.lastIndexOf('['))
  if (mount.subPath) validateDescendingPath(errors, `${list}.subPath`, mount.subPath)
  if (mount.subPathExpr) {
    if (mount.subPath) errors.push(invalid(`${path}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
    validateDescendingPath(errors, `${list}.subPathExpr`, mount.subPathExpr)
  }
  if (mount.mountPropagation !== undefined) {
    const at = `${list}.mountPropagation`
    checkOneOf(errors, at, mount.mountPropagation, ['Bidirectional', 'HostToContainer', 'None'])
    if (mount.mountPropagation === 'Bidirectional' && !container.securityContext?.privileged) {
      errors.push(forbidden(at, 'Bidirectional mount propagation is available only to privileged containers'))
    }
  }
  if (mount.recursiveReadOnly === undefined || mount.recursiveReadOnly === 'Disabled') return
  const at = `${list}.recursiveReadOnly`
  if (!['Enabled', 'IfPossible'].includes(mount.recursiveReadOnly))
    checkOneOf(errors, at, mount.recursiveReadOnly, ['Disabled', 'Enabled', 'IfPossible'])
  else {
    if (!mount.readOnly) errors.push(forbidden(at, 'may only be specified when readOnly is true'))
    if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') {
      errors.push(forbidden(at, 'may only be specified when mountPropagation is None or not specified'))
    }
  }
}

function validateMounts(errors: FieldErrors, path: string, container: Container, volumes: ReadonlyMap<string, Volume>): void {
  const points = new Set<string>()
  container.volumeMounts?.forEach((mount, i) => {
    const at = `${path}.volumeMounts[${i}]`
    if (!mount.name) errors.push(required(`${at}.name`))
    if (!volumes.has(mount.name)) errors.push(notFound(`${at}.name`, mount.name ?? ''))
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`))
    if (points.has(mount.mountPath)) errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'))
    points.add(mount.mountPath)
    if (container.volumeDevices?.some(({ name }) => name === mount.name))
      errors.push(invalid(`${at}.name`, mount.name, 'must not already exist in volumeDevices'))
    if (container.volumeDevices?.some(({ devicePath }) => devicePath === mount.mountPath)) {
      errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must not already exist as a path in volumeDevices'))
    }
    validateMount(errors, at, mount, container)
  })
  const devices = new Set<string>()
  const names = new Set<string>()
  container.volumeDevices?.forEach((device, i) => {
    const at = `${path}.volumeDevices[${i}]`
    const volume = volumes.get(device.name)
    if (!device.name) errors.push(required(`${at}.name`))
    if (names.has(device.name)) errors.push(invalid(`${at}.name`, device.name, 'must be unique'))
    names.add(device.name)
    if (volume && !volume.persistentVolumeClaim && !volume.ephemeral) {
      errors.push(
        invalid(`${at}.name`, device.name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'),
      )
    }
    if (!volume) errors.push(notFound(`${at}.name`, device.name ?? ''))
    if (!device.devicePath) errors.push(required(`${at}.devicePath`))
    else if (devices.has(device.devicePath)) errors.push(invalid(`${at}.devicePath`, device.devicePath, 'must be unique'))
    devices.add(device.devicePath)
  })
}

function validateContainer(errors: FieldErrors, path: string, container: Container, around: PodSurroundings): void {
  if (!container.name) errors.push(required(`${path}.name`))
  else checkFormat(errors, `${path}.name`, container.name, dns1123LabelFaults)
  if (!container.image) errors.push(required(`${path}.image`))
  checkRequiredOneOf(errors, `${path}.terminationMessagePolicy`, container.terminationMessagePolicy, ['File', 'FallbackToLogsOnError'])
  validatePorts(errors, `${path}.ports`, container.ports)
  validateEnv(errors, `${path}.env`, container.env)
  validateEnvFrom(errors, `${path}.envFrom`, container.envFrom)
  validateMounts(errors, path, container, around.volumes)
  checkRequiredOneOf(errors, `${path}.imagePullPolicy`, container.imagePullPolicy, ['Always', 'IfNotPresent', 'Never'])
  validateResourceRequirements(errors, `${path}.resources`, container.resources, around.claimNames)
  const resized = new Set<string>()
  container.resizePolicy?.forEach(({ resourceName, restartPolicy }, i) => {
    const at = `${path}.resizePolicy[${i}]`
    if (resized.has(resourceName)) errors.push(duplicate(at, resourceName))
    resized.add(resourceName)
    const list = `${path}.resizePolicy`
    checkRequiredOneOf(errors, list, resourceName, ['cpu', 'memory'])
    checkRequiredOneOf(errors, list, restartPolicy, ['NotRequired', 'RestartContainer'])
    if (around.spec.restartPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      errors.push(invalid(list, restartPolicy ?? '', "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
    }
  })
  validateSecurityContext(errors, `${path}.securityContext`, container.securityContext, around.spec)
}

function validateProbes(errors: FieldErrors, path: string, container: Container, graceSeconds: number | undefined): void {
  validateLifecycle(errors, `${path}.lifecycle`, container.lifecycle, graceSeconds)
  validateProbe(errors, `${path}.livenessProbe`, container.livenessProbe, 'liveness', graceSeconds)
  validateProbe(errors, `${path}.readinessProbe`, container.readinessProbe, 'readiness', graceSeconds)
  validateProbe(errors, `${path}.startupProbe`, container.startupProbe, 'startup', graceSeconds)
}

/** Two containers that run at once cannot both have a port of the host. */
function validateHostPorts(errors: FieldErrors, path: string, containers: readonly Container[]): void {
  const taken = new Set<string>()
  containers.forEach((container, i) => {
    container.ports?.forEach((port, j) => {
      if (!port.hostPort) return
      const key = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`
      if (taken.has(key)) errors.push(duplicate(`${path}[${i}].ports[${j}].hostPort`, key))
      taken.add(key)
    })
  })
}

const NO_POLICY = 'must specify restartPolicy when restart rules are used'
const MAX_RULES = 20
const MAX_EXIT_CODES = 255

function validateRestarts(errors: FieldErrors, path: string, { restartPolicy, restartPolicyRules: rules = [] }: Container): void {
  if (restartPolicy !== undefined) checkOneOf(errors, `${path}.restartPolicy`, restartPolicy, ['Always', 'Never', 'OnFailure'])
  else if (rules.length > 0) errors.push(required(`${path}.restartPolicy`, NO_POLICY))
  if (rules.length > MAX_RULES) errors.push(tooMany(`${path}.restartPolicyRules`, rules.length, MAX_RULES))
  rules.forEach(({ action, exitCodes }, i) => {
    const at = `${path}.restartPolicyRules[${i}]`
    checkOneOf(errors, `${at}.action`, action, ['Restart', 'RestartAllContainers'])
    if (!exitCodes) return void errors.push(required(`${at}.exitCodes`, 'must be specified'))
    const { operator, values = [] } = exitCodes
    checkOneOf(errors, `${at}.exitCodes.operator`, operator, ['In', 'NotIn'])
    if (values.length > MAX_EXIT_CODES) errors.push(tooMany(`${at}.exitCodes.values`, values.length, MAX_EXIT_CODES))
  })
}

export function validateContainers(errors: FieldErrors, path: string, containers: readonly Container[], around: PodSurroundings): void {
  if (containers.length === 0) errors.push(required(path))
  const names = new Set<string>()
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`
    validateContainer(errors, at, container, around)
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name))
    names.add(container.name)
    validateProbes(errors, at, container, around.graceSeconds)
    validateRestarts(errors, at, container)
  })
  validateHostPorts(errors, path, containers)
}

export function validateInitContainers(
  errors: FieldErrors,
  path: string,
  containers: readonly Container[],
  regular: readonly Container[],
  around: PodSurroundings,
): void {
  const names = new Set(regular.map(({ name }) => name))
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`
    validateContainer(errors, at, container, around)
    if (container.restartPolicy !== undefined) validateRestarts(errors, at, container)
    else if (container.restartPolicyRules?.length) errors.push(required(`${at}.restartPolicy`, NO_POLICY))
    if (container.name && names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name))
    names.add(container.name)
    validateHostPorts(errors, path, [container])
    if (container.restartPolicy === 'Always') {
      validateProbes(errors, at, container, around.graceSeconds)
      return
    }
    for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[field]) errors.push(forbidden(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'))
    }
    container.resizePolicy?.forEach(({ restartPolicy }, j) => {
      if (restartPolicy !== 'RestartContainer') return
      const why = "must not be set to 'RestartContainer' for non-sidecar initContainers"
      errors.push(invalid(`${at}.resizePolicy[${j}].restartPolicy`, restartPolicy, why))
    })
  })
}

const NOT_EPHEMERAL = [
  'ports',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'resources',
  'resizePolicy',
  'restartPolicy',
  'restartPolicyRules',
] as const

export function validateEphemeralContainers(
  errors: FieldErrors,
  path: string,
  containers: readonly EphemeralContainer[],
  others: readonly Container[],
  around: PodSurroundings,
): void {
  const names = new Set(others.map(({ name }) => name))
  const targets = new Set(names)
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`
    validateContainer(errors, at, container, around)
    checkTrimmedImage(errors, at, container.image)
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name))
    names.add(container.name)
    if (container.targetContainerName && !targets.has(container.targetContainerName)) {
      errors.push(notFound(`${at}.targetContainerName`, container.targetContainerName))
    }
    for (const field of NOT_EPHEMERAL) {
      const value = container[field]
      // Of structs only resources are no pointer.
      const isSet = Array.isArray(value)
        ? value.length > 0
        : field === 'resources'
          ? Object.keys(value ?? {}).length > 0
          : value !== undefined
      if (isSet) errors.push(forbidden(`${at}.${field}`, 'cannot be set for an Ephemeral Container'))
    }
    container.volumeMounts?.forEach((mount, j) => {
      for (const field of ['subPath', 'subPathExpr'] as const) {
        if (mount[field]) errors.push(forbidden(`${at}.volumeMounts[${j}].${field}`, 'cannot be set for an Ephemeral Container'))
      }
    })
  })
}

/** In pods, not in templates, spaces around an image are refused: templates may hold them from before. */
export function checkTrimmedImage(errors: FieldErrors, path: string, image: string | undefined): void {
  if (image && image.trim() !== image) errors.push(invalid(`${path}.image`, image, 'must not have leading or trailing whitespace'))
}
