import type { RuntimeClass } from '../../../api/generated/node/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { validateTolerations } from '../core/scheduling-validation.ts'
import { validateLabels } from '../object-meta.ts'
import { checkFormat, checkImmutable, type FieldErrors } from '../rules.ts'

/** RuntimeClasses: ways of running containers that a node offers. */
export const runtimeClasses = defineResource({
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  hasGeneration: false,
  columns: nameToAge(text('Handler', ({ handler }: RuntimeClass) => handler ?? '')),
  validate({ handler, scheduling }) {
    const errors: FieldErrors = []
    checkFormat(errors, 'handler', handler ?? '', dns1123LabelFaults)
    validateLabels(errors, 'scheduling.nodeSelector', scheduling?.nodeSelector)
    validateTolerations(errors, 'scheduling.tolerations', scheduling?.tolerations)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'handler', next.handler, old.handler)
    return errors
  },
})
