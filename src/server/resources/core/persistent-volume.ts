/** PersistentVolumes: storage that outlives pods. Sources of single vendors are taken as they are: CSI replaced them. */
import type { PersistentVolume, PersistentVolumeSpec } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import type { FieldError } from '../../../api/status.ts'
import { timestamp } from '../../../base/clock.ts'
import { defineResource } from '../../resource.ts'
import { changeField, isSemanticallyEqual, withDefaults, withField } from '../immutable.ts'
import { checkFormat, checkImmutable, checkOneOf, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { validateNodeSelector } from './node-selector-validation.ts'
import { persistentVolumeColumns } from './persistent-volume-columns.ts'
import { VOLUME_SOURCES } from './volume-sources.ts'

export const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
export const VOLUME_MODES = ['Block', 'Filesystem']

export function validateAccessModes(errors: FieldErrors, path: string, modes: readonly string[] | undefined): void {
  for (const mode of modes ?? []) if (!ACCESS_MODES.includes(mode)) errors.push(notSupported(path, mode, ACCESS_MODES))
  if (modes?.includes('ReadWriteOncePod') && modes.some((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode))) {
    errors.push(forbidden(path, 'may not use ReadWriteOncePod with other access modes'))
  }
}

const sourcesOf = (spec: PersistentVolumeSpec) => VOLUME_SOURCES.filter((name) => spec[name as keyof PersistentVolumeSpec] !== undefined)

function validateSources(errors: FieldErrors, spec: PersistentVolumeSpec): void {
  const sources = sourcesOf(spec)
  if (sources.length === 0) errors.push(required('spec', 'must specify a volume type'))
  for (const extra of sources.slice(1)) errors.push(forbidden(`spec.${extra}`, 'may not specify more than 1 volume type'))
  if (spec.hostPath && !spec.hostPath.path) errors.push(required('spec.hostPath.path'))
  if (spec.nfs) {
    if (!spec.nfs.server) errors.push(required('spec.nfs.server'))
    if (!spec.nfs.path) errors.push(required('spec.nfs.path'))
    else if (!spec.nfs.path.startsWith('/')) errors.push(invalid('spec.nfs.path', spec.nfs.path, 'must be an absolute path'))
  }
  if (spec.csi) {
    if (!spec.csi.driver) errors.push(required('spec.csi.driver'))
    if (!spec.csi.volumeHandle) errors.push(required('spec.csi.volumeHandle'))
  }
  if (spec.local) {
    if (!spec.local.path) errors.push(required('spec.local.path'))
    if (!spec.nodeAffinity?.required) errors.push(required('spec.nodeAffinity', 'Local volume requires node affinity'))
  }
}

function validate({ spec }: PersistentVolume): readonly FieldError[] {
  const errors: FieldErrors = []
  if (!spec) return [required('spec', 'must specify a volume type')]
  if (!spec.accessModes?.length) errors.push(required('spec.accessModes'))
  validateAccessModes(errors, 'spec.accessModes', spec.accessModes)
  const capacity = Object.entries(spec.capacity ?? {})
  if (capacity.length === 0) errors.push(required('spec.capacity'))
  if (spec.capacity?.['storage'] === undefined || capacity.length > 1)
    errors.push(notSupported('spec.capacity', spec.capacity ?? {}, ['storage']))
  for (const [name, amount] of capacity) {
    if (compareQuantities(amount, '0') <= 0) errors.push(invalid(`spec.capacity[${name}]`, amount, 'must be greater than zero'))
  }
  if (spec.persistentVolumeReclaimPolicy) {
    checkOneOf(errors, 'spec.persistentVolumeReclaimPolicy', spec.persistentVolumeReclaimPolicy, ['Delete', 'Recycle', 'Retain'])
  }
  if (spec.nodeAffinity) {
    if (spec.nodeAffinity.required) validateNodeSelector(errors, 'spec.nodeAffinity.required', spec.nodeAffinity.required)
    else errors.push(required('spec.nodeAffinity.required', 'must specify required node constraints'))
  }
  validateSources(errors, spec)
  if (spec.storageClassName) checkFormat(errors, 'spec.storageClassName', spec.storageClassName, dns1123SubdomainFaults)
  if (spec.volumeMode !== undefined) checkOneOf(errors, 'spec.volumeMode', spec.volumeMode, VOLUME_MODES)
  if (spec.volumeAttributesClassName !== undefined) {
    if (!spec.volumeAttributesClassName) errors.push(required('spec.volumeAttributesClassName', 'an empty string is disallowed'))
    else checkFormat(errors, 'spec.volumeAttributesClassName', spec.volumeAttributesClassName, dns1123SubdomainFaults)
    if (!spec.csi) errors.push(required('spec.csi', 'has to be specified when using volumeAttributesClassName'))
  }
  return errors
}

/** A secret for expanding may be added later; all else about the source stays. */
function sourceOf(spec: PersistentVolumeSpec | undefined, old: PersistentVolumeSpec | undefined): unknown {
  if (!spec) return undefined
  const source = Object.fromEntries(sourcesOf(spec).map((name) => [name, spec[name as keyof PersistentVolumeSpec]]))
  if (spec.csi && old?.csi && !old.csi.controllerExpandSecretRef)
    source['csi'] = withField(spec.csi, 'controllerExpandSecretRef', undefined)
  return source
}

export const persistentVolumes = defineResource({
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  hasGeneration: false,
  columns: persistentVolumeColumns,
  setDefaults(volume) {
    const next = changeField(volume, 'spec', (spec) =>
      withDefaults(spec, { persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem' }),
    )
    return withField(next, 'status', withDefaults(next.status ?? {}, { phase: 'Pending' }))
  },
  prepareForCreate: (volume, { runtime }) => ({
    ...volume,
    status: { phase: 'Pending', lastPhaseTransitionTime: timestamp(runtime.clock) },
  }),
  prepareForUpdate(next, old, { subresource, runtime }) {
    if (subresource !== 'status' || next.status?.phase === old.status?.phase) return next
    const time = next.status?.lastPhaseTransitionTime
    if (time !== undefined && time !== old.status?.lastPhaseTransitionTime) return next
    return { ...next, status: { ...next.status, lastPhaseTransitionTime: timestamp(runtime.clock) } }
  },
  validate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    if (!isSemanticallyEqual(sourceOf(next.spec, old.spec), sourceOf(old.spec, old.spec))) {
      errors.push(forbidden('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation'))
    }
    checkImmutable(errors, 'volumeMode', next.spec?.volumeMode, old.spec?.volumeMode)
    if (old.spec?.nodeAffinity) checkImmutable(errors, 'nodeAffinity', next.spec?.nodeAffinity, old.spec.nodeAffinity)
    if (old.spec?.volumeAttributesClassName !== undefined && next.spec?.volumeAttributesClassName === undefined) {
      errors.push(forbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'))
    }
    return errors
  },
})
