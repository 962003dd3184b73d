import type { RuntimeClass } from '../../../api/generated/node/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { validateResourceRequirements } from '../core/resource-requirements-validation.ts'
import { validateTolerations } from '../core/scheduling-validation.ts'
import { validateLabels } from '../object-meta.ts'
import { checkFormat, checkImmutable, duplicate, required, type FieldErrors } from '../rules.ts'

/** RuntimeClasses: ways of running containers that a node offers. */
export const runtimeClasses = defineResource({
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  hasGeneration: false,
  columns: nameToAge(text('Handler', ({ handler }: RuntimeClass) => handler ?? '')),
  validate({ handler, overhead, scheduling }) {
    const errors: FieldErrors = []
    if (!handler) errors.push(required('handler'))
    else checkFormat(errors, 'handler', handler, dns1123LabelFaults)
    if (overhead) validateResourceRequirements(errors, 'overhead', { limits: overhead.podFixed }, new Set())
    validateLabels(errors, 'scheduling.nodeSelector', scheduling?.nodeSelector)
    validateTolerations(errors, 'scheduling.tolerations', scheduling?.tolerations)
    const seen = new Set<string>()
    scheduling?.tolerations?.forEach((toleration, i) => {
      const { key = '', operator = '', value = '', effect = '' } = toleration
      const said = [key, operator, value, effect].join()
      if (seen.has(said)) errors.push(duplicate(`scheduling.tolerations[${i}]`, toleration, 'core/v1.Toleration'))
      seen.add(said)
    })
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'handler', next.handler ?? '', old.handler)
    return errors
  },
})
