import type { CSIStorageCapacity } from '../../../api/generated/storage/v1.ts'
import { dns1123SubdomainFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities } from '../../../api/quantity.ts'
import { defineResource, type Column } from '../../resource.ts'
import { nameColumn, text } from '../columns.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { NOT_NEGATIVE, checkFormat, checkImmutable, invalid, type FieldErrors } from '../rules.ts'

/** CSIStorageCapacities: how much storage of a class there is, and where. */
export const csiStorageCapacities = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIStorageCapacity',
  hasGeneration: false,
  columns: [
    nameColumn as Column<CSIStorageCapacity>,
    text('StorageClassName', ({ storageClassName }: CSIStorageCapacity) => storageClassName ?? ''),
    text('Capacity', ({ capacity }: CSIStorageCapacity) => (capacity === undefined ? '<unset>' : canonicalQuantity(capacity))),
  ],
  validate({ nodeTopology, capacity, storageClassName = '' }: Partial<CSIStorageCapacity>) {
    const errors: FieldErrors = []
    validateLabelSelector(errors, 'nodeTopology', nodeTopology)
    checkFormat(errors, 'storageClassName', storageClassName, dns1123SubdomainFaults)
    if (capacity !== undefined && compareQuantities(capacity, '0') < 0) errors.push(invalid('capacity', capacity, NOT_NEGATIVE))
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'nodeTopology', next.nodeTopology, old.nodeTopology, 'meta/v1.LabelSelector')
    checkImmutable(errors, 'storageClassName', next.storageClassName, old.storageClassName)
    return errors
  },
})
