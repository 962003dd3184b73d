import type { StorageVersion } from '../../../api/generated/internal/v1alpha1.ts'
import { defineResource } from '../../resource.ts'
import { firstItems, nameToAge, text } from '../columns.ts'

const versions = ({ status }: StorageVersion): string =>
  firstItems(
    (status?.storageVersions ?? []).map(({ apiServerID, encodingVersion }) => `${apiServerID ?? ''}=${encodingVersion ?? ''}`),
    3,
    '<unset>',
  )

/** StorageVersions: in which version each API server writes a resource. */
export const storageVersions = defineResource({
  group: 'internal.apiserver.k8s.io',
  version: 'v1alpha1',
  kind: 'StorageVersion',
  hasGeneration: false,
  columns: nameToAge(
    text('CommonEncodingVersion', ({ status }: StorageVersion) => status?.commonEncodingVersion ?? '<unset>'),
    text('StorageVersions', versions),
  ),
})
