import type { ConfigMap } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge } from '../columns.ts'
import { invalid, type FieldErrors } from '../rules.ts'
import { checkNotImmutable, checkSize, validateKeys } from './config-data.ts'

/** ConfigMaps: settings of programs, as files or variables. */
export const configMaps = defineResource({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  hasGeneration: false,
  columns: nameToAge({
    ...integer('Data', ({ data, binaryData }: ConfigMap) => Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length),
    type: 'string',
  }),
  validate({ data, binaryData }) {
    const errors: FieldErrors = []
    for (const key in data)
      if (binaryData?.[key] !== undefined) errors.push(invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'))
    checkSize(errors, '[]', validateKeys(errors, 'data', data, false) + validateKeys(errors, 'binaryData', binaryData, true))
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkNotImmutable(errors, next, old, ['data', 'binaryData'])
    return errors
  },
})
