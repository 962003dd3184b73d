/** StorageClasses: kinds of storage that claims may ask for. */
import type { StorageClass } from '../../../api/generated/storage/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, boolean, nameColumn, text } from '../columns.ts'
import { isSemanticallyEqual, withDefaults } from '../immutable.ts'
import { checkFormat, checkImmutable, checkOneOf, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

const DEFAULT_MARKS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class']
const MAX_PARAMETERS = 512
const MAX_PARAMETERS_BYTES = 256 * 1024
const BINDING_MODES = ['Immediate', 'WaitForFirstConsumer']

export const storageClasses = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  hasGeneration: false,
  columns: [
    {
      ...(nameColumn as Column<StorageClass>),
      cell: ({ metadata }) =>
        `${metadata?.name ?? ''}${DEFAULT_MARKS.some((mark) => metadata?.annotations?.[mark] === 'true') ? ' (default)' : ''}`,
    },
    text('Provisioner', ({ provisioner }: StorageClass) => provisioner ?? ''),
    text('ReclaimPolicy', ({ reclaimPolicy }: StorageClass) => reclaimPolicy ?? 'Delete'),
    text('VolumeBindingMode', ({ volumeBindingMode }: StorageClass) => volumeBindingMode ?? 'Immediate'),
    { ...boolean('AllowVolumeExpansion', ({ allowVolumeExpansion }: StorageClass) => allowVolumeExpansion ?? false), type: 'string' },
    ageColumn as Column<StorageClass>,
  ],
  setDefaults: (object) => withDefaults(object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }),
  validate({ provisioner, parameters, reclaimPolicy, volumeBindingMode }) {
    const errors: FieldErrors = []
    if (!provisioner) errors.push(required('provisioner', provisioner ?? ''))
    else checkFormat(errors, 'provisioner', provisioner.toLowerCase(), qualifiedNameFaults)
    const entries = Object.entries(parameters ?? {})
    if (entries.length > MAX_PARAMETERS) {
      errors.push({ type: 'FieldValueTooLong', field: 'parameters', detail: `Too long: may not be more than ${MAX_PARAMETERS} bytes` })
    }
    for (const [key] of entries) if (!key) errors.push(invalid('parameters', key, 'field can not be empty.'))
    if (entries.reduce((size, [key, value]) => size + key.length + value.length, 0) > MAX_PARAMETERS_BYTES) {
      errors.push({
        type: 'FieldValueTooLong',
        field: 'parameters',
        detail: `Too long: may not be more than ${MAX_PARAMETERS_BYTES} bytes`,
      })
    }
    if (reclaimPolicy) checkOneOf(errors, 'reclaimPolicy', reclaimPolicy, ['Delete', 'Retain'])
    if (volumeBindingMode === undefined) errors.push(required('volumeBindingMode'))
    else checkOneOf(errors, 'volumeBindingMode', volumeBindingMode, BINDING_MODES)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const why = 'updates to %s are forbidden.'
    for (const field of ['parameters', 'provisioner'] as const) {
      const isSame = isSemanticallyEqual(next[field], old[field])
      if (!isSame) errors.push(forbidden(field, why.replace('%s', field)))
    }
    if (next.reclaimPolicy !== old.reclaimPolicy) errors.push(forbidden('reclaimPolicy', why.replace('%s', 'reclaimPolicy')))
    checkImmutable(errors, 'volumeBindingMode', next.volumeBindingMode, old.volumeBindingMode)
    return errors
  },
})
