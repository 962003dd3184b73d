import type { VolumeAttributesClass } from '../../../api/generated/storage/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { isSemanticallyEqual } from '../immutable.ts'
import { forbidden, required, type FieldErrors } from '../rules.ts'
import { validateParameters, validateProvisioner } from './storage-class.ts'

/** VolumeAttributesClasses: how a volume behaves, changeable while it is in use. */
export const volumeAttributesClasses = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttributesClass',
  hasGeneration: false,
  columns: nameToAge(text('DriverName', ({ driverName }: VolumeAttributesClass) => driverName ?? '')),
  validateCreate: validate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    if (next.driverName !== old.driverName) errors.push(forbidden('driverName', 'updates to driverName are forbidden.'))
    if (!isSemanticallyEqual(next.parameters, old.parameters)) errors.push(forbidden('parameters', 'updates to parameters are forbidden.'))
    return [...errors, ...validate(next)]
  },
})

function validate({ driverName, parameters }: VolumeAttributesClass): FieldErrors {
  const errors: FieldErrors = []
  validateProvisioner(errors, 'driverName', driverName)
  validateParameters(errors, parameters)
  if (Object.keys(parameters ?? {}).length === 0) errors.push(required('parameters', 'must contain at least one key/value pair'))
  return errors
}
