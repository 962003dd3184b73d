/** PersistentVolumes: storage that outlives pods. */
import type { NodeSelectorRequirement, PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import { timestamp } from '../../../base/clock.ts'
import { defineResource } from '../../resource.ts'
import { changeField, withDefaults, withField, withPointerDefaults } from '../immutable.ts'
import { internalDiff, internalEqual } from '../internal-form.ts'
import { checkFormat, checkImmutable, checkOneOf, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { checkBasicAmounts } from './resource-requirements-validation.ts'
import { validateNodeSelector } from './node-selector-validation.ts'
import { termWarnings } from './pod-warnings.ts'
import { persistentVolumeColumns } from './persistent-volume-columns.ts'
import { isTooLongForIscsi, ISCSI_NAME_TOO_LONG, PERSISTENT_SOURCES, validateSources } from './volume-sources.ts'
import { sourceDefaults } from './volume-defaults.ts'

export const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
export const VOLUME_MODES = ['Block', 'Filesystem']

export function validateAccessModes(errors: FieldErrors, path: string, modes: readonly string[] | undefined): void {
  for (const mode of modes ?? []) if (!ACCESS_MODES.includes(mode)) errors.push(notSupported(path, mode, ACCESS_MODES))
  if (modes?.includes('ReadWriteOncePod') && modes.some((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode))) {
    errors.push(forbidden(path, 'may not use ReadWriteOncePod with other access modes'))
  }
}

/** `isInline`: the volume stands in a VolumeAttachment, where only what attaches it may be said. */
export function validateVolumeSpec(errors: FieldErrors, path: string, spec: PersistentVolumeSpec, name: string, isInline: boolean): void {
  const inline = (field: string, detail = 'may not be specified in the context of inline volumes') =>
    void errors.push(forbidden(`${path}.${field}`, detail))
  const capacity = Object.entries(spec.capacity ?? {})
  if (isInline) {
    if (spec.claimRef) inline('claimRef')
    if (capacity.length > 0) inline('capacity')
    if (!spec.csi) errors.push(required(`${path}.csi`, 'has to be specified in the context of inline volumes'))
  }
  if (!spec.accessModes?.length) errors.push(required(`${path}.accessModes`))
  validateAccessModes(errors, `${path}.accessModes`, spec.accessModes)
  if (!isInline) {
    if (capacity.length === 0) errors.push(required(`${path}.capacity`))
    if (spec.capacity?.['storage'] === undefined || capacity.length > 1)
      errors.push(notSupported(`${path}.capacity`, asGiven(spec, 'capacity'), ['storage']))
    for (const [resource, amount] of capacity) {
      checkBasicAmounts(errors, `${path}.capacity`, { [resource]: amount })
      if (compareQuantities(amount, '0') <= 0) errors.push(invalid(`${path}.capacity[${resource}]`, amount, 'must be greater than zero'))
    }
  }
  const policy = spec.persistentVolumeReclaimPolicy
  if (policy && isInline && policy !== 'Retain')
    inline('persistentVolumeReclaimPolicy', 'may only be Retain in the context of inline volumes')
  if (policy && !isInline) checkOneOf(errors, `${path}.persistentVolumeReclaimPolicy`, policy, ['Delete', 'Recycle', 'Retain'])
  if (spec.nodeAffinity && isInline) inline('nodeAffinity')
  else if (spec.nodeAffinity?.required) validateNodeSelector(errors, `${path}.nodeAffinity.required`, spec.nodeAffinity.required)
  else if (spec.nodeAffinity) errors.push(required(`${path}.nodeAffinity.required`, 'must specify required node constraints'))
  const [first] = validateSources(errors, path, isInline ? withField(spec, 'nodeAffinity', undefined) : spec, PERSISTENT_SOURCES)
  if (first === 'iscsi' && isTooLongForIscsi(name, spec.iscsi))
    errors.push(invalid(`${path}.iscsi.targetportal`, spec.iscsi?.targetPortal, ISCSI_NAME_TOO_LONG))
  if (policy === 'Recycle' && spec.hostPath && /^\/+$/.test(spec.hostPath.path))
    errors.push(forbidden(`${path}.persistentVolumeReclaimPolicy`, "may not be 'recycle' for a hostPath mount of '/'"))
  if (spec.storageClassName && isInline) inline('storageClassName')
  else if (spec.storageClassName) checkFormat(errors, `${path}.storageClassName`, spec.storageClassName, dns1123SubdomainFaults)
  const mode = spec.volumeMode
  if (mode !== undefined && isInline && mode !== 'Filesystem')
    inline('volumeMode', 'may not specify volumeMode other than Filesystem in the context of inline volumes')
  if (mode !== undefined && !isInline) checkOneOf(errors, `${path}.volumeMode`, mode, VOLUME_MODES)
  if (spec.volumeAttributesClassName !== undefined) {
    if (!spec.volumeAttributesClassName) errors.push(required(`${path}.volumeAttributesClassName`, 'an empty string is disallowed'))
    else checkFormat(errors, `${path}.volumeAttributesClassName`, spec.volumeAttributesClassName, dns1123SubdomainFaults)
    if (!spec.csi) errors.push(required(`${path}.csi`, 'has to be specified when using volumeAttributesClassName'))
  }
}

/** A secret for expanding may be added later; all else about the source stays. */
function sourceOf(spec: PersistentVolumeSpec | undefined, old: PersistentVolumeSpec | undefined): PersistentVolumeSpec {
  if (!spec) return {}
  const source = Object.fromEntries(PERSISTENT_SOURCES.map(({ name }) => [name, spec[name as keyof PersistentVolumeSpec]]))
  if (spec.csi && old?.csi && !old.csi.controllerExpandSecretRef)
    source['csi'] = withField(spec.csi, 'controllerExpandSecretRef', undefined)
  return source
}

const setSpecDefaults = (spec: PersistentVolumeSpec): PersistentVolumeSpec => {
  const next = withDefaults(spec, { persistentVolumeReclaimPolicy: 'Retain' })
  return sourceDefaults(withPointerDefaults(next, { volumeMode: 'Filesystem' }))
}

const GENERAL_LABELS: Readonly<Record<string, string>> = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'beta.kubernetes.io/os': 'kubernetes.io/os',
  'beta.kubernetes.io/arch': 'kubernetes.io/arch',
  'beta.kubernetes.io/instance-type': 'node.kubernetes.io/instance-type',
}

/** The old affinity with the keys of the new one where those only have the label's later name. */
function renewedLabels(old: VolumeNodeAffinity, next: VolumeNodeAffinity | undefined): VolumeNodeAffinity {
  type Requirements = readonly NodeSelectorRequirement[] | undefined
  // A key without a later name may go, as Go finds no name for it.
  const renewed = (before: Requirements, after: Requirements) =>
    before?.map((requirement, i) => {
      const key = after?.[i]?.key ?? ''
      return (GENERAL_LABELS[requirement.key] ?? '') === key ? { ...requirement, key } : requirement
    })
  const nodeSelectorTerms = (old.required?.nodeSelectorTerms ?? []).map((term, i) => {
    const after = next?.required?.nodeSelectorTerms?.[i]
    const { matchExpressions, matchFields } = term
    return {
      ...term,
      matchExpressions: renewed(matchExpressions, after?.matchExpressions),
      matchFields: renewed(matchFields, after?.matchFields),
    }
  })
  return old.required ? { ...old, required: { ...old.required, nodeSelectorTerms } } : old
}

const DEPRECATED: readonly (readonly [keyof PersistentVolumeSpec, string, string])[] = [
  ['cephfs', 'cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['photonPersistentDisk', 'photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['scaleIO', 'scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['storageos', 'storageOS', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['rbd', 'rbd', 'deprecated in v1.28, non-functional in v1.31+'],
]
const DEPRECATED_ANNOTATIONS: Readonly<Record<string, string>> = {
  'volume.beta.kubernetes.io/storage-class': 'deprecated since v1.8; use "storageClassName" attribute instead',
  'volume.beta.kubernetes.io/mount-options': 'deprecated since v1.31; use "mountOptions" attribute instead',
}
const RECYCLED =
  'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.'

const warnings = ({ metadata, spec = {} }: PersistentVolume): readonly string[] => [
  ...Object.entries(DEPRECATED_ANNOTATIONS).flatMap(([key, message]) =>
    metadata?.annotations?.[key] === undefined ? [] : [`metadata.annotations[${key}]: ${message}`],
  ),
  ...(spec.persistentVolumeReclaimPolicy === 'Recycle' ? [RECYCLED] : []),
  ...(spec.nodeAffinity?.required?.nodeSelectorTerms ?? []).flatMap((term, i) =>
    termWarnings(`spec.nodeAffinity.required.nodeSelectorTerms[${i}]`, term, false),
  ),
  ...DEPRECATED.flatMap(([field, name, message]) => (spec[field] ? [`spec.${name}: ${message}`] : [])),
]

export const persistentVolumes = defineResource({
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  hasGeneration: false,
  columns: persistentVolumeColumns,
  setDefaults(volume) {
    const next = changeField(volume, 'spec', setSpecDefaults)
    return withField(next, 'status', withDefaults(next.status ?? {}, { phase: 'Pending' }))
  },
  prepareForCreate: (volume, { runtime }) => ({
    ...volume,
    status: { phase: 'Pending', lastPhaseTransitionTime: timestamp(runtime.clock) },
  }),
  prepareForUpdate(next, old, { subresource, runtime }) {
    if (subresource !== 'status') return next
    const time = next.status?.lastPhaseTransitionTime
    const before = old.status?.lastPhaseTransitionTime
    if (next.status?.phase !== old.status?.phase) {
      if (time !== undefined && time !== before) return next
      return { ...next, status: { ...next.status, lastPhaseTransitionTime: timestamp(runtime.clock) } }
    }
    return time === undefined && before !== undefined ? { ...next, status: { ...next.status, lastPhaseTransitionTime: before } } : next
  },
  validate({ metadata, spec = {} }) {
    const errors: FieldErrors = []
    validateVolumeSpec(errors, 'spec', spec, metadata?.name ?? '', false)
    return errors
  },
  warnings,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const [from, to] = [sourceOf(old.spec, undefined), sourceOf(next.spec, old.spec)]
    if (!internalEqual(to, from, 'core/v1.PersistentVolumeSource')) {
      const diff = internalDiff(from, to, 'core/v1.PersistentVolumeSource')
      errors.push(forbidden('spec.persistentvolumesource', `spec.persistentvolumesource is immutable after creation\n${diff}`))
    }
    checkImmutable(errors, 'volumeMode', next.spec?.volumeMode, old.spec?.volumeMode)
    const [wanted, fixed] = [next.spec?.nodeAffinity, old.spec?.nodeAffinity]
    if (fixed && !internalEqual(wanted, renewedLabels(fixed, wanted), 'core/v1.VolumeNodeAffinity'))
      errors.push(
        invalid('nodeAffinity', wanted, 'field is immutable, except for updating from beta label to GA', 'core/v1.VolumeNodeAffinity'),
      )
    if (old.spec?.volumeAttributesClassName !== undefined && next.spec?.volumeAttributesClassName === undefined) {
      errors.push(forbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'))
    }
    return errors
  },
})
