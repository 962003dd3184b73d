import type { CSIDriver } from '../../../api/generated/storage/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { boolean, nameToAge, text } from '../columns.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { checkImmutable, checkOneOf, required, type FieldErrors } from '../rules.ts'

/** CSIDrivers: what a driver of storage wants of the cluster. */
export const csiDrivers = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIDriver',
  hasGeneration: true,
  nameFormat: (name) => (name.length > 63 ? ['must be no more than 63 characters'] : qualifiedNameFaults(name.toLowerCase())),
  columns: nameToAge(
    boolean('AttachRequired', ({ spec }: CSIDriver) => spec?.attachRequired ?? true),
    boolean('PodInfoOnMount', ({ spec }: CSIDriver) => spec?.podInfoOnMount ?? false),
    boolean('StorageCapacity', ({ spec }: CSIDriver) => spec?.storageCapacity ?? false),
    text('TokenRequests', ({ spec }: CSIDriver) => spec?.tokenRequests?.map(({ audience }) => audience).join(',') ?? '<unset>'),
    { ...boolean('RequiresRepublish', ({ spec }: CSIDriver) => spec?.requiresRepublish ?? false) },
    text('Modes', ({ spec }: CSIDriver) => (spec?.volumeLifecycleModes ?? []).join(',') || '<none>'),
  ),
  setDefaults: (driver) =>
    changeField(driver, 'spec', (spec) => {
      const next = spec.volumeLifecycleModes?.length ? spec : { ...spec, volumeLifecycleModes: ['Persistent'] }
      return withDefaults(next, {
        attachRequired: true,
        podInfoOnMount: false,
        storageCapacity: false,
        fsGroupPolicy: 'ReadWriteOnceWithFSType',
        requiresRepublish: false,
        seLinuxMount: false,
      })
    }),
  validate({ spec }) {
    const errors: FieldErrors = []
    for (const field of ['attachRequired', 'podInfoOnMount', 'storageCapacity'] as const) {
      if (spec?.[field] === undefined) errors.push(required(field))
    }
    if (spec?.fsGroupPolicy !== undefined)
      checkOneOf(errors, 'fsGroupPolicy', spec.fsGroupPolicy, ['File', 'None', 'ReadWriteOnceWithFSType'])
    for (const mode of spec?.volumeLifecycleModes ?? []) checkOneOf(errors, 'volumeLifecycleModes', mode, ['Ephemeral', 'Persistent'])
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.attachRequired', next.spec?.attachRequired, old.spec?.attachRequired)
    checkImmutable(errors, 'spec.volumeLifecycleModes', next.spec?.volumeLifecycleModes, old.spec?.volumeLifecycleModes)
    return errors
  },
})
