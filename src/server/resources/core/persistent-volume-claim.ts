/** PersistentVolumeClaims: what a pod asks of storage. */
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import { defineResource } from '../../resource.ts'
import { changeField, withDefaults, withField, withPointerDefaults } from '../immutable.ts'
import { internalDiff, internalEqual } from '../internal-form.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkFormat, checkImmutable, checkOneOf, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { checkBasicAmounts } from './resource-requirements-validation.ts'
import { requireFields } from './volume-sources.ts'
import { claimSpecWarnings } from './pod-warnings.ts'
import { persistentVolumeClaimColumns } from './persistent-volume-columns.ts'
import { validateAccessModes, VOLUME_MODES } from './persistent-volume.ts'

export const claimSpecDefaults = (spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec =>
  withPointerDefaults(spec, { volumeMode: 'Filesystem' })

export function claimDefaults(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const next = changeField(claim, 'spec', claimSpecDefaults)
  return withField(next, 'status', withDefaults(next.status ?? {}, { phase: 'Pending' }))
}

/**
 * dataSource and dataSourceRef say the same, the old field for claims and snapshots alone: each fills the other in, and what the
 * old one cannot say is dropped from it (KEP-1495).
 */
function normalizeDataSources(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const { dataSource, dataSourceRef } = spec
  const isKnown =
    (dataSource?.kind === 'PersistentVolumeClaim' && !dataSource.apiGroup) ||
    (dataSource?.kind === 'VolumeSnapshot' && dataSource.apiGroup === 'snapshot.storage.k8s.io')
  if (dataSource && !dataSourceRef) {
    return isKnown ? { ...spec, dataSourceRef: { ...dataSource } } : withField(spec, 'dataSource', undefined)
  }
  if (!dataSource && dataSourceRef && !dataSourceRef.namespace) {
    const { apiGroup, kind, name } = dataSourceRef
    return { ...spec, dataSource: { ...(apiGroup === undefined ? {} : { apiGroup }), kind, name } }
  }
  return spec
}

const isSameSource = (a: TypedLocalObjectReference, b: TypedLocalObjectReference): boolean =>
  a.apiGroup === b.apiGroup && a.kind === b.kind && a.name === b.name

/** `mayGroupBeBad`: an update bears a group that its claim had before. */
export function validateClaimSpec(errors: FieldErrors, path: string, spec: PersistentVolumeClaimSpec, mayGroupBeBad = false): void {
  if (!spec.accessModes?.length) errors.push(required(`${path}.accessModes`, 'at least 1 access mode is required'))
  validateLabelSelector(errors, `${path}.selector`, spec.selector)
  validateAccessModes(errors, `${path}.accessModes`, spec.accessModes)
  const size = spec.resources?.requests?.['storage']
  const sizePath = `${path}.resources[storage]`
  if (size === undefined) errors.push(required(sizePath))
  else if (compareQuantities(size, '0') <= 0) errors.push(invalid(sizePath, size, 'must be greater than zero'))
  if (spec.storageClassName) checkFormat(errors, `${path}.storageClassName`, spec.storageClassName, dns1123SubdomainFaults)
  if (spec.volumeMode !== undefined) checkOneOf(errors, `${path}.volumeMode`, spec.volumeMode, VOLUME_MODES)
  const { dataSource, dataSourceRef } = spec
  for (const name of ['dataSource', 'dataSourceRef'] as const) {
    const source = spec[name]
    if (!source) continue
    const { apiGroup, kind = '' } = source as Partial<typeof source>
    requireFields(errors, `${path}.${name}`, source, ['name', 'kind'])
    if (!apiGroup && kind !== 'PersistentVolumeClaim')
      errors.push(invalid(`${path}.${name}`, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    if (apiGroup && !mayGroupBeBad) checkFormat(errors, `${path}.${name}.apiGroup`, apiGroup, dns1123SubdomainFaults)
  }
  // The value of these is a field's path, which Go has no JSON for.
  if (dataSourceRef?.namespace) {
    checkFormat(errors, `${path}.dataSourceRef.namespace`, dataSourceRef.namespace, dns1123LabelFaults)
    if (dataSource) errors.push(invalid(path, {}, 'may not be specified when dataSourceRef.namespace is specified'))
  } else if (dataSource && dataSourceRef && !isSameSource(dataSource, dataSourceRef)) {
    errors.push(invalid(path, {}, 'must match dataSourceRef'))
  }
  if (spec.volumeAttributesClassName)
    checkFormat(errors, `${path}.volumeAttributesClassName`, spec.volumeAttributesClassName, dns1123SubdomainFaults)
}

const IMMUTABLE_SPEC = 'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'

const sizeOf = (spec: PersistentVolumeClaimSpec | undefined): string => spec?.resources?.requests?.['storage'] ?? '0'

/** The parts of a spec that stay, with those that may change made equal to the old ones. */
function comparable(next: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec, isBound: boolean): PersistentVolumeClaimSpec {
  let result = next
  // A class may be named once, when the claim has waited for a default.
  if (old.storageClassName === undefined && result.storageClassName !== undefined) result = withField(result, 'storageClassName', undefined)
  if (!isBound) return result
  if (result.resources?.requests)
    result = { ...result, resources: { ...result.resources, requests: { ...result.resources.requests, storage: sizeOf(old) } } }
  return withField(result, 'volumeAttributesClassName', old.volumeAttributesClassName)
}

const RESIZE_STATES = [
  'ControllerResizeInProgress',
  'ControllerResizeInfeasible',
  'NodeResizeInProgress',
  'NodeResizeInfeasible',
  'NodeResizePending',
]

/** True when the name can stand in a claim's status. */
function checkResourceKey(errors: FieldErrors, path: string, name: string): boolean {
  const faults = qualifiedNameFaults(name)
  for (const fault of faults) errors.push(invalid(path, name, fault))
  const isForeign = name.includes('/') && !name.includes('kubernetes.io/')
  if (faults.length > 0 || isForeign || name === 'storage') return faults.length === 0
  errors.push(notSupported(path, name, ['storage']))
  return false
}

export const persistentVolumeClaims = defineResource({
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  hasGeneration: false,
  columns: persistentVolumeClaimColumns,
  setDefaults: claimDefaults,
  // Sources of other namespaces are a feature that is off: a new claim has none.
  prepareForCreate: (claim) =>
    changeField({ ...claim, status: { phase: 'Pending' } }, 'spec', (spec) =>
      normalizeDataSources(changeField(spec, 'dataSourceRef', (source) => withField(source, 'namespace', undefined))),
    ),
  prepareForUpdate: (next, _old, { subresource }) => (subresource === undefined ? changeField(next, 'spec', normalizeDataSources) : next),
  validateCreate(claim) {
    const errors: FieldErrors = []
    validateClaimSpec(errors, 'spec', claim.spec ?? {})
    return errors
  },
  validateStatusUpdate({ status = {} }) {
    const errors: FieldErrors = []
    checkBasicAmounts(errors, 'status.capacity', status.capacity)
    for (const [name, state] of Object.entries(status.allocatedResourceStatuses ?? {})) {
      checkResourceKey(errors, 'status.allocatedResourceStatuses', name)
      if (!RESIZE_STATES.includes(state)) errors.push(notSupported('status.allocatedResourceStatuses', name, RESIZE_STATES))
    }
    for (const [name, amount] of Object.entries(status.allocatedResources ?? {})) {
      if (checkResourceKey(errors, 'status.allocatedResources', name))
        checkBasicAmounts(errors, 'status.allocatedResources', { [name]: amount })
    }
    return errors
  },
  warnings: ({ metadata, spec }) => [
    ...(metadata?.annotations?.['volume.beta.kubernetes.io/storage-class'] === undefined
      ? []
      : ['metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead']),
    ...claimSpecWarnings('spec', spec),
  ],
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const { dataSource, dataSourceRef } = old.spec ?? {}
    const hadGroup = dataSource?.apiGroup !== undefined || dataSourceRef?.apiGroup !== undefined
    validateClaimSpec(errors, 'spec', next.spec ?? {}, hadGroup)
    if (!next.spec || !old.spec) return errors
    const isBound = next.status?.phase === 'Bound'
    const before = old.spec.volumeName ? old.spec : withField(old.spec, 'volumeName', next.spec.volumeName)
    const after = comparable(next.spec, old.spec, isBound)
    if (!internalEqual(after, before, 'core/v1.PersistentVolumeClaimSpec'))
      errors.push(forbidden('spec', `${IMMUTABLE_SPEC}\n${internalDiff(before, after, 'core/v1.PersistentVolumeClaimSpec')}`))
    const shrinks = compareQuantities(sizeOf(next.spec), sizeOf(old.spec)) < 0
    if (shrinks && compareQuantities(sizeOf(next.spec), old.status?.capacity?.['storage'] ?? '0') <= 0) {
      errors.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'))
    }
    checkImmutable(errors, 'volumeMode', next.spec.volumeMode, old.spec.volumeMode)
    if (
      old.status?.currentVolumeAttributesClassName !== undefined &&
      !next.spec.volumeAttributesClassName &&
      old.spec.volumeAttributesClassName
    ) {
      const what = next.spec.volumeAttributesClassName === undefined ? 'nil' : 'empty string'
      errors.push(
        forbidden(
          'spec.volumeAttributesClassName',
          `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`,
        ),
      )
    }
    return errors
  },
})
