/** Defaults of the sources that pods' volumes and PersistentVolumes have alike. */
import type { PersistentVolumeSpec, Volume } from '../../../api/generated/core/v1.ts'
import { changeField, withDefaults } from '../immutable.ts'

type Sources = Pick<Volume, 'hostPath' | 'azureDisk'> & Pick<PersistentVolumeSpec, 'iscsi' | 'rbd' | 'scaleIO'>

export function sourceDefaults<T extends Sources>(volume: T): T {
  // An unset host path type is the empty string, and upstream writes it out.
  let next: Sources = changeField<Sources, 'hostPath'>(volume, 'hostPath', (source) =>
    source.type === undefined ? { ...source, type: '' } : source,
  )
  next = changeField(next, 'iscsi', (source) => withDefaults(source, { iscsiInterface: 'default' }))
  next = changeField(next, 'rbd', (source) => withDefaults(source, { pool: 'rbd', user: 'admin', keyring: '/etc/ceph/keyring' }))
  next = changeField(next, 'azureDisk', (source) => {
    // Pointers: an empty text stays one.
    const { cachingMode = 'ReadWrite', kind = 'Shared', fsType = 'ext4', readOnly = false } = source
    return source.cachingMode === cachingMode && source.kind === kind && source.fsType === fsType && source.readOnly === readOnly
      ? source
      : { ...source, cachingMode, kind, fsType, readOnly }
  })
  next = changeField(next, 'scaleIO', (source) => withDefaults(source, { storageMode: 'ThinProvisioned', fsType: 'xfs' }))
  return next as T
}
