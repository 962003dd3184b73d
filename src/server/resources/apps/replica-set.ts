import type { ReplicaSet } from '../../../api/generated/apps/v1.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, containerColumns, integer, nameColumn, selectorColumn, selectorText } from '../columns.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { workloadWarnings } from '../core/pod-warnings.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { checkImmutable, checkNotNegative, type FieldErrors } from '../rules.ts'
import { LABEL_SELECTOR, validateSelector } from '../workload-selector.ts'
import { replicaStatusFaults } from '../workload-status.ts'
import { validateWorkloadTemplate } from './workload-validation.ts'
import type { Column } from '../../resource.ts'

const REPLICAS = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const

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
  validateStatusUpdate: ({ status }) => replicaStatusFaults(status, REPLICAS, { others: ['terminatingReplicas', 'observedGeneration'] }),
  warnings: workloadWarnings,
  scale: { selector: ({ spec }) => selectorText(spec?.selector) },
})
