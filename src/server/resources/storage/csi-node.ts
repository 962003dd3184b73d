import type { CSINode, CSINodeDriver } from '../../../api/generated/storage/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge } from '../columns.ts'
import { validateDriverName } from '../core/volume-sources.ts'
import { withField } from '../immutable.ts'
import { checkFormat, checkImmutable, checkNotNegative, duplicate, invalid, required, type FieldErrors } from '../rules.ts'

/** CSINodes: which drivers of storage run on a node. */
const MAX_NODE_ID = 256

export const csiNodes = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSINode',
  hasGeneration: false,
  columns: nameToAge(integer('Drivers', ({ spec }: CSINode) => spec?.drivers?.length, 'Drivers that are registered on the node.')),
  validate({ spec }) {
    const errors: FieldErrors = []
    const names = new Set<string>()
    spec?.drivers?.forEach(({ name = '', nodeID = '', allocatable, topologyKeys }: Partial<CSINodeDriver>, i) => {
      const at = `spec.drivers[${i}]`
      validateDriverName(errors, `${at}.name`, name)
      if (!nodeID) errors.push(required(`${at}.nodeID`))
      if (nodeID.length > MAX_NODE_ID) errors.push(invalid(`${at}.nodeID`, nodeID, `must be ${MAX_NODE_ID} characters or less`))
      checkNotNegative(errors, `${at}.allocatable.count`, allocatable?.count)
      if (names.has(name)) errors.push(duplicate(`${at}.name`, name))
      names.add(name)
      const keys = new Set<string>()
      for (const key of topologyKeys ?? []) {
        if (!key) errors.push(required(at))
        if (keys.has(key)) errors.push(duplicate(at, key))
        keys.add(key)
        checkFormat(errors, at, key, qualifiedNameFaults)
      }
    })
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const fixed = (driver: CSINodeDriver): CSINodeDriver => withField(driver, 'allocatable', undefined)
    for (const before of old.spec?.drivers ?? []) {
      for (const after of next.spec?.drivers ?? []) {
        if (after.name === before.name) checkImmutable(errors, 'spec.drivers', fixed(after), fixed(before), 'storage/v1.CSINodeDriver')
      }
    }
    return errors
  },
})
