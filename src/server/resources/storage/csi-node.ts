import type { CSINode } from '../../../api/generated/storage/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge } from '../columns.ts'
import { duplicate, required, type FieldErrors } from '../rules.ts'

/** CSINodes: which drivers of storage run on a node. */
export const csiNodes = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSINode',
  hasGeneration: false,
  columns: nameToAge(integer('Drivers', ({ spec }: CSINode) => spec?.drivers?.length, 'Drivers that are registered on the node.')),
  validate({ spec }) {
    const errors: FieldErrors = []
    const names = new Set<string>()
    spec?.drivers?.forEach(({ name, nodeID }, i) => {
      const at = `spec.drivers[${i}]`
      if (!name) errors.push(required(`${at}.name`))
      if (!nodeID) errors.push(required(`${at}.nodeID`))
      if (names.has(name)) errors.push(duplicate(`${at}.name`, name))
      names.add(name)
    })
    return errors
  },
})
