/** Rules of references to a pod's own fields, in variables and in volumes. */
import type { DownwardAPIVolumeFile, ObjectFieldSelector, ResourceFieldSelector } from '../../../api/generated/core/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import { checkFormat, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { FILE_MODE_PROBLEM, isFileMode, validateLocalPath } from './local-path-validation.ts'

export const ENV_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]
export const VOLUME_FIELDS = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid']

const KNOWN_FIELDS = new Set([...ENV_FIELDS, ...VOLUME_FIELDS, 'spec.restartPolicy', 'spec.schedulerName', 'spec.host', 'status.phase'])

const RESOURCES = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const DIVISORS: Readonly<Record<string, readonly string[]>> = {
  cpu: ['1m', '1'],
  memory: ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'],
}

const SUBSCRIPTED = /^([^[]+)\['(.*)'\]$/

export function validateFieldRef(errors: FieldErrors, path: string, ref: ObjectFieldSelector, supported: readonly string[]): void {
  if (!ref.apiVersion) {
    errors.push(required(`${path}.apiVersion`))
    return
  }
  if (!ref.fieldPath) {
    errors.push(required(`${path}.fieldPath`))
    return
  }
  if (ref.apiVersion !== 'v1') {
    const fault = `error converting fieldPath: unsupported pod version: ${ref.apiVersion}`
    return void errors.push(invalid(`${path}.fieldPath`, ref.fieldPath, fault))
  }
  const [, base, key = ''] = SUBSCRIPTED.exec(ref.fieldPath) ?? []
  if (base === undefined) {
    if (!KNOWN_FIELDS.has(ref.fieldPath)) {
      errors.push(invalid(`${path}.fieldPath`, ref.fieldPath, `error converting fieldPath: field label not supported: ${ref.fieldPath}`))
    } else if (!supported.includes(ref.fieldPath)) errors.push(notSupported(`${path}.fieldPath`, ref.fieldPath, supported))
  } else if (base === 'metadata.annotations') checkFormat(errors, path, key.toLowerCase(), qualifiedNameFaults)
  else if (base === 'metadata.labels') checkFormat(errors, path, key, qualifiedNameFaults)
  else
    errors.push(
      invalid(`${path}.fieldPath`, ref.fieldPath, `error converting fieldPath: field label does not support subscript: ${ref.fieldPath}`),
    )
}

export function validateContainerResourceField(errors: FieldErrors, path: string, ref: ResourceFieldSelector, isVolume: boolean): void {
  if (isVolume && !ref.containerName) errors.push(required(`${path}.containerName`))
  else if (!ref.resource) errors.push(required(`${path}.resource`))
  else if (!RESOURCES.includes(ref.resource) && !/^(requests|limits)\.hugepages-/.test(ref.resource)) {
    errors.push(notSupported(`${path}.resource`, ref.resource, RESOURCES))
  }
  const divisor = ref.divisor
  if (divisor === undefined || compareQuantities(divisor, '0') === 0) return
  if (!RESOURCES.includes(ref.resource ?? '') && !/^(requests|limits)\.hugepages-/.test(ref.resource ?? '')) return
  const kind = ref.resource?.endsWith('.cpu') ? 'cpu' : 'memory'
  if (!(DIVISORS[kind] ?? []).some((allowed) => compareQuantities(allowed, divisor) === 0)) {
    const name =
      kind === 'cpu'
        ? 'cpu'
        : ref.resource?.endsWith('memory')
          ? 'memory'
          : ref.resource?.includes('hugepages-')
            ? 'hugepages'
            : 'local ephemeral storage'
    const values = kind === 'cpu' ? '1m and 1' : (DIVISORS['memory'] ?? []).join(', ')
    const only = `only divisor's values ${values} are supported with the ${name} resource`
    errors.push(invalid(`${path}.divisor`, ref.resource, only))
  }
}

export function validateDownwardFile(errors: FieldErrors, path: string, file: DownwardAPIVolumeFile): void {
  if (!file.path) errors.push(required(`${path}.path`))
  validateLocalPath(errors, `${path}.path`, file.path ?? '')
  if (file.fieldRef) {
    validateFieldRef(errors, `${path}.fieldRef`, file.fieldRef, VOLUME_FIELDS)
    if (file.resourceFieldRef) errors.push(invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'))
  } else if (file.resourceFieldRef) validateContainerResourceField(errors, `${path}.resourceFieldRef`, file.resourceFieldRef, true)
  else errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'))
  if (file.mode !== undefined && !isFileMode(file.mode)) errors.push(invalid(`${path}.mode`, file.mode, FILE_MODE_PROBLEM))
}
