/** What volumes and claims show. */
import type { PersistentVolume, PersistentVolumeClaim } from '../../../api/generated/core/v1.ts'
import { canonicalQuantity } from '../../../api/quantity.ts'
import { accessModesText, ageColumn, nameColumn, text, wide } from '../columns.ts'
import type { Column } from '../../resource.ts'

const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class'

const size = (quantity: string | undefined): string => canonicalQuantity(quantity ?? '0')

export const classOf = ({ metadata, spec }: PersistentVolume | PersistentVolumeClaim): string =>
  metadata?.annotations?.[OLD_CLASS] ?? spec?.storageClassName ?? ''

export const persistentVolumeColumns: readonly Column<PersistentVolume>[] = [
  nameColumn,
  text('Capacity', ({ spec }) => size(spec?.capacity?.['storage'])),
  text('Access Modes', ({ spec }) => accessModesText(spec?.accessModes)),
  text('Reclaim Policy', ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? ''),
  text('Status', ({ metadata, status }) => (metadata?.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''))),
  text('Claim', ({ spec }) => (spec?.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '')),
  text('StorageClass', classOf),
  text('VolumeAttributesClass', ({ spec }) => spec?.volumeAttributesClassName ?? '<unset>'),
  text('Reason', ({ status }) => status?.reason ?? ''),
  ageColumn,
  wide(text('VolumeMode', ({ spec }) => spec?.volumeMode ?? '<unset>')),
]

export const persistentVolumeClaimColumns: readonly Column<PersistentVolumeClaim>[] = [
  nameColumn,
  text('Status', ({ metadata, status }) => (metadata?.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''))),
  text('Volume', ({ spec }) => spec?.volumeName ?? ''),
  text('Capacity', ({ spec, status }) => (spec?.volumeName ? size(status?.capacity?.['storage']) : '')),
  text('Access Modes', ({ spec, status }) => (spec?.volumeName ? accessModesText(status?.accessModes) : '')),
  text('StorageClass', classOf),
  text('VolumeAttributesClass', ({ spec }) => spec?.volumeAttributesClassName ?? '<unset>'),
  ageColumn,
  wide(text('VolumeMode', ({ spec }) => spec?.volumeMode ?? '<unset>')),
]
