/** PersistentVolumeClaims: what a pod asks of storage. */
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import { defineResource } from '../../resource.ts'
import { changeField, isSemanticallyEqual, withDefaults, withField } from '../immutable.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkFormat, checkImmutable, checkOneOf, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { persistentVolumeClaimColumns } from './persistent-volume-columns.ts'
import { validateAccessModes, VOLUME_MODES } from './persistent-volume.ts'

export const claimSpecDefaults = (spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec =>
  withDefaults(spec, { volumeMode: 'Filesystem' })

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

export function validateClaimSpec(errors: FieldErrors, path: string, spec: PersistentVolumeClaimSpec): void {
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
  if (dataSource) {
    if (!dataSource.name) errors.push(required(`${path}.dataSource.name`))
    if (!dataSource.kind) errors.push(required(`${path}.dataSource.kind`))
    if (!dataSource.apiGroup && dataSource.kind !== 'PersistentVolumeClaim') {
      errors.push(
        invalid(`${path}.dataSource`, dataSource.kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
      )
    }
  }
  if (dataSourceRef) {
    if (!dataSourceRef.name) errors.push(required(`${path}.dataSourceRef.name`))
    if (!dataSourceRef.kind) errors.push(required(`${path}.dataSourceRef.kind`))
    if (!dataSourceRef.apiGroup && dataSourceRef.kind !== 'PersistentVolumeClaim') {
      errors.push(
        invalid(`${path}.dataSourceRef`, dataSourceRef.kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
      )
    }
  }
  if (spec.volumeAttributesClassName)
    checkFormat(errors, `${path}.volumeAttributesClassName`, spec.volumeAttributesClassName, dns1123SubdomainFaults)
}

const sizeOf = (spec: PersistentVolumeClaimSpec | undefined): string => spec?.resources?.requests?.['storage'] ?? '0'

/** The parts of a spec that stay, with those that may change made equal to the old ones. */
function comparable(next: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec, isBound: boolean): PersistentVolumeClaimSpec {
  let result = old.volumeName ? next : withField(next, 'volumeName', old.volumeName)
  // A class may be named once, when the claim has waited for a default.
  if (old.storageClassName === undefined && !old.volumeName && result.storageClassName)
    result = withField(result, 'storageClassName', undefined)
  if (!isBound) return result
  const requests = { ...result.resources?.requests, storage: sizeOf(old) }
  result = { ...result, resources: { ...result.resources, requests } }
  return withField(result, 'volumeAttributesClassName', old.volumeAttributesClassName)
}

export const persistentVolumeClaims = defineResource({
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  hasGeneration: false,
  columns: persistentVolumeClaimColumns,
  setDefaults: claimDefaults,
  prepareForCreate: (claim) => changeField({ ...claim, status: { phase: 'Pending' } }, 'spec', normalizeDataSources),
  prepareForUpdate: (next, _old, { subresource }) => (subresource === undefined ? changeField(next, 'spec', normalizeDataSources) : next),
  validate(claim) {
    const errors: FieldErrors = []
    validateClaimSpec(errors, 'spec', claim.spec ?? {})
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    if (!next.spec || !old.spec) return errors
    const isBound = next.status?.phase === 'Bound'
    if (!isSemanticallyEqual(comparable(next.spec, old.spec, isBound), old.spec)) {
      errors.push(
        forbidden('spec', 'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'),
      )
    }
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
