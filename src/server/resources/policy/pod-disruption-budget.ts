/** PodDisruptionBudgets: how many pods must stay when nodes are drained. */
import type { PodDisruptionBudget } from '../../../api/generated/policy/v1.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { validateIntOrPercent } from '../apps/workload-validation.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { validateConditions } from '../condition-validation.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkNotNegative, checkOneOf, invalid, type FieldErrors } from '../rules.ts'

const shown = (value: number | string | undefined): string => (value === undefined ? 'N/A' : String(value))

export const podDisruptionBudgets = defineResource({
  group: 'policy',
  version: 'v1',
  kind: 'PodDisruptionBudget',
  nameFormat: pathSegmentFaults,
  columns: nameToAge(
    text('Min Available', ({ spec }: PodDisruptionBudget) => shown(spec?.minAvailable)),
    text('Max Unavailable', ({ spec }: PodDisruptionBudget) => shown(spec?.maxUnavailable)),
    integer('Allowed Disruptions', ({ status }: PodDisruptionBudget) => status?.disruptionsAllowed),
  ),
  prepareForCreate: (budget) => ({
    ...budget,
    status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 },
  }),
  validate({ spec }) {
    const errors: FieldErrors = []
    if (spec?.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
      errors.push(invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set', 'policy/v1.PodDisruptionBudgetSpec'))
    }
    validateIntOrPercent(errors, 'spec.minAvailable', spec?.minAvailable, { atMost100: true })
    validateIntOrPercent(errors, 'spec.maxUnavailable', spec?.maxUnavailable, { atMost100: true })
    validateLabelSelector(errors, 'spec.selector', spec?.selector)
    if (spec?.unhealthyPodEvictionPolicy !== undefined) {
      checkOneOf(errors, 'spec.unhealthyPodEvictionPolicy', spec.unhealthyPodEvictionPolicy, ['AlwaysAllow', 'IfHealthyBudget'])
    }
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    validateConditions(errors, 'status.conditions', status?.conditions)
    for (const field of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const)
      checkNotNegative(errors, `status.${field}`, status?.[field])
    return errors
  },
})
