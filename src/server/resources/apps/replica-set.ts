import type { ReplicaSet } from '../../../api/generated/apps/v1.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, containerColumns, integer, nameColumn, selectorColumn, selectorText } from '../columns.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { workloadWarnings } from '../core/pod-warnings.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { checkImmutable, checkNotNegative, invalid, type FieldErrors } from '../rules.ts'
import { LABEL_SELECTOR, validateSelector } from '../workload-selector.ts'
import { validateWorkloadTemplate } from './workload-validation.ts'
import type { Column } from '../../resource.ts'

/** ReplicaSets: a number of pods of one template. */
export const replicaSets = defineResource({
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  columns: [
    nameColumn as Column<ReplicaSet>,
    integer('Desired', ({ spec }: ReplicaSet) => spec?.replicas),
    integer('Current', ({ status }: ReplicaSet) => status?.replicas),
    integer('Ready', ({ status }: ReplicaSet) => status?.readyReplicas),
    ageColumn as Column<ReplicaSet>,
    ...containerColumns(({ spec }: ReplicaSet) => spec?.template?.spec?.containers),
    selectorColumn(({ spec }: ReplicaSet) => spec?.selector),
  ],
  setDefaults: (set) =>
    changeField(set, 'spec', (spec) => changeField(withDefaults(spec, { replicas: 1 }), 'template', podTemplateDefaults)),
  prepareForCreate: (set) => ({ ...set, status: { replicas: 0 } }),
  validate({ spec }) {
    const errors: FieldErrors = []
    checkNotNegative(errors, 'spec.replicas', spec?.replicas)
    checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds)
    const isReadable = validateSelector(errors, 'spec.selector', spec?.selector, 'deployment')
    if (isReadable) validateWorkloadTemplate(errors, spec?.template, spec?.selector)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.selector', next.spec?.selector, old.spec?.selector, LABEL_SELECTOR)
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    for (const field of ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'] as const) {
      checkNotNegative(errors, `status.${field}`, status?.[field])
    }
    for (const field of ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const) {
      if ((status?.[field] ?? 0) > (status?.replicas ?? 0))
        errors.push(invalid(`status.${field}`, status?.[field], 'cannot be greater than status.replicas'))
    }
    if ((status?.availableReplicas ?? 0) > (status?.readyReplicas ?? 0)) {
      errors.push(invalid('status.availableReplicas', status?.availableReplicas, 'cannot be greater than readyReplicas'))
    }
    return errors
  },
  warnings: workloadWarnings,
  scale: { selector: ({ spec }) => selectorText(spec?.selector) },
})
