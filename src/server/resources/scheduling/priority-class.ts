/** PriorityClasses: numbers with names, which say whose pods go first. */
import type { PriorityClass } from '../../../api/generated/scheduling/v1.ts'
import { defineResource } from '../../resource.ts'
import { boolean, ageColumn, integer, nameColumn, text, wide } from '../columns.ts'
import { isEqual, withPointerDefaults } from '../immutable.ts'
import { checkImmutable, checkRequiredOneOf, forbidden, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

const HIGHEST_USER_VALUE = 1_000_000_000
const SYSTEM: Readonly<Record<string, number>> = { 'system-node-critical': 2_000_001_000, 'system-cluster-critical': 2_000_000_000 }

export const priorityClasses = defineResource({
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  // One, and no change is counted.
  hasGeneration: false,
  prepareForCreate: (object) => ({ ...object, metadata: { ...object.metadata, generation: 1 } }),
  columns: [
    nameColumn as Column<PriorityClass>,
    integer('Value', ({ value }: PriorityClass) => value),
    boolean('Global-Default', ({ globalDefault }: PriorityClass) => globalDefault ?? false),
    ageColumn as Column<PriorityClass>,
    wide(text('PreemptionPolicy', ({ preemptionPolicy }: PriorityClass) => preemptionPolicy ?? '')),
  ],
  setDefaults: (object) => withPointerDefaults(object, { preemptionPolicy: 'PreemptLowerPriority' }),
  validateCreate({ metadata, value = 0, globalDefault, preemptionPolicy }) {
    const errors: FieldErrors = []
    const name = metadata?.name ?? ''
    if (name.startsWith('system-')) {
      if (!isEqual(SYSTEM[name], value) || globalDefault) {
        errors.push(
          forbidden(
            'metadata.name',
            "priority class names with 'system-' prefix are reserved for system use only. error: " +
              (SYSTEM[name] === undefined
                ? `${name} is not a known system priority class`
                : `value of ${name} PriorityClass must be ${SYSTEM[name]}`),
          ),
        )
      }
    } else if (value > HIGHEST_USER_VALUE)
      errors.push(forbidden('value', `maximum allowed value of a user defined priority is ${HIGHEST_USER_VALUE}`))
    checkRequiredOneOf(errors, 'preemptionPolicy', preemptionPolicy, ['PreemptLowerPriority', 'Never'])
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    if ((next.value ?? 0) !== (old.value ?? 0)) errors.push(forbidden('value', 'may not be changed in an update.'))
    checkImmutable(errors, 'preemptionPolicy', next.preemptionPolicy, old.preemptionPolicy)
    return errors
  },
})
