import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'

/** DeviceClasses: kinds of devices. */
export const deviceClasses = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'DeviceClass',
  hasGeneration: true,
  columns: nameToAge(),
})
