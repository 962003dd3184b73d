import type { StorageVersionMigration } from '../../../api/generated/storagemigration/v1beta1.ts'
import { defineResource } from '../../resource.ts'
import { nameColumn, text } from '../columns.ts'
import type { Column } from '../../resource.ts'

const STATES = ['Running', 'Failed', 'Succeeded']

/** StorageVersionMigrations: that all objects of a resource be written again. */
export const storageVersionMigrations = defineResource({
  group: 'storagemigration.k8s.io',
  version: 'v1beta1',
  kind: 'StorageVersionMigration',
  hasGeneration: false,
  columns: [
    { ...(nameColumn as Column<StorageVersionMigration>), format: undefined },
    text(
      'Resource',
      ({ spec }: StorageVersionMigration) => `${spec?.resource?.resource ?? ''}${spec?.resource?.group ? `.${spec.resource.group}` : ''}`,
    ),
    text(
      'Status',
      ({ status }: StorageVersionMigration) =>
        status?.conditions?.findLast((entry) => entry.status === 'True' && STATES.includes(entry.type))?.type ?? 'Unknown',
    ),
  ],
})
