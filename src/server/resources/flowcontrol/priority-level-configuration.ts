import type {
  PriorityLevelConfiguration,
  PriorityLevelConfigurationSpec,
  QueuingConfiguration,
} from '../../../api/generated/flowcontrol/v1.ts'
import { mandatoryLevels } from '../../flow-control/bootstrap.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, isSemanticallyEqual, withDefaults, withPositiveDefaults } from '../immutable.ts'
import { checkInRange, checkRequiredOneOf, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'
import { validateTypedConditions } from './request-rule-validation.ts'

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
  validate({ metadata, spec, status }) {
    const errors: FieldErrors = []
    const name = metadata?.name ?? ''
    validateSpec(errors, name, spec)
    const fixed = mandatoryLevels.find((level) => level.metadata?.name === name)?.spec
    // How many seats go past all limits is for the administrator to say.
    const isExempt = name === 'exempt'
    const given = isExempt && fixed ? { ...spec, exempt: fixed.exempt } : spec
    if (fixed && !isSemanticallyEqual(given, fixed)) {
      const what = isExempt ? `spec of '${name}' except the 'spec.exempt' field` : `spec of '${name}'`
      errors.push(invalid('spec', spec, `${what} must equal the fixed value`, 'flowcontrol/v1.PriorityLevelConfigurationSpec'))
    }
    validateTypedConditions(errors, status?.conditions)
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    validateTypedConditions(errors, status?.conditions)
    return errors
  },
})

function validateSpec(errors: FieldErrors, name: string, spec: PriorityLevelConfigurationSpec | undefined): void {
  const type = spec?.type
  if ((name === 'exempt') !== (type === 'Exempt')) {
    errors.push(invalid('spec.type', type ?? '', "must be 'Exempt' if and only if `name` is 'exempt'"))
  }
  const { limited, exempt } = spec ?? {}
  if (type === 'Exempt') {
    if (limited) errors.push(forbidden('spec.limited', 'must be nil if the type is not Limited'))
    if (exempt) validateShares(errors, 'spec.exempt', exempt)
  } else if (type === 'Limited') {
    if (exempt) errors.push(forbidden('spec.exempt', 'must be nil if the type is Limited'))
    if (limited) validateLimited(errors, 'spec.limited', limited)
    else errors.push(required('spec.limited', 'must not be empty when type is Limited'))
  } else checkRequiredOneOf(errors, 'spec.type', type, ['Exempt', 'Limited'])
}

function validateShares(
  errors: FieldErrors,
  path: string,
  { nominalConcurrencyShares = 0 }: Pick<Limited, 'nominalConcurrencyShares'>,
): void {
  if (nominalConcurrencyShares < 0) {
    errors.push(invalid(`${path}.nominalConcurrencyShares`, nominalConcurrencyShares, 'must be a non-negative integer'))
  }
}

function validateLimited(errors: FieldErrors, path: string, limited: Limited): void {
  validateShares(errors, path, limited)
  const { type, queuing } = limited.limitResponse ?? {}
  const at = `${path}.limitResponse`
  if (type === 'Reject') {
    if (queuing) errors.push(forbidden(`${at}.queuing`, 'must be nil if limited.limitResponse.type is not Limited'))
  } else if (type === 'Queue') {
    if (queuing) validateQueuing(errors, `${at}.queuing`, queuing)
    else errors.push(required(`${at}.queuing`, 'must not be empty if limited.limitResponse.type is Limited'))
  } else checkRequiredOneOf(errors, `${at}.type`, type, ['Queue', 'Reject'])
  checkInRange(errors, `${path}.lendablePercent`, limited.lendablePercent, 0, 100)
  const { borrowingLimitPercent: borrowing = 0 } = limited
  if (borrowing < 0) errors.push(invalid(`${path}.borrowingLimitPercent`, borrowing, 'if specified, must be a non-negative integer'))
}

const MAX_QUEUES = 10_000_000
/** What may be used of a hash of 64 bits when a hand is dealt. */
const MAX_HASH_BITS = 60

function validateQueuing(errors: FieldErrors, path: string, queuing: QueuingConfiguration): void {
  const { queueLengthLimit = 0, queues = 0, handSize = 0 } = queuing
  if (queueLengthLimit <= 0) errors.push(invalid(`${path}.queueLengthLimit`, queueLengthLimit, 'must be positive'))
  if (queues <= 0) errors.push(invalid(`${path}.queues`, queues, 'must be positive'))
  else if (queues > MAX_QUEUES) errors.push(invalid(`${path}.queues`, queues, `must not be greater than ${MAX_QUEUES}`))
  const bits = Math.ceil(Math.log2(queues) * handSize)
  let fault: string | undefined
  if (handSize <= 0) fault = 'must be positive'
  else if (handSize > queues) fault = `should not be greater than queues (${queues})`
  else if (bits > MAX_HASH_BITS) {
    fault = `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${MAX_HASH_BITS}`
  }
  if (fault) errors.push(invalid(`${path}.handSize`, handSize, fault))
}
