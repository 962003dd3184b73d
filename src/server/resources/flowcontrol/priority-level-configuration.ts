import type { PriorityLevelConfiguration } from '../../../api/generated/flowcontrol/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, withDefaults, withPositiveDefaults } from '../immutable.ts'
import { checkNotNegative, checkOneOf, forbidden, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

type Level = PriorityLevelConfiguration
type Limited = NonNullable<NonNullable<Level['spec']>['limited']>

/** A number where requests are limited, and "<none>" where they are not. */
const limitColumn = (name: string, read: (limited: Limited) => number | undefined): Column<Level> => ({
  ...text<Level>(name, () => ''),
  cell: ({ spec }) => (spec?.limited && read(spec.limited)) ?? '<none>',
})

/** PriorityLevelConfigurations: how many requests of a level are served at once, and how the others wait. */
export const priorityLevelConfigurations = defineResource({
  group: 'flowcontrol.apiserver.k8s.io',
  version: 'v1',
  kind: 'PriorityLevelConfiguration',
  hasGeneration: true,
  columns: nameToAge(
    text('Type', ({ spec }: Level) => spec?.type ?? ''),
    limitColumn('NominalConcurrencyShares', ({ nominalConcurrencyShares }) => nominalConcurrencyShares),
    limitColumn('Queues', ({ limitResponse }) => limitResponse?.queuing?.queues),
    limitColumn('HandSize', ({ limitResponse }) => limitResponse?.queuing?.handSize),
    limitColumn('QueueLengthLimit', ({ limitResponse }) => limitResponse?.queuing?.queueLengthLimit),
  ),
  setDefaults: (level) =>
    changeField(level, 'spec', (spec) => {
      const next = changeField(spec, 'exempt', (exempt) => withDefaults(exempt, { nominalConcurrencyShares: 0, lendablePercent: 0 }))
      return changeField(next, 'limited', (limited) =>
        changeField(withDefaults(limited, { nominalConcurrencyShares: 30, lendablePercent: 0 }), 'limitResponse', (response) =>
          changeField(response, 'queuing', (queuing) => withPositiveDefaults(queuing, { handSize: 8, queues: 64, queueLengthLimit: 50 })),
        ),
      )
    }),
  prepareForCreate: (level) => ({ ...level, status: {} }),
  validate({ spec }) {
    const errors: FieldErrors = []
    checkOneOf(errors, 'spec.type', spec?.type, ['Exempt', 'Limited'])
    if (spec?.type === 'Exempt') {
      if (spec.limited) errors.push(forbidden('spec.limited', 'must be nil if the type is not Limited'))
      return errors
    }
    if (spec?.exempt) errors.push(forbidden('spec.exempt', 'must be nil if the type is Limited'))
    if (!spec?.limited) {
      errors.push(required('spec.limited', 'must not be empty when type is Limited'))
      return errors
    }
    checkNotNegative(errors, 'spec.limited.nominalConcurrencyShares', spec.limited.nominalConcurrencyShares)
    const response = spec.limited.limitResponse
    checkOneOf(errors, 'spec.limited.limitResponse.type', response?.type, ['Queue', 'Reject'])
    if (response?.type === 'Queue' && !response.queuing)
      errors.push(required('spec.limited.limitResponse.queuing', 'must not be empty if limited.limitResponse.type is Limited'))
    if (response?.type === 'Reject' && response.queuing)
      errors.push(forbidden('spec.limited.limitResponse.queuing', 'must be nil if limited.limitResponse.type is not Limited'))
    return errors
  },
})
