import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'

/** ServiceAccounts: who pods are to the API. */
export const serviceAccounts = defineResource({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  hasGeneration: false,
  columns: nameToAge(),
})
